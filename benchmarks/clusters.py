"""Seconds from `%scale up` to the first worker, for each kind of cluster that can run here.

    python benchmarks/clusters.py --check

The services are those of the conformance tests (`tests/clusters/bed_*.py`): real ones, on this
machine. One that needs a program which is not installed is left out, and named.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import dask
import pytest
from side_by_side import Claim, Result, parser, program

from jupyter_scale.clusters import Wish, profile, registry

TESTS = Path(__file__).resolve().parents[1] / "tests" / "clusters"
LIMITS = {"local": 3.0, "gateway": 5.0, "slurm": 6.0, "ssh": 8.0, "kubernetes": 15.0}  # seconds
KINDS = ("local", "gateway", "slurm", "ssh", "kubernetes")
EXAMPLES = """\
  python benchmarks/clusters.py --check
  python benchmarks/clusters.py --kinds local slurm --rounds 3"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Time the start of each kind of cluster.", examples=EXAMPLES)
    asked.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    options = asked.parse_args(argv)
    if options.quick:
        options.kinds = ["local"]
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Start a cluster of one worker in each service, in turns of its own."""
    result = Result("from %scale up to the first worker", rows=[("kind", "median", "rounds")])
    for kind in options.kinds:
        try:
            seconds = list(starts(kind, options.rounds))
        except pytest.skip.Exception as missing:
            result.notes.append(f"{kind} was left out: {missing}")
            continue
        median = statistics.median(seconds)
        rounds = " ".join(f"{value:.2f}" for value in seconds)
        result.rows.append((kind, f"{median:.2f} s", rounds))
        result.values[kind] = seconds
        if kind in LIMITS:
            result.claims.append(Claim.at_most(f"{kind}: first worker", median, LIMITS[kind], " s"))
    return result


def starts(kind: str, rounds: int) -> Iterator[float]:
    """Return how long each start took."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    with (
        tempfile.TemporaryDirectory() as folder,
        runtime(folder),
        import_module(f"bed_{kind}").start(Path(folder)) as bed,
        dask.config.set({**bed.settings, "jupyter-scale.profiles": {"bed": bed.profile}}),
    ):
        for _ in range(rounds):
            begun = time.perf_counter()
            connection = registry.launch(profile("bed"), Wish(1, memory=bed.memory))
            yield time.perf_counter() - begun
            registry.close(connection)


@contextmanager
def runtime(folder: str) -> Iterator[None]:
    """Keep the clusters out of the list of those that run for somebody."""
    before = os.environ.get("JUPYTER_RUNTIME_DIR")
    os.environ["JUPYTER_RUNTIME_DIR"] = f"{folder}/runtime"
    try:
        yield
    finally:
        os.environ.pop("JUPYTER_RUNTIME_DIR")
        if before is not None:
            os.environ["JUPYTER_RUNTIME_DIR"] = before


if __name__ == "__main__":
    sys.exit(main())
