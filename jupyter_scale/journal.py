"""The live state of a cell's searches, in a file: what others see of a kernel that is busy.

Each cell that searches has one in Jupyter's runtime directory, for its owner only and always whole:
where the cell is, how far its search is, and what its output shows. The kernel writes it, the
Jupyter server reads it: so the side panel, and the output of a page that was loaded again, need
nothing of the kernel. What is asked for there (stop, pause) comes back in a second file. A note
whose process has ended says so, to whoever reads it next; it goes after a day.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import uuid4

from jupyter_scale.clusters.connection import Process, folder, written
from jupyter_scale.notes import listed, path_of

__all__ = ["Action", "Entry", "Journal", "ask", "entries", "find", "forget"]

PREFIX, ASKED = "search-", ".asked"
ALIVE = ("running", "paused", "refitting")
INTERRUPTED = "interrupted"
INTERVAL = 1.0  # seconds between two writings
LOOK = 0.25  # seconds between looks at what is asked for
RATE = 100_000  # bytes that are written in a second
Action = Literal["stop", "pause", "resume"]
GONE = "Interrupted: its kernel has ended. What was done until then:"


@dataclass(frozen=True, slots=True)
class Entry:
    """The searches of one run of a cell; the numbers are those of the last one.

    Attributes
    ----------
    id : str
    process, owner : Process
        The kernel, and the Jupyter server (or whatever program) that it belongs to.
    kernel, cell : str
        Their ids as front ends know them, or empty.
    notebook : str
        Its path when the kernel was started, or empty.
    started, updated : float
        Seconds since the epoch.
    count : int
        The cell's number in its prompt, or 0.
    name : str
        The search and its estimator.
    status : str
        That of its report, or ``paused``.
    cluster, cluster_id : str
        Where it runs, in words; the id of that, if it has one.
    cells, cells_done, fits, fits_done, fits_saved : int
        As in its report.
    seconds : float
        Since it began.
    seconds_left : float or None
    score : float or None
        The best so far.
    parameters : str
        That have it.
    failures : tuple of str
        Errors with their numbers.
    run : str
        The id on record, or empty.
    html, text : str
        What the cell's output shows.
    """

    id: str
    process: Process
    owner: Process
    kernel: str
    cell: str
    notebook: str
    started: float
    updated: float = 0.0
    count: int = 0
    name: str = ""
    status: str = "running"
    cluster: str = ""
    cluster_id: str = ""
    cells: int = 0
    cells_done: int = 0
    fits: int = 0
    fits_done: int = 0
    fits_saved: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    score: float | None = None
    parameters: str = ""
    failures: tuple[str, ...] = ()
    run: str = ""
    html: str = ""
    text: str = ""

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self.status in ALIVE

    def over(self) -> Entry:
        """Return what is to be said after the kernel's end."""
        return replace(
            self,
            status=INTERRUPTED,
            updated=time.time(),
            seconds_left=None,
            html=f"<p><strong>{GONE}</strong></p>{self.html}",
            text=f"{GONE}\n{self.text}",
        )


# -- for those who look


def entries() -> list[Entry]:
    """Return the notes of this user's searches, the oldest first; those of long ago are removed."""
    return listed(PREFIX, _read, forget)


def find(identifier: str) -> Entry | None:
    """Return the note with an id, or None."""
    return _read(_path(identifier))


def ask(entry: Entry, action: Action) -> None:
    """Have the search stop, pause or go on, within a second.

    Raises
    ------
    ValueError
        If it has ended, or there is no such action.
    """
    if action not in get_args(Action):
        raise ValueError(f"{action!r}: choose one of {', '.join(get_args(Action))}")
    if not entry.alive:
        raise ValueError(f"{entry.name} has ended: {entry.status}")
    written(_asked(entry.id), action)


def forget(identifier: str) -> None:
    """Remove a note."""
    for path in (_path(identifier), _asked(identifier)):
        path.unlink(missing_ok=True)


def _path(identifier: str) -> Path:
    return path_of(PREFIX, identifier)


def _asked(identifier: str) -> Path:
    return folder() / f"{PREFIX}{identifier}{ASKED}"


def _read(path: Path) -> Entry | None:
    """Return a note, or None where it is another's or was removed in this moment.

    What a dead kernel has left is noted as that.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entry = Entry(
            process=Process(**found.pop("process")),
            owner=Process(**found.pop("owner")),
            failures=tuple(found.pop("failures")),
            **found,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if entry.alive and not entry.process.alive:
        entry = entry.over()
        _write(entry)
    return entry


def _write(entry: Entry) -> None:
    written(_path(entry.id), json.dumps(asdict(entry)))


# -- for the kernel


class Journal:
    """Writes the note of one run of a cell, in a thread of its own: no search waits for a disk.

    Parameters
    ----------
    owner : Process
    kernel, cell, notebook : str
        As in `Entry`, as ``cluster_id`` and ``count`` are.
    asked : callable
        Is told what somebody asks for.
    """

    def __init__(
        self,
        owner: Process,
        kernel: str,
        cell: str,
        notebook: str,
        asked: Callable[[Action], None],
        cluster_id: str = "",
        count: int = 0,
    ) -> None:
        self.entry = Entry(
            uuid4().hex[:12],
            Process.this(),
            owner,
            kernel,
            cell,
            notebook,
            started=time.time(),
            cluster_id=cluster_id,
            count=count,
        )
        self._obey = asked
        self._lock = threading.Lock()
        self._fresh = False
        self._next = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, **changes: Any) -> None:
        """Have the note say this from now on."""
        with self._lock:
            self.entry = replace(self.entry, updated=time.time(), **changes)
            self._fresh = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="scale-journal", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what was noted last."""
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join(5)

    def _follow(self) -> None:
        while not self._ended.wait(LOOK):
            with suppress(OSError):
                self._hear()
                self._put()
        with suppress(OSError):
            self._put(at_once=True)
            _asked(self.entry.id).unlink(missing_ok=True)

    def _hear(self) -> None:
        path = _asked(self.entry.id)
        if path.exists():
            action = path.read_text(encoding="utf-8")
            path.unlink()
            if action in get_args(Action):
                self._obey(action)  # type: ignore[arg-type]  # checked in the line above

    def _put(self, *, at_once: bool = False) -> None:
        with self._lock:
            entry, fresh = self.entry, self._fresh
            if not fresh or not (at_once or time.monotonic() >= self._next):
                return
            self._fresh = False
        _write(entry)
        size = len(entry.html) + len(entry.text)
        self._next = time.monotonic() + max(INTERVAL, size / RATE)
