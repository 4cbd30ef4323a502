"""What keeps a notebook from running elsewhere: one case for each kind of finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from environments import distributions, notebook, read, snapshot
from nbformat.v4 import new_output

from jupyter_scale.export import checks
from jupyter_scale.export.data import Data, files, manifest
from jupyter_scale.export.lock import Lock, Pin, locked
from jupyter_scale.export.notebook import examine, parsed
from jupyter_scale.export.roots import Root
from jupyter_scale.export.snapshot import Distribution, Imported, Index, Program, Snapshot

EMPTY = Lock("3.11.7", ())


def found(
    folder: Path, *sources: str, there: Snapshot | None = None, **more: Any
) -> dict[str, str]:
    one, code = read(folder, *(sources or ("1",)))
    lock = more.pop("lock", EMPTY)
    said = checks.check([one], code, there or snapshot(), lock, **more)
    return {finding.id: finding.level for finding in said}


def test_a_plain_notebook_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, "import json\nprint(1)", there=snapshot()) == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%pip install x", {"pip:cell-1": "warning"}),
        ("!pip install --index-url https://x.example.org x",
         {"index:cell-1": "blocker", "pip:cell-1": "warning"}),
        ("open('/data/x.csv')", {"absolute-path:cell-1": "warning"}),
        ("open('~/x.csv')", {"absolute-path:cell-1": "warning"}),
        ("x = '/not-a-root/x'", {}),
        ("this is no python", {"unreadable:cell-1": "warning"}),
        ("np.random.rand()", {"nondeterminism:cell-1": "warning"}),
        ("np.random.seed(0); np.random.rand()", {}),
        ("datetime.now()", {"nondeterminism:cell-1": "warning"}),
        ("os.environ['X_TOKEN']", {"variable:X_TOKEN": "warning"}),
        ("os.environ['HOME']", {}),
        ("!git log", {}),
        ("!dot x", {"program:dot": "warning"}),
        ("!some-program x", {"program:some-program": "warning"}),
    ],
)  # fmt: skip
def test_what_the_source_says(tmp_path: Path, source: str, expected: dict[str, str]) -> None:
    assert found(tmp_path, source) == expected


def test_cells_that_ran_in_another_order_or_not_at_all(tmp_path: Path) -> None:
    one = notebook(tmp_path, "1", "2", "3", "", counts=[2, 1, None, None])
    said = checks.check([one], examine(one), snapshot(), EMPTY)
    assert [finding.id for finding in said] == ["out-of-order:cell-2", "unrun:cell-3"]
    never = notebook(tmp_path, "1", counts=[None])
    assert [one.id for one in checks.check([never], examine(never), snapshot(), EMPTY)] == [
        "unrun:nb.ipynb"
    ]


def test_a_cell_that_failed(tmp_path: Path) -> None:
    one = notebook(tmp_path, "1 / 0", "1 / 0")
    cells = [dict(cell) for cell in one.content["cells"]]
    for cell in cells:
        cell["outputs"] = [new_output("error", ename="E", evalue="", traceback=[])]
    cells[1]["metadata"] = {"tags": ["raises-exception"]}
    one = parsed(one.path, {**one.content, "cells": cells})
    said = checks.check([one], examine(one), snapshot(), EMPTY)
    assert [finding.id for finding in said] == ["error:cell-1"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"python": "3.15.0"}, "python:3.15"),
        ({"python": "3.7.9"}, "python:3.7"),
        ({"implementation": "pypy"}, "python:pypy"),
        ({"indexes": (Index("extra", "https://x", "pip"),)}, "index:extra"),
    ],
)
def test_what_the_environment_is_blocks(
    tmp_path: Path, more: dict[str, Any], expected: str
) -> None:
    assert found(tmp_path, there=snapshot(**more)) == {expected: "blocker"}


def test_of_packages_that_another_index_may_have_only_those_that_are_not_public_block(
    tmp_path: Path,
) -> None:
    there = snapshot(
        distributions={"a": Distribution("a", "1"), "b": Distribution("b", "2")},
        indexes=(Index("extra", "https://x.example.org/simple", "pip"),),
    )
    lock = Lock("3.11.7", (Pin("a", "1", "a==1"), Pin("b", "2", "b==2")))
    every = frozenset({"a", "b"})
    assert found(tmp_path, there=there, lock=lock, public=every) == {}
    assert found(tmp_path, there=there, lock=lock, public=every - {"b"}) == {"index:b": "blocker"}
    assert found(tmp_path, there=there, lock=lock) == {"index:extra": "blocker"}


def test_warnings_of_the_environment(tmp_path: Path) -> None:
    there = snapshot(
        indexes=(Index("index", "https://mirror.example.org", "pip"),),
        elsewhere={"stray": "/somewhere/stray.py"},
        libraries=("libc6", "zlib1g", "libgdal32"),
        differing={"numpy": "2.3"},
    )
    assert found(tmp_path, there=there) == dict.fromkeys(
        ["index:mirror", "module:stray", "library:libgdal32", "workers:numpy"], "warning"
    )


def test_a_cluster_without_workers_to_ask(tmp_path: Path) -> None:
    imports = {"distributed": "distributed"}
    assert found(tmp_path, "import distributed", there=snapshot(imports=imports)) == {
        "workers": "warning"
    }
    there = snapshot(imports=imports, workers=1)
    assert found(tmp_path, "import distributed", there=there) == {}


def test_an_import_that_is_not_there(tmp_path: Path) -> None:
    there = replace(snapshot(), imports={"nope.x": Imported("missing")})
    assert found(tmp_path, "import nope.x", there=there) == {"missing:nope": "warning"}


def test_packages_that_only_this_machine_has(tmp_path: Path) -> None:
    mine = Distribution("mine", "1", url="file:///mine", editable=True)
    assert found(tmp_path, unpublished=[mine]) == {"unpublished:mine": "blocker"}
    assert found(tmp_path, unpublished=[mine], wheels=True) == {}
    dirty = replace(mine, changes=True)
    assert found(tmp_path, unpublished=[dirty], wheels=True) == {"uncommitted:mine": "blocker"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("git+https://example.org/a.git", {}),
        ("git+ssh://git@example.org/a.git", {"vcs:a": "blocker"}),
        ("git+file:///srv/a", {"vcs:a": "blocker"}),
        ("git+https://me:token@example.org/a.git", {"login:a": "blocker"}),
    ],
)
def test_repositories_that_others_cannot_read(
    tmp_path: Path, url: str, expected: dict[str, str]
) -> None:
    one = Distribution("a", "1", url=url, commit="0" * 40)
    there = snapshot(distributions=distributions(a=one))
    lock = locked([Root("a", "1", ())], there)
    assert found(tmp_path, there=there, lock=lock) == expected


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("nvidia-cublas-cu12", "12", "gpu:nvidia-cublas-cu12"),
        ("torch", "2.9+cu126", "gpu:torch"),
        ("torch", "2.9+cpu", "local-version:torch"),
        ("pytesseract", "1", "library:pytesseract"),
    ],
)
def test_packages_that_need_more_than_an_image_has(
    tmp_path: Path, name: str, version: str, expected: str
) -> None:
    there = snapshot(distributions=distributions({name: (version,)}))
    lock = Lock("3.11.7", (Pin(name, version, f"{name}=={version}"),))
    assert found(tmp_path, there=there, lock=lock) == {expected: "warning"}


def test_programs_become_debian_packages(tmp_path: Path) -> None:
    one, code = read(tmp_path, "!dot x\n!mine y\n!black z\n!jq .")
    programs = {
        "dot": Program("/usr/bin/dot", package="graphviz"),
        "mine": Program("/usr/bin/mine", package="mine; rm -rf /"),
        "black": Program("/env/bin/black", distribution="black"),
        "jq": Program(),
    }
    there = snapshot(programs=programs)
    lock = Lock("3.11.7", (Pin("pydot", "1", "pydot==1"),))
    assert checks.packages(code, there, lock) == ("graphviz", "jq")
    said = {finding.id: finding.level for finding in checks.check([one], code, there, EMPTY)}
    assert said == {"apt:mine": "blocker", "program:dot": "warning", "program:jq": "warning"}


def test_what_a_kernel_has_run_is_compared_with_what_is_saved(tmp_path: Path) -> None:
    one = notebook(tmp_path, "a = 1", "b = 2", "c = 3", "%scale export out", counts=[1, 2, 5, 6])
    said = checks.lived(one, ["", "a = 1\n", "b = 3"])
    assert [finding.id for finding in said] == ["kernel:cell-2", "kernel:cell-3"]
    assert "has not run it" in said[1].what


def test_data_is_what_the_code_names_or_was_seen_to_be_read(tmp_path: Path) -> None:
    for name in ("data/a.csv", "data/deep/b.csv", "seen.bin", ".env", "nb.ipynb", "unnamed.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "big.bin").write_bytes(b"0" * 100)
    named = ["data", "big.bin", ".env", "no such file", "../x", "/etc/passwd", "~", "a" * 299, "\0"]
    data = files(
        tmp_path,
        named,
        ["seen.bin"],
        sources={"data/a.csv": "https://example.org/a.csv"},
        large=50,
        leave=[tmp_path / "nb.ipynb"],
    )
    assert {one.path: one.copied for one in data} == {
        "big.bin": False, "data/a.csv": False, "data/deep/b.csv": True, "seen.bin": True,
    }  # fmt: skip
    assert found(tmp_path, data=data) == {"large:big.bin": "warning"}
    assert '"source": "https://example.org/a.csv"' in manifest(data)


def test_what_the_notebook_has_written_itself_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("1")
    data = files(tmp_path, ["out.csv"], since=(tmp_path / "out.csv").stat().st_mtime - 1)
    assert found(tmp_path, data=data) == {"result:out.csv": "warning"}
    [again] = files(tmp_path, ["out.csv"], ["out.csv"], since=1.0)
    assert isinstance(again, Data)
    assert again.copied
