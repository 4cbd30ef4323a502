"""Calls -> plan: recognises ``_fit_and_score`` and finds the pieces of work that are equal.

`candidate` tells the steps of a candidate, `nodes` finds those that are equal; here, equal leaves
are: where their data come from, and the identity of the final step. Called by the backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np
from dask.sizeof import sizeof
from scipy import sparse

from jupyter_scale.search.address import Addresses
from jupyter_scale.search.candidate import Candidates
from jupyter_scale.search.identity import Unidentified, forget_code, identify
from jupyter_scale.search.internals import BaseSearchCV, fit_and_score, has_callbacks, unwrapped
from jupyter_scale.search.nodes import Nodes, Upstream
from jupyter_scale.search.plan import Call, Cell, Fold, Plan, Ref, Setup, Site
from jupyter_scale.search.predictions import Evaluation, scorable, scored
from jupyter_scale.search.steps import Candidate

__all__ = ["Planner"]

T = TypeVar("T")

_PROGRESS = ("split_progress", "candidate_progress")
_OF_THE_CELL = {"train", "test", "parameters", "caller", "callback_ctx", *_PROGRESS}
_LARGE = 10_000  # bytes; smaller arguments travel with their call


class Planner:
    """Collects the calls of one ``joblib.Parallel`` evaluation into a `Plan`.

    Parameters
    ----------
    seed : int or None
        Seeds every step that has none, as ``step__random_state=seed`` in the candidate.
    seeded_only : bool
        Share only steps that hold a seed.
    addresses : Addresses, optional
        Tells where a record keeps each cell.
    known : callable, optional
        Given an address, and whether nothing in that cell draws without a seed: returns what is on
        record there, or None.
    keep : bool
        Have what cells predict kept, see `predictions`.
    kept : callable, optional
        Given the address of what a cell predicts: returns what is kept of that, or None.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        seeded_only: bool = False,
        addresses: Addresses | None = None,
        known: Callable[[bytes, bool], dict[str, Any] | None] = lambda address, seeded: None,
        keep: bool = False,
        kept: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        forget_code(lasting=addresses is not None)
        self.plan = Plan()
        self.caller: Any = None
        self._seed = seed
        self._seeded_only = seeded_only
        self._addresses = addresses
        self._on_record = known
        self._keeps = keep
        self._predictions = kept
        self._data: dict[int, int] = {}
        self._setups: dict[tuple[Any, ...], int] = {}
        self._candidates: list[Candidates] = []
        self._watched: list[bool] = []
        self._folds: dict[tuple[int, int], int] = {}
        self._nodes = Nodes(self.plan)
        self._leaves: dict[tuple[Any, ...], int] = {}
        self._ones: dict[Any, Any] = {}
        self._by_row: list[bool] = []
        self._known: dict[int, Candidate] = {}
        self._last: tuple[int, Any] = (-1, None)
        self._keep: list[Any] = []

    def add(self, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Add a joblib call and return its number."""
        number = self.plan.n_calls
        self.plan.n_calls += 1
        function, config, filters = unwrapped(call)
        if function is fit_and_score and len(args) == 3:
            self._add_cell(number, args, kwargs, config, filters)
        else:
            self._add_call(number, function, args, kwargs, config, filters)
        return number

    # -- calls that the plan does not look into

    def _add_call(
        self,
        number: int,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        config: dict[str, Any],
        filters: list[Any],
    ) -> None:
        label = getattr(function, "__name__", type(function).__name__).strip("_")
        self.plan.calls.append(
            Call(
                number,
                self._nodes.kind(label),
                function,
                tuple(self._refer(value) for value in args),
                {name: self._refer(value) for name, value in kwargs.items()},
                config,
                filters,
                label,
            )
        )
        self._count((label,), (label,))
        self.plan.name = label

    def _refer(self, value: Any) -> Any:
        if id(value) in self._data or sizeof(value) >= _LARGE:
            return Ref(self._datum(value))
        return value

    def _datum(self, value: Any) -> int:
        """Return the number of a piece of data; one object is sent once."""
        if id(value) not in self._data:
            self._data[id(value)] = len(self.plan.data)
            self.plan.data.append(value)
        return self._data[id(value)]

    # -- cells

    def _add_cell(
        self,
        number: int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        config: dict[str, Any],
        filters: list[Any],
    ) -> None:
        setup = self._setup(args, kwargs, config, filters)
        candidate = self._candidate(setup, kwargs["parameters"])
        parameters = self._seeded(kwargs["parameters"], candidate)
        context = kwargs.get("callback_ctx")
        watched = self._watched[setup] or bool(getattr(context, "_callbacks", None))
        cell = Cell(
            number,
            0,
            setup,
            self._fold(kwargs["train"], kwargs["test"]),
            parameters,
            {k: self._one(kwargs[k]) for k in _PROGRESS if k in kwargs},
            in_place=candidate.final.in_place is not None,
        )
        for step in (*candidate.steps, candidate.final):
            for name in step.unseeded if step else ():
                self.plan.unseeded[name] = self.plan.unseeded.get(name, 0) + 1
        if not watched and self._known_already(cell, candidate):
            return
        if watched:
            cell.estimator = args[0]
            cell.watched = {k: kwargs[k] for k in ("caller", "callback_ctx") if k in kwargs}
        reason = "callbacks watch each fit, in this process" if watched else candidate.alone
        if reason:
            self._add_alone(cell, candidate, reason)
        else:
            self._add_shared(cell, candidate)

    def _known_already(self, cell: Cell, candidate: Candidate) -> bool:
        """Look a cell up in the record; note its address."""
        if self._addresses is None:
            return False
        plan = self.plan
        setup, fold = plan.setups[cell.setup], plan.folds[cell.fold]
        address = self._addresses.of(setup, plan.data, fold, candidate)
        if address is None:
            return False
        plan.addresses[cell.number] = address
        plan.data_digest = plan.data_digest or self._addresses.data(setup, plan.data)
        seeded = not any(step.unseeded for step in (*candidate.steps, candidate.final) if step)
        result = self._on_record(address, seeded)
        if result is None and seeded and (self._keeps or self._predictions is not None):
            result = self._predicted(cell, candidate)
        if result is None:
            return False
        plan.known[cell.number] = result
        self._request(candidate)
        return True

    def _predicted(self, cell: Cell, candidate: Candidate) -> dict[str, Any] | None:
        """Score a cell from predictions that are kept; or see that they will be."""
        plan = self.plan
        setup, fold = plan.setups[cell.setup], plan.folds[cell.fold]
        if self._addresses is None or setup.y is None or not scorable(setup):
            return None
        address = self._addresses.fitted(setup, plan.data, fold, candidate)
        if address is None:
            return None
        body = None if self._predictions is None else self._predictions(address)
        if body is not None:
            evaluation = Evaluation(setup, fold, plan.data[setup.X], plan.data[setup.y])
            found = scored(body, evaluation)
            if found is not None:
                plan.rescored += 1
                plan.warned += found[1]
                return found[0]
        if self._keeps:
            cell.keep = True
            plan.fitted[cell.number] = address
        return None

    def _add_alone(self, cell: Cell, candidate: Candidate, reason: str) -> None:
        cell.alone = True
        cell.label = candidate.final.label
        cell.labels = candidate.labels
        cell.kind = self._nodes.kind(cell.label, cell.labels)
        self._not_shared(reason)
        self._request(candidate)
        self._count((), candidate.labels)
        for step in (*candidate.steps, candidate.final):
            if step is not None:
                self._nodes.grow(step)
        self.plan.cells.append(cell)

    def _add_shared(self, cell: Cell, candidate: Candidate) -> None:
        final = candidate.final
        self._request(candidate)
        up, sites, path, needs, own = self._before(cell, candidate)
        inside = self._nodes.inside(cell, up, final)
        if inside.up is not None and final.identity is None:
            self._not_shared(final.reason or "")
        known = inside.up is not None and final.identity is not None
        leaf = (inside.up, final.identity)
        if known and leaf in self._leaves:
            self.plan.copies[cell.number] = self._leaves[leaf]
            return
        path += inside.spine
        own += inside.own
        family = None
        if known:
            self._leaves[leaf] = cell.number
            if final.family is not None and self._nodes.sharable(cell):
                family = self._nodes.family(cell, inside.up, final)
                self._nodes.answer(family, final)
                path.append(family)
        if family is None:
            own.append(final.label)
            self._nodes.grow(final)
        self._count((), own)
        site = Site(inner=inside.sites, family=family)
        cell.site = self._one(Site(inner=(*sites, site)) if candidate.pipeline else site)
        cell.label, cell.labels = final.label, self._one(tuple(own))
        cell.path, cell.needs = self._one(tuple(path)), self._one((*needs, *inside.needs))
        setting = self._nodes.kind_of(inside.up if family is None else family)
        cell.kind = self._nodes.kind(cell.label, setting, final.identity, cell.labels)
        self.plan.cells.append(cell)

    def _before(
        self, cell: Cell, candidate: Candidate
    ) -> tuple[Upstream, list[Site | None], list[int], list[int], list[str]]:
        """Plan the steps before the final one."""
        up: Upstream = (cell.setup, cell.fold, candidate.root)
        whole: Upstream = (cell.setup, -1, candidate.root) if self._by_row[cell.setup] else None
        sites: list[Site | None] = []
        path: list[int] = []
        needs: list[int] = []
        own: list[str] = []
        for step in candidate.steps:
            if step is None:
                sites.append(None)
                continue
            if up is not None and step.identity is None:
                self._not_shared(step.reason or "")
            planned = self._nodes.step(cell, up, step, whole=whole if step.by_row else None)
            up, whole = planned.node, planned.site.whole
            sites.append(planned.site)
            path += planned.spine
            needs += planned.needs
            own += planned.own
        return up, sites, path, needs, own

    def _one(self, value: T) -> T:
        """Return the one object that is equal to this: many cells have the same."""
        return cast(T, self._ones.setdefault(value, value))

    def _setup(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        config: dict[str, Any],
        filters: list[Any],
    ) -> int:
        """Return the number of the setup of a call."""
        caller = kwargs.get("caller", self.caller)
        estimator: Any = args[0]
        token: Any = None
        if isinstance(caller, BaseSearchCV):
            # each call holds its own clone of this one estimator
            estimator = caller.estimator
            token = id(estimator)
            self.caller = caller
        else:
            try:
                token = identify(estimator)
            except Unidentified:
                self._keep.append(estimator)
                token = id(estimator)
        options = {k: v for k, v in kwargs.items() if k not in _OF_THE_CELL}
        key = (token, id(args[1]), id(args[2]), *(id(v) for v in options.values()), id(config))
        if key not in self._setups:
            self._keep.append((args, options, config))  # their ids stay theirs
            X, y = self._datum(args[1]), None if args[2] is None else self._datum(args[2])
            self._setups[key] = len(self.plan.setups)
            self.plan.setups.append(Setup(args[0], X, y, options, config, list(filters)))
            self._candidates.append(
                Candidates(estimator, seed=self._seed, seeded_only=self._seeded_only)
            )
            self._watched.append(has_callbacks(estimator, None))
            self._by_row.append(_rows_alike(args[1]) and not options.get("fit_params"))
            self._name(caller, estimator)
        return self._setups[key]

    def _name(self, caller: Any, estimator: Any) -> None:
        inner = type(estimator).__name__
        search = isinstance(caller, BaseSearchCV)
        self.plan.name = f"{type(caller).__name__}({inner})" if search else inner

    def _candidate(self, setup: int, parameters: dict[str, Any] | None) -> Candidate:
        # scikit-learn gives the folds of a candidate one after the other, with one dict
        if self._last[0] != setup or self._last[1] is not parameters or parameters is None:
            self._known = {}
        self._last = (setup, parameters)
        if setup not in self._known:
            self._known[setup] = self._candidates[setup].candidate(parameters)
        return self._known[setup]

    def _seeded(
        self, parameters: dict[str, Any] | None, candidate: Candidate
    ) -> dict[str, Any] | None:
        if not candidate.seeds:
            return parameters
        if parameters is None:
            return dict(candidate.seeds)
        # in place: so cv_results_, best_params_ and with it the refit hold the seed too
        parameters.update(candidate.seeds)
        return parameters

    def _fold(self, train: Any, test: Any) -> int:
        key = (id(train), id(test))
        if key not in self._folds:
            self._folds[key] = len(self.plan.folds)
            self.plan.folds.append(Fold(train, test))
            self.plan.n_folds += 1
        return self._folds[key]

    def _count(self, requested: Iterable[str], distinct: Iterable[str] = ()) -> None:
        for label in requested:
            self.plan.counts.setdefault(label, [0, 0])[0] += 1
        for label in distinct:
            self.plan.counts[label][1] += 1

    def _request(self, candidate: Candidate) -> None:
        """Count what scikit-learn would fit and grow for a cell."""
        self._count(candidate.labels)
        for step in (*candidate.steps, candidate.final):
            if step is not None and step.family is not None and step.family.grows:
                key = (step.label, step.family.grows)
                self.plan.grown.setdefault(key, [0, 0])[0] += step.family.size

    def _not_shared(self, reason: str) -> None:
        self.plan.unshared[reason] = self.plan.unshared.get(reason, 0) + 1


def _rows_alike(X: Any) -> bool:
    """Tell whether a row of X looks the same to a transformer whatever rows are beside it.

    The layout of some arrays in memory depends on which rows were taken.
    """
    if isinstance(X, np.ndarray):
        return bool(X.flags.c_contiguous)
    return isinstance(X, list) or (sparse.issparse(X) and X.format == "csr")
