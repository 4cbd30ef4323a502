"""Peak memory of notebooks with all the processes that they start, on one CPU.

    python benchmarks/footprint.py notebooks/course/*.ipynb --most 2048

Binder gives about 2 GB and one CPU, and so may a hub of two hundred students. Each notebook is
executed from its first cell to its last; kernel, clusters and workers are known by a variable of
their environment, wherever they hang in the tree of processes. Counted is what each has in memory,
pages that several share in parts (Linux's PSS; elsewhere, what is its own): as a container counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

EXECUTE = Path(__file__).resolve().parents[1] / "notebooks" / "execute.py"
VARIABLE = "JUPYTER_RUNTIME_DIR"
MIB = 2**20


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a notebook failed or took more than it may."""
    asked = argparse.ArgumentParser(description="Measure the peak memory of notebooks.")
    asked.add_argument("notebooks", nargs="+", type=Path)
    asked.add_argument("--most", type=int, default=0, metavar="MIB", help="fail when it takes more")
    options = asked.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    wrong = 0
    for path in options.notebooks:
        status, peak, seconds, processes = measured(path)
        wrong |= status or bool(options.most and peak > options.most * MIB)
        said = "" if status == 0 else ", failed"
        print(
            f"{path.name}: {peak / MIB:,.0f} MiB at most, {processes} processes, "
            f"{seconds:.0f} s{said}",
            flush=True,
        )
    return int(wrong)


def measured(path: Path) -> tuple[int, int, float, int]:
    """Return how a notebook ended, its most bytes, its seconds and its most processes."""
    started = time.monotonic()
    peak = most = 0
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, VARIABLE: folder}
        command = [sys.executable, str(EXECUTE), str(path), "--output", f"{folder}/ran.ipynb"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            sizes = [size for one in psutil.process_iter() if (size := _size(one, folder))]
            peak, most = max(peak, sum(sizes)), max(most, len(sizes))
            time.sleep(0.2)
    return process.returncode, peak, time.monotonic() - started, most


def _size(process: psutil.Process, folder: str) -> int:
    """Return what a process has in memory if it belongs to the notebook."""
    try:
        if process.environ().get(VARIABLE) != folder:
            return 0
        found = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(found, "pss", 0) or found.uss)


if __name__ == "__main__":
    sys.exit(main())
