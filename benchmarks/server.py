"""How fast the Jupyter server answers while a cluster that was started through it is at work.

    python benchmarks/server.py --check

A local cluster is started from a real Jupyter server as the side panel does it, 60,000 tasks are
sent to it, and the server is asked for its status for some seconds of their work. A scheduler
inside the server's event loop would be in the way of every answer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from side_by_side import Claim, Result, parser, program

from jupyter_scale import clusters

TESTS = Path(__file__).resolve().parents[1] / "tests"
LIMIT = 50.0  # milliseconds
TASKS, PAUSE = 60_000, 0.05
SECONDS = 20.0  # of a round
EXAMPLES = """\
  python benchmarks/server.py --check
  python benchmarks/server.py --tasks 10000 --rounds 1"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Time the Jupyter server's answers while a cluster works.", examples=EXAMPLES)
    asked.add_argument("--tasks", type=int, default=TASKS, help="in one graph")
    options = asked.parse_args(argv)
    if options.quick:
        options.tasks = 500
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Ask the server at rest and at work, in turns."""
    result = Result(
        f"seconds of GET api/status while {options.tasks:,} tasks run on a local cluster",
        rows=[("server", "median", "p95", "slowest", "answers")],
    )
    for folder in ("clusters", "server", "ui"):
        if str(TESTS / folder) not in sys.path:
            sys.path.insert(0, str(TESTS / folder))
    served = import_module("served")
    with tempfile.TemporaryDirectory() as folder, served.start(Path(folder)) as server:
        os.environ["JUPYTER_RUNTIME_DIR"] = str(server.runtime)
        rest = [answer(server) for _ in range(100)]
        work = [time for _ in range(options.rounds) for time in at_work(server, options.tasks)]
    for name, times in (("at rest", rest), ("at work", work)):
        spoken = [statistics.median(times), p95(times), max(times)]
        result.rows.append((name, *(f"{value:.1f} ms" for value in spoken), f"{len(times):,}"))
        result.values[name] = times
    result.claims.append(Claim.at_most("p95 at work", p95(work), LIMIT, " ms"))
    return result


def at_work(server: Any, tasks: int) -> Iterator[float]:
    """Return how long each answer took while a cluster works."""
    _, state = server.scale("POST", "clusters", {"profile": "local"})
    try:
        while state["state"] == "starting":
            time.sleep(PAUSE)
            state = server.scale("GET", "clusters")[1]["clusters"][0]
        cluster = clusters.use(state["id"])
        work = cluster.client.map(abs, range(tasks), pure=False)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and work[-1].status == "pending":
            yield answer(server)
            time.sleep(PAUSE)
        assert any(one.status == "finished" for one in work), "the cluster did nothing"
    finally:
        clusters.leave()
        server.scale("DELETE", f"clusters/{state['id']}")


def answer(server: Any) -> float:
    """Return the milliseconds of one answer."""
    start = time.perf_counter()
    status, _ = server.ask("GET", "api/status")
    assert status == 200
    return 1000 * (time.perf_counter() - start)


def p95(times: list[float]) -> float:
    """Return what 95 of 100 times stay under.

    Examples
    --------
    >>> p95([float(number) for number in range(1, 101)])
    95.0
    """
    return sorted(times)[max(0, round(0.95 * len(times)) - 1)]


if __name__ == "__main__":
    sys.exit(main())
