"""The steps of a candidate: the same however they are found, and found without configuring it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, KFold, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from jupyter_scale.search import candidate
from jupyter_scale.search.candidate import Candidates

TWICE = GaussianNB()
MEMBERS = [
    ("nb", GaussianNB()),
    ("lr", make_pipeline(StandardScaler(), LogisticRegression())),
    ("cut", FixedThresholdClassifier(LogisticRegression())),
    ("forest", RandomForestClassifier(max_features=0.5)),
]
INSIDE: dict[str, list[Any]] = {
    "nb__var_smoothing": [1e-9, 1e-3],
    "lr__logisticregression__C": [0.5, 1.0],
    "lr__logisticregression__solver": ["lbfgs", "saga"],
    "lr__standardscaler__copy": [True, False],
    "cut__threshold": [0.2, 0.4],
    "cut__estimator__C": [0.5, 1],
    "forest__n_estimators": [5, 10],
    "forest__random_state": [None, 4],
}
GRIDS: list[tuple[Any, dict[str, list[Any]]]] = [
    (VotingClassifier(MEMBERS), {**INSIDE, "voting": ["soft", "hard"]}),
    (VotingClassifier(MEMBERS[:3]), {"weights": [(1, 2, 3), None], "voting": ["soft"]}),
    (VotingClassifier(MEMBERS[:3]), {"nb": [GaussianNB(), "drop"], "lr": ["drop"]}),
    (VotingRegressor([("a", Ridge()), ("b", SVC())]), {"a__alpha": [1, 1.0, "no"], "weights": [1]}),
    (VotingClassifier([("a", TWICE), ("b", TWICE)]), {"a__var_smoothing": [1, 2]}),
    (
        VotingClassifier([("a", SVC()), ("b", GaussianNB())]),
        {"a__kernel": ["rbf", "precomputed"], "a__probability": [True, False]},
    ),
    (
        StackingClassifier(MEMBERS[:2], LogisticRegression()),
        {
            "cv": [None, 3, KFold(3), KFold(3, shuffle=True), "prefit"],
            "passthrough": [True, False],
            "final_estimator__C": [1.0, 2.0],
            "nb__var_smoothing": [1e-9, 1e-3],
        },
    ),
    (StackingClassifier([("a", TWICE)], TWICE), {"a__var_smoothing": [1, 2]}),
    (StackingClassifier([("a", TWICE)], SVC()), {"a__var_smoothing": [1], "cv": [2]}),
    (CalibratedClassifierCV(SVC()), {"estimator__C": [1, 2], "method": ["isotonic", "sigmoid"]}),
    (TunedThresholdClassifierCV(MEMBERS[1][1]), {"estimator__logisticregression__C": [1, 2]}),
    (
        TransformedTargetRegressor(Ridge(), transformer=FunctionTransformer()),
        {"regressor__alpha": [1, 2], "transformer__validate": [True], "check_inverse": [False]},
    ),
    (VotingClassifier(MEMBERS), {"nb__no_such": [1]}),
    (VotingClassifier(MEMBERS), {"no_such__C": [1]}),
    (VotingClassifier(MEMBERS), {"no_such": [1], "nb__var_smoothing": [1]}),
    (SVC(), {"C": [1, 2], "probability": [True, False]}),
    (LogisticRegression(), {"C": [1, 2], "solver": ["saga", "lbfgs", "liblinear"]}),
    (RandomForestClassifier(), {"n_estimators": [1, 2], "random_state": [None, 1]}),
]


def subsets(grid: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Candidates that set each value of a grid, with all others and with none of them."""
    found: list[dict[str, Any]] = [{}]
    for names in (*([name] for name in grid), *itertools.combinations(grid, 2), list(grid)):
        found += (
            dict(zip(names, values, strict=True))
            for values in itertools.product(*(grid[name] for name in names))
        )
    return found


@pytest.mark.parametrize(
    ("seeded_only", "seed"),
    [
        (False, None),
        (True, 3),
        pytest.param(False, 3, marks=pytest.mark.long),
        pytest.param(True, None, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("place", range(len(GRIDS)))
def test_steps_are_those_of_the_configured_estimator(
    monkeypatch: pytest.MonkeyPatch, place: int, seeded_only: bool, seed: int | None
) -> None:
    estimator, grid = GRIDS[place]
    options: dict[str, Any] = {"seed": seed, "seeded_only": seeded_only}
    ours = Candidates(estimator, **options)
    found = [ours.candidate(settings) for settings in subsets(grid)]
    monkeypatch.setattr(candidate, "plain", lambda name, value: False)
    configured = Candidates(estimator, **options)
    assert found == [configured.candidate(settings) for settings in subsets(grid)]


def test_a_vote_is_told_from_its_members_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    clones: list[str] = []
    clone = candidate.clone

    def counted(value: Any, **options: Any) -> Any:
        if not isinstance(value, dict):
            clones.append(type(value).__name__)
        return clone(value, **options)

    monkeypatch.setattr(candidate, "clone", counted)
    candidates = Candidates(
        make_pipeline(StandardScaler(), VotingClassifier(MEMBERS[:2])), seed=None, seeded_only=False
    )
    rates = [0.5, 1.0, 2.0, 4.0]
    seen = {
        candidates.candidate(
            {
                "votingclassifier__nb__var_smoothing": smoothing,
                "votingclassifier__lr__logisticregression__C": C,
                "votingclassifier__weights": (weight, 1),
            }
        ).final.identity
        for smoothing, C, weight in itertools.product(rates, rates, range(50))
    }
    assert len(seen) == 4 * 4 * 50
    assert clones.count("VotingClassifier") == 1
    # each in its four settings and as it stands: once to have it, once to look at it
    assert len(clones) <= 40


@pytest.mark.parametrize(
    ("estimator", "settings"),
    [
        (SVC(), {"probability": True}),
        (LogisticRegression(), {"solver": "saga", "C": 2.0}),
        (VotingClassifier([("lr", LogisticRegression())]), {"lr__solver": "saga"}),
    ],
)
def test_a_final_step_that_comes_to_draw_gets_a_seed(
    estimator: Any, settings: dict[str, Any]
) -> None:
    free = Candidates(estimator, seed=None, seeded_only=False).candidate(settings)
    assert len(free.final.unseeded) == 1
    seeded = Candidates(estimator, seed=3, seeded_only=False).candidate(settings)
    assert not seeded.final.unseeded
    assert list(seeded.seeds.values()) == [3]
