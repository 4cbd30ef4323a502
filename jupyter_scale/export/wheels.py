"""Wheels of packages that were never published: built from where they are, with consent.

Their code becomes part of the exported folder. A package whose source lies in that folder already
needs none: it is installed from there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.pylock import uv
from jupyter_scale.export.snapshot import Distribution, Snapshot

__all__ = ["FOLDER", "build", "lines", "unpublished"]

FOLDER = "binder/wheels"
PATIENCE = 600.0  # seconds
WHEEL = re.compile(r"[A-Za-z0-9_.!+-]+\.whl")


def unpublished(names: Iterable[str], snapshot: Snapshot) -> list[Distribution]:
    """Return the distributions of some names that are on this machine only."""
    found = (snapshot.distributions[name] for name in names)
    return [one for one in found if one.local]


def build(distributions: Iterable[Distribution]) -> dict[str, tuple[str, bytes]]:
    """Build each and return its wheel's name and content, by the name of the distribution.

    Raises
    ------
    ExportError
        With the last line of what the build said.
    """
    built = {}
    for one in distributions:
        source = one.source
        if source is None or not source.exists():
            raise ExportError(f"{one.name}: its source is not at {source} any more.")
        if source.suffix == ".whl":
            built[one.name] = (source.name, source.read_bytes())
            continue
        with tempfile.TemporaryDirectory(prefix="jupyter-scale-") as folder:
            _run(one, source, folder)
            [wheel] = Path(folder).glob("*.whl")
            if not WHEEL.fullmatch(wheel.name):
                raise ExportError(f"{one.name}: {wheel.name!r} cannot be named in requirements.txt")
            built[one.name] = (wheel.name, wheel.read_bytes())
    return built


def _run(one: Distribution, source: Path, folder: str) -> None:
    program = uv()
    if program is None:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder]
    else:
        command = [program, "build", "--quiet", "--wheel", "--out-dir", folder]
    try:
        done = subprocess.run(
            [*command, str(source)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"{one.name}: building its wheel takes too long.") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ExportError(f"{one.name}: its wheel cannot be built: {said[-1] if said else ''}")


def lines(
    distributions: Iterable[Distribution], built: dict[str, tuple[str, bytes]], folder: Path
) -> dict[str, str]:
    """Return the lines of requirements.txt: a wheel, or a folder that is part of the export."""
    found = {}
    for one in distributions:
        inside = inner(one, folder)
        if inside is not None:
            found[one.name] = f"./{inside}".rstrip("/") if inside != "." else "."
        elif one.name in built:
            found[one.name] = f"./{FOLDER}/{built[one.name][0]}"
    return found


def inner(one: Distribution, folder: Path) -> str | None:
    """Return where the source of a distribution is in the exported folder, or None."""
    source = one.source
    if source is None or not source.is_dir() or not folder.is_dir():
        return None
    try:
        return source.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return None
