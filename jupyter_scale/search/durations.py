"""How long each kind of work takes, learned while it is done.

A kind is a step in one setting after the same steps before it, on any fold: one fold teaches what
the others will take. Until a kind is known its step's mean stands in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Durations"]


class Durations:
    """Mean seconds per kind of work.

    Parameters
    ----------
    labels : sequence of str
        The step that each kind is a setting of.

    Examples
    --------
    >>> durations = Durations(["fit", "fit", "score"])
    >>> durations.learn(0, 2.0)
    >>> durations.estimates().tolist()
    [2.0, 2.0, nan]
    """

    def __init__(self, labels: Sequence[str]) -> None:
        names = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        self._label: NDArray[Any] = np.array([names[label] for label in labels], dtype=np.intp)
        self._labels = len(names)
        self._seconds = np.zeros(len(labels))
        self._counts = np.zeros(len(labels))
        self.learned = 0

    def learn(self, kind: int, seconds: float) -> None:
        """Note how long a piece of work of some kind took."""
        self._seconds[kind] += seconds
        self._counts[kind] += 1
        self.learned += 1

    def estimates(self) -> NDArray[np.float64]:
        """Return the seconds that each kind takes; nan where nothing is known of its step."""
        with np.errstate(invalid="ignore", divide="ignore"):
            by_label = np.bincount(self._label, self._seconds, self._labels) / np.bincount(
                self._label, self._counts, self._labels
            )
            own = self._seconds / self._counts
        return np.where(self._counts > 0, own, by_label[self._label])
