"""Seconds that an export takes: the snapshot of a live kernel, the writing, the verification.

    python benchmarks/export.py --check

A process that has loaded what the notebook imports stands for its kernel; "export" is all but the
verification. What is rebuilt comes from uv's cache, as in every export after the first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distributions
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from side_by_side import Claim, Result, parser, program

from jupyter_scale.export import Options, Report, export
from jupyter_scale.export.claim import reproducible, verdict
from jupyter_scale.export.notebook import examine, read
from jupyter_scale.export.snapshot import Snapshot, expression
from jupyter_scale.export.verify import verify

EXAMPLES = "  python benchmarks/export.py --check\n  python benchmarks/export.py --rounds 3 --json"
LIMITS = {"snapshot": 3.0, "export": 5.0, "verification": 60.0}  # seconds
NAME = "scores.ipynb"
MIRRORS = ("index:extra", "index:private")  # a machine that measures may have them
CELLS = (
    "import numpy as np\nimport pandas as pd\nfrom sklearn.linear_model import Ridge",
    "rng = np.random.default_rng(0)\nX = rng.normal(size=(200, 5))\ny = X.sum(axis=1)",
    "pd.DataFrame({'coefficient': Ridge().fit(X, y).coef_})",
    "import matplotlib.pyplot as plt\nplt.plot(np.sort(y));",
    "from distributed import Client\n"
    "with Client(processes=False, dashboard_address=None) as client:\n"
    "    print(client.submit(sum, [1, 2, 3]).result())",
)
KERNEL = """\
import sys, time
import numpy, pandas, sklearn.linear_model, matplotlib.pyplot, distributed
begun = time.perf_counter()
seen = eval(sys.stdin.read())
print(time.perf_counter() - begun)
print(seen)
"""
"""What a kernel is asked: it need not have this package, and here it has not loaded it."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    text = "Time the export of a notebook."
    return program(parser(text, examples=EXAMPLES, rounds=3).parse_args(argv), measure)


def measure(options: argparse.Namespace) -> Result:
    """Export a notebook in kernels of their own, and verify what was written."""
    result = Result("an export of a notebook with pandas, scikit-learn, matplotlib and Dask")
    seconds: dict[str, list[float]] = {name: [] for name in LIMITS}
    with tempfile.TemporaryDirectory() as home:
        notebook = Path(home, NAME)
        _write(notebook)
        if not options.quick:
            _verified(_exported(notebook, Path(home, "warm"))[0], result)  # uv's cache
        for number in range(options.rounds):
            folder, took, told = _exported(notebook, Path(home, f"round-{number}"))
            for name, value in took.items():
                seconds[name].append(value)
            begun = time.perf_counter()
            _verified(folder, result)
            seconds["verification"].append(time.perf_counter() - begun)
    count = sum(1 for _ in distributions())
    result.notes.append(
        f"{count} distributions are installed, {len(told.roots)} are really used, "
        f"{told.pinned} are in the lock"
    )
    result.rows = [("step", "median", "rounds")]
    for name, values in seconds.items():
        median = statistics.median(values)
        result.rows.append((name, f"{median:.2f} s", " ".join(f"{one:.2f}" for one in values)))
        result.claims.append(Claim.at_most(name, median, LIMITS[name], " s"))
    result.values = {**seconds, "distributions": count, "pinned": told.pinned}
    return result


def _write(path: Path) -> None:
    """Write the notebook with its outputs."""
    notebook = new_notebook(
        cells=[new_markdown_cell("# Scores"), *map(new_code_cell, CELLS)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).execute()
    nbformat.write(notebook, path)


def _exported(notebook: Path, folder: Path) -> tuple[Path, dict[str, float], Report]:
    code = examine(read(notebook))
    asked = (str(notebook.parent), list(code.places("imports")), list(code.places("programs")))
    done = subprocess.run(
        [sys.executable, "-c", KERNEL],
        input=expression("probe", *asked),
        capture_output=True,
        text=True,
        check=True,
    )
    taken, seen = done.stdout.splitlines()
    begun = time.perf_counter()
    snapshot = Snapshot.of(json.loads(seen), [])
    report = export(
        notebook, folder, Options(verify=False, yes=True, accept=MIRRORS), snapshot=snapshot
    )
    passed = time.perf_counter() - begun
    return folder, {"snapshot": float(taken), "export": float(taken) + passed}, report


def _verified(folder: Path, result: Result) -> None:
    claims = verify(folder)
    if not reproducible(claims):
        result.problems += [verdict(claims), *map(str, claims)]


if __name__ == "__main__":
    sys.exit(main())
