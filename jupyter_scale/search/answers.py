"""What a running cell answers when scikit-learn asks for work that is shared.

The hooks (`hooks`) ask, and here a node is handed out: found made, taken from a source that answers
for it (`sources`), or fitted. `handouts` knows which data the cell was given, and so which node is
meant; `clock` what the cell is charged for it.

Invariant: an answer is what scikit-learn would have computed, to the last bit. Where that cannot
be told (the data are none that were handed out, a step writes into what others read), `NotShared`
is raised, and the cell is run again alone, undisturbed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sklearn.utils import get_tags

from jupyter_scale.search import internals
from jupyter_scale.search.clock import Clock
from jupyter_scale.search.handouts import Handouts, NotShared, Reached, twin
from jupyter_scale.search.hooks import ANSWERS, Hook, Memory, attach
from jupyter_scale.search.plan import Cell, Fold, Node, Setup, Site
from jupyter_scale.search.sharing import Parcel, aliased, changed, denied, freeze, private, view
from jupyter_scale.search.sources import Request, Sources
from jupyter_scale.search.store import Made, Store

__all__ = ["Answers", "NotShared", "Reached"]


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
        self.store = store
        self.until = until
        self.clock = Clock()
        again = bool(setup.options.get("return_train_score"))
        self.handouts = Handouts(cell, store, self.clock, again=again)
        self.sources = Sources(setup, fold, data, self.handouts, until)
        self.hooks: list[Memory | Hook] = []
        self.attaching = True

    # -- the split, and the end of the fit

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
        rows, targets = self.store.splits.rows(
            self.cell.fold,
            (self.cell.setup, role, pairwise),
            lambda: internals.safe_split(estimator, X, y, indices, train_indices),
        )
        self.handouts.rows[role] = rows
        targets = private(targets) if self.cell.in_place else view(targets)
        if role == "train":
            self.handouts.trust(targets)
        alone = self.cell.in_place and not self.cell.path
        given = private(rows) if alone else view(rows)
        return self.handouts.hand(given, role, None), targets

    def scored(self) -> None:
        """Take the hooks out before anyone looks at the fitted estimator."""
        if self.until is not None:  # made somewhere in the fit of the final step
            raise Reached
        for hook in self.hooks:
            hook.remove()

    def release(self) -> None:
        """Leave no trace of the sharing in the estimators that this run leaves behind."""
        for hook in self.hooks:
            hook.remove()
        self.handouts.forget(0)

    # -- fits

    def step(
        self,
        site: Site,
        function: Callable[..., tuple[Any, Any]],
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        """Answer a Pipeline that asks for a fitted transformer."""
        return self._step(site, Request(function, transformer, X, y, options), ("transform",))

    def part(self, hook: Hook, name: str, X: Any, y: Any, more: Any, options: Any) -> Any:
        """Answer a part of a meta-estimator, or a final step, that is to be fitted."""
        estimator, site = hook.estimator, hook.site

        def function(unfitted: Any, X: Any, y: Any, **options: Any) -> tuple[Any, Any]:
            kind = type(unfitted)
            if name == "fit":
                kind.fit(unfitted, X, y, *more, **options)
                return None, unfitted
            return kind.fit_transform(unfitted, X, y, *more, **options), unfitted

        asked = Request(function, estimator, X, y, options)
        output = None
        if site.recorded and site.number is not None:
            fitted = self.sources.recorded(site.number, asked, more)
        elif site.number is None and site.family is not None:
            fitted = self.sources.leaf(site.family, asked)
        else:
            if site.columns is not None:
                self.handouts.select(site.columns, hook, X)
            if site.number is not None:
                self.handouts.trust(y)
            output, fitted = self._step(site, asked, ANSWERS)
        if fitted is not estimator:
            vars(estimator).update(vars(fitted))
            self.handouts.remember(estimator)
        return estimator if name == "fit" else output

    def crossed(self, hook: Hook, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Answer the cross-validated predictions of a part."""
        return self.sources.crossed(hook, function, args, kwargs)

    def _step(self, site: Site, asked: Request, methods: tuple[str, ...]) -> tuple[Any, Any]:
        """Return the transformed training part, and the fitted estimator with these methods."""
        number = site.number
        if number is None:
            return asked.done()
        if self._on_the_way(site):
            return asked.X, asked.estimator
        with self.clock.apart():
            made = self.store.made.get(number)
            if made is None:
                made = self.store.made[number] = self._made(site, number, asked)
        if made.not_shared:
            raise NotShared
        if number == self.until and not site.crossed:
            raise Reached
        self.clock.fit_seconds += made.fit_seconds
        if made.error is not None:
            raise made.error.with_traceback(made.trace)
        role, upstream = self.handouts.about(asked.X)
        if not role:  # a Pipeline subclass that changes its input
            raise NotShared
        output = self.handouts.output(number, made)
        return output, self.handouts.copied(number, made, upstream, methods)

    def _on_the_way(self, site: Site) -> bool:
        """Tell whether a step only leads to one, wanted on the rows of all folds, that has them."""
        return (
            self.until is not None
            and site.whole not in (None, self.until)
            and self.store.nodes[self.until].role == "whole"
        )

    def _made(self, site: Site, number: int, asked: Request) -> Made:
        """Make a node: from a source if it has one, else by fitting."""
        node = self.store.nodes[number]
        if not self.handouts.for_training(asked.X, asked.y):
            return Made(not_shared=True)
        _, upstream = self.handouts.about(asked.X)
        made = None
        if site.family is not None:
            made = self.sources.derived(site.family, asked, upstream)
        elif site.whole is not None:
            made = self.sources.cut(site.whole, asked)
        if made is None and node.role in ("derived", "cut"):
            self.store.unplanned.append(node.label)
        return self._fitted(site, node, asked, upstream) if made is None else made

    def _fitted(self, site: Site, node: Node, asked: Request, upstream: int | None) -> Made:
        """Fit the transformer of a node."""
        before = None if upstream is None else self.store.made[upstream]
        of_the_fold = before is None or before.alias
        if node.in_place and of_the_fold:
            return Made(not_shared=True)
        given = private(asked.X) if node.in_place else asked.X
        clock = self.clock
        inner, remembering = clock.fit_seconds, self.handouts.remembering
        start = time.perf_counter()
        try:
            output, fitted = asked.function(asked.estimator, given, asked.y, **asked.options)
        except Exception as error:
            if denied(error):
                return Made(not_shared=True)
            seconds = time.perf_counter() - start - clock.inside
            self.store.fresh[node.number] = seconds
            return Made(error=error, trace=error.__traceback__, fit_seconds=seconds)
        seconds = time.perf_counter() - start - clock.inside
        # steps inside this one are part of its time for every cell that uses it
        inner, clock.fit_seconds = clock.fit_seconds - inner, inner
        if before is None and changed(given, self.handouts.rows["train"]):
            return Made(not_shared=True)
        made = Made(
            fitted,
            None if output is None else Parcel(freeze(output)),
            fit_seconds=seconds + inner,
            alias=of_the_fold and aliased(output, asked.X),
        )
        if output is not None:
            self.handouts.transform(made, upstream, in_place=node.in_place)
        self.handouts.forget(remembering)
        # a part is fitted where it stands, and will ask there: what is kept is apart from it
        made.transformer = twin(fitted)
        if self.until is not None and node.number != self.until and site.holds(self.until):
            raise Reached  # made inside the fit that has just ended
        self.store.fresh[node.number] = seconds + made.test_seconds
        return made
