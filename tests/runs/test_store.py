"""The record's file: what was committed is there, whoever else writes, whatever goes wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import dask
import pytest

from jupyter_scale.clusters import profiles
from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs import RecordError, Run, Store, where
from jupyter_scale.runs import store as module
from jupyter_scale.runs.run import Cell
from jupyter_scale.runs.scores import encoded
from jupyter_scale.runs.store import VERSION


def run(name: str, started: float = 1000.0, **more: object) -> Run:
    return Run(name, Process.this(), started, status="done", **more)  # type: ignore[arg-type]


def cell(candidate: int, address: bytes | None = None) -> Cell:
    result = {"test_scores": candidate / 3, "fit_time": 0.1, "fit_error": None}
    return Cell(candidate, 0, address, encoded(result)[0], 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data" / "runs.sqlite")


def test_a_run_comes_back_as_it_was(store: Store) -> None:
    before = run("3f2a", notebook="a/b.ipynb", cell="%%scale", best=0.5, sizes=[[0.0, 1, 2]])
    number = store.begin(before)
    before.best, before.cells_done = 0.75, 2
    store.add(number, before, [cell(0, b"a"), cell(1)], {0: {"C": "1"}, 1: {"C": "2"}}, {"d": "t"})
    with Store(store.path) as other:
        assert other.runs() == [before]
        assert other.cells(before) == [cell(0, b"a"), cell(1)]
        assert other.candidates(before) == {0: {"C": "1"}, 1: {"C": "2"}}
        assert other.text("d") == "t"
        assert other.known(b"a") == cell(0).result
        assert other.known(b"a", "3f2a") == cell(0).result
        assert other.known(b"a", "none") is None
        assert other.known(b"b") is None


def test_nothing_is_made_by_looking(store: Store) -> None:
    assert store.runs() == []
    assert store.known(b"a") is None
    with pytest.raises(RecordError, match="No run is on record yet"):
        store.find("last")
    assert not store.path.parent.exists()


def test_it_is_its_owner_s_alone(store: Store) -> None:
    store.begin(run("3f2a"))
    for path in store.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_runs_are_found_by_id_tag_notebook_and_date(store: Store) -> None:
    for place, name in enumerate(("3f2a", "3f77", "8_00")):
        store.begin(run(name, 1000.0 + place, notebook=f"{name}/n.ipynb", tags=[name[0], "x"]))
    assert store.find("last").id == "8_00"
    assert store.find("3f2").id == "3f2a"
    with pytest.raises(RecordError, match=r"3f begins 2 runs: 3f77, 3f2a\. Write more"):
        store.find("3f")
    with pytest.raises(RecordError, match="No run 8a is on record"):
        store.find("8a")
    with pytest.raises(RecordError, match="No run % is on record"):
        store.find("%")

    def ids(**more: object) -> list[str]:
        return [run.id for run in store.runs(**more)]  # type: ignore[arg-type]

    assert ids() == ["8_00", "3f77", "3f2a"]
    assert ids(tags=["3"]) == ids(tags=["3", "x"]) == ["3f77", "3f2a"]
    assert ids(notebook="3f77/n.ipynb") == ["3f77"]
    assert len(ids(notebook="n.ipynb")) == 3
    assert ids(since=1001.0, until=1002.0) == ["3f77"]
    assert ids(most=1) == ["8_00"]


def test_predictions_are_those_of_one_run_and_go_with_it(store: Store) -> None:
    assert (store.predicts, store.predicted(b"a")) == (False, None)
    one, two = run("one"), run("two")
    for kept, body in ((one, {b"a": b"1", b"b": b"1"}), (two, {b"b": b"2"})):
        store.add(store.begin(kept), kept, predictions=body)
    assert [store.predicted(name) for name in (b"a", b"b", b"c")] == [b"1", b"2", None]
    store.remove([one])
    assert [store.predicted(name) for name in (b"a", b"b")] == [None, b"2"]
    store.remove([two])
    assert not store.predicts


def test_a_file_from_before_predictions_has_room_for_them(store: Store) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", module.MIGRATIONS[:1])
        patch.setattr(module, "VERSION", 1)
        before = run("3f2a")
        number = store.begin(before)
        store.close()
    assert not store.predicts
    assert store.find("3f2a") == before
    store.add(number, before, predictions={b"p": b"1"})
    assert store.predicted(b"p") == b"1"


def test_a_note_stays_when_the_search_goes_on(store: Store) -> None:
    going = run("3f2a")
    number = store.begin(going)
    store.annotate(going, note="mine", tags=["b", "a", "b"])
    going.cells_done = 5
    store.add(number, going)
    found = store.find("3f2a")
    assert (found.note, found.tags, found.cells_done) == ("mine", ["a", "b"], 5)


def test_what_is_removed_is_gone_and_what_others_need_is_not(store: Store) -> None:
    for name in ("one", "two"):
        kept = run(name, environment="shared", diff=f"of {name}")
        texts = {"shared": "packages", f"of {name}": name}
        store.add(store.begin(kept), kept, [cell(0, name.encode())], {0: {}}, texts)
    store.remove([store.find("one")])
    assert [kept.id for kept in store.runs()] == ["two"]
    assert store.known(b"one") is None
    assert store.known(b"two") is not None
    assert (store.text("of one"), store.text("of two"), store.text("shared")) == (
        "",
        "two",
        "packages",
    )
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT count(*) FROM cells").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM candidates").fetchone() == (1,)
    connection.close()


WRITER = """
import sys
from pathlib import Path
from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs import Run, Store
from jupyter_scale.runs.run import Cell

me = sys.argv[2]
with Store(Path(sys.argv[1])) as store:
    run = Run(me, Process.this(), 1.0)
    number = store.begin(run)
    for n in range(100):
        store.add(number, run, [Cell(n, 0, f"{me}{n}".encode(), "{}", 0.0)])
"""


def test_kernels_write_at_once(store: Store) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(store.path), name]) for name in "abc"
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert sorted(run.id for run in store.runs()) == ["a", "b", "c"]
    for name in "abc":
        assert [cell.candidate for cell in store.cells(store.find(name))] == list(range(100))


def test_a_run_whose_kernel_is_gone_is_lost(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    going = Run("3f2a", Process.of(child.pid), 1.0)
    store.begin(going)
    assert store.find("3f2a").status == "running"
    child.communicate(b"\n")
    assert store.find("3f2a").status == "lost"
    elsewhere = Process(1, 1.0, "another machine")
    store.begin(Run("77b1", elsewhere, 1.0, updated=1.0))
    assert store.find("77b1").status == "lost"


def test_an_older_record_is_brought_up_to_date_and_a_newer_one_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = run("3f2a")
    store.begin(kept)
    store.close()
    migrations = (*module.MIGRATIONS, "ALTER TABLE cells ADD COLUMN colour TEXT DEFAULT 'red'")
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", migrations)
        patch.setattr(module, "VERSION", VERSION + 1)
        with Store(store.path) as newer:
            assert newer.runs() == [kept]
    with pytest.raises(RecordError, match=r"was written by a newer jupyter-scale: upgrade"):
        store.runs()
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT count(colour) FROM cells").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    connection.close()


def test_a_migration_that_fails_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.begin(run("3f2a"))
    store.close()
    wrong = "CREATE TABLE fine (a TEXT); CREATE TABLE cells (a TEXT)"
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, wrong))
        patch.setattr(module, "VERSION", VERSION + 1)
        with pytest.raises(RecordError, match="already exists"):
            store.runs()
    assert [kept.id for kept in store.runs()] == ["3f2a"]


def test_what_is_no_record_is_named(store: Store) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(RecordError, match=r"is no record, or is damaged .*: move it away"):
        store.runs()


def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match=r"cannot be written.*set jupyter-scale.record to a file"):
        Store(tmp_path / "file" / "runs.sqlite").begin(run("3f2a"))


def test_a_full_disk_loses_no_row_that_was_there(store: Store) -> None:
    going = run("3f2a")
    number = store.begin(going)
    store.add(number, going, [cell(0, b"a")])
    with store._changing() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(RecordError, match=r"no space is left for .*: make some"):
        store.add(number, going, [cell(n, b"b" * 16) for n in range(1000)])
    assert store.cells(going) == [cell(0, b"a")]


def test_where_it_is_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert where() == Path(os.environ["JUPYTER_DATA_DIR"]) / "scale" / "runs.sqlite"
    monkeypatch.chdir(tmp_path)
    for setting, path in (
        (False, None),
        ("beside", tmp_path / ".jupyter-scale" / "runs.sqlite"),
        ("here.sqlite", tmp_path / "here.sqlite"),
        ("~/x.sqlite", Path.home() / "x.sqlite"),
    ):
        with dask.config.set({"jupyter-scale.record": setting}):
            assert where() == path
            assert "local" in profiles(), "the setting is one of ours"
    with (
        dask.config.set({"jupyter-scale.record": 3}),
        pytest.raises(RecordError, match=r"jupyter-scale.record: 3: write true, false, beside or"),
    ):
        where()
