"""How many trees a plan says will grow, against those that do."""

from __future__ import annotations

from typing import Any

import pytest
from axis_cases import needs_rules
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import BaseDecisionTree

from jupyter_scale import PlanOnly, merged
from jupyter_scale.search.plan import Plan

pytestmark = needs_rules
X, y = make_classification(60, 5, random_state=0)
BOOST = GradientBoostingClassifier(random_state=0, max_depth=1)
STEP = "gradientboostingclassifier"
GRID = {"n_estimators": [2, 3, 5], "learning_rate": [1.0, 0.1]}


def planned(estimator: Any, grid: dict[str, list[Any]], **options: Any) -> Plan:
    with pytest.raises(PlanOnly) as caught, merged(plan_only=True, **options):
        GridSearchCV(estimator, grid, cv=3).fit(X, y)
    return caught.value.plan


@pytest.mark.parametrize(
    ("estimator", "grid", "grown"),
    [
        (BOOST, GRID, ("GradientBoostingClassifier: 30 stages instead of 60 (50 %)",)),
        (  # equal candidates are one
            BOOST,
            {"n_estimators": [5, 5]},
            ("GradientBoostingClassifier: 15 stages instead of 30 (50 %)",),
        ),
        (BOOST, {"learning_rate": [1.0, 0.1]}, ()),
        (clone(BOOST).set_params(random_state=None), GRID, ()),
        (
            make_pipeline(StandardScaler(), BOOST),
            {f"{STEP}__{name}": values for name, values in GRID.items()},
            (f"{STEP}: GradientBoostingClassifier: 30 stages instead of 60 (50 %)",),
        ),
        (
            RandomForestClassifier(random_state=0),
            {"n_estimators": [2, 4]},
            ("RandomForestClassifier: 12 trees instead of 18 (67 %)",),
        ),
        (
            BaggingClassifier(random_state=0),
            {"n_estimators": [2, 4]},
            ("BaggingClassifier: 12 members instead of 18 (67 %)",),
        ),
        (
            HistGradientBoostingClassifier(random_state=0),
            {"max_iter": [2, "many", 4]},
            ("HistGradientBoostingClassifier: 12 stages instead of 18 (67 %)",),
        ),
        (VotingClassifier([("boost", BOOST)]), {"weights": [(1,), (2,)]}, ()),
    ],
)
def test_what_the_plan_says(
    estimator: Any, grid: dict[str, list[Any]], grown: tuple[str, ...]
) -> None:
    notes = planned(estimator, grid).notes
    assert tuple(note for note in notes if " instead of " in note) == grown


def test_a_seed_lets_one_fit_answer_all() -> None:
    unseeded = clone(BOOST).set_params(random_state=None)
    assert planned(unseeded, GRID, seed=0).grown == {
        ("GradientBoostingClassifier", "stages"): [60, 30]
    }


def test_so_many_grow_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    trees: list[Any] = []
    grow = BaseDecisionTree._fit

    def counted(tree: Any, *args: Any, **options: Any) -> Any:
        trees.append(tree)
        return grow(tree, *args, **options)

    monkeypatch.setattr(BaseDecisionTree, "_fit", counted)
    search = GridSearchCV(BOOST, GRID, cv=3, refit=False)
    with merged():
        search.fit(X, y)
    assert len(trees) == 30
    assert "30 stages instead of 60" in str(search.scale_report)
    assert "30 stages instead of 60" in search.scale_report._repr_html_()
