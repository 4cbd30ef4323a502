"""What a search costs beside its fits: many candidates of an estimator that does next to nothing.

    python benchmarks/overhead.py --check

Seconds a fit on a cluster against scikit-learn's processes and dask-ml. Those two are measured on
fewer candidates: their cost a fit does not fall with the number (scikit-learn 1.9 sends the whole
search, its grid included, with each fit). CPU time that planning takes a leaf, up to a million
leaves; bytes that the client holds a leaf. Plans are made of the calls that a
``GridSearchCV`` over a Pipeline hands to joblib.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
from distributed import Client
from recipes import Trivial
from side_by_side import (
    DASK_ML,
    OURS,
    SKLEARN,
    Claim,
    Contender,
    Result,
    Timing,
    local_cluster,
    measured,
    merged,
    parser,
    program,
    table,
    with_dask_ml,
    with_loky,
)
from sklearn.base import clone
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_scale.search.internals import configured, fit_and_score
from jupyter_scale.search.planner import Planner
from jupyter_scale.search.schedule import Schedule

FOLDS = 5
BATCH = 256  # calls that joblib hands over at once
PER_LEAF = 100.0  # microseconds
BYTES = 1000.0
EXAMPLES = """\
  python benchmarks/overhead.py --check
  python benchmarks/overhead.py --candidates 1000 --others 200 --leaves 1000 10000"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Measure the cost of a search beside its fits.", examples=EXAMPLES)
    add = asked.add_argument
    add("--candidates", type=int, default=10_000, help="of 5 folds each (default: %(default)s)")
    add("--others", type=int, default=1000, help="candidates for the others (default: %(default)s)")
    add("--leaves", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6], help="of plans")
    add("--memory-leaves", type=int, default=10**5, help="of the plan whose memory is taken")
    options = asked.parse_args(argv)
    if options.quick:
        options.candidates, options.others = min(options.candidates, 40), 20
        options.leaves, options.memory_leaves = [500, 2000], 1000
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Measure fits, planning and memory."""
    result = Result(
        f"{options.candidates:,} candidates x {FOLDS} folds of an estimator that does nothing, "
        f"{options.workers} processes"
    )
    _fits(result, options)
    _planning(result, options)
    _memory(result, options.memory_leaves)
    return result


# -- fits


def _fits(result: Result, options: argparse.Namespace) -> None:
    with local_cluster(options.workers) as client:
        few = argparse.Namespace(workers=options.workers, candidates=20, others=20)
        timings = measured(_contenders(client, options), _contenders(client, few), options)
    each = {name: timing.median / (timing.fits or 1) for name, timing in timings.items()}
    result.rows = [("", "candidates", "median", "a fit", "ratio", "scores")]
    for name, timing in timings.items():
        part = {key: timings[OURS].scores[key] for key in timing.scores}
        if timing.scores != part:
            result.problems.append(f"{name} has other scores than {OURS}")
        row = (f"{len(timing.scores):,}", f"{timing.median:.2f} s", f"{1e3 * each[name]:.2f} ms")
        equal = "differ" if timing.scores != part else "equal"
        result.rows.append((name, *row, f"{each[name] / each[OURS]:.2f}", equal))
    if options.others != options.candidates:
        result.notes.append(
            f"{SKLEARN} and {DASK_ML} were measured on {options.others:,} candidates and are "
            "compared by their seconds a fit"
        )
    result.claims += [
        Claim.at_least(
            f"{options.candidates:,} trivial candidates: times faster than {name}",
            each[name] / each[OURS],
            target,
        )
        for name, target in ((SKLEARN, 1.0), (DASK_ML, 5.0))
    ]
    result.values |= {name: asdict(t) | {"scores": len(t.scores)} for name, t in timings.items()}


def _contenders(client: Client, options: argparse.Namespace) -> dict[str, Contender]:
    X, y = np.zeros((50, 2)), np.arange(50.0)

    def grid(candidates: int) -> dict[str, list[float]]:
        return {"constant": [float(n) for n in range(candidates)]}

    def search(timing: Timing) -> None:
        model = GridSearchCV(estimator, grid(options.candidates), cv=folds, refit=False)
        merged(model, X, y, timing, client)

    def sklearn_search(timing: Timing) -> None:
        parameters = grid(options.others)
        model = GridSearchCV(estimator, parameters, cv=folds, refit=False, n_jobs=options.workers)
        with_loky(model, X, y, timing)
        timing.fits = options.others * FOLDS

    def dask_ml_search(timing: Timing) -> None:
        model = GridSearchCV(estimator, grid(options.others), cv=folds, refit=False)
        with_dask_ml(model, X, y, timing, client)
        timing.fits = options.others * FOLDS

    estimator, folds = Trivial(), KFold(FOLDS)
    return {OURS: search, SKLEARN: sklearn_search, DASK_ML: dask_ml_search}


# -- planning


def calls(leaves: int) -> Iterator[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """Yield what scikit-learn hands to joblib for a grid of about so many leaves.

    Clones are those of one estimator, made once: making them is scikit-learn's time.
    """
    candidates = leaves // FOLDS
    prefixes = max(1, round(candidates**0.5 / 2))
    search = GridSearchCV(
        Pipeline(
            [("scale", StandardScaler()), ("select", VarianceThreshold()), ("model", Ridge())]
        ),
        {"model__alpha": [1.0]},
    )
    X, y = np.zeros((50, 2)), np.arange(50.0)
    call = configured(
        fit_and_score, {"assume_finite": False}, [("default", None, Warning, None, 0)]
    )
    common = {
        "scorer": search.estimator.score,
        "fit_params": {},
        "score_params": {},
        "return_train_score": False,
        "return_n_test_samples": True,
        "return_times": True,
        "return_parameters": False,
        "error_score": np.nan,
        "verbose": 0,
    }
    splits = list(KFold(FOLDS).split(X))
    estimator = clone(search.estimator)
    for candidate in range(candidates):
        parameters = {
            "scale__with_mean": candidate % 2 == 0,
            "select__threshold": float(candidate // 2 % prefixes) / prefixes,
            "model__alpha": float(candidate + 1),
        }
        for fold, (train, test) in enumerate(splits):
            of_the_cell = {
                "train": train,
                "test": test,
                "parameters": parameters,
                "split_progress": (fold, FOLDS),
                "candidate_progress": (candidate, candidates),
                "caller": search,
                "callback_ctx": None,
            }
            yield call, (estimator, X, y), {**common, **of_the_cell}


def planned(leaves: int) -> tuple[Planner, float]:
    """Return a planner that has taken in so many leaves, and the CPU seconds it took."""
    planner, seconds = Planner(), 0.0
    gc.collect()
    waiting = calls(leaves)
    while batch := list(islice(waiting, BATCH)):
        started = time.process_time()
        for call in batch:
            planner.add(*call)
        seconds += time.process_time() - started
    return planner, seconds


def _planning(result: Result, options: argparse.Namespace) -> None:
    rows = [("leaves", "nodes", "planning", "a leaf", "schedule")]
    each = []
    for leaves in options.leaves:
        planner, seconds = planned(leaves)
        started = time.process_time()
        Schedule(planner.plan)
        schedule = time.process_time() - started
        each.append(1e6 * seconds / leaves)
        rows.append(
            (
                f"{len(planner.plan.cells):,}",
                f"{len(planner.plan.nodes):,}",
                f"{seconds:.2f} s",
                f"{each[-1]:.1f} us",
                f"{schedule:.2f} s",
            )
        )
    result.notes.append(table(rows))
    most = f"{options.leaves[-1]:,} leaves"
    first = max(0, len(each) - 3)
    result.claims += [
        Claim.at_most(f"planning {most}: a leaf", each[-1], PER_LEAF, " us"),
        Claim.at_most(
            f"planning {most}: a leaf, against {options.leaves[first]:,}",
            each[-1] / each[first],
            1.5,
            " times",
        ),
    ]
    result.values["planning"] = [list(row) for row in rows]


# -- memory


def _memory(result: Result, leaves: int) -> None:
    """Take what the client holds for a plan: its cells, its parameters, its schedule."""
    for _ in calls(FOLDS):
        pass  # what is imported and made once
    gc.collect()
    tracemalloc.start()
    try:
        planner = Planner()
        for call in calls(leaves):
            planner.add(*call)
        gc.collect()
        plan = tracemalloc.get_traced_memory()[0] / leaves
        schedule = Schedule(planner.plan)
        gc.collect()
        both = tracemalloc.get_traced_memory()[0] / leaves
    finally:
        tracemalloc.stop()
    del schedule
    result.notes.append(
        f"memory of the client, {leaves:,} leaves: {plan:.0f} bytes a leaf for the plan and the "
        f"candidates' parameters, {both:.0f} with the schedule"
    )
    result.claims.append(
        Claim.at_most("memory of the client: a leaf, plan and schedule", both, BYTES, " bytes")
    )
    result.values["bytes"] = {"plan": plan, "plan and schedule": both}


if __name__ == "__main__":
    sys.exit(main())
