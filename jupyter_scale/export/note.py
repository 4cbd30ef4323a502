"""The state of a kernel's export, in a file: what others see of a kernel that is busy with it.

A kernel has one at most, its last, in Jupyter's runtime directory, for its owner only and always
whole. The kernel writes it, the Jupyter server reads it: so the side panel needs nothing of the
kernel. A note whose process has ended says so, to whoever reads it next; it goes after a day.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from jupyter_scale.clusters.connection import Process, written
from jupyter_scale.export.claim import verdict
from jupyter_scale.export.finding import Finding
from jupyter_scale.export.report import Report
from jupyter_scale.export.repository import badge
from jupyter_scale.notes import listed, path_of

__all__ = ["Note", "Status", "find", "forget", "notes", "told", "write"]

PREFIX = "export-"
Status = Literal["running", "planned", "blocked", "exported", "failed", "interrupted"]
GONE = "Its kernel has ended: run the cells that make what the notebook uses, and export again."


@dataclass(frozen=True, slots=True)
class Note:
    """An export of a kernel's notebook.

    Attributes
    ----------
    id : str
    process, owner : Process
        The kernel, and the Jupyter server (or whatever program) that it belongs to.
    kernel, cell : str
        Their ids as front ends know them, or empty.
    options : mapping
        What its line asks for, by the flags' names; the folder as it is written there.
    folder : str
        Where it is, absolute.
    started, updated : float
        Seconds since the epoch.
    status : str
        ``running``; ``planned`` and ``exported`` as was asked; ``blocked`` by findings; ``failed``;
        ``interrupted``.
    stage : str
        What is being done.
    claims : tuple of dict
        Those that were tried so far.
    report : dict or None
        As `told` makes it.
    error : str
        Why it has failed.
    """

    id: str
    process: Process
    owner: Process
    kernel: str
    cell: str
    options: Mapping[str, Any]
    folder: str
    started: float
    updated: float = 0.0
    status: Status = "running"
    stage: str = ""
    claims: tuple[Mapping[str, Any], ...] = ()
    report: Mapping[str, Any] | None = field(default=None)
    error: str = ""

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self.status == "running"


def write(note: Note, **changes: Any) -> Note:
    """Write a note with changes, and return it so."""
    note = replace(note, updated=time.time(), **changes)
    written(_path(note.id), json.dumps(asdict(note)))
    return note


def notes() -> list[Note]:
    """Return those of this user, the oldest first; those of long ago are removed."""
    return listed(PREFIX, _read, forget)


def find(identifier: str) -> Note | None:
    """Return the note with an id, or None."""
    return _read(_path(identifier))


def forget(identifier: str) -> None:
    """Remove a note."""
    _path(identifier).unlink(missing_ok=True)


def _path(identifier: str) -> Path:
    return path_of(PREFIX, identifier)


def _read(path: Path) -> Note | None:
    """Return a note, or None where it is another's or was removed in this moment."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        note = Note(
            process=Process(**found.pop("process")),
            owner=Process(**found.pop("owner")),
            claims=tuple(found.pop("claims")),
            **found,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if note.alive and not note.process.alive:
        note = write(note, status="interrupted", error=GONE)
    return note


def told(report: Report, home: Path, binder: str = "") -> dict[str, Any]:
    """Return what a front end shows of a report.

    Parameters
    ----------
    report : Report
    home : Path
        The notebook's folder.
    binder : str, optional
        The address of the repository.
    """
    linked = binder and report.commit
    return {
        "head": report.head,
        "python": report.python,
        "pinned": report.pinned,
        "verdict": verdict(report.claims) if report.claims else "",
        "findings": [_found(one, report, home) for one in report.findings],
        "roots": [asdict(root) for root in report.roots],
        "changes": [{"path": one.path, "kind": one.kind} for one in report.changes],
        "claims": [claim.as_dict() for claim in report.claims],
        "notes": list(report.notes),
        "next": list(report.next) if report.written else [],
        "badge": badge(binder, report.commit, report.notebooks[0]) if linked else "",
    }


def _found(one: Finding, report: Report, home: Path) -> dict[str, Any]:
    """Return a finding, with where that can be seen: a cell's id, or a file."""
    place = one.where.removeprefix("output of ").removeprefix("metadata of ")
    cell = report.places.get(place, "")
    files = [] if cell else [home / one.where, report.folder / one.where]
    file = next((str(path) for path in files if path.is_file()), "")
    return {**asdict(one), "open": one in report.open, "cell": cell, "file": file}
