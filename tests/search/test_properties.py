"""Random pipelines, grids, data and splitters: same scores to the last bit, no fit done twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from equality import assert_same_results
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ParameterGrid,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from jupyter_scale import merged

FITS: list[tuple[Any, ...]] = []


class Scale(BaseEstimator, TransformerMixin):
    """Multiplies, and notes each fit with what it was fitted on."""

    def __init__(self, by: Any = 1, shift: Any = 0) -> None:
        self.by = by
        self.shift = shift

    def fit(self, X: Any, y: Any = None) -> Scale:
        total = X.sum()
        FITS.append((type(self.by), self.by, type(self.shift), self.shift, X.shape, float(total)))
        self.mean_ = float(total) / X.shape[0]
        return self

    def transform(self, X: Any) -> Any:
        return X * (1.0 + float(self.by) / 10 + float(self.shift) * self.mean_)


NUMBERS = st.sampled_from([0, 1, 1.0, True, 2, 2.5, -0.0, 0.0])
TRANSFORMERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scale": (Scale(), {"by": NUMBERS, "shift": NUMBERS}),
    "standard": (StandardScaler(with_mean=False), {"with_std": st.booleans()}),
    "norm": (Normalizer(), {"norm": st.sampled_from(["l1", "l2", "max"])}),
    "maxabs": (MaxAbsScaler(), {}),
    "skip": ("passthrough", {}),
}
FINALS: dict[str, tuple[Any, dict[str, Any]]] = {
    "logistic": (LogisticRegression(max_iter=20, tol=0.1), {"C": st.sampled_from([1, 1.0, 3.0])}),
    # a solver that has no axis: each alpha is a fit of its own (test_axes has the others)
    "ridge": (RidgeClassifier(solver="lsqr"), {"alpha": st.sampled_from([0.5, 1, 1.0])}),
    "tree": (DecisionTreeClassifier(random_state=0), {"max_depth": st.integers(1, 3)}),
}
SPLITTERS = st.sampled_from(
    [
        2,
        KFold(3),
        StratifiedKFold(2, shuffle=True, random_state=1),
        ShuffleSplit(2, random_state=2),
    ]
)


@st.composite
def pipelines(draw: Any, *, depth: int = 0) -> tuple[Pipeline, dict[str, Any]]:
    """Return a Pipeline and a grid over it."""
    names = draw(st.lists(st.sampled_from(sorted(TRANSFORMERS)), min_size=1, max_size=3))
    steps: list[tuple[str, Any]] = []
    grid: dict[str, Any] = {}
    for place, kind in enumerate(names):
        name = f"{kind}{place}"
        if depth == 0 and draw(st.integers(0, 5)) == 0:
            inner, inner_grid = draw(pipelines(depth=1))
            inner.steps = inner.steps[:-1] or inner.steps
            steps.append((name, inner))
            kept = {step for step, _ in inner.steps}
            grid |= {
                f"{name}__{key}": values
                for key, values in inner_grid.items()
                if key.partition("__")[0] in kept
            }
            continue
        transformer, params = TRANSFORMERS[kind]
        steps.append((name, clone(transformer) if kind != "skip" else transformer))
        for param, values in params.items():
            if draw(st.booleans()):
                grid[f"{name}__{param}"] = draw(st.lists(values, min_size=1, max_size=2))
    final, params = FINALS[draw(st.sampled_from(sorted(FINALS)))]
    steps.append(("final", clone(final)))
    for param, values in params.items():
        grid[f"final__{param}"] = draw(st.lists(values, min_size=1, max_size=3))
    if draw(st.integers(0, 3)) == 0:
        grid = {key: v for key, v in grid.items() if not key.startswith("final__")}
        grid["final"] = [GaussianNB(), GaussianNB(), clone(final)]
    return Pipeline(steps), grid


@given(
    built=pipelines(),
    cv=SPLITTERS,
    seed=st.integers(0, 3),
    matrix=st.booleans(),
    train_score=st.booleans(),
)
@settings(
    max_examples=40,
    deadline=None,  # tests do not time
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_random_searches(
    built: tuple[Pipeline, dict[str, Any]], cv: Any, seed: int, matrix: bool, train_score: bool
) -> None:
    pipeline, grid = built
    rng = np.random.RandomState(seed)
    X: Any = rng.rand(24, 4).round(3)
    y = np.arange(24) % 2
    if matrix and not any(isinstance(value, GaussianNB) for value in grid.get("final", [])):
        X = sparse.csr_matrix(X)
    search = GridSearchCV(pipeline, grid, cv=cv, return_train_score=train_score, refit=False)
    FITS.clear()
    plain = clone(search).fit(X, y)
    asked = list(FITS)
    FITS.clear()
    with merged():
        search.fit(X, y)
    assert_same_results(search, plain)
    report = search.scale_report
    assert report.fits_done == report.fits_distinct
    assert not report.unshared
    per_fold, once = distinct_fits(pipeline, grid)
    assert report.fits_done == search.n_splits_ * per_fold + once
    # seen from inside: each fit that scikit-learn does is done, and those of equal steps once
    assert set(map(repr, FITS)) == set(map(repr, asked))
    assert len(FITS) <= len(asked)


def distinct_fits(pipeline: Pipeline, grid: dict[str, Any]) -> tuple[int, int]:
    """Count the fits of one fold that differ, and those of all folds, without the planner's means.

    A Normalizer treats each row by itself: standing first, it needs no folds.
    """
    seen: set[tuple[str, ...]] = set()
    once: set[tuple[str, ...]] = set()
    for params in ParameterGrid(grid):
        configured = clone(pipeline).set_params(**clone(params, safe=False))
        chain: tuple[str, ...] = ()
        outer = [step for _, step in configured.steps]
        for step in completed(configured):
            first = isinstance(step, Normalizer) and step in outer and chain in {(), *once}
            chain = (*chain, told_apart(step))
            (once if first else seen).add(chain)
        seen.add((*chain, "final", told_apart(configured.steps[-1][1])))
    return len(seen), len(once)


def completed(pipeline: Pipeline) -> Iterator[Any]:
    for _, step in pipeline.steps[:-1]:
        if isinstance(step, Pipeline):
            yield from completed(step)
        if not isinstance(step, str):
            yield step


def told_apart(value: Any) -> str:
    if isinstance(value, Pipeline):
        return f"Pipeline({[told_apart(step) for _, step in value.steps]})"
    if isinstance(value, BaseEstimator):
        params = sorted(value.get_params(deep=False).items())
        return f"{type(value).__name__}({[(name, told_apart(v)) for name, v in params]})"
    return f"{type(value).__name__} {value!r}"
