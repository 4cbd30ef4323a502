"""The note of a running search: whole, its owner's only, and true after the kernel's end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for

from jupyter_scale import journal, notes
from jupyter_scale.clusters.connection import Process
from jupyter_scale.journal import Entry, Journal


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def written(asked: list[str]) -> Iterator[Journal]:
    made = Journal(Process.this(), "k", "c", "/a.ipynb", asked.append)
    yield made
    made.close()


def read() -> list[Entry]:
    return journal.entries()


def test_what_is_noted_can_be_read_by_nobody_else(written: Journal, runtime: Path) -> None:
    written.note(name="GridSearchCV", failures=("1 failed: x",), html="<b>", score=0.5)
    wait_for(lambda: len(read()) == 1)
    assert read() == [written.entry]
    assert written.entry.alive
    assert [path.stat().st_mode & 0o777 for path in runtime.iterdir()] == [0o600]


def test_it_is_written_seldom_and_at_last_whole(written: Journal, runtime: Path) -> None:
    stamps = set()
    until = time.monotonic() + 1.5
    count = 0
    while time.monotonic() < until:
        written.note(cells_done=(count := count + 1))
        stamps |= {path.stat().st_mtime_ns for path in runtime.glob("search-*.json")}
        time.sleep(0.01)
    assert 1 <= len(stamps) <= 3
    written.note(cells_done=7, status="done")
    written.close()
    assert [(entry.cells_done, entry.status) for entry in read()] == [(7, "done")]
    assert not read()[0].alive


def test_nothing_is_written_where_nothing_is_noted(written: Journal, runtime: Path) -> None:
    written.close()
    assert list(runtime.iterdir()) == []


def test_what_is_asked_for_is_heard_once(written: Journal, asked: list[str], runtime: Path) -> None:
    written.note(name="s")
    journal.ask(written.entry, "pause")
    wait_for(lambda: asked == ["pause"])
    journal.ask(written.entry, "stop")
    wait_for(lambda: asked == ["pause", "stop"])
    assert not list(runtime.glob("*.asked"))


def test_what_cannot_be_asked_for_is_said(written: Journal) -> None:
    with pytest.raises(ValueError, match="choose one of stop, pause, resume"):
        journal.ask(written.entry, "explode")  # type: ignore[arg-type]
    written.note(status="done", name="GridSearchCV")
    with pytest.raises(ValueError, match="GridSearchCV has ended: done"):
        journal.ask(written.entry, "stop")


KERNEL = """
import sys, time
from jupyter_scale.clusters.connection import Process
from jupyter_scale.journal import Journal
made = Journal(Process.this(), "k", "c", "", print)
made.note(name="GridSearchCV", html="<p>half</p>", text="half", seconds_left=9.0)
time.sleep(60)
"""


def test_a_killed_kernel_leaves_a_search_that_was_interrupted() -> None:
    process = subprocess.Popen([sys.executable, "-c", KERNEL])
    try:
        wait_for(lambda: len(read()) == 1)
        assert read()[0].status == "running"
    finally:
        process.kill()
        process.wait()
    [entry] = read()
    assert (entry.status, entry.seconds_left) == ("interrupted", None)
    assert entry.html == f"<p><strong>{journal.GONE}</strong></p><p>half</p>"
    assert entry.text == f"{journal.GONE}\nhalf"
    assert read() == [entry], "it is said once"


def test_old_notes_and_other_files_are_passed_over(
    written: Journal, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runtime / "search-odd.json").write_text('{"process": 1}')
    (runtime / "search-cut.json").write_text("{")
    written.note(status="done")
    written.close()
    assert len(read()) == 1
    monkeypatch.setattr(notes, "KEPT", 0.0)
    assert read() == []
    assert not list(runtime.glob(f"*{written.entry.id}*"))


def test_it_is_found_by_its_id(written: Journal) -> None:
    written.note()
    written.close()
    assert journal.find(written.entry.id) == written.entry
    assert journal.find("other") is None
    journal.forget(written.entry.id)
    assert journal.find(written.entry.id) is None


def test_a_full_disk_is_not_the_search_s_end(
    written: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(journal, "written", full)
    written.note()
    written.close()
    assert read() == []
