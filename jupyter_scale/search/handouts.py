"""What a running cell was handed: of each object, which rows it is, and what which node made of it.

A step is asked for with an object, so the object tells which node is meant: every row set that a
cell is given is noted here, by identity, with its role (the fold's own "train" or "test" rows; the
training rows "again", as ``transform`` returns them) and the node that it comes from (None: the
split). Fitted estimators are handed out as copies that remember what their methods gave for those
rows.

Invariants: rows are handed out read-only, or as copies to those that write; what a node gives for
the test rows is computed once. Where an object is none of these, nothing is answered for it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_scale.search import internals
from jupyter_scale.search.clock import Clock
from jupyter_scale.search.hooks import Hook, Memory, Remembered
from jupyter_scale.search.plan import Cell
from jupyter_scale.search.sharing import Parcel, changed, freeze, private, view
from jupyter_scale.search.store import Made, Store

__all__ = ["Handouts", "NotShared", "Reached", "twin"]


class NotShared(BaseException):
    """A cell needs data of its own; passes by scikit-learn's ``except Exception``."""


class Reached(BaseException):
    """The node that the cell was run for is made; the rest of the cell is not wanted."""


class _Elsewhere:
    """Stands for a transformed training part that later steps no longer need."""


class Handouts:
    """The objects that one run of a cell was handed.

    Parameters
    ----------
    cell : Cell
    store : Store
        Whose nodes are handed out.
    clock : Clock
    again : bool
        The training rows are scored too.
    """

    def __init__(self, cell: Cell, store: Store, clock: Clock, *, again: bool) -> None:
        self.cell = cell
        self.store = store
        self.clock = clock
        self.again = again
        self.rows: dict[str, Any] = {}
        """What the split gave, by role."""
        # (role, node) of each object handed out; holding the object keeps its id its own
        self._handed: dict[int, tuple[Any, str, int | None]] = {}
        self._targets: dict[int, Any] = {}
        self._remembering: list[Any] = []
        # whose rows the meta-estimator at work was given, while it asks its parts
        self._inside: list[tuple[str, int | None]] = []

    # -- which object is what

    def hand(self, value: Any, role: str, number: int | None) -> Any:
        """Note what an object is; return it."""
        self._handed[id(value)] = (value, role, number)
        return value

    def trust(self, y: Any) -> None:
        """Note targets that follow from the fold's own."""
        self._targets[id(y)] = y

    def about(self, X: Any) -> tuple[str, int | None]:
        """Return the role and the node of an object; "" and -1 of one that was not handed out."""
        _, role, node = self._handed.get(id(X), (None, "", -1))
        return role, node

    def for_training(self, X: Any, y: Any) -> bool:
        """Tell whether these are training rows of the fold, with their targets."""
        return self.about(X)[0] == "train" and id(y) in self._targets

    # -- rows

    def output(self, number: int, made: Made) -> Any:
        """Return the transformed training part as the next step may have it."""
        if made.train is None:
            output: Any = _Elsewhere()
        elif self._before_writing(number):
            output = private(made.train.value)
        else:
            output = view(made.train.value)
        return self.hand(output, "train", number)

    def transform(self, made: Made, upstream: int | None, *, in_place: bool = False) -> None:
        """Transform the test rows, and if they are scored the training rows, once for all."""
        start = time.perf_counter()
        made.test = self._transformed(made.transformer, upstream, "test", in_place=in_place)
        made.test_seconds = time.perf_counter() - start
        if self.again:
            made.again = self._transformed(made.transformer, upstream, "again", in_place=in_place)

    def _transformed(
        self, transformer: Any, upstream: int | None, role: str, *, in_place: bool
    ) -> Parcel | None:
        rows = self._rows_of(role, upstream)
        if rows is None or not hasattr(transformer, "transform"):
            return None
        given = private(rows.value) if in_place else view(rows.value)
        self.hand(given, role, upstream)
        try:
            with self._asking(role, upstream):
                output = transformer.transform(given)
        except Exception:  # a scorer that needs it will meet the same error
            return None
        if changed(given, rows.value):
            return None
        return Parcel(freeze(output))

    def _rows_of(self, role: str, upstream: int | None) -> Parcel | None:
        """Return what a node (or the split) has for the test or the training rows."""
        if upstream is None:
            return Parcel(self.rows["test" if role == "test" else "train"])
        before = self.store.made[upstream]
        return before.test if role == "test" else before.again

    def select(self, number: int, hook: Hook, X: Any) -> None:
        """Note which columns a ColumnTransformer gives to a part."""
        if number not in self.store.made:
            parent = self.store.nodes[number].parent
            columns = internals.columns_of(hook.outer, hook.name)
            made = Made(test=self._columns("test", parent, columns), alias=True)
            if self.again:
                made.again = self._columns("again", parent, columns)
            self.store.made[number] = made
        self.hand(X, "train", number)

    def _columns(self, role: str, parent: int | None, columns: Any) -> Parcel | None:
        rows = self._rows_of(role, parent)
        if rows is None:
            return None
        return Parcel(freeze(internals.safe_indexing(rows.value, columns, axis=1)))

    # -- fitted estimators

    def copied(
        self, number: int, made: Made, upstream: int | None, methods: tuple[str, ...]
    ) -> Any:
        """Return this cell's own copy of a fitted estimator, which remembers its answers."""
        if not hasattr(made.transformer, "__dict__"):
            return made.transformer
        copied = twin(made.transformer)
        Remembered.attach(self, (number, upstream, made), copied, methods)
        self.remember(copied)
        return copied

    def remember(self, estimator: Any) -> None:
        """Note an estimator that remembers answers, to `forget` them in time."""
        self._remembering.append(estimator)

    @property
    def remembering(self) -> int:
        """How many estimators remember answers."""
        return len(self._remembering)

    def forget(self, since: int) -> None:
        """Take the remembered answers out of what was handed out since."""
        for estimator in self._remembering[since:]:
            Remembered.remove(estimator)
        del self._remembering[since:]

    def answer(
        self, about: tuple[int, int | None, Made], method: str, function: Any, X: Any
    ) -> Any:
        """Return what a method of a fitted node gives for `X`."""
        number, upstream, made = about
        role, node = self.about(X)
        if node == -1 and self._are_columns(upstream):
            role, node = self._inside[-1][0], upstream
            self.hand(X, role, upstream)
        if role == "train" and node is None:
            role = "again"
        if node != upstream or role not in ("test", "again"):
            with self._asking("", -1):
                return function(X)
        known = None
        if method == "transform":
            known, seconds = (made.test, made.test_seconds) if role == "test" else (made.again, 0.0)
        if known is None and (method, role) in made.answers:
            known, seconds = made.answers[method, role]
        if known is None:
            start = time.perf_counter()
            with self._asking(role, upstream):
                output = function(X)
            if isinstance(output, list):  # cannot be made read-only
                return output
            known = Parcel(freeze(output))
            made.answers[method, role] = known, time.perf_counter() - start
        elif role == "test":
            self.clock.test_seconds += seconds
        if method != "transform":  # an estimator may write into what its own method has returned
            return private(known.value)
        given = private(known.value) if self._before_writing(number) else view(known.value)
        return self.hand(given, role, number)

    def _before_writing(self, number: int) -> bool:
        """Tell whether what a node makes is the input of a last step that may write into it."""
        return self.cell.in_place and number == self.cell.path[-1]

    def _are_columns(self, upstream: int | None) -> bool:
        """Tell whether a part asks about the columns of rows its meta-estimator was asked about."""
        if upstream is None or not self._inside:
            return False
        node = self.store.nodes[upstream]
        return node.role == "columns" and self._inside[-1] in (
            ("test", node.parent),
            ("again", node.parent),
        )

    @contextmanager
    def _asking(self, role: str, upstream: int | None) -> Iterator[None]:
        self._inside.append((role, upstream))
        try:
            yield
        finally:
            self._inside.pop()


def twin(estimator: Any) -> Any:
    """Return another object with the same attributes."""
    kind = type(estimator)
    new: Any = kind.__new__
    # instances of a class may hold state outside their __dict__
    odd = new is not object.__new__ or any(vars(base).get("__slots__") for base in kind.__mro__)
    copied = copy.copy(estimator) if odd else object.__new__(kind)
    if hasattr(estimator, "__dict__"):
        copied.__dict__.update(estimator.__dict__)
        copied.__dict__.pop(internals.CONTEXT, None)  # of the fit that is under way
        if isinstance(memory := copied.__dict__.get("memory"), Memory):
            copied.__dict__["memory"] = memory.original
    return copied
