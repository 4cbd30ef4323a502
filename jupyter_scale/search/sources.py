"""Fits that answer for others: the fits a cell asks for and need not be done.

Five ways lead from one piece of work to many answers:

- of a family (`axes`), the widest setting is fitted and each other one derived from it, be it a
  step (`Sources.derived`) or the final step (`Sources.leaf`);
- a step that treats each row by itself is done on all rows, and each fold cuts its own (`cut`);
- fits on data that only a meta-estimator knows are found by the content of those (`recorded`);
- cross-validated predictions of a part are made once (`crossed`).

Invariant: where a source fails, or cannot answer exactly, the fit asked for is done after all, and
meets by itself whatever is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone

from jupyter_scale.search import axes, internals
from jupyter_scale.search.handouts import Handouts, NotShared, Reached, twin
from jupyter_scale.search.hooks import ANSWERS, Hook
from jupyter_scale.search.identity import Unidentified, identify
from jupyter_scale.search.plan import Fold, Setup
from jupyter_scale.search.sharing import Parcel, aliased, freeze, view
from jupyter_scale.search.store import Made

__all__ = ["Request", "Sources"]


@dataclass(frozen=True, slots=True)
class Request:
    """A fit that scikit-learn asks for.

    `function` is scikit-learn's own; it returns what ``fit_transform`` did, or None, and the fitted
    estimator.
    """

    function: Callable[..., tuple[Any, Any]]
    estimator: Any
    X: Any
    y: Any
    options: dict[str, Any]

    def done(self) -> tuple[Any, Any]:
        """Do it."""
        return self.function(self.estimator, self.X, self.y, **self.options)


class Sources:
    """What one run of a cell takes from fits that answer for others.

    Parameters
    ----------
    setup, fold
        What is run, from the plan.
    data : mapping of int to object
    handouts : Handouts
        Of the same run; its store receives the sources made here.
    until : int or None
        A node: `Reached` is raised as soon as it is made.
    """

    def __init__(
        self,
        setup: Setup,
        fold: Fold,
        data: Mapping[int, Any],
        handouts: Handouts,
        until: int | None,
    ) -> None:
        self.setup = setup
        self.fold = fold
        self.data = data
        self.handouts = handouts
        self.store = handouts.store
        self.clock = handouts.clock
        self.until = until

    # -- families

    def derived(self, family: int, asked: Request, upstream: int | None) -> Made | None:
        """Answer a setting from the fit of its family; None if it must be fitted after all."""
        axis = axes.find(asked.estimator)
        shared = self._family(family, axis, asked)
        if axis is None or shared.transformer is None:
            return None
        try:
            derived = axis.derive(shared.transformer, asked.estimator)
            if derived is None:
                return None
            made = Made(derived, fit_seconds=shared.fit_seconds, alias=True)
            if shared.train is not None:
                if axis.output is None:
                    output = derived.transform(asked.X)
                else:
                    output = axis.output(shared.transformer, derived, asked.X, shared.train.value)
                made.train, made.alias = Parcel(freeze(output)), aliased(output, asked.X)
        except Exception:  # the candidate's own fit will say what is wrong
            return None
        if shared.train is not None:
            self.handouts.transform(made, upstream)
        return made

    def leaf(self, family: int, asked: Request) -> Any:
        """Answer the fit of a final step from the fit of its family."""
        if not self.handouts.for_training(asked.X, asked.y):
            raise NotShared
        internals.validate_parameters(asked.estimator)
        axis, derived = axes.find(asked.estimator), None
        with self.clock.apart():
            shared = self._family(family, axis, asked)
            if axis is not None and shared.transformer is not None:
                try:
                    derived = axis.derive(shared.transformer, asked.estimator)
                except Exception:  # the candidate's own fit will say what is wrong
                    derived = None
        if derived is None:
            self.store.unplanned.append(self.store.nodes[family].label)
            return asked.done()[1]
        self.clock.fit_seconds += shared.fit_seconds
        return derived

    def _family(self, number: int, axis: axes.Axis | None, asked: Request) -> Made:
        """Do the one fit that answers all settings of a family."""
        made = self.store.made.get(number)
        if made is None:
            made = Made()
            start = time.perf_counter()
            try:
                assert axis is not None
                widest = axis.widest(asked.estimator, self.store.nodes[number].family)
                output, made.transformer = asked.function(widest, asked.X, asked.y, **asked.options)
                made.train = None if output is None else Parcel(freeze(output))
                made.fit_seconds = self.store.fresh[number] = time.perf_counter() - start
            except Exception:  # a setting that cannot be fitted must not spoil the others
                made = Made()
            self.store.made[number] = made
        if number == self.until:
            raise Reached
        return made

    # -- all rows at once

    def cut(self, whole: int, asked: Request) -> Made | None:
        """Take a fold's rows from a step that has treated all rows; None if that fails."""
        source = self.store.made.get(whole)
        if source is None:
            source = self.store.made[whole] = self._whole(whole, asked)
        if whole == self.until:
            raise Reached
        if source.train is None:
            return None
        rows = source.train.value
        train = Parcel(freeze(internals.safe_indexing(rows, self.fold.train)))
        test = Parcel(freeze(internals.safe_indexing(rows, self.fold.test)))
        again = train if self.handouts.again else None
        return Made(source.transformer, train, test, again, source.fit_seconds)

    def _whole(self, number: int, asked: Request) -> Made:
        parent = self.store.nodes[number].parent
        start = time.perf_counter()
        try:
            if parent is None:
                X = freeze(self.data[self.setup.X])
            else:
                before = self.store.made[parent].train
                assert before is not None
                X = before.value
            output, fitted = asked.function(clone(asked.estimator), view(X), None, **asked.options)
        except Exception:  # each fold will meet the error by itself, if its rows have it
            return Made()
        seconds = self.store.fresh[number] = time.perf_counter() - start
        return Made(fitted, Parcel(freeze(output)), fit_seconds=seconds)

    # -- what a meta-estimator does with its part

    def recorded(self, number: int, asked: Request, more: tuple[Any, ...]) -> Any:
        """Answer a fit on data that only a meta-estimator knows, by their content.

        `more` are the arguments of ``fit`` after X and y, which `asked` passes on.
        """
        made = self.store.made.setdefault(number, Made())
        with self.clock.apart():
            try:
                key = identify((asked.X, asked.y, (more, asked.options)))
            except Unidentified:
                return asked.done()[1]
            known = made.inner.get(key)
            if known is None:
                start = time.perf_counter()
                asked.done()
                seconds = time.perf_counter() - start
                known = made.inner[key] = Made(twin(asked.estimator), fit_seconds=seconds)
                self.store.fresh[number] = self.store.fresh.get(number, 0.0) + seconds
        self.clock.fit_seconds += known.fit_seconds
        role, upstream = self.handouts.about(asked.X)
        if role != "train":
            return twin(known.transformer)
        return self.handouts.copied(number, known, upstream, ANSWERS)

    def crossed(self, hook: Hook, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Answer the cross-validated predictions of a part."""
        number = hook.site.number
        made = None if number is None else self.store.made.get(number)
        if made is None:
            return function(*args, **kwargs)
        with self.clock.apart():
            if made.crossed is None:
                start = time.perf_counter()
                output = function(hook.bare_clone(), *args[1:], **kwargs)
                made.crossed = Parcel(freeze(output))
                made.crossed_seconds = time.perf_counter() - start
        if number == self.until:
            raise Reached
        self.clock.fit_seconds += made.crossed_seconds
        return view(made.crossed.value)
