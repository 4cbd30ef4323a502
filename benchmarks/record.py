"""What keeping every search on record costs, and how fast a large record opens.

    python benchmarks/record.py --check

The same search of 50,000 cells runs with and without a record, in turns, in this process, where
nothing else could hide the cost. Then a record of a million cells is made and its runs are listed,
each time by a process that opens it anew.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from side_by_side import Claim, Result, Row, parser, program
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs import Record, Run, Store
from jupyter_scale.runs.run import Cell
from jupyter_scale.runs.scores import encoded
from jupyter_scale.search import merged

CELLS, LARGE = 50_000, 1_000_000
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
    options = asked.parse_args(argv)
    if options.quick:
        options.cells, options.large = 200, 20_000
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Search with and without a record, then open a large one."""
    result = Result(
        f"a search of {options.cells:,} cells, each a fit of some milliseconds, with and without "
        f"a record; and a record of {options.large:,} cells",
        rows=[("what", "median", "ratio")],
    )
    with tempfile.TemporaryDirectory() as folder:
        kept, plain, ratios = [], [], []
        search(options.cells // 20, None)  # warm-up
        for turn in range(options.rounds):
            path = Path(folder) / f"{turn}.sqlite"
            ways = [partial(search, options.cells, path), partial(search, options.cells, None)]
            seconds = {way: ways[way]() for way in ((0, 1) if turn % 2 else (1, 0))}
            kept.append(seconds[0])
            plain.append(seconds[1])
            ratios.append(seconds[0] / seconds[1])
            with Store(path) as store:
                there = len(store.cells(store.runs()[0]))
                if there != options.cells:
                    result.problems.append(f"{there:,} cells on record of {options.cells:,}")
        opened = opening(Path(folder) / "large.sqlite", options.large, options.rounds, result)
    ratio = statistics.median(ratios)
    rows: list[Row] = [
        ("without a record", f"{statistics.median(plain):.1f} s", "1"),
        ("on record", f"{statistics.median(kept):.1f} s", f"{ratio:.3f}"),
        (f"runs of {options.large:,} cells listed", f"{statistics.median(opened):.3f} s", ""),
    ]
    result.rows += rows
    result.claims.append(Claim.at_most("wall time, on record / without", ratio, LIMIT))
    result.claims.append(Claim.at_most("listing the runs", statistics.median(opened), OPENS, " s"))
    result.values.update(kept=kept, plain=plain, opened=opened)
    return result


def search(cells: int, path: Path | None) -> float:
    """Return the seconds of a search."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(4_000, 40))
    y = X @ draw.normal(size=40)
    grid = {"alpha": np.geomspace(1e-3, 1e3, cells // FOLDS).tolist()}
    found = GridSearchCV(Ridge(solver="lsqr"), grid, cv=FOLDS, refit=False)
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
