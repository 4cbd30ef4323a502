"""What the course's checks say of right, wrong and odd answers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import execute
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from jupyter_scale import merged

X, y = load_iris(return_X_y=True)
PIPELINE = Pipeline([("pca", PCA(svd_solver="randomized", random_state=0)), ("svc", SVC())])
GRID: dict[str, list[Any]] = {"pca__n_components": [1, 2], "svc__C": [1]}
SEARCH = GridSearchCV(PIPELINE, GRID, cv=2)


@pytest.fixture(scope="module")
def checks() -> Any:
    path = Path(execute.__file__).parent / "course" / "checks.py"
    spec = importlib.util.spec_from_file_location("course_checks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report_of(search: GridSearchCV, **options: Any) -> Any:
    with merged(**options) as report:
        search.fit(X, y)
    return report


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((8, 8), "done. 0 of 8 fits"),
        ((7, 8), "not yet. scikit-learn does not fit 7 times"),
        ((8, 6), "not yet. 6 is not how many differ"),
        ((..., 8), "not yet. Put your answer in the place of the three dots."),
        ((8, {}), "not yet. {} is not how many differ"),
    ],
)
def test_counts(checks: Any, answer: Any, says: str, capsys: Any) -> None:
    checks.fits(*answer, SEARCH, X, y)
    assert capsys.readouterr().out.startswith(f"Exercise 1a: {says}")


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ({**GRID, "svc__C": [1, 2]}, "done. 4 candidates, and still 4 PCAs."),
        ({**GRID, "svc__C": [1]}, "not yet. 2 candidates are not yet twice as many."),
        ({**GRID, "pca__n_components": [1, 2, 3, 4]}, "not yet. That takes 4 PCAs more"),
        ("a grid", "not yet. The check cannot read your answer"),
    ],
)
def test_grids(checks: Any, grid: Any, says: str, capsys: Any) -> None:
    checks.larger(grid, SEARCH, X, y)
    assert capsys.readouterr().out.startswith(f"Exercise 1b: {says}")


@pytest.mark.parametrize(
    ("seed", "grid", "says"),
    [
        (0, {"n_estimators": [2, 4]}, "done. 8 trees grow instead of 12."),
        (None, {"n_estimators": [2, 4]}, "not yet. The forest draws anew"),
        (0, {"n_estimators": [4]}, "not yet. Give the grid several"),
        (0, {"max_depth": [4]}, "not yet. The grid has no n_estimators"),
    ],
)
def test_forests(checks: Any, seed: Any, grid: Any, says: str, capsys: Any) -> None:
    checks.forests(GridSearchCV(RandomForestClassifier(random_state=seed), grid, cv=2), X, y)
    assert capsys.readouterr().out.startswith(f"Exercise 1c: {says}")


def test_reports(checks: Any, capsys: Any) -> None:
    failing = GridSearchCV(PIPELINE, {"pca__n_components": [2, 9]}, cv=2, error_score=0.0)
    with pytest.warns(Warning, match="fits failed"):
        report = report_of(failing)
    checks.failed(9, report)
    checks.failed(2, report)
    here = report_of(GridSearchCV(PIPELINE, {"pca__n_components": [1, 3], "svc__C": [1]}, cv=2))
    checks.ran(here)
    checks.matters("pca__n_components", here)
    checks.matters("svc__C", here)
    checks.grown(here)
    checks.seeded(here, here)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Exercise 3a: done. ValueError: n_components=9")
    assert said[1].startswith("Exercise 3a: not yet. 2 did not fail.")
    assert said[2] == "Exercise 2b: not yet. It ran on this process: leave --local out."
    assert said[3] == "Exercise 3c: done. The others matter less than pca__n_components."
    assert said[4].startswith("Exercise 3c: not yet. svc__C changes little.")
    assert (
        said[5]
        == "Exercise 3b: not yet. Nothing of it was known: keep all values of the first grid."
    )
    assert said[6] == "Exercise 4a: done. Two runs, the same scores."


def test_requirements(checks: Any, capsys: Any) -> None:
    plan = SimpleNamespace(roots=[SimpleNamespace(name="six", version="1.2")])
    for line in ("six==1.2", "six==1.3", "six", "seven==1"):
        checks.pinned(line, plan)
    said = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("Exercise 4b: ").split(".")[0] for line in said] == [
        "done",
        *["not yet"] * 3,
    ]


def test_saved_notebooks_are_read_and_not_run(checks: Any, tmp_path: Path, capsys: Any) -> None:
    def saved(name: str, *lines: str) -> str:
        output = {"output_type": "stream", "name": "stdout", "text": [f"{one}\n" for one in lines]}
        cells = [{"cell_type": "code", "source": "1 / 0", "outputs": [output]}]
        (tmp_path / name).write_text(json.dumps({"cells": cells if lines else []}))
        return str(tmp_path / name)

    ada = saved("ada.ipynb", "Exercise 1a: done. x", "Exercise 1b: not yet. x")
    bob = saved("bob.ipynb")
    assert checks.main([ada, bob]) == 0
    assert capsys.readouterr().out == f"{ada}: 1 of 2 done; not yet 1b\n{bob}: not run\n"
    (tmp_path / "no.ipynb").write_text("no")
    assert checks.main([str(tmp_path / "no.ipynb"), ada, str(tmp_path / "none.ipynb")]) == 1
    shown = capsys.readouterr()
    assert "no.ipynb is no notebook" in shown.err
    assert "none.ipynb" in shown.err
    assert shown.out.startswith(ada)
    assert checks.main([]) == 2
