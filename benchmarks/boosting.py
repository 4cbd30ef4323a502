"""Gradient boosting over the number of trees: one fit answers all numbers, side by side.

    python benchmarks/boosting.py --check

The recipe of Prettenhofer's talk (numbers of trees x depths x learning rates x shares of the
columns, 5 folds), made smaller. Of candidates that differ in ``n_estimators`` alone, the fit with
the most trees holds all others. Trees are counted where they grow, on the workers; scores must
equal scikit-learn's to the last bit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from distributed import Client
from recipes import FOLDS, Recipe
from recipes import boosting as recipe
from side_by_side import (
    DASK_ML,
    OURS,
    SKLEARN,
    Claim,
    Contender,
    Result,
    Timing,
    differing,
    local_cluster,
    measured,
    parser,
    program,
    ranking,
    rivals,
)
from sklearn.model_selection import ParameterGrid
from sklearn.tree import DecisionTreeRegressor

EXAMPLES = """\
  python benchmarks/boosting.py --check
  python benchmarks/boosting.py --trees 3000 --rows 200"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Compare searches over the number of boosted trees.", examples=EXAMPLES)
    add = asked.add_argument
    add("--trees", type=int, default=300, help="the most of a candidate (default: %(default)s)")
    add("--rows", type=int, default=1000, help="of the data (default: %(default)s)")
    return program(asked.parse_args(argv), measure)


def measure(options: argparse.Namespace) -> Result:
    """Run every contender once a round, after a warm-up on a few rows."""
    few = recipe(6, 100, choices=1)
    data = few if options.quick else recipe(options.trees, options.rows)
    trees: dict[str, int] = {}
    with local_cluster(options.workers) as client, growing(client) as grown:
        timings = measured(
            _contenders(data, client, grown, trees, options.workers),
            _contenders(few, client, grown, {}, options.workers),
            options,
        )
    return judged(data, timings, trees, f"{data.about}; {options.workers} processes")


def judged(data: Recipe, timings: dict[str, Timing], trees: dict[str, int], about: str) -> Result:
    """Return what timings and counts say."""
    numbers = data.grid["n_estimators"]
    least, most = max(numbers) / sum(numbers), timings[SKLEARN].fits or 1
    result = Result(about, rows=ranking(timings, base=OURS, reference=SKLEARN))
    result.problems = differing(timings, SKLEARN, (OURS,))
    result.rows = [
        (*row, "trees" if not i else f"{trees[row[0]]:,}" if row[0] in trees else "")
        for i, row in enumerate(result.rows)
    ]
    result.claims = [
        Claim.at_most(
            f"boosting, {len(numbers)} numbers of trees: share of scikit-learn's fits",
            (timings[OURS].fits or 0) / most,
            1 / len(numbers),
        ),
        Claim.at_most(
            "boosting: share of scikit-learn's trees, of the least possible",
            trees[OURS] / trees[SKLEARN] / least,
            1.0,
        ),
        Claim.at_least(
            "boosting: times faster than scikit-learn",
            timings[SKLEARN].median / timings[OURS].median,
            1.0,
        ),
        Claim.at_least(
            "boosting: times faster than dask-ml",
            timings[DASK_ML].median / timings[OURS].median,
            1.0,
        ),
    ]
    result.values = {name: asdict(timing) for name, timing in timings.items()} | {"trees": trees}
    return result


def _contenders(
    data: Recipe, client: Client, grown: Any, trees: dict[str, int], workers: int
) -> dict[str, Contender]:
    def counting(name: str, run: Contender) -> Contender:
        def counted(timing: Timing) -> None:
            before = grown()
            run(timing)
            trees[name] = grown() - before

        return counted

    def sklearn_search(timing: Timing) -> None:
        runs[SKLEARN](timing)
        # nothing stops a fit early here: each grows what it is asked for
        numbers = [params["n_estimators"] for params in ParameterGrid(data.grid)]
        trees[SKLEARN] = sum(numbers) * FOLDS.get_n_splits()

    runs = rivals(data, client, workers=workers)
    counted = {name: counting(name, runs[name]) for name in (OURS, DASK_ML)}
    return {**counted, SKLEARN: sklearn_search}


@contextmanager
def growing(client: Client) -> Iterator[Any]:
    """Count the trees that grow on the workers; yields a function that returns their number."""
    client.run(_count_trees)
    try:
        yield lambda: sum(client.run(_trees).values())
    finally:
        client.run(_count_no_more)


def _count_trees() -> None:
    import threading

    fit = DecisionTreeRegressor.fit
    lock = threading.Lock()

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        with lock:
            DecisionTreeRegressor.grown += 1
        return fit(self, *args, **kwargs)

    DecisionTreeRegressor.grown = 0
    DecisionTreeRegressor.uncounted = fit
    DecisionTreeRegressor.fit = counted


def _trees() -> int:
    return int(DecisionTreeRegressor.grown)


def _count_no_more() -> None:
    DecisionTreeRegressor.fit = DecisionTreeRegressor.uncounted
    del DecisionTreeRegressor.grown, DecisionTreeRegressor.uncounted


if __name__ == "__main__":
    sys.exit(main())
