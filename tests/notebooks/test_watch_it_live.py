"""The second notebook, run by a real kernel: what is watched stays readable without one."""

from __future__ import annotations

from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "02-watch-it-live.ipynb"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "02.ipynb"
    sizes = ["--set", "N_ROWS=400", "--set", "N_ALPHAS=4"]
    assert execute.main([str(PATH), "--output", str(target), *sizes]) == 0
    return nbformat.read(target, as_version=4)


def test_failures_are_told_beside_the_scores(executed: NotebookNode) -> None:
    text = text_of(executed, "run")
    assert "80 of 80 cells" in text
    assert "n_components=50 must be between 0 and min(n_samples, n_features)=40" in text


def test_what_was_watched_says_how_it_ended(executed: NotebookNode) -> None:
    text = text_of(executed, "watch")
    assert "2 workers" in text
    assert "%scale watch off" in text


def test_a_stopped_search_keeps_what_is_done(executed: NotebookNode) -> None:
    assert "Stopped: the search was stopped" in text_of(executed, "stop")
    status, _, count, _ = text_of(executed, "stopped").split()
    assert status == "stopped"
    assert 10 <= int(count) < 80


def test_no_output_has_widgets_or_marks_of_a_running_search(executed: NotebookNode) -> None:
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert not any("widget" in kind for output in outputs for kind in output.get("data", {}))
    assert not any("jupyter_scale" in output.get("metadata", {}) for output in outputs)


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert [text.partition(":")[0] for text in warned(executed)] == ["Stopped"], "as was asked"
