"""The tenth notebook, run by a real kernel: one model on two workers, one of which is killed."""

from __future__ import annotations

import re
from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "10-data-parallel.ipynb"
pytest.importorskip("torch")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "10.ipynb"
    assert execute.main([str(PATH), "--output", str(target), "--set", "N_EPOCHS=3"]) == 0
    return nbformat.read(target, as_version=4)


def test_a_curve_stays_with_its_text(executed: NotebookNode) -> None:
    (shown,) = (
        output
        for cell in executed.cells
        if cell.id == "train"
        for output in cell.outputs
        if output.output_type == "display_data"
    )
    assert "fit: done, epoch 3 of 3, loss" in shown.data["text/plain"]
    assert "2 ranks (gloo)" in shown.data["text/plain"]
    assert shown.data["text/html"].count("<svg") == 2


def test_the_model_is_that_of_one_process(executed: NotebookNode) -> None:
    for cell in ("equal", "dask", "healed"):
        (apart,) = re.findall(r"differ by (\S+) at most", text_of(executed, cell))
        assert float(apart) < 1e-4
    assert "the same in one piece" in text_of(executed, "pipeline-equal")


def test_a_killed_worker_is_recovered_from(executed: NotebookNode) -> None:
    assert re.search(r"1 restart: lost \S+; goes on from epoch", text_of(executed, "healed"))
    assert "goes on from the end of epoch 3 in" in text_of(executed, "resume")


def test_boosting_trains_on_the_cluster(executed: NotebookNode) -> None:
    for name in ("XGBoost", "LightGBM"):
        pytest.importorskip(name.lower())
        (found,) = re.findall(rf"{name}: test accuracy (\S+)", text_of(executed, "boost"))
        assert float(found) > 0.9


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert warned(executed) == []
