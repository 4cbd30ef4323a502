"""The eighth notebook, run by a real kernel at a small size: curves, and what they cost."""

from __future__ import annotations

import re
from pathlib import Path

import execute
import nbformat
import pytest
from cells import source_of, text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "08-boosting-recipe.ipynb"
SIZES = ("N_TREES=10", "N_STAGES=5", "CHOICES=2")
pytestmark = pytest.mark.long


def ran(folder: Path, *sizes: str) -> NotebookNode:
    target = folder / "08.ipynb"
    options = [word for size in sizes for word in ("--set", size)]
    assert execute.main([str(PATH), "--output", str(target), *options]) == 0
    return nbformat.read(target, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    return ran(tmp_path_factory.mktemp("build"), *SIZES)


def test_the_plan_says_how_many_stages_grow(executed: NotebookNode) -> None:
    # 4 curves on 3 folds: up to 10 stages each, where scikit-learn grows 2 + 4 + 6 + 8 + 10
    assert "120 stages instead of 360 (33 %)" in text_of(executed, "four-plan")
    assert "120 stages instead of 360 (33 %)" in text_of(executed, "four-run")
    # 16 settings of the other parameters, numbers from 1 to 10
    assert "480 stages instead of 2,640 (18 %)" in text_of(executed, "recipe-plan")
    grown = re.fullmatch(r"(\d+) stages .* grow ([\d,]+)\n", text_of(executed, "counted"))
    assert grown is not None
    assert int(grown[1]) == 120 + 480 + 180


def test_four_pictures(executed: NotebookNode) -> None:
    assert "<Figure size 900x600 with 4 Axes>" in text_of(executed, "draw")
    said = text_of(executed, "draw").splitlines()
    assert [line.partition(":")[0] for line in said[:4]] == [
        "depth 1, learning rate 1  ",
        "depth 1, learning rate 0.1",
        "depth 5, learning rate 1  ",
        "depth 5, learning rate 0.1",
    ]


def test_the_curves_are_those_of_scikit_learn(executed: NotebookNode) -> None:
    assert text_of(executed, "equal").endswith("training and test: equal to the last bit\n")


def test_the_recipe_beats_what_it_starts_from(executed: NotebookNode) -> None:
    first, second = (
        float(re.search(r"least deviance (\d\.\d+)", text_of(executed, cell))[1])  # type: ignore[index]
        for cell in ("recipe-run", "again-run")
    )
    assert second <= first
    assert "after step 3" in text_of(executed, "kept")
    assert "idxmin" in text_of(executed, "again-draw")


def test_the_planned_cells_are_the_ones_that_run(executed: NotebookNode) -> None:
    for name in ("four", "recipe", "again"):
        plan, run = (source_of(executed, f"{name}-{which}") for which in ("plan", "run"))
        assert plan.splitlines()[1] == run.splitlines()[1]


def test_numbers_instead_of_classes(tmp_path: Path) -> None:
    found = ran(tmp_path, *SIZES, "DATA=diabetes")
    assert text_of(found, "data").startswith("diabetes: 331 rows of 10 columns")
    assert text_of(found, "equal").endswith("training and test: equal to the last bit\n")


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert warned(executed) == []
