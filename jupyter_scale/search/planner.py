"""Calls -> plan: recognises ``_fit_and_score`` and finds the pieces of work that are equal.

Equality is found in dictionaries of small tuples: a node is (setup, fold, node before it, identity
of the step), a leaf (..., identity of the final step). Called by the backend.
"""

from __future__ import annotations

from typing import Any

from dask.sizeof import sizeof

from jupyter_scale.search.candidate import Candidate, Candidates, Step
from jupyter_scale.search.identity import Unidentified, forget_code, identify
from jupyter_scale.search.internals import BaseSearchCV, fit_and_score, has_callbacks, unwrapped
from jupyter_scale.search.plan import Call, Cell, Fold, Node, Plan, Ref, Setup

__all__ = ["Planner"]

_OF_THE_CELL = {
    "train",
    "test",
    "parameters",
    "split_progress",
    "candidate_progress",
    "caller",
    "callback_ctx",
}
_LARGE = 10_000  # bytes; smaller arguments travel with their call


class Planner:
    """Collects the calls of one ``joblib.Parallel`` evaluation into a `Plan`.

    Parameters
    ----------
    seed : int or None
        Seeds every step that has none, as ``step__random_state=seed`` in the candidate.
    seeded_only : bool
        Share only steps that hold a seed.
    """

    def __init__(self, *, seed: int | None = None, seeded_only: bool = False) -> None:
        forget_code()
        self.plan = Plan()
        self.caller: Any = None
        self._seed = seed
        self._seeded_only = seeded_only
        self._data: dict[int, int] = {}
        self._setups: dict[tuple[Any, ...], int] = {}
        self._candidates: list[Candidates] = []
        self._watched: list[bool] = []
        self._folds: dict[tuple[int, int], int] = {}
        self._nodes: dict[tuple[Any, ...], int] = {}
        self._leaves: dict[tuple[Any, ...], int] = {}
        self._kinds: dict[tuple[Any, ...], int] = {}
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
                self._kind(label),
                function,
                tuple(self._refer(value) for value in args),
                {name: self._refer(value) for name, value in kwargs.items()},
                config,
                filters,
                label,
            )
        )
        self._count(label, 1)
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
            {k: kwargs[k] for k in ("split_progress", "candidate_progress") if k in kwargs},
            in_place=candidate.final.in_place is not None,
        )
        for step in (*candidate.steps, candidate.final):
            for name in step.unseeded:
                self.plan.unseeded[name] = self.plan.unseeded.get(name, 0) + 1
        if watched:
            cell.estimator = args[0]
            cell.watched = {k: kwargs[k] for k in ("caller", "callback_ctx") if k in kwargs}
        reason = "callbacks watch each fit, in this process" if watched else candidate.alone
        if reason:
            self._add_alone(cell, candidate, reason)
        else:
            self._add_shared(cell, candidate)

    def _add_alone(self, cell: Cell, candidate: Candidate, reason: str) -> None:
        cell.alone = True
        cell.labels = tuple(step.label for step in (*candidate.steps, candidate.final))
        self._not_shared(reason)
        cell.kind = self._kind(cell.label, cell.labels)
        for label in cell.labels:
            self._count(label, 1)
        self.plan.cells.append(cell)

    def _add_shared(self, cell: Cell, candidate: Candidate) -> None:
        before: Any = (cell.setup, cell.fold, candidate.root)
        kind: Any = (cell.setup, candidate.root)
        path: list[int] = []
        labels: list[str] = []
        known = True
        for step in candidate.steps:
            if known and step.identity is None:
                known = False
                self._not_shared(step.reason or "")
            if not known:
                self._count(step.label, 1)
                labels.append(step.label)
                continue
            kind = self._kind(step.label, kind, step.identity)
            node, new = self._node(cell, before, path, step, kind)
            self._count(step.label, int(new))
            path.append(node)
            before = node
        cell.path, cell.labels = tuple(path), (*labels, candidate.final.label)
        cell.kind = self._kind(cell.label, kind, candidate.final.identity, *labels)
        if known and candidate.final.identity is None:
            self._not_shared(candidate.final.reason or "")
            known = False
        leaf = (before, candidate.final.identity, cell.setup)
        if known and leaf in self._leaves:
            self.plan.copies[cell.number] = self._leaves[leaf]
            self._count(candidate.final.label, 0)
            return
        if known:
            self._leaves[leaf] = cell.number
        self._count(candidate.final.label, 1)
        self.plan.cells.append(cell)

    def _kind(self, label: str, *settings: Any) -> int:
        """Return the kind of a step in some setting, whatever the fold."""
        key = (label, *settings)
        if key not in self._kinds:
            self._kinds[key] = len(self._kinds)
            self.plan.kinds.append(label)
        return self._kinds[key]

    def _node(
        self, cell: Cell, before: Any, path: list[int], step: Step, kind: int
    ) -> tuple[int, bool]:
        # without metadata routing, fit parameters reach a step by its name
        name = step.label if self.plan.setups[cell.setup].options.get("fit_params") else None
        key = (before, step.identity, name)
        if key in self._nodes:
            return self._nodes[key], False
        number = self._nodes[key] = len(self.plan.nodes)
        self.plan.nodes.append(
            Node(
                number,
                kind,
                step.label,
                path[-1] if path else None,
                cell.setup,
                cell.fold,
                len(self.plan.cells),
                step.in_place is not None,
            )
        )
        return number, True

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

    def _count(self, label: str, distinct: int) -> None:
        count = self.plan.counts.setdefault(label, [0, 0])
        count[0] += 1
        count[1] += distinct

    def _not_shared(self, reason: str) -> None:
        self.plan.unshared[reason] = self.plan.unshared.get(reason, 0) + 1
