"""Peak memory of the workers with 64 prefixes against 8: it follows the cluster, not the grid.

    python benchmarks/memory.py --check

A prefix is a transformer whose output is large; a few leaves stand on each. Each search has a
fresh cluster, because the system remembers the most memory that a process ever held (VmHWM);
where it does not tell that, memory is sampled.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from distributed import Client
from side_by_side import Claim, Result, Timing, local_cluster, merged, parser, program
from sklearn.datasets import make_classification
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

FEW, MANY = 8, 64
LIMIT = 1.5
FOLDS = 3
ALPHAS = [1e-2, 1e-3, 1e-4, 1e-5]
STATUS = Path("/proc/self/status")
MIB = 2.0**20
EXAMPLES = """\
  python benchmarks/memory.py --check
  python benchmarks/memory.py --megabytes 50 --rounds 3"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Compare the peak memory of small and large grids.", examples=EXAMPLES)
    add = asked.add_argument
    add("--megabytes", type=float, default=20.0, help="that a prefix makes (default: %(default)s)")
    options = asked.parse_args(argv)
    if options.quick:
        options.megabytes = 0.2
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Run both searches once a round, each on a cluster of its own."""
    prefixes = (2, 4) if options.quick else (FEW, MANY)
    peaks: dict[int, list[float]] = {number: [] for number in prefixes}
    idle: list[float] = []
    nodes: dict[int, int] = {}
    for turn in range(options.rounds):
        for number in prefixes[:: -1 if turn % 2 else 1]:
            with local_cluster(options.workers) as client:
                peaks[number].append(_peak(number, options.megabytes, client, idle, nodes))
    few, many = (statistics.median(peaks[number]) for number in prefixes)
    result = Result(
        f"{options.megabytes:g} MB a prefix and fold, {FOLDS} folds, {len(ALPHAS)} leaves each, "
        f"{options.workers} workers"
    )
    result.rows = [("prefixes", "fits", "all prefixes", "peak", "above an idle worker's")]
    rest = statistics.median(idle)
    for number, peak in zip(prefixes, (few, many), strict=True):
        total = number * FOLDS * options.megabytes
        amounts = (f"{total:.0f} MB", f"{peak / MIB:.0f} MiB", f"{(peak - rest) / MIB:.0f} MiB")
        result.rows.append((str(number), str(nodes[number]), *amounts))
    above = (many - rest) / max(few - rest, 1.0)
    result.notes.append(f"ratio above idle workers: {above:.2f}")
    result.claims.append(
        Claim.at_most(
            f"peak memory with {prefixes[1]} prefixes / with {prefixes[0]}", many / few, LIMIT
        )
    )
    result.values = {"peaks": peaks, "idle": idle}
    return result


def _peak(
    prefixes: int, megabytes: float, client: Client, idle: list[float], nodes: dict[int, int]
) -> float:
    """Return the most bytes that the workers held together, each at its own worst."""
    features = 500
    rows = max(30, round(megabytes * 1e6 / 8 / features))
    X, y = make_classification(rows, 20, random_state=0)
    search = GridSearchCV(
        Pipeline(
            [
                ("map", RBFSampler(n_components=features, random_state=0)),
                ("model", SGDClassifier(max_iter=5, tol=None, random_state=0)),
            ]
        ),
        {"map__gamma": [0.01 * (n + 1) for n in range(prefixes)], "model__alpha": ALPHAS},
        cv=FOLDS,
        refit=False,
    )
    client.run(_imports)
    idle.append(sum(client.run(resident).values()))
    with _sampled(client) as sampled:
        report = merged(search, X, y, Timing(), client)
    nodes[prefixes] = report.fits_done
    peaks = client.run(most_resident).values()
    return float(sum(peaks)) if all(peaks) else max(sampled)


def _imports() -> None:
    """Import what the search needs, so that it is not counted as its memory."""
    import sklearn.kernel_approximation
    import sklearn.linear_model
    import sklearn.pipeline

    import jupyter_scale.search.tasks

    del sklearn, jupyter_scale


def most_resident() -> int:
    """Return the most bytes that this process ever held in memory; 0 where nobody knows."""
    if not STATUS.exists():
        return 0
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def resident() -> int:
    """Return the bytes that this process holds in memory."""
    return int(psutil.Process().memory_info().rss)


@contextmanager
def _sampled(client: Client) -> Iterator[list[float]]:
    """Take the memory of all workers every 50 ms."""
    processes = [psutil.Process(pid) for pid in client.run(_pid).values()]
    sums: list[float] = [0.0]
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(0.05):
            sums.append(float(sum(process.memory_info().rss for process in processes)))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield sums
    finally:
        stop.set()
        thread.join()


def _pid() -> int:
    return os.getpid()


if __name__ == "__main__":
    sys.exit(main())
