"""How close a merged search comes to what the cores can do: wall time / (distinct work / cores).

    python benchmarks/limit.py --check

The distinct work is the plan itself, run by the engine without Dask in this process, one piece
after the other, with one BLAS thread. Its time divided by the cores is a limit that ignores what
processes cost each other (caches, memory, clock); so the same serial work is also run in as many
processes at once as there are cores, and both ratios are printed. The promise is about the first.

Each grid is half a minute of work for one core. What a search costs once (the way of the data to
the workers, first fits whose durations nobody knows, memory that is touched for the first time) is
in the ratio, and weighs more in a shorter one: 1.2 for the columns of half as many rows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from distributed import Client
from recipes import Recipe, boosting, columns, text
from side_by_side import (
    OURS,
    Claim,
    Contender,
    Result,
    Timing,
    differing,
    local_cluster,
    measured,
    merged,
    parser,
    program,
)

SERIAL, CROWDED = "one process", "all cores busy"
LIMIT = 1.15
SIZES: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "text": (text, (2000, 2), (120, 2)),
    "boosting": (boosting, (150, 1000), (6, 100, 1)),
    "columns": (columns, (40_000,), (300, 1)),
}
"""Each recipe with its size and its tiny size."""
EXAMPLES = """\
  python benchmarks/limit.py --check
  python benchmarks/limit.py text columns --rounds 3"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Compare merged searches with what the cores can do.", examples=EXAMPLES)
    asked.add_argument("grids", nargs="*", help=f"of {', '.join(SIZES)} (default: all)")
    options = asked.parse_args(argv)
    if unknown := set(options.grids) - set(SIZES):
        asked.error(f"no grid {', '.join(sorted(unknown))}: choose of {', '.join(SIZES)}")
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Measure every grid asked for."""
    cores = options.workers
    result = Result(f"wall time / (distinct work / cores), {cores} processes")
    result.rows = [
        ("grid", "merged", SERIAL, CROWDED, "ratio", "to crowded", "fits", "cells", "scores")
    ]
    with crowd(cores) as pool, local_cluster(cores) as client:
        for name in options.grids or SIZES:
            make, size, tiny = SIZES[name]
            data, few = make(*(tiny if options.quick else size)), make(*tiny)
            small = _contenders(few, client, pool, cores)
            timings = measured(_contenders(data, client, pool, cores), small, options)
            _add(result, data, timings, cores)
    return result


def _add(result: Result, data: Recipe, timings: dict[str, Timing], cores: int) -> None:
    ours, serial, crowded = (timings[name] for name in (OURS, SERIAL, CROWDED))
    ratio, real = (ours.median / (other.median / cores) for other in (serial, crowded))
    different = differing(timings, SERIAL, (OURS,))
    result.problems += [f"{data.name}: {problem}" for problem in different]
    if ours.fits != serial.fits:
        result.problems.append(f"{data.name}: {ours.fits} fits, {serial.fits} in one process")
    result.claims.append(
        Claim.at_most(f"{data.name} grid: wall time / (distinct work / cores)", ratio, LIMIT)
    )
    result.rows.append(
        (
            data.name,
            *(f"{timing.median:.2f} s" for timing in (ours, serial, crowded)),
            f"{ratio:.2f}",
            f"{real:.2f}",
            str(ours.fits),
            str(sum(map(len, ours.scores.values()))),
            "differ" if different else "equal",
        )
    )
    result.values[data.name] = {name: asdict(timing) for name, timing in timings.items()}


def _contenders(
    data: Recipe, client: Client, pool: ProcessPoolExecutor, cores: int
) -> dict[str, Contender]:
    def search(timing: Timing) -> None:
        merged(data.search(), data.X, data.y, timing, client)

    def serial(timing: Timing) -> None:
        merged(data.search(), data.X, data.y, timing, None)

    def crowded(timing: Timing) -> float:
        return statistics.mean(pool.map(in_the_crowd, [data] * cores))

    return {OURS: search, SERIAL: serial, CROWDED: crowded}


# -- the same work in several processes at once

_start: list[Any] = []


@contextmanager
def crowd(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that begin each `in_the_crowd` together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _join, (barrier,)) as pool:
        yield pool


def _join(barrier: Any) -> None:
    from threadpoolctl import threadpool_limits

    _start[:] = [barrier, threadpool_limits(1)]


def in_the_crowd(data: Recipe) -> float:
    """Do the distinct work of a search while the other processes do the same."""
    _start[0].wait(timeout=300)
    started = time.perf_counter()
    merged(data.search(), data.X, data.y, Timing(), None)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
