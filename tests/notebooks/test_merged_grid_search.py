"""The first notebook, executed with a real kernel on a real cluster at a small size."""

from __future__ import annotations

import re
from pathlib import Path

import execute
import nbformat
import pytest
from cells import source_of, text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "01-merged-grid-search.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "01.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SCALE_CORPUS", "docstrings")
        arguments = [str(PATH), "--output", str(target), "--set", "N_PER_CLASS=40"]
        assert execute.main(arguments) == 0
    return nbformat.read(target, as_version=4)


def test_the_merged_cell_is_the_plain_one_with_a_line_on_top():
    notebook = nbformat.read(PATH, as_version=4)
    plain = source_of(notebook, "plain")
    assert source_of(notebook, "plan") == f"%%scale --plan --fresh\n{plain}"
    assert source_of(notebook, "merged") == f"%%scale --fresh -o report\n{plain}"


def test_the_scores_are_equal(executed: NotebookNode):
    text = text_of(executed, "equal")
    assert text.endswith("equal to the last bit\n")
    for key in ("split0_test_score", "split4_test_score", "mean_test_score", "rank_test_score"):
        assert key in text
    assert text_of(executed, "plain") in text_of(executed, "merged")


def test_the_plan_and_the_report_count_the_fits(executed: NotebookNode):
    # 5 folds of 2 vocabularies, 4 weightings and 12 models, where 60 pipelines have 180 steps
    assert re.search(r"\b90\b.*\b180\b", text_of(executed, "plan"))
    report = text_of(executed, "report")
    for step, requested, distinct in [("counts", 60, 10), ("tfidf", 60, 20), ("model", 60, 60)]:
        assert re.search(rf"{step}.*\b{requested}\b.*\b{distinct}\b", report), report


def test_the_candidates_and_a_plot(executed: NotebookNode):
    assert "rank_test_score" in text_of(executed, "results")
    (plot,) = (cell for cell in executed.cells if cell.id == "plot")
    (shown,) = plot.outputs
    assert "image/png" in shown.data
    assert text_of(executed, "plot").startswith("<Figure: best mean test score by")


def test_the_plan_fits_nothing(executed: NotebookNode):
    assert "best score" not in text_of(executed, "plan")


def test_the_summary_says_what_was_saved(executed: NotebookNode):
    summary = execute.summary(executed)
    assert summary["fits"] == "90 done, 90 saved of 180"
    assert summary["scores"] == "equal to the last bit"
    assert re.match(r"0\.\d{3}, {'counts__ngram_range'", summary["best score"])
    assert re.search(r"s merged, .* s plain: .* times faster", summary["time"])


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert warned(executed) == []
