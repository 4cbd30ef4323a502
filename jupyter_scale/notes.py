"""Small files in Jupyter's runtime directory by which a busy kernel tells others where it is.

A note goes a day after what it tells of has ended; whoever lists the notes removes it. Each kind
has a prefix and a dataclass of its own: `journal` for searches, `export.note` for exports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from jupyter_scale.clusters.connection import folder

__all__ = ["Noted", "listed", "path_of"]

KEPT = 24 * 3600.0  # seconds that a note stays after the end


class Noted(Protocol):
    """What all kinds of note have."""

    @property
    def id(self) -> str: ...
    @property
    def started(self) -> float: ...
    @property
    def updated(self) -> float: ...
    @property
    def alive(self) -> bool: ...


N = TypeVar("N", bound=Noted)


def listed(prefix: str, read: Callable[[Path], N | None], forget: Callable[[str], None]) -> list[N]:
    """Return the notes of a kind, the oldest first; those of long ago are removed."""
    found: list[N] = []
    for path in folder().glob(f"{prefix}*.json"):
        note = read(path)
        if note is None:
            continue
        if note.alive or time.time() - note.updated < KEPT:
            found.append(note)
        else:
            forget(note.id)
    return sorted(found, key=lambda note: note.started)


def path_of(prefix: str, identifier: str) -> Path:
    """Return where the note with an id is."""
    return folder() / f"{prefix}{identifier}.json"
