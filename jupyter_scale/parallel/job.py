"""What a worker knows of the rank that it runs: seen by the rank's thread and by the notebook."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, RLock, Timer
from typing import Any

from jupyter_scale.parallel.training import Report

__all__ = ["Job", "News", "Stopped"]

FORSAKEN = 120.0  # seconds after which a notebook that does not ask is taken for ended

OBEDIENT = 2.0  # seconds in which a rank ends by itself


class Stopped(BaseException):
    """Ends a rank that is not wanted any more; no `except Exception` of the function keeps it."""


@dataclass(frozen=True)
class News:
    """What a rank has said since it was asked the last time.

    Attributes
    ----------
    reports : list of Report
    saved : Saved or None
        The newest checkpoint, unless it is known.
    epochs : int
        How many there will be.
    """

    reports: list[Report]
    saved: Any
    epochs: int


@dataclass
class Job:
    """A rank, between its thread and those who ask for it.

    Attributes
    ----------
    rank, world_size : int
    backend, device : str
    ends : callable or None
        Ends the connections with other ranks, while there are any.
    """

    rank: int
    world_size: int
    backend: str
    device: str
    epochs: int = 0
    ends: Callable[[], None] | None = None
    _reports: list[Report] = field(default_factory=list)
    _saved: Any = None
    _stop: Event = field(default_factory=Event)
    _thread: int = 0
    _asked: float = field(default_factory=time.monotonic)
    _lock: RLock = field(default_factory=RLock)

    def report(self, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Keep what is to be told: rank 0's, as all have the same."""
        if self.rank == 0:
            with self._lock:
                self._reports.append(Report(epoch, step, values))

    def save(self, saved: Any) -> None:
        """Keep a checkpoint until it is fetched, or there is a newer one."""
        with self._lock:
            self._saved = saved

    def news(self) -> News:
        """Return what was kept."""
        with self._lock:
            self._asked = time.monotonic()
            reports, self._reports = self._reports, []
            saved, self._saved = self._saved, None
        return News(reports, saved, self.epochs)

    @property
    def stopped(self) -> bool:
        """Whether the rank was told to end."""
        return self._stop.is_set()

    def check(self) -> None:
        """Go on, unless the rank is to end.

        Raises
        ------
        Stopped
        """
        if self._stop.is_set():
            raise Stopped("the training was stopped")
        if time.monotonic() - self._asked > FORSAKEN:
            raise Stopped("the notebook has ended, or cannot be reached")

    def wait(self, seconds: float) -> None:
        """Do nothing for a while, unless the rank is to end.

        Raises
        ------
        Stopped
        """
        self._stop.wait(seconds)
        self.check()

    def enter(self, thread: int) -> None:
        """Note in which thread the function runs, which may be interrupted from here on."""
        with self._lock:
            self._thread = thread
        self.check()

    def leave(self) -> None:
        """Let nothing interrupt the thread any more."""
        with self._lock:
            thread, self._thread = self._thread, 0
            if thread:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)

    def stop(self) -> None:
        """End the rank: at its next step, or after a while in its Python code or an exchange."""
        if not self._stop.is_set():
            self._stop.set()
            timer = Timer(OBEDIENT, self._interrupt)
            timer.daemon = True
            timer.start()

    def _interrupt(self) -> None:
        with self._lock:
            if self._thread:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(Stopped)
                )
        if ends := self.ends:
            ends()
