"""The fifth notebook, run by a real kernel: what is on record is not fitted again."""

from __future__ import annotations

from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "05-resume-and-compare.ipynb"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "05.ipynb"
    assert execute.main([str(PATH), "--output", str(target), "--set", "N_ROWS=300"]) == 0
    return nbformat.read(target, as_version=4)


def test_a_known_search_and_a_larger_one_fit_what_is_new(executed: NotebookNode) -> None:
    assert "27 of 27 cells" in text_of(executed, "first")
    assert "27 cells are on record, and are not fitted again" in text_of(executed, "again")
    assert "27 cells are on record" in text_of(executed, "plan")
    assert "48 cells, 27 of them known" in text_of(executed, "grown")


def test_a_stopped_search_goes_on(executed: NotebookNode) -> None:
    assert "Stopped: the search was stopped" in text_of(executed, "stop")
    cells, _, known, *_ = text_of(executed, "resumed").split()
    assert cells == "36"
    assert 8 <= int(known) < 36


def test_edited_code_is_fitted(executed: NotebookNode) -> None:
    text = text_of(executed, "edited")
    assert "27 of 27 cells" in text
    assert "are on record, and" not in text


def test_runs_are_kept_track_of(executed: NotebookNode) -> None:
    assert "tanh instead of a hard limit" in text_of(executed, "show")
    assert "tour" in text_of(executed, "runs")
    assert "data         the same" in text_of(executed, "diff")
    assert "equals" in text_of(executed, "rerun")
    assert "all 27 cells, to the last bit" in text_of(executed, "rerun")


def test_a_run_is_told_to_a_function(executed: NotebookNode) -> None:
    assert "'9 candidates, the best n_components=" in text_of(executed, "elsewhere")


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert [text.partition(":")[0] for text in warned(executed)] == ["Stopped"], "as was asked"
