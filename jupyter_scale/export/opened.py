"""Which files a kernel has read in its notebook's folder: an audit hook, from `%load_ext` on.

Python tells of every `open`; the hook keeps names below one folder and nothing else, a few thousand
at most. A hook cannot be taken away, so there is one, and what it is told is dropped where nobody
wants it. Data that C libraries open by themselves are not seen: literals in the code are looked at,
too (`data.py`).
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

__all__ = ["files", "made", "since", "stop", "watch"]

MOST = 5000
SKIPPED = (".py", ".pyc", ".so", ".ipynb", ".tmp", ".part")

_names: set[str] = set()
_made: set[str] = set()
_folder = ""
_hooked = False
_since = 0.0


def watch(folder: str | os.PathLike[str]) -> None:
    """Keep, from now on, which files below a folder are read."""
    global _folder, _hooked, _since
    _since = time.time()
    _folder = os.path.join(os.path.abspath(folder), "")
    _names.clear()
    _made.clear()
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True


def since() -> float:
    """Return from when on, in seconds since the epoch; 0 where nobody looks."""
    return _since if _folder else 0.0


def stop() -> None:
    """Keep no more."""
    global _folder
    _folder = ""
    _names.clear()
    _made.clear()


def files() -> list[str]:
    """Return the files that were read and are there, relative to the folder."""
    return _there(_names - _made)


def made() -> list[str]:
    """Return the files that were written before anybody read them: results, not data."""
    return _there(_made)


def _there(names: set[str]) -> list[str]:
    found = {os.path.relpath(name, _folder) for name in list(names) if os.path.isfile(name)}
    return sorted(name.replace(os.sep, "/") for name in found)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    # called for every event of the interpreter: what does not concern us leaves at once
    if event != "open" or not _folder:
        return
    path, mode, flags = arguments
    if type(path) is bytes:
        path = os.fsdecode(path)
    if type(path) is not str or len(_names) >= MOST or path.endswith(SKIPPED):
        return
    written = mode is not None and any(letter in mode for letter in "wax")
    written = written or (mode is None and bool(flags & (os.O_WRONLY | os.O_RDWR)))
    if not os.path.isabs(path):
        path = os.path.abspath(path)
    if not path.startswith(_folder):
        return
    if not written:
        _names.add(path)
    elif path not in _names and len(_made) < MOST:
        _made.add(path)
