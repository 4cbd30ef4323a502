"""What ranges of a schedule's entries and nodes will take, from the durations learned so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jupyter_scale.search.durations import Durations

__all__ = ["Estimates"]


class Estimates:
    """Seconds of ranges, at the price of a subtraction; None where a step is unknown.

    Parameters
    ----------
    durations : Durations
    entries, nodes : sequence of int
        Kinds of the entries, and of the forest's nodes, in the order of the schedule.
    beside, places : sequence of int
        Kinds of the nodes beside the forest, and the first place where each is needed.

    Examples
    --------
    >>> durations = Durations(["fit", "score"])
    >>> estimates = Estimates(durations, [1, 1], [0], [], [])
    >>> durations.learn(1, 2.0)
    >>> estimates.refresh(), estimates.entries(0, 2), estimates.nodes(0, 1)
    (True, 4.0, None)
    """

    def __init__(
        self,
        durations: Durations,
        entries: Sequence[int],
        nodes: Sequence[int],
        beside: Sequence[int],
        places: Sequence[int],
    ) -> None:
        self._durations = durations
        self._kinds = [np.array(kinds, dtype=np.intp) for kinds in (entries, nodes, beside)]
        self._places = np.array(places, dtype=np.intp)
        self._learned = -1

    def refresh(self) -> bool:
        """Estimate anew and return True, when enough was learned since the last time."""
        news = self._durations.learned - self._learned
        if self._learned >= 0 and news <= self._durations.learned // 20:
            return False
        self._learned = self._durations.learned
        entries, nodes, beside = self._kinds
        self._seconds = self._durations.estimates()
        costs = self._seconds[entries]
        np.add.at(costs, self._places, self._seconds[beside])
        self._entries, self._nodes = _Sums(costs), _Sums(self._seconds[nodes])
        return True

    def forget(self) -> None:
        """Estimate anew the next time."""
        self._learned = -1

    def entries(self, start: int, stop: int) -> float | None:
        """Return what a range of entries takes, without what is shared above them."""
        return self._entries.between(start, stop)

    def nodes(self, first: int, last: int) -> float | None:
        """Return what a range of the forest's nodes takes."""
        return self._nodes.between(first, last)

    def kind(self, number: int) -> float | None:
        """Return what a node of some kind takes."""
        seconds = float(self._seconds[number])
        return None if np.isnan(seconds) else seconds


class _Sums:
    """Running sums of costs, and of how many are unknown."""

    def __init__(self, costs: NDArray[np.float64]) -> None:
        unknown = np.isnan(costs)
        self._costs = np.concatenate([[0.0], np.cumsum(np.where(unknown, 0.0, costs))])
        self._unknown = np.concatenate([[0], np.cumsum(unknown)])

    def between(self, start: int, stop: int) -> float | None:
        if self._unknown[stop] > self._unknown[start]:
            return None
        return float(self._costs[stop] - self._costs[start])
