"""The third notebook, executed with a real kernel on a real cluster at a small size."""

from __future__ import annotations

from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "03-branches-and-axes.ipynb"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "03.ipynb"
    sizes = ["--set", "N_ROWS=400", "--set", "N_TREES=12"]
    assert execute.main([str(PATH), "--output", str(target), *sizes]) == 0
    return nbformat.read(target, as_version=4)


def test_the_plan_counts_each_branch_and_one_boosting_for_all_numbers_of_trees(
    executed: NotebookNode,
) -> None:
    plan = {
        line.split(":")[0].strip(): line.split()[-3:-1]
        for line in text_of(executed, "plan").splitlines()
        if line.startswith("  ") and ":" in line
    }
    # 96 pipelines on 3 folds; 2 strategies, 2 frequencies, 2 depths
    assert plan == {
        "branches__numbers__simpleimputer": ["96", "6"],
        "branches__numbers": ["96", "6"],
        "branches__words": ["96", "6"],
        "branches": ["96", "12"],
        "boosting": ["96", "24"],
    }


def test_a_cut_boosting_equals_a_grown_one(executed: NotebookNode) -> None:
    assert text_of(executed, "equal").endswith("equal to the last bit\n")


def test_scores_come_one_by_one(executed: NotebookNode) -> None:
    assert "on fold" in text_of(executed, "stream")


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert warned(executed) == []
