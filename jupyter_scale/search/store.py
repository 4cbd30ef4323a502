"""The shared pieces of work that a task knows: nodes made, folds cut."""

from __future__ import annotations

import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from dask.sizeof import sizeof

from jupyter_scale.search.plan import Cell, Node
from jupyter_scale.search.sharing import Parcel, freeze

__all__ = ["SHARED", "Made", "Splits", "Store"]

SHARED = "(fitted once for all candidates that share it)"
"""Stands in an error's text between what it says and where it was raised."""


@dataclass(slots=True, eq=False)
class Made:
    """A node's result: the fitted estimator and what it made of the fold.

    `train` is what ``fit_transform`` returned; `again` what ``transform`` returns for the training
    rows (not always the same); `test` for the test rows. None: not made.
    """

    transformer: Any = None
    train: Parcel | None = None
    test: Parcel | None = None
    again: Parcel | None = None
    fit_seconds: float = 0.0
    test_seconds: float = 0.0
    alias: bool = False
    """The outputs may share memory with the fold's own rows."""
    error: Exception | None = None
    trace: types.TracebackType | None = None
    not_shared: bool = False
    answers: dict[tuple[str, str], tuple[Parcel, float]] = field(default_factory=dict)
    """What a method gave for the test ("test") or training rows ("again"), in so many seconds."""
    crossed: Parcel | None = None
    """Cross-validated predictions for the training rows."""
    crossed_seconds: float = 0.0
    inner: dict[bytes, Made] = field(default_factory=dict)
    """Fits that a meta-estimator did on data of its own, by the content of those data."""

    def mine(self) -> Made:
        """Return this result for a task, which may add answers of its own."""
        return replace(self, answers=dict(self.answers), inner=dict(self.inner))

    @property
    def nbytes(self) -> int:
        """About the memory that this result takes."""
        parcels = [self.train, self.test, self.again, *(one for one, _ in self.answers.values())]
        rows = sum(int(sizeof(parcel.value)) for parcel in parcels if parcel is not None)
        return rows + _size(self.transformer)

    def without_train(self) -> Made:
        """Return what the cells below a later node still need of this one."""
        return replace(self, train=None)

    def portable(self) -> Made:
        """Return this result as it can travel: tracebacks as text."""
        if self.error is not None and self.trace is not None:
            lines = "".join(traceback.format_tb(self.trace))
            self.error.add_note(f"{SHARED}\n{lines}")
        return replace(self, trace=None)


def _size(value: Any) -> int:
    """Estimate the bytes of a fitted estimator, with those inside it."""
    if isinstance(value, list | tuple) and len(value) < 100:
        return sum(map(_size, value))
    if hasattr(value, "get_params") and hasattr(value, "__dict__"):
        return sum(map(_size, vars(value).values()))
    return int(sizeof(value))


class Splits:
    """The frozen rows of the last few folds that were asked for, each cut once.

    Parameters
    ----------
    folds : int
        So many threads may be at work on a fold each: these folds are kept.
    room : float
        Bytes that folds may take for more of them to be kept.

    Examples
    --------
    >>> import numpy as np
    >>> splits = Splits(room=20_000)
    >>> cuts = []
    >>> def cut(fold):
    ...     cuts.append(fold)
    ...     return np.zeros(1000), None
    >>> for fold in [0, 1, 0, 1, 2, 0, 2]:
    ...     _ = splits.rows(fold, (), lambda: cut(fold))
    >>> cuts  # there is room for two
    [0, 1, 2, 0]
    """

    def __init__(self, folds: int = 1, room: float = 0.0) -> None:
        self._folds, self._room = folds, room
        self._rows: dict[int, dict[tuple[Any, ...], tuple[Any, Any]]] = {}
        self._sizes: dict[int, int] = {}
        self._lock = Lock()

    def rows(
        self, fold: int, key: tuple[Any, ...], cut: Callable[[], tuple[Any, Any]]
    ) -> tuple[Any, Any]:
        """Return the rows of a fold that `cut` returns, which is not called again for this key."""
        with self._lock:
            known = self._rows[fold] = self._rows.pop(fold, {})
            self._make_room()
        if key not in known:
            X, y = cut()
            known[key] = (freeze(X), freeze(y))
            with self._lock:
                if self._rows.get(fold) is known:  # else other threads have let it go
                    self._sizes[fold] = sum(int(sizeof(rows)) for rows in tuple(known.values()))
                self._make_room()
        return known[key]

    def _make_room(self) -> None:
        """Let go of the folds that were not asked for the longest, with room for a new one."""
        each = max(self._sizes.values(), default=0)
        taken = sum(max(self._sizes.get(fold, 0), each) for fold in self._rows)
        for old in list(self._rows)[: -self._folds]:
            if taken <= self._room:
                break
            taken -= max(self._sizes.pop(old, 0), each)
            del self._rows[old]


@dataclass(slots=True, eq=False)
class Store:
    """What a task knows: folds cut and nodes made, by number; and what it made itself."""

    nodes: Mapping[int, Node]
    splits: Splits
    made: dict[int, Made] = field(default_factory=dict)
    fresh: dict[int, float] = field(default_factory=dict)
    """Seconds that each node made here took."""
    alone: list[int] = field(default_factory=list)
    """Cells run on data of their own although the plan had them share."""
    unplanned: list[str] = field(default_factory=list)
    """Labels of fits that one fit was to answer and could not."""
    _last: dict[int, int] = field(default_factory=dict)
    _due: dict[int, list[int]] = field(default_factory=dict)

    def expect(self, cells: Iterable[Cell]) -> None:
        """Learn which cells are to be run, in their order: what none needs any more is dropped."""
        for place, cell in enumerate(cells):
            for number in cell.path:
                if number not in self._last:  # once it is made, what it needs is not needed
                    self._last.update(dict.fromkeys(self.nodes[number].needs, place))
                self._last[number] = place
            self._last.update(dict.fromkeys(cell.needs, place))
        for number, place in self._last.items():
            self._due.setdefault(place, []).append(number)

    def drop(self, place: int) -> None:
        """Forget what only the cell at this place, or none later, needs."""
        for number in self._due.pop(place, ()):
            self.made.pop(number, None)
