"""Secrets are found wherever they are, and are never said."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import notebook
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_output

from jupyter_scale.export.finding import Finding, unanswered
from jupyter_scale.export.notebook import parsed
from jupyter_scale.export.scan import private, scan, texts

# put together here, so that this file has none itself
AWS = "AKIA" + "IOSFODNN7EXAMPL1"
GITHUB = "ghp" + "_" + "a1B2" * 9
TOKEN = "0123456789abcdef" * 2
KEY = "-----BEGIN " + "PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f'key = "{AWS}"', "AWS Access Key"),
        (f"git clone with {GITHUB}", "GitHub Token"),
        (KEY, "Private Key"),
        (f"http://localhost:8888/lab?token={TOKEN}", "a server's token"),
        (f"'Authorization': 'token {TOKEN}'", "a server's token"),
        ("postgresql://bob:" + "hunter22@db.example.org/x", "Basic Auth"),
        ("password" + ' = "correct horse"'.replace(" h", "-h"), "a password or key"),
        ("/home/alice/data.csv", "a path that names a user"),
        (r"C:\Users\alice\data.csv", "a path that names a user"),
        ("/Users/alice/x", "a path that names a user"),
    ],
)
def test_secrets_are_found_and_not_quoted(line: str, kind: str) -> None:
    found = scan([("cell 1", line)])
    assert kind in found[0].what
    for one in found:
        assert one.level == "blocker"
        secret = line.split("=")[-1].strip("\"' ")
        assert secret not in f"{one.what}{one.remedy}{one.id}"


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['PASSWORD']",
        'token = "{token}"',
        "url?token=...",
        "/home/jovyan/work",
        "https://example.org/home/page",
        "sha256 = '" + "0f" * 32 + "'",
        "https://example.org:8080/path@2",
        "/usr/lib/python3",
    ],
)
def test_what_is_no_secret_is_left(line: str) -> None:
    assert scan([("cell 1", line)]) == ()


def test_places_are_sources_outputs_metadata_and_texts(tmp_path: Path) -> None:
    one = notebook(tmp_path, "print(1)")
    cells = [dict(cell) for cell in one.content["cells"]]
    cells[0]["outputs"] = [
        new_output("stream", name="stdout", text=f"see {GITHUB}"),
        new_output("display_data", {"text/html": f"<a href='?token={TOKEN}'>", "image/png": AWS}),
        new_output("error", ename="E", evalue="x", traceback=["/home/alice/x.py"]),
    ]
    cells[0]["metadata"] = {"note": AWS}
    content = {**one.content, "cells": cells, "metadata": {"path": "/Users/alice/x"}}
    found = scan(texts(parsed(one.path, content)))
    assert sorted((one.where, one.id.partition(":")[0]) for one in found) == [
        ("metadata", "home-path"),
        ("metadata of cell 1", "secret"),
        ("output of cell 1", "home-path"),
        ("output of cell 1", "secret"),
        ("output of cell 1", "secret"),
    ]


def test_values_of_env_files_are_secrets_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# x\nexport DB='sesame-open'\nDEBUG=1\n")
    values = private(tmp_path)
    assert values == {"sesame-open": "DB of .env"}
    [found] = scan([("helper.py", "connect(to='sesame-open')")], values=values)
    assert found.what == "a secret: the value of DB of .env"


def test_this_users_home_is_named_even_if_it_is_unusual() -> None:
    [found] = scan([("cell 1", "open('/srv/people/al/x')")], home="/srv/people/al")
    assert found.id.startswith("home-path:cell-1:")
    assert scan([("cell 1", "open('/srv/people/alice/x')")], home="/srv/people/al") == ()


def test_an_id_stays_and_tells_secrets_apart() -> None:
    first, again = scan([("cell 1", AWS)]), scan([("cell 1", f"x = '{AWS}'")])
    assert first[0].id == again[0].id
    assert scan([("cell 2", AWS)])[0].id != first[0].id


@given(st.text(alphabet=" \nab1", max_size=200), st.text(alphabet=" \nab1", max_size=200))
def test_a_token_is_found_in_any_text(before: str, after: str) -> None:
    text = f"{before} ?token={TOKEN} {after}"
    assert any("server" in one.what for one in scan([("x", text)]))


def test_a_long_line_hides_nothing() -> None:
    for place in (3990, 8000, 123_456):
        assert scan([("x", "a " * (place // 2) + f"?token={TOKEN}" + " b" * 5000)])


def test_a_blocker_is_accepted_by_its_own_id_only() -> None:
    secret = Finding("secret:cell-1:1", "blocker", "cell 1", "", "", "it is no secret")
    stuck = Finding("python:3.15", "blocker", "Python", "", "")
    warning = Finding("pip:cell-1", "warning", "cell 1", "", "")
    every = [secret, stuck, warning]
    assert unanswered(every, yes=True) == (secret, stuck)
    assert unanswered(every, ["secret", "pip", "python"], yes=False) == (secret, stuck)
    assert unanswered(every, ["secret:cell-1:1", "python:3.15", "pip:cell-1"]) == (stuck,)
