"""What keeping every search on record costs, and how fast a large record opens.

    python benchmarks/record.py --check

A search of 50,000 cells runs with and without a record, in turns, in this process, where nothing
else could hide the cost. Its fits are as short as a fit can be, so that it ends in minutes, and
what a record costs a cell is as large beside them as it can be; that cost, beside the time of an
ordinary short fit, is the promise. A smaller search of such fits says whether this sum is right.
Then a record of a million cells is made and its runs are listed, each time from a file opened anew.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import Claim, Result, Row, parser, program
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs import Record, Run, Store
from jupyter_scale.runs.run import Cell
from jupyter_scale.runs.scores import encoded
from jupyter_scale.search import merged

CELLS, FITTED, LARGE = 50_000, 4_000, 1_000_000
PER_RUN, FOLDS = 10_000, 5
LIMIT, OPENS = 1.03, 1.0
EXAMPLES = """\
  python benchmarks/record.py --check
  python benchmarks/record.py --cells 10000 --rounds 3"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Time a search on record against one that is not.", examples=EXAMPLES, rounds=3)
    asked.add_argument("--cells", type=int, default=CELLS, help="of the search")
    asked.add_argument(
        "--large", type=int, default=LARGE, help="cells of the record that is opened"
    )
    asked.add_argument("--fitted", type=int, default=FITTED, help="cells of the smaller search")
    options = asked.parse_args(argv)
    if options.quick:
        options.cells, options.fitted, options.large = 200, 100, 20_000
    return program(options, measure)


class Shortest(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """A fit and a score that take no time to speak of."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, X: Any, y: Any) -> Shortest:
        self.mean_ = float(y.mean()) / self.alpha
        return self

    def score(self, X: Any, y: Any) -> float:
        return -abs(float(y.mean()) - self.mean_)


def measure(options: argparse.Namespace) -> Result:
    """Search with and without a record, then open a large one."""
    result = Result(
        f"a search of {options.cells:,} cells whose fits take no time, and one of "
        f"{options.fitted:,} cells whose fits take some milliseconds, with and without a record; "
        f"and a record of {options.large:,} cells",
        rows=[("what", "median", "a cell", "ratio")],
    )
    with tempfile.TemporaryDirectory() as folder:
        short = turns(Shortest(), options.cells, options.rounds, Path(folder) / "short", result)
        fitted = turns(
            Ridge(solver="lsqr"), options.fitted, options.rounds, Path(folder) / "fitted", result
        )
        opened = opening(Path(folder) / "large.sqlite", options.large, options.rounds, result)
    cost = (short.kept - short.plain) / options.cells
    share = 1 + cost / (fitted.plain / options.fitted)
    result.rows += [
        *short.rows(f"{options.cells:,} cells, no fits"),
        *fitted.rows(f"{options.fitted:,} cells, short fits"),
        (f"runs of {options.large:,} cells listed", f"{statistics.median(opened):.3f} s", "", ""),
    ]
    of = f"cost of a cell, of {options.cells:,}, beside a short fit"
    result.claims.append(Claim.at_most(of, share, LIMIT))
    result.claims.append(
        Claim.at_most("wall time of short fits, on record / without", fitted.ratio, LIMIT)
    )
    result.claims.append(Claim.at_most("listing the runs", statistics.median(opened), OPENS, " s"))
    result.values.update(short=asdict(short), fitted=asdict(fitted), opened=opened, cost=cost)
    return result


@dataclass
class Turns:
    """Seconds of the same search on record and without one: medians, and that of the ratios."""

    cells: int
    kept: float
    plain: float
    ratio: float

    def rows(self, what: str) -> list[Row]:
        return [
            (f"{what}{way}", f"{seconds:.1f} s", f"{1e3 * seconds / self.cells:.2f} ms", ratio)
            for way, seconds, ratio in (
                (", without a record", self.plain, "1"),
                (", on record", self.kept, f"{self.ratio:.3f}"),
            )
        ]


def turns(estimator: Any, cells: int, rounds: int, folder: Path, result: Result) -> Turns:
    """Time a search both ways, in turns."""
    folder.mkdir()
    kept, plain = [], []
    search(estimator, cells // 20, folder / "first.sqlite")  # warm-up
    for turn in range(rounds):
        path = folder / f"{turn}.sqlite"
        ways = {True: path, False: None}
        first = bool(turn % 2)
        seconds = {way: search(estimator, cells, ways[way]) for way in (first, not first)}
        kept.append(seconds[True])
        plain.append(seconds[False])
        with Store(path) as store:
            there = len(store.cells(store.runs()[0]))
            if there != cells:
                result.problems.append(f"{there:,} cells on record of {cells:,}")
    ratios = [one / other for one, other in zip(kept, plain, strict=True)]
    return Turns(cells, *map(statistics.median, (kept, plain, ratios)))


def search(estimator: Any, cells: int, path: Path | None) -> float:
    """Return the seconds of a search."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(4_000, 40))
    y = X @ draw.normal(size=40)
    if isinstance(estimator, Shortest):
        X, y = X[:50], y[:50]
    grid = {"alpha": np.geomspace(1e-3, 1e3, cells // FOLDS).tolist()}
    found = GridSearchCV(estimator, grid, cv=FOLDS, refit=False)
    start = time.perf_counter()
    record = None if path is None else Record(Store(path))
    with merged(record=record):
        found.fit(X, y)
    if record is not None:
        record.close()
    return time.perf_counter() - start


def opening(path: Path, cells: int, rounds: int, result: Result) -> list[float]:
    """Return how long it takes to open a large record and list its runs."""
    text, _ = encoded({"test_scores": 0.5, "fit_time": 0.1, "score_time": 0.1, "fit_error": None})
    with Store(path) as store:
        for place in range(0, cells, PER_RUN):
            run = Run(f"{place:08x}", Process.this(), float(place), status="done")
            rows = [
                Cell(n // FOLDS, n % FOLDS, (place + n).to_bytes(16), text, 1.0)
                for n in range(min(PER_RUN, cells - place))
            ]
            store.add(store.begin(run), run, rows)
    seconds = []
    for turn in range(rounds):
        copied = path.with_name(f"copy-{turn}.sqlite")
        shutil.copy(path, copied)
        start = time.perf_counter()
        with Store(copied) as store:
            runs = store.runs()
        seconds.append(time.perf_counter() - start)
        if len(runs) != -(-cells // PER_RUN):
            result.problems.append(f"{len(runs)} runs listed")
        copied.unlink()
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
