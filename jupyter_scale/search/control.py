"""Pause, resume or stop running searches, from any thread.

A search asks its `Control` before each cell (in this process) or many times a second (on a
cluster). A pause lets what was handed out end; a stop cancels it, and keeps what is done.
"""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Control", "SearchStopped"]


class SearchStopped(RuntimeError):
    """A search was stopped by `Control.stop`; its report holds the scores that were done."""


class Control:
    """The switch of all searches in a `merged` context.

    Examples
    --------
    >>> control = Control()
    >>> control.pause()
    >>> control.paused
    True
    >>> control.resume()
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = False
        self._stopping = False

    @property
    def paused(self) -> bool:
        """Whether no new work is started."""
        return self._paused

    @property
    def stopping(self) -> bool:
        """Whether the search has still to obey `stop`."""
        return self._stopping

    def pause(self) -> None:
        """Let tasks that were handed out end, and hand out none."""
        self._set(paused=True)

    def resume(self) -> None:
        """Go on after a pause."""
        self._set(paused=False)

    def stop(self) -> None:
        """End the running search (or the next one) with `SearchStopped`; what is done is kept."""
        self._set(stopping=True)

    def _set(self, *, paused: bool | None = None, stopping: bool | None = None) -> None:
        with self._changed:
            self._paused = self._paused if paused is None else paused
            self._stopping = self._stopping if stopping is None else stopping
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait for the end of a pause; tell whether the search is to stop."""
        with self._changed:
            while self._paused and not self._stopping:
                self._changed.wait(0.1)  # so that an interrupt is heard
            return self._stopping

    def check(self) -> None:
        """Obey `stop`, once.

        Raises
        ------
        SearchStopped
        """
        with self._changed:
            if self._stopping:
                self._stopping = self._paused = False
                raise SearchStopped(
                    "the search was stopped; what was done is in its scale_report.scores"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        return Control, ()
