"""The ninth notebook, run by a real kernel: networks travel there and back, and seeds hold."""

from __future__ import annotations

from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "09-neural-network-grid.ipynb"
pytest.importorskip("torch")
pytest.importorskip("skorch")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "09.ipynb"
    sizes = ["--set", "N_EPOCHS=4", "--set", "HIDDEN=[1, 4]"]
    assert execute.main([str(PATH), "--output", str(target), *sizes]) == 0
    return nbformat.read(target, as_version=4)


def test_the_scaler_is_shared(executed: NotebookNode) -> None:
    rows = [line.split() for line in text_of(executed, "run").splitlines()]
    assert ["scaler:", "StandardScaler", "6", "3", "3"] in rows
    assert ["network:", "SKLearnClassifier", "6", "6", "0"] in rows


def test_networks_come_back_and_scores_are_repeated(executed: NotebookNode) -> None:
    assert "weights, loss" in text_of(executed, "back")
    assert text_of(executed, "same") == "all scores equal to the last bit\n"
    assert text_of(executed, "skorch-same") == "equal to the last bit\n"


def test_no_worker_has_more_threads_than_its_own(executed: NotebookNode) -> None:
    assert text_of(executed, "threads").count(": 1 thread of PyTorch") == 2


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert warned(executed) == []
