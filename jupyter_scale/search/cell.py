"""Run one cell: scikit-learn's own ``_fit_and_score``, answered from shared pieces of work.

Three of its moments are taken over, all else is scikit-learn's code:

- its split: the rows of a fold are taken once and handed out as read-only views;
- the ``memory`` of its Pipelines: a transformer that another cell has fitted is not fitted again;
- ``transform`` of those transformers: each remembers its answer for the fold's own test rows (and
  training rows), so that a scorer given the whole Pipeline finds the work done.

Invariant: the scores are those of an undisturbed ``_fit_and_score``. A step that could see the
difference (it writes into data that others read, or fails because it may not) raises `NotShared`,
and the cell is run again alone, undisturbed.
"""

from __future__ import annotations

import copy
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sklearn.base import clone
from sklearn.utils import get_tags

from jupyter_scale.search import internals
from jupyter_scale.search.candidate import hooked_steps
from jupyter_scale.search.memory import Memory, Remembered, forget
from jupyter_scale.search.plan import Cell, Fold, Setup
from jupyter_scale.search.sharing import Parcel, aliased, changed, freeze, private, view
from jupyter_scale.search.store import Made, Store

__all__ = ["NotShared", "Reached", "run_cell"]


class NotShared(BaseException):
    """A cell needs data of its own; passes by scikit-learn's ``except Exception``."""


class Reached(BaseException):
    """The node that the cell was run for is made; the rest of the cell is not wanted."""


def run_cell(
    cell: Cell,
    setup: Setup,
    fold: Fold,
    data: Mapping[int, Any],
    store: Store,
    *,
    until: int | None = None,
    say: Callable[..., None] = print,
    warned: list[warnings.WarningMessage] | None = None,
) -> dict[str, Any]:
    """Fit and score one cell.

    Parameters
    ----------
    cell, setup, fold
        What to run, from the plan.
    data : mapping of int to object
        The plan's data (X, y, ...).
    store : Store
        Nodes already made; receives those made here.
    until : int, optional
        A node: stop as soon as it is made.
    say : callable
        Where scikit-learn's ``verbose`` lines go.
    warned : list, optional
        Receives the warnings.

    Returns
    -------
    dict
        What ``_fit_and_score`` returns. ``fit_time`` and ``score_time`` count shared work in full,
        as if the cell had been run alone.

    Raises
    ------
    Reached
        When `until` is made.
    Exception
        What scikit-learn raises, with ``error_score="raise"``.
    """
    arguments = {
        "y": None if setup.y is None else data[setup.y],
        "train": fold.train,
        "test": fold.test,
        "parameters": cell.parameters,
        **cell.progress,
        **setup.options,
    }
    X = data[setup.X]
    with warnings.catch_warnings(record=True) as log, _saying(say):
        try:
            result = None
            if not (cell.alone or _known_not_shared(cell, store)):
                result = _shared(_Sharing(cell, setup, store, until), X, arguments, log)
            if result is None and until is not None:
                raise Reached
            if result is None:
                log.clear()
                if not cell.alone:
                    store.alone.append(cell.number)
                estimator = clone(setup.estimator) if cell.estimator is None else cell.estimator
                result = _plain(estimator, X, **arguments, **(cell.watched or {}))
            return result
        finally:
            if warned is not None:
                warned.extend(log)


def _shared(
    sharing: _Sharing, X: Any, arguments: dict[str, Any], log: list[warnings.WarningMessage]
) -> dict[str, Any] | None:
    """Run a cell on shared data; None if it must be run alone."""
    try:
        result = sharing.run(X, arguments)
    except NotShared:
        return None
    except Exception as error:
        if _read_only(error):
            return None
        raise
    if _read_only(result.get("fit_error")) or any(_read_only(entry.message) for entry in log):
        return None
    return result


def _known_not_shared(cell: Cell, store: Store) -> bool:
    return any(number in store.made and store.made[number].not_shared for number in cell.path)


def _read_only(error: object) -> bool:
    """Tell whether an error says that something tried to write into shared data."""
    text = str(error)
    return "read-only" in text or "readonly" in text or "WRITEABLE" in text


class _Elsewhere:
    """Stands for a transformed training part that later steps no longer need."""


class _Sharing:
    """One run of a cell: what it is handed, and what it hands on."""

    def __init__(self, cell: Cell, setup: Setup, store: Store, until: int | None) -> None:
        self.cell = cell
        self.setup = setup
        self.store = store
        self.until = until
        self.again = bool(setup.options.get("return_train_score"))
        # (role, node) of each object handed out; holding the object keeps its id its own
        self._handed: dict[int, tuple[Any, str, int | None]] = {}
        self._rows: dict[str, Any] = {}
        self._y: Any = None
        self._memories: list[Memory] = []
        self._elapsed = [0.0]
        self.fit_seconds = 0.0
        self.test_seconds = 0.0

    def run(self, X: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run scikit-learn's ``_fit_and_score`` with this sharing in force."""
        estimator = clone(self.setup.estimator)
        before, _local.sharing = _sharing(), self
        try:
            result: dict[str, Any] = _intercepted(estimator, X, **arguments)
        finally:
            _local.sharing = before
        if "fit_time" in result:
            result["fit_time"] += self.fit_seconds - self._elapsed[0]
            result["score_time"] += self.test_seconds
        if "estimator" in result:
            self._release()
        return result

    # -- the split

    def split(
        self, estimator: Any, X: Any, y: Any, indices: Any, train_indices: Any = None
    ) -> tuple[Any, Any]:
        """Answer scikit-learn's ``_safe_split``."""
        role = "train" if train_indices is None else "test"
        if role == "train":
            self._configure(estimator)
        pairwise = bool(get_tags(estimator).input_tags.pairwise)
        key = (self.cell.fold, self.cell.setup, role, pairwise)
        rows, targets = self.store.split(
            key, lambda: internals.safe_split(estimator, X, y, indices, train_indices)
        )
        self._rows[role] = rows
        mine = self._hand(view(rows), role, None)
        targets = view(targets)
        if role == "train":
            self._y = targets
        return mine, targets

    def _configure(self, estimator: Any) -> None:
        """Put this sharing in the place of the Pipelines' memory."""
        if not self.cell.path:
            return
        memories: dict[int, Memory] = {}
        numbers = iter(self.cell.path)
        for pipeline, _, _ in hooked_steps(estimator):
            if id(pipeline) not in memories:
                memories[id(pipeline)] = Memory(self, pipeline)
            memories[id(pipeline)].numbers.append(next(numbers, None))
        self._memories = list(memories.values())

    def scored(self) -> None:
        """Give the Pipelines their own memory back before anyone looks at them."""
        for memory in self._memories:
            memory.pipeline.memory = memory.original

    def _release(self) -> None:
        """Leave no trace of the sharing in an estimator that is returned."""
        self.scored()
        for memory in self._memories:
            forget(memory.pipeline)

    # -- the steps

    def step(
        self,
        number: int | None,
        function: Callable[..., Any],
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        """Answer a Pipeline that asks for a fitted transformer."""
        if number is None:
            result: tuple[Any, Any] = function(transformer, X, y, **options)
            return result
        start = time.perf_counter()
        self._elapsed.append(0.0)
        try:
            made = self.store.made.get(number)
            if made is None:
                made = self._make(number, function, transformer, X, y, options)
                self.store.made[number] = made
        finally:
            self._elapsed.pop()
            self._elapsed[-1] += time.perf_counter() - start
        if made.not_shared:
            raise NotShared
        if number == self.until:
            raise Reached
        self.fit_seconds += made.fit_seconds
        if made.error is not None:
            raise made.error.with_traceback(made.trace)
        if id(X) not in self._handed:  # a Pipeline subclass that changes its input
            raise NotShared
        upstream = self._handed[id(X)][2]
        return self._output(number, made), self._remembering(number, made, upstream)

    def _make(
        self,
        number: int,
        function: Callable[..., Any],
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
    ) -> Made:
        """Fit the transformer of a node."""
        _, role, upstream = self._handed.get(id(X), (None, "", None))
        before = None if upstream is None else self.store.made[upstream]
        node = self.store.nodes[number]
        of_the_fold = before is None or before.alias
        if role != "train" or y is not self._y or (node.in_place and of_the_fold):
            return Made(not_shared=True)
        given = private(X) if node.in_place else X
        inner = self.fit_seconds
        start = time.perf_counter()
        try:
            output, fitted = function(transformer, given, y, **options)
        except Exception as error:
            if _read_only(error):
                return Made(not_shared=True)
            seconds = time.perf_counter() - start - self._elapsed[-1]
            self.store.fresh[number] = seconds
            return Made(error=error, trace=error.__traceback__, fit_seconds=seconds)
        seconds = time.perf_counter() - start - self._elapsed[-1]
        # steps inside this one are part of its time for every cell that uses it
        inner, self.fit_seconds = self.fit_seconds - inner, inner
        if before is None and changed(given, self._rows["train"]):
            return Made(not_shared=True)
        forget(fitted)
        made = Made(
            fitted,
            Parcel(freeze(output)),
            fit_seconds=seconds + inner,
            alias=of_the_fold and aliased(output, X),
        )
        self._transform(made, before, in_place=node.in_place)
        self.store.fresh[number] = seconds + made.test_seconds
        return made

    def _transform(self, made: Made, before: Made | None, *, in_place: bool) -> None:
        """Transform the test rows, and if they are scored the training rows, once for all."""
        start = time.perf_counter()
        test = self._rows_of("test") if before is None else before.test
        made.test = _transformed(made.transformer, test, in_place=in_place)
        made.test_seconds = time.perf_counter() - start
        if self.again:
            train = self._rows_of("train") if before is None else before.again
            made.again = _transformed(made.transformer, train, in_place=in_place)

    def _rows_of(self, role: str) -> Parcel:
        return Parcel(self._rows[role])

    def _output(self, number: int, made: Made) -> Any:
        """Return the transformed training part as the next step may have it."""
        if made.train is None:
            output: Any = _Elsewhere()
        elif self.cell.in_place and number == self.cell.path[-1]:
            output = private(made.train.value)
        else:
            output = view(made.train.value)
        return self._hand(output, "train", number)

    def _remembering(self, number: int, made: Made, upstream: int | None) -> Any:
        """Return this cell's own copy of a fitted transformer, which remembers its answers."""
        kind = type(made.transformer)
        if not hasattr(kind, "transform") or not hasattr(made.transformer, "__dict__"):
            return made.transformer
        copied = copy.copy(made.transformer) if _odd(kind) else object.__new__(kind)
        copied.__dict__.update(made.transformer.__dict__)
        copied.__dict__["transform"] = Remembered(self, number, upstream, made, copied)
        return copied

    def answer(self, number: int, upstream: int | None, made: Made, X: Any) -> Any:
        """Return what a node remembers for `X`, or None."""
        _, role, node = self._handed.get(id(X), (None, "", -1))
        if node != upstream:
            return None
        if role == "test" and made.test is not None:
            self.test_seconds += made.test_seconds
            return self._hand(view(made.test.value), "test", number)
        # the rows of the fold, or what transform (not fit_transform) made of them
        if made.again is not None and role == ("train" if upstream is None else "again"):
            return self._hand(view(made.again.value), "again", number)
        return None

    def _hand(self, value: Any, role: str, number: int | None) -> Any:
        self._handed[id(value)] = (value, role, number)
        return value


def _odd(kind: type) -> bool:
    """Tell whether instances of a class may hold state outside their ``__dict__``."""
    new: Any = kind.__new__
    return new is not object.__new__ or any(vars(base).get("__slots__") for base in kind.__mro__)


def _transformed(transformer: Any, rows: Parcel | None, *, in_place: bool) -> Parcel | None:
    if rows is None or not hasattr(transformer, "transform"):
        return None
    try:
        given = private(rows.value) if in_place else view(rows.value)
        output = transformer.transform(given)
    except Exception:  # a scorer that needs it will meet the same error
        return None
    if changed(given, rows.value):
        return None
    return Parcel(freeze(output))


_local = threading.local()


def _sharing() -> _Sharing | None:
    return getattr(_local, "sharing", None)


@contextmanager
def _saying(say: Callable[..., None]) -> Iterator[None]:
    before, _local.say = getattr(_local, "say", print), say
    try:
        yield
    finally:
        _local.say = before


def _say(*args: Any, **kwargs: Any) -> None:
    _local.say(*args, **kwargs)


def _split(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    rows: tuple[Any, Any] = _local.sharing.split(*args, **kwargs)
    return rows


def _score(*args: Any, **kwargs: Any) -> Any:
    _local.sharing.scored()
    return internals.score(*args, **kwargs)


_plain = internals.substituted(internals.fit_and_score, print=_say)
_intercepted = internals.substituted(
    internals.fit_and_score, print=_say, _safe_split=_split, _score=_score
)
