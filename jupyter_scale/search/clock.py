"""What a cell is charged for: the time of shared work in full, whoever has done it.

scikit-learn times a cell's fit and score with a stopwatch around them. Inside a run, though, shared
work is found done, or is done for other cells too. So the seconds that a run spends on shared work
are kept apart (`elapsed`) and taken off, and what that work took when it was done is put on
(`fit_seconds`, `test_seconds`): ``fit_time`` and ``score_time`` are those of a cell run alone.

Shared work may hold shared work, as the parts of a meta-estimator do; each stretch counts what is
inside it, so that nothing is taken off twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Clock"]


class Clock:
    """The seconds of one run of a cell.

    Attributes
    ----------
    fit_seconds, test_seconds : float
        What the shared work that was handed out took, when it was done.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock.apart():
    ...     with clock.apart():
    ...         pass
    ...     inside = clock.inside
    >>> 0 <= inside <= clock.elapsed
    True
    """

    def __init__(self) -> None:
        self.fit_seconds = 0.0
        self.test_seconds = 0.0
        self._elapsed = [0.0]

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Keep the time spent here apart: cells are charged for shared work in full."""
        start = time.perf_counter()
        self._elapsed.append(0.0)
        try:
            yield
        finally:
            self._elapsed.pop()
            self._elapsed[-1] += time.perf_counter() - start

    @property
    def inside(self) -> float:
        """Seconds kept apart so far within the stretch that is under way."""
        return self._elapsed[-1]

    @property
    def elapsed(self) -> float:
        """Seconds spent on shared work in this run, which `fit_seconds` accounts for."""
        return self._elapsed[0]
