"""How many pieces of work are under way at a time. Pure: no cluster, no clock."""

from __future__ import annotations

__all__ = ["Window"]

OPEN = 64  # pieces under way that are nothing to a scheduler
OPENING = 25.0  # more a second


class Window:
    """How many pieces are to be under way: each thread busy, as little as can be queued.

    On a wide cluster it opens slowly: a worker's first piece takes the scheduler three messages.

    Examples
    --------
    >>> window = Window()
    >>> window.size(threads=4, now=0.0)
    8
    >>> window.size(threads=1000, now=0.0), window.size(threads=1000, now=1.0)
    (64, 89)
    """

    def __init__(self) -> None:
        self._open = 0.0
        self._now = 0.0

    def size(self, *, threads: int, now: float) -> int:
        """Return the size for so many threads at a time, in seconds."""
        full = 2 * threads
        opened = self._open + OPENING * (now - self._now) if self._open else 0.0
        self._open, self._now = min(full, max(opened, OPEN)), now
        return int(self._open)
