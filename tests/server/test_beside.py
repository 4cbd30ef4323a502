"""Records beside notebooks, in folders below the server's own, are found by the panel."""

from __future__ import annotations

from pathlib import Path

import dask
import nbformat
import pytest
import served

from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs import Run, Store
from jupyter_scale.runs.place import BESIDE, places, remember


def record(folder: Path, name: str, started: float) -> Path:
    with Store(folder / BESIDE) as store:
        store.begin(Run(name, Process.this(), started, status="done", name="Search", best=started))
    return folder / BESIDE


def test_what_is_remembered_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, gone = (record(tmp_path / name, name, 1.0) for name in ("there", "gone"))
    remember(there)
    remember(gone)
    remember(there)
    remember(tmp_path / "runs.sqlite")  # beside no notebook
    gone.unlink()
    monkeypatch.chdir(tmp_path)
    with dask.config.set({"jupyter-scale.record": "beside"}):
        assert places() == [tmp_path / BESIDE, there]
        assert places([tmp_path / "there", tmp_path]) == [tmp_path / BESIDE, there]
    with dask.config.set({"jupyter-scale.record": str(tmp_path / "one.sqlite")}):
        assert places([tmp_path / "there"]) == [tmp_path / "one.sqlite"]


@pytest.mark.long
def test_the_panel_lists_shows_and_compares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_JUPYTER_SCALE__RECORD", "beside")
    with served.start(tmp_path) as server:
        root = server.root
        for number, name in enumerate(("open", "known", "closed", "deep/er")):
            record(root / name, name.replace("/", "-"), float(number))
        record(root, "top", 9.0)
        monkeypatch.setenv("JUPYTER_DATA_DIR", str(server.runtime.parent / "data"))
        remember(root / "known" / BESIDE)
        assert [run["id"] for run in server.scale("GET", "runs")[1]["runs"]] == ["top", "known"]
        for path in ("open/a.ipynb", "deep/er/b.ipynb"):
            nbformat.write(nbformat.v4.new_notebook(), root / path)
            asked = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
            assert server.ask("POST", "api/sessions", asked)[0] == 201
        found = server.scale("GET", "runs")[1]["runs"]
        assert [run["id"] for run in found] == ["top", "deep-er", "known", "open"]
        assert "<strong>open: Search</strong>" in server.scale("GET", "runs/open")[1]["html"]
        page = server.scale("GET", "runs/open/known")[1]["html"]
        assert "known is better: 1 instead of 0." in page
        assert "<strong>top: " in server.scale("GET", "runs/last")[1]["html"]
        status, answer = server.scale("GET", "runs/closed")
        assert (status, answer["message"].partition(":")[0]) == (404, "No run closed is on record")
