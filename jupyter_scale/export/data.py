"""The data files of a notebook: copied, or for large ones, described and fetched.

A file counts when it was seen to be read (`opened.py`), or when the code names it. MANIFEST.json
has the path, size, SHA-256 and source of each; fetch.py, which needs Python alone, gets what is
not there and checks it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["FETCH", "MANIFEST", "Data", "files", "manifest"]

MANIFEST = "MANIFEST.json"
MOST = 200  # files of a folder that the code names
HIDDEN = ("__pycache__", ".ipynb_checkpoints")


@dataclass(frozen=True, slots=True)
class Data:
    """A data file.

    Attributes
    ----------
    path : str
        Relative to the notebook.
    size : int
        Bytes.
    sha256 : str
    source : str
        Where it is fetched from; empty for one that is copied.
    copied : bool
    result : bool
        Whether the notebook seems to have made it: then it is neither copied nor described.
    """

    path: str
    size: int
    sha256: str
    source: str = ""
    copied: bool = True
    result: bool = False


def files(
    folder: Path,
    named: Iterable[str],
    opened: Iterable[str] = (),
    *,
    sources: Mapping[str, str] | None = None,
    large: int = 20 * 2**20,
    leave: Iterable[Path] = (),
    since: float = 0.0,
) -> tuple[Data, ...]:
    """Return the data files of a notebook.

    Parameters
    ----------
    folder : Path
        The notebook's.
    named : iterable of str
        Literals of its code.
    opened : iterable of str
        Files that were read, relative to the folder.
    sources : mapping of str to str, optional
        Addresses of files, by path.
    large : int
        Bytes above which a file is not copied.
    leave : iterable of Path
        Files and folders that are something else: the notebook, its modules, the export itself.
    since : float
        When the notebook began to run; what was written since, and not seen read, is a result.
    """
    folder = folder.resolve()
    left = [path.resolve() for path in leave]
    found: set[Path] = set()
    for name in named:
        found |= _named(folder, name)
    seen = set(opened)
    found |= {folder / name for name in seen}
    result = []
    for path in sorted(found):
        real = path.resolve()
        if not real.is_relative_to(folder) or not real.is_file():
            continue
        relative = real.relative_to(folder)
        if any(part.startswith(".") or part in HIDDEN for part in relative.parts):
            continue
        if any(real == one or real.is_relative_to(one) for one in left):
            continue
        name, size = relative.as_posix(), real.stat().st_size
        source = (sources or {}).get(name, "")
        made = bool(since) and real.stat().st_mtime >= since and name not in seen
        copied = size <= large and not source and not made
        result.append(Data(name, size, _digest(real), source, copied, made))
    return tuple({one.path: one for one in result}.values())


def _named(folder: Path, name: str) -> set[Path]:
    if name in ("", ".", "..", "/") or "\0" in name or name.startswith(("~", "/")):
        return set()
    try:
        path = folder / name
        if path.is_file():
            return {path}
        # a word that happens to be a folder's name is not meant, "data" or "data/" may be
        if path.is_dir() and not (path / "__init__.py").exists():
            inner = [one for one in path.rglob("*") if one.is_file()]
            return set(inner) if len(inner) <= MOST else set()
    except OSError:  # too long to be a path
        pass
    return set()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(data: Iterable[Data]) -> str:
    """Return the text of MANIFEST.json."""
    entries = [
        {key: value for key, value in asdict(one).items() if key != "result"}
        for one in data
        if not one.result
    ]
    return json.dumps({"files": entries}, indent=2) + "\n"


FETCH = '''\
"""Fetch the data files that are not here, and check all of them: python fetch.py

MANIFEST.json says where each is from. Nothing is replaced by what has another SHA-256.
"""

import hashlib
import json
import os
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def fetch(entry):
    path = HERE / entry["path"]
    if path.exists() and digest(path) == entry["sha256"]:
        return "is here"
    if not entry["source"]:
        return "is not here as it was, and MANIFEST.json says no source"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with urllib.request.urlopen(entry["source"]) as answer, open(part, "wb") as file:
        for block in iter(lambda: answer.read(1 << 20), b""):
            file.write(block)
    if digest(part) != entry["sha256"]:
        os.remove(part)
        return "is another file at its source"
    os.replace(part, path)
    return "fetched"


def main():
    failed = 0
    for entry in json.loads((HERE / "MANIFEST.json").read_text(encoding="utf-8"))["files"]:
        said = fetch(entry)
        failed += said not in ("is here", "fetched")
        print(entry["path"], said)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
'''
