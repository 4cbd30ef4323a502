"""Run the search's correctness suites on the corners of the versions that are supported.

Each corner gets an environment of its own in .venv-matrix/, made anew by uv; none of its Pythons
is downloaded. The oldest corner takes the lower bounds of pyproject.toml, the newest the pins of
constraints.txt, so neither can promise what is not tested. scikit-learn's own suites are among
those that run: expect a quarter of an hour a corner, more on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-matrix"
EXAMPLES = """\
examples:
  make test-matrix
  make test-matrix ARGS="oldest"                        one corner
  make test-matrix ARGS="oldest newest -- -x -k frames"    what follows -- reaches pytest
  make test-matrix PYTHON312=/opt/python3.12/bin/python3   where an interpreter is
  make test-matrix SKIP_MISSING=1                       pass without the corners that have none
"""


@dataclass(frozen=True)
class Corner:
    """`install`: what uv is told besides the package and its development tools."""

    name: str
    python: str
    install: tuple[str, ...]


CORNERS = (
    Corner("oldest", "3.11", ("--resolution=lowest-direct",)),
    Corner(
        "middle",
        "3.12",
        ("scikit-learn==1.8.*", "dask==2026.1.*", "distributed==2026.1.*", "pandas==2.*"),
    ),
    Corner("newest", "3.13", ("--constraint=constraints.txt",)),
)
SUITES = ("tests/search", "tests/runs/test_predictions.py")  # scikit-learn's scorers are called
SHOWN = ("scikit-learn", "dask", "joblib", "numpy", "scipy", "pandas")


def interpreter(version: str) -> str | None:
    """Return the Python of a version, from PYTHON311 and the like or from PATH."""
    named = os.environ.get(variable(version))
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in [named] if named else [f"python{version}", "python3"]:
        found = shutil.which(candidate)
        if found and output([found, "-c", ask]) == version:
            return found
    return None


def variable(version: str) -> str:
    """Return the name of the variable that says where a Python is."""
    return f"PYTHON{version.replace('.', '')}"


def output(command: list[str]) -> str:
    """Return what a command prints; nothing if it fails."""
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def install(corner: Corner, python: str) -> Path | None:
    """Make the environment of a corner; return its Python, or None if that failed."""
    folder = FOLDER / corner.name
    made = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv = [sys.executable, "-m", "uv"]
    options = ["--quiet", "--no-python-downloads", "--python"]
    package = ["--compile-bytecode", "-e", ".[dev,optuna]"]
    for command in (
        [*uv, "venv", "--clear", *options, python, str(folder)],
        [*uv, "pip", "install", *options, str(made), *package, *corner.install],
    ):
        if subprocess.run(command, cwd=ROOT).returncode:
            return None
    return made


def versions(python: Path) -> str:
    """Return what was installed, in one line."""
    ask = f"from importlib.metadata import version\nfor n in {SHOWN}: print(n, version(n))"
    return ", ".join(output([str(python), "-c", ask]).splitlines())


def run(corner: Corner, pytest_args: list[str]) -> tuple[str, str]:
    """Return what came of a corner (passed, failed, missing), and on what."""
    print(f"\n== {corner.name}: Python {corner.python}, {' '.join(corner.install)}", flush=True)
    python = interpreter(corner.python)
    if python is None:
        name = variable(corner.python)
        where = f"at {named}" if (named := os.environ.get(name)) else "on PATH"
        return "missing", f"no Python {corner.python} {where}: install it, or say {name}=/its/path"
    made = install(corner, python)
    if made is None:
        return "failed", "the install failed: its error stands above"
    found = versions(made)
    print(found, flush=True)
    start = time.monotonic()
    command = [made, "-m", "pytest", "-p", "no:cacheprovider", *SUITES, *pytest_args]
    # jupyter-core 5.0 warns of directories that it will choose, until it is told to choose them
    environ = {"JUPYTER_PLATFORM_DIRS": "1", **os.environ}
    code = subprocess.run(command, cwd=ROOT, env=environ).returncode
    minutes = (time.monotonic() - start) / 60
    return ("failed" if code else "passed"), f"{found} ({minutes:.0f} min)"


def main(arguments: list[str]) -> int:
    """Run the corners and print a table of them; 1 if any failed or was missing."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    names = [corner.name for corner in CORNERS]
    parser = argparse.ArgumentParser(
        prog="tests/matrix.py",
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corner", nargs="*", help=f"which corners: {', '.join(names)}; else all")
    asked = parser.parse_args(arguments[:end]).corner
    if unknown := set(asked) - set(names):
        parser.error(f"there is no corner {unknown.pop()!r}: choose from {', '.join(names)}")
    chosen = [corner for corner in CORNERS if not asked or corner.name in asked]
    results = [(corner, *run(corner, arguments[end + 1 :])) for corner in chosen]
    print()
    for corner, outcome, about in results:
        print(f"{corner.name:7} Python {corner.python:5} {outcome:8} {about}")
    outcomes = {outcome for _, outcome, _ in results}
    forgiven = {"missing"} if os.environ.get("SKIP_MISSING") else set()
    return 0 if outcomes - forgiven == {"passed"} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
