"""What a running cell answers when scikit-learn asks for work that is shared.

The hooks (`hooks`) ask; here it is known which data they were handed, and so which node is meant.
Invariant: an answer is what scikit-learn would have computed, to the last bit. Where that cannot
be told (the data are none that were handed out, a step writes into what others read), `NotShared`
is raised, and the cell is run again alone, undisturbed.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sklearn.base import clone
from sklearn.utils import get_tags

from jupyter_scale.search import axes, internals
from jupyter_scale.search.hooks import ANSWERS, Hook, Memory, Remembered, attach
from jupyter_scale.search.identity import Unidentified, identify
from jupyter_scale.search.plan import Cell, Fold, Node, Setup, Site
from jupyter_scale.search.sharing import Parcel, aliased, changed, denied, freeze, private, view
from jupyter_scale.search.store import Made, Store

__all__ = ["Answers", "NotShared", "Reached"]

Fit = Callable[..., tuple[Any, Any]]


class NotShared(BaseException):
    """A cell needs data of its own; passes by scikit-learn's ``except Exception``."""


class Reached(BaseException):
    """The node that the cell was run for is made; the rest of the cell is not wanted."""


class _Elsewhere:
    """Stands for a transformed training part that later steps no longer need."""


class Answers:
    """One run of a cell: what it is handed, and what it hands on.

    Parameters
    ----------
    cell, setup, fold
        What is run, from the plan.
    data : mapping of int to object
    store : Store
        Nodes already made; receives those made here.
    until : int or None
        A node: `Reached` is raised as soon as it is made.
    """

    def __init__(
        self,
        cell: Cell,
        setup: Setup,
        fold: Fold,
        data: Mapping[int, Any],
        store: Store,
        until: int | None,
    ) -> None:
        self.cell = cell
        self.setup = setup
        self.fold = fold
        self.data = data
        self.store = store
        self.until = until
        self.again = bool(setup.options.get("return_train_score"))
        self.hooks: list[Memory | Hook] = []
        self.attaching = True
        # (role, node) of each object handed out; holding the object keeps its id its own
        self._handed: dict[int, tuple[Any, str, int | None]] = {}
        self._rows: dict[str, Any] = {}
        self._targets: dict[int, Any] = {}
        self._remembering: list[Any] = []
        # whose rows the meta-estimator at work was given, while it asks its parts
        self._inside: list[tuple[str, int | None]] = []
        self._elapsed = [0.0]
        self.fit_seconds = 0.0
        self.test_seconds = 0.0

    # -- the split

    def split(
        self, estimator: Any, X: Any, y: Any, indices: Any, train_indices: Any = None
    ) -> tuple[Any, Any]:
        """Answer scikit-learn's ``_safe_split``."""
        role = "train" if train_indices is None else "test"
        if role == "train" and self.cell.site is not None:
            if self.cell.site.family is None:
                attach(self, estimator, self.cell.site)
            else:
                Hook(self, estimator, self.cell.site)
        pairwise = bool(get_tags(estimator).input_tags.pairwise)
        key = (self.cell.fold, self.cell.setup, role, pairwise)
        rows, targets = self.store.split(
            key, lambda: internals.safe_split(estimator, X, y, indices, train_indices)
        )
        self._rows[role] = rows
        targets = view(targets)
        if role == "train":
            self._trust(targets)
        return self._hand(view(rows), role, None), targets

    def scored(self) -> None:
        """Take the hooks out before anyone looks at the fitted estimator."""
        if self.until is not None:  # made somewhere in the fit of the final step
            raise Reached
        for hook in self.hooks:
            hook.remove()

    def release(self) -> None:
        """Leave no trace of the sharing in an estimator that is returned."""
        for hook in self.hooks:
            hook.remove()
        self._forget(0)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Keep the time spent here apart: cells are charged for shared work in full."""
        start = time.perf_counter()
        self._elapsed.append(0.0)
        try:
            yield
        finally:
            self._elapsed.pop()
            self._elapsed[-1] += time.perf_counter() - start

    @property
    def elapsed(self) -> float:
        """Seconds spent on shared work in this run, which `fit_seconds` accounts for."""
        return self._elapsed[0]

    # -- fits

    def step(
        self,
        site: Site,
        function: Fit,
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
        *,
        methods: tuple[str, ...] = ("transform",),
    ) -> tuple[Any, Any]:
        """Answer a Pipeline, or a part's hook, that asks for a fitted transformer."""
        number = site.number
        if number is None:
            return function(transformer, X, y, **options)
        if self._on_the_way(site):
            return X, transformer
        with self.timed():
            made = self.store.made.get(number)
            if made is None:
                made = self._made(site, number, function, transformer, X, y, options)
                self.store.made[number] = made
        if made.not_shared:
            raise NotShared
        if number == self.until and not site.crossed:
            raise Reached
        self.fit_seconds += made.fit_seconds
        if made.error is not None:
            raise made.error.with_traceback(made.trace)
        if id(X) not in self._handed:  # a Pipeline subclass that changes its input
            raise NotShared
        upstream = self._handed[id(X)][2]
        return self._output(number, made), self._copied(number, made, upstream, methods)

    def _on_the_way(self, site: Site) -> bool:
        """Tell whether a step only leads to one, wanted on the rows of all folds, that has them."""
        return (
            self.until is not None
            and site.whole not in (None, self.until)
            and self.store.nodes[self.until].role == "whole"
        )

    def part(self, hook: Hook, name: str, X: Any, y: Any, more: Any, options: Any) -> Any:
        """Answer a part of a meta-estimator, or a final step, that is to be fitted."""
        estimator, site = hook.estimator, hook.site

        def function(unfitted: Any, X: Any, y: Any, **options: Any) -> tuple[Any, Any]:
            kind = type(unfitted)
            if name == "fit":
                kind.fit(unfitted, X, y, *more, **options)
                return None, unfitted
            return kind.fit_transform(unfitted, X, y, *more, **options), unfitted

        if site.recorded and site.number is not None:
            fitted = self._recorded(site.number, function, estimator, X, y, (more, options))
            output = None
        elif site.number is None and site.family is not None:
            fitted = self._leaf(site.family, function, estimator, X, y, options)
            output = None
        else:
            if site.columns is not None:
                self._select(site.columns, hook, X)
            if site.number is not None:
                self._trust(y)
            output, fitted = self.step(site, function, estimator, X, y, options, methods=ANSWERS)
        if fitted is not estimator:
            vars(estimator).update(vars(fitted))
            self._remembering.append(estimator)
        return estimator if name == "fit" else output

    def _made(
        self,
        site: Site,
        number: int,
        function: Fit,
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
    ) -> Made:
        """Make a node: from another one if it can be, else by fitting."""
        node = self.store.nodes[number]
        _, role, upstream = self._handed.get(id(X), (None, "", None))
        if role != "train" or id(y) not in self._targets:
            return Made(not_shared=True)
        made = None
        if site.family is not None:
            made = self._derived(site.family, function, transformer, X, y, options, upstream)
        elif site.whole is not None:
            made = self._cut(site.whole, function, transformer, options)
        if made is None and node.role in ("derived", "cut"):
            self.store.unplanned.append(node.label)
        if made is not None:
            return made
        return self._fitted(site, node, function, transformer, X, y, options, upstream)

    def _fitted(
        self,
        site: Site,
        node: Node,
        function: Fit,
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
        upstream: int | None,
    ) -> Made:
        """Fit the transformer of a node."""
        before = None if upstream is None else self.store.made[upstream]
        of_the_fold = before is None or before.alias
        if node.in_place and of_the_fold:
            return Made(not_shared=True)
        given = private(X) if node.in_place else X
        inner, remembering = self.fit_seconds, len(self._remembering)
        start = time.perf_counter()
        try:
            output, fitted = function(transformer, given, y, **options)
        except Exception as error:
            if denied(error):
                return Made(not_shared=True)
            seconds = time.perf_counter() - start - self._elapsed[-1]
            self.store.fresh[node.number] = seconds
            return Made(error=error, trace=error.__traceback__, fit_seconds=seconds)
        seconds = time.perf_counter() - start - self._elapsed[-1]
        # steps inside this one are part of its time for every cell that uses it
        inner, self.fit_seconds = self.fit_seconds - inner, inner
        if before is None and changed(given, self._rows["train"]):
            return Made(not_shared=True)
        made = Made(
            fitted,
            None if output is None else Parcel(freeze(output)),
            fit_seconds=seconds + inner,
            alias=of_the_fold and aliased(output, X),
        )
        if output is not None:
            self._transform(made, upstream, in_place=node.in_place)
        self._forget(remembering)
        # a part is fitted where it stands, and will ask there: what is kept is apart from it
        made.transformer = _twin(fitted)
        if self.until is not None and node.number != self.until and site.holds(self.until):
            raise Reached  # made inside the fit that has just ended
        self.store.fresh[node.number] = seconds + made.test_seconds
        return made

    def _transform(self, made: Made, upstream: int | None, *, in_place: bool = False) -> None:
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
        self._hand(given, role, upstream)
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
            return Parcel(self._rows["test" if role == "test" else "train"])
        before = self.store.made[upstream]
        return before.test if role == "test" else before.again

    # -- fits that are answered by others

    def _derived(
        self,
        family: int,
        function: Fit,
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
        upstream: int | None,
    ) -> Made | None:
        """Answer a setting from the fit of its family; None if it must be fitted after all."""
        axis = axes.find(transformer)
        shared = self._family(family, axis, function, transformer, X, y, options)
        if axis is None or shared.transformer is None:
            return None
        try:
            derived = axis.derive(shared.transformer, transformer)
            if derived is None:
                return None
            made = Made(derived, fit_seconds=shared.fit_seconds, alias=True)
            if shared.train is not None:
                if axis.output is None:
                    output = derived.transform(X)
                else:
                    output = axis.output(shared.transformer, derived, X, shared.train.value)
                made.train, made.alias = Parcel(freeze(output)), aliased(output, X)
        except Exception:  # the candidate's own fit will say what is wrong
            return None
        if shared.train is not None:
            self._transform(made, upstream)
        return made

    def _leaf(
        self, family: int, function: Fit, estimator: Any, X: Any, y: Any, options: dict[str, Any]
    ) -> Any:
        """Answer the fit of a final step from the fit of its family."""
        _, role, _ = self._handed.get(id(X), (None, "", None))
        if role != "train" or id(y) not in self._targets:
            raise NotShared
        internals.validate_parameters(estimator)
        axis, derived = axes.find(estimator), None
        with self.timed():
            shared = self._family(family, axis, function, estimator, X, y, options)
            if axis is not None and shared.transformer is not None:
                try:
                    derived = axis.derive(shared.transformer, estimator)
                except Exception:  # the candidate's own fit will say what is wrong
                    derived = None
        if derived is None:
            self.store.unplanned.append(self.store.nodes[family].label)
            return function(estimator, X, y, **options)[1]
        self.fit_seconds += shared.fit_seconds
        return derived

    def _family(
        self,
        number: int,
        axis: axes.Axis | None,
        function: Fit,
        estimator: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
    ) -> Made:
        """Do the one fit that answers all settings of a family."""
        made = self.store.made.get(number)
        if made is None:
            made = Made()
            start = time.perf_counter()
            try:
                assert axis is not None
                widest = axis.widest(estimator, self.store.nodes[number].family)
                output, made.transformer = function(widest, X, y, **options)
                made.train = None if output is None else Parcel(freeze(output))
                made.fit_seconds = self.store.fresh[number] = time.perf_counter() - start
            except Exception:  # a setting that cannot be fitted must not spoil the others
                made = Made()
            self.store.made[number] = made
        if number == self.until:
            raise Reached
        return made

    def _cut(
        self, whole: int, function: Fit, transformer: Any, options: dict[str, Any]
    ) -> Made | None:
        """Take a fold's rows from a step that has treated all rows; None if that fails."""
        source = self.store.made.get(whole)
        if source is None:
            source = self.store.made[whole] = self._whole(whole, function, transformer, options)
        if whole == self.until:
            raise Reached
        if source.train is None:
            return None
        rows = source.train.value
        train = Parcel(freeze(internals.safe_indexing(rows, self.fold.train)))
        test = Parcel(freeze(internals.safe_indexing(rows, self.fold.test)))
        again = train if self.again else None
        return Made(source.transformer, train, test, again, source.fit_seconds)

    def _whole(self, number: int, function: Fit, transformer: Any, options: dict[str, Any]) -> Made:
        parent = self.store.nodes[number].parent
        start = time.perf_counter()
        try:
            if parent is None:
                X = freeze(self.data[self.setup.X])
            else:
                before = self.store.made[parent].train
                assert before is not None
                X = before.value
            output, fitted = function(clone(transformer), view(X), None, **options)
        except Exception:  # each fold will meet the error by itself, if its rows have it
            return Made()
        seconds = self.store.fresh[number] = time.perf_counter() - start
        return Made(fitted, Parcel(freeze(output)), fit_seconds=seconds)

    def _recorded(
        self, number: int, function: Fit, estimator: Any, X: Any, y: Any, more: tuple[Any, Any]
    ) -> Any:
        """Answer a fit on data that only a meta-estimator knows, by their content."""
        made = self.store.made.setdefault(number, Made())
        with self.timed():
            try:
                key = identify((X, y, more))
            except Unidentified:
                return function(estimator, X, y, **more[1])[1]
            known = made.inner.get(key)
            if known is None:
                start = time.perf_counter()
                function(estimator, X, y, **more[1])
                seconds = time.perf_counter() - start
                known = made.inner[key] = Made(_twin(estimator), fit_seconds=seconds)
                self.store.fresh[number] = self.store.fresh.get(number, 0.0) + seconds
        self.fit_seconds += known.fit_seconds
        _, role, upstream = self._handed.get(id(X), (None, "", None))
        if role != "train":
            return _twin(known.transformer)
        return self._copied(number, known, upstream, ANSWERS)

    def crossed(self, hook: Hook, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Answer the cross-validated predictions of a part."""
        number = hook.site.number
        made = None if number is None else self.store.made.get(number)
        if made is None:
            return function(*args, **kwargs)
        with self.timed():
            if made.crossed is None:
                start = time.perf_counter()
                self.attaching = False
                try:
                    estimator = hook.plain_clone()
                finally:
                    self.attaching = True
                output = function(estimator, *args[1:], **kwargs)
                made.crossed = Parcel(freeze(output))
                made.crossed_seconds = time.perf_counter() - start
        if number == self.until:
            raise Reached
        self.fit_seconds += made.crossed_seconds
        return view(made.crossed.value)

    def _select(self, number: int, hook: Hook, X: Any) -> None:
        """Note which columns a ColumnTransformer gives to a part."""
        if number not in self.store.made:
            parent = self.store.nodes[number].parent
            columns = internals.columns_of(hook.outer, hook.name)
            made = Made(test=self._columns("test", parent, columns), alias=True)
            if self.again:
                made.again = self._columns("again", parent, columns)
            self.store.made[number] = made
        self._hand(X, "train", number)

    def _columns(self, role: str, parent: int | None, columns: Any) -> Parcel | None:
        rows = self._rows_of(role, parent)
        if rows is None:
            return None
        return Parcel(freeze(internals.safe_indexing(rows.value, columns, axis=1)))

    # -- what is handed out

    def _output(self, number: int, made: Made) -> Any:
        """Return the transformed training part as the next step may have it."""
        if made.train is None:
            output: Any = _Elsewhere()
        elif self.cell.in_place and number == self.cell.path[-1]:
            output = private(made.train.value)
        else:
            output = view(made.train.value)
        return self._hand(output, "train", number)

    def _copied(
        self, number: int, made: Made, upstream: int | None, methods: tuple[str, ...]
    ) -> Any:
        """Return this cell's own copy of a fitted estimator, which remembers its answers."""
        if not hasattr(made.transformer, "__dict__"):
            return made.transformer
        copied = _twin(made.transformer)
        Remembered.attach(self, (number, upstream, made), copied, methods)
        self._remembering.append(copied)
        return copied

    def answer(
        self, about: tuple[int, int | None, Made], method: str, function: Any, X: Any
    ) -> Any:
        """Return what a method of a fitted node gives for `X`."""
        number, upstream, made = about
        _, role, node = self._handed.get(id(X), (None, "", -1))
        if node == -1 and self._are_columns(upstream):
            role, node = self._inside[-1][0], upstream
            self._hand(X, role, upstream)
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
            self.test_seconds += seconds
        if method != "transform":  # an estimator may write into what its own method has returned
            return private(known.value)
        return self._hand(view(known.value), role, number)

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

    def _hand(self, value: Any, role: str, number: int | None) -> Any:
        self._handed[id(value)] = (value, role, number)
        return value

    def _trust(self, y: Any) -> None:
        """Note targets that follow from the fold's own."""
        self._targets[id(y)] = y

    def _forget(self, since: int) -> None:
        """Take the remembered answers out of what was handed out since."""
        for estimator in self._remembering[since:]:
            Remembered.remove(estimator)
        del self._remembering[since:]


def _twin(estimator: Any) -> Any:
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
