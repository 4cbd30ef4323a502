"""Fitted steps from one round to the next: once each, under a limit, on workers that may die."""

from __future__ import annotations

import gc
import os
import signal
from typing import Any

import numpy as np
import pytest
from distributed import Client
from equality import assert_same_results
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SelectPercentile
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits
from workers import two_workers

from jupyter_scale import OptunaSearchCV, PlanOnly, merged
from jupyter_scale.search.cache import Cache, Kept
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.session import _room

X, y = make_classification(n_samples=80, n_features=6, random_state=0)
PIPE = Pipeline([("scale", StandardScaler()), ("best", SelectPercentile()), ("clf", SVC())])


def search(**options: Any) -> OptunaSearchCV:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {
        "scale": [StandardScaler(), MinMaxScaler()],
        "best__percentile": [50, 100],
        "clf__C": optuna.distributions.FloatDistribution(1e-2, 1e2, log=True),
    }
    options = {"n_trials": 8, "batch_size": 1, "random_state": 1, "cv": 3, **options}
    return OptunaSearchCV(PIPE, space, **options)


def done(fitted: Any) -> dict[str, int]:
    """Return the fits that were done by step, and see that as many were planned."""
    for step in fitted.scale_report.steps:
        assert step.done == step.distinct
    return {step.label: step.done for step in fitted.scale_report.steps}


def distinct(results: dict[str, Any], *names: str) -> int:
    return len({tuple(repr(each[name]) for name in names) for each in results["params"]})


def test_a_step_is_fitted_once_in_all_rounds(client: Client) -> None:
    with threadpool_limits(1):
        plain = search().fit(X, y)
        with merged(client):
            ours = search().fit(X, y)
    assert_same_results(ours, plain)
    fits = done(ours)
    scalers = fits["scale: StandardScaler"] + fits["scale: MinMaxScaler"]
    assert scalers == 3 * distinct(ours.cv_results_, "scale")
    chains = 3 * distinct(ours.cv_results_, "scale", "best__percentile")
    assert fits["best: SelectPercentile"] == chains
    assert chains < 3 * 8
    assert fits["clf: SVC"] == 3 * 8
    assert ours.scale_report.fits_saved == 3 * 3 * 8 - sum(fits.values())


def test_successive_halving_keeps_steps_too(client: Client) -> None:
    pipe = Pipeline([("scale", MinMaxScaler()), ("clf", RandomForestClassifier(random_state=0))])
    grid = {"scale__feature_range": [(0, 1), (0, 2)], "clf__max_depth": [1, 3]}
    options = {"resource": "clf__n_estimators", "max_resources": 8, "factor": 2, "cv": 2}
    plain = HalvingGridSearchCV(pipe, grid, random_state=0, **options).fit(X, y)
    with merged(client):
        ours = HalvingGridSearchCV(pipe, grid, random_state=0, **options).fit(X, y)
    assert_same_results(ours, plain)
    assert plain.n_iterations_ > 1
    assert done(ours)["scale: MinMaxScaler"] == 4


@pytest.mark.parametrize("cache", [0, "3 kB", 1.0])
def test_the_limit_changes_no_result(client: Client, cache: Any) -> None:
    with threadpool_limits(1):
        plain = search(n_trials=5).fit(X, y)
        with merged(client, cache=cache):
            ours = search(n_trials=5).fit(X, y)
    assert_same_results(ours, plain)
    done(ours)


def test_folds_that_differ_are_told_apart(client: Client) -> None:
    """A splitter may be asked again; only equal row numbers are the same fold."""
    cv = KFold(2, shuffle=True)
    with merged(client):
        ours = search(cv=cv, n_trials=6).fit(X, y)
    fits = done(ours)
    scalers = fits["scale: StandardScaler"] + fits.get("scale: MinMaxScaler", 0)
    assert scalers == 2 * distinct(ours.cv_results_, "scale")


@pytest.mark.parametrize("victims", [1, 2])
def test_workers_lost_between_rounds_cost_time_only(victims: int) -> None:
    with threadpool_limits(1):
        plain = search(n_trials=4).fit(X, y)
    with two_workers() as client:
        pids = sorted(client.run(os.getpid).values())

        def kill(study: Any, trial: Any) -> None:
            if trial.number == 1:
                for pid in pids[:victims]:
                    os.kill(pid, signal.SIGKILL)

        with merged(client):
            ours = search(n_trials=4, callbacks=[kill]).fit(X, y)
    assert_same_results(ours, plain)
    assert ours.scale_report.cells_done == 12


def test_nothing_is_left_on_the_workers(client: Client) -> None:
    gc.disable()  # nor does anything wait for the collector
    try:
        with merged(client):
            search(n_trials=3).fit(X, y)
        held = client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.tasks])
    finally:
        gc.enable()
    assert not [key for key in held if str(key).startswith(("fit-", "kept-"))]


# -- the bookkeeping


def test_the_cheapest_for_its_size_goes_first() -> None:
    cache = Cache(100)
    cache.put("a", 1, seconds=10, nbytes=50)
    cache.put("b", 2, seconds=1, nbytes=50)
    cache.put("c", 3, seconds=5, nbytes=50)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert (len(cache), cache.nbytes) == (2, 100)


def test_what_is_not_used_goes_in_the_end() -> None:
    cache = Cache(100)
    cache.put("dear", 1, seconds=3, nbytes=50)
    for number in range(9):
        cache.put(number, number, seconds=1, nbytes=50)
    assert cache.get("dear") is None
    cache.put("dear", 1, seconds=3, nbytes=50)
    for number in range(5):
        cache.put(number, number, seconds=1, nbytes=50)
        assert cache.get("dear") == 1


def test_what_is_too_large_is_not_kept() -> None:
    cache = Cache(100)
    cache.put("a", 1, seconds=1, nbytes=60)
    cache.put("b", 2, seconds=99, nbytes=101)
    assert (cache.get("a"), cache.get("b")) == (1, None)
    cache.put("a", 3, seconds=1, nbytes=70)
    assert (cache.get("a"), cache.nbytes) == (3, 70)
    cache.clear()
    assert (cache.get("a"), cache.nbytes, len(cache)) == (None, 0, 0)


def planned(data: Any = X, cv: Any = 2, **grid: Any) -> Plan:
    one = GridSearchCV(PIPE, {"clf__C": [1.0], **grid}, cv=cv)
    with pytest.raises(PlanOnly) as caught, merged(plan_only=True):
        one.fit(data, y)
    return caught.value.plan


def test_only_what_is_equal_is_found() -> None:
    cache = Cache(10**6)
    first = planned(scale__with_mean=[True])
    kept = cache.of(first)
    numbers = list(kept.numbers)
    assert numbers
    assert not kept.found
    for number in numbers:
        kept.put(number, f"value {number}", seconds=1.0, nbytes=10)
    again: Kept = cache.of(first)
    deepest = {cell.path[-1] for cell in first.cells if cell.path[-1] in numbers} or set(numbers)
    assert set(again.found) <= deepest
    assert again.numbered(max(again.found)) == {n: n for n in first.cells[-1].path}
    others = [
        planned(scale__with_mean=[False]),
        planned(np.array(X)),  # another object: only its content is the same
        planned(cv=KFold(2, shuffle=True, random_state=0)),
    ]
    for other in others:
        assert not cache.of(other).found


def test_sizes() -> None:
    assert _room("2 kB") == 2000
    assert _room(4096) == 4096
    assert _room(0.5) == 0.5
    for wrong in (-1, "many"):
        with pytest.raises(ValueError, match=r"cache|many|size"):
            _room(wrong)


def test_a_search_is_left_as_it_is(client: Client) -> None:
    ours = search(n_trials=2)
    with merged(client, cache="1 MB"):
        ours.fit(X, y)
    assert not hasattr(clone(ours), "cv_results_")
