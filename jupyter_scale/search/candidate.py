"""Which steps a candidate fits, and what identifies each: parameters -> a path of steps.

A grid of thousands of candidates holds few distinct settings of each step, so a step is configured
(by scikit-learn's own ``clone`` and ``set_params``) and identified once per distinct setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from numbers import Integral
from typing import Any

from sklearn.base import clone
from sklearn.utils import get_tags

from jupyter_scale.search import axes
from jupyter_scale.search.identity import (
    Identified,
    Unidentified,
    decides_draws,
    identify,
    identify_set,
    parameters,
    plain,
    unseeded,
    writes_input,
)
from jupyter_scale.search.internals import sharable_pipeline
from jupyter_scale.search.meta import Part, parts, works_by_row
from jupyter_scale.search.steps import Candidate, Family, Inner, Step, skipped

__all__ = ["Candidates"]


class Candidates:
    """Turns the parameters of candidates into their steps.

    Parameters
    ----------
    estimator : estimator
        What every candidate starts from.
    seed : int or None
        Fills each ``random_state`` that is None.
    seeded_only : bool
        Share only steps that hold a seed.
    """

    def __init__(self, estimator: Any, *, seed: int | None, seeded_only: bool) -> None:
        self.estimator = estimator
        self.seed = seed
        self.seeded_only = seeded_only
        self._steps: dict[tuple[Any, ...], Step] = {}
        self._configured: dict[tuple[bytes, bytes], Any] = {}
        # of estimators that the plan holds anyway; here held too, so that each id stays its own
        self._identities: dict[int, tuple[Any, bytes]] = {}
        self._groups: dict[tuple[Any, ...], bool] = {}
        self._replaced: dict[tuple[Any, ...], Candidates] = {}
        self._pipeline = sharable_pipeline(estimator)
        self._names = [name for name, _ in estimator.steps] if self._pipeline else []

    def candidate(self, parameters: dict[str, Any] | None) -> Candidate:
        """Return the steps of the candidate that `parameters` describe."""
        try:
            return self._candidate(parameters or {})
        except Unidentified as error:
            reason = str(error)
        except Exception as error:  # scikit-learn will raise it again, in the cell
            reason = f"its parameters cannot be set ({error})"
        label = type(self.estimator).__name__
        return Candidate(steps=(), final=Step(label, None, reason), alone=reason)

    def _candidate(self, parameters: dict[str, Any]) -> Candidate:
        if not self._pipeline:
            step = self._step("", self.estimator, parameters, final=True)
            return self._finish((), step, {path: self.seed for path in step.seeds})
        own = {k: v for k, v in parameters.items() if "__" not in k and k not in self._names}
        if own:
            rest = {k: v for k, v in parameters.items() if k not in own}
            return self._with_own(own).candidate(rest)
        return self._pipeline_candidate(parameters)

    def _with_own(self, own: dict[str, Any]) -> Candidates:
        """Return the candidates of this Pipeline with parameters of its own set, like `steps`."""
        key = tuple(sorted((name, identify(value)) for name, value in own.items()))
        if key not in self._replaced:
            estimator = clone(self.estimator).set_params(**clone(own, safe=False))
            self._replaced[key] = Candidates(
                estimator, seed=self.seed, seeded_only=self.seeded_only
            )
        return self._replaced[key]

    def _pipeline_candidate(self, parameters: dict[str, Any]) -> Candidate:
        settings: dict[str, dict[str, Any]] = {name: {} for name in self._names}
        chosen = dict(self.estimator.steps)
        for key, value in parameters.items():
            name, _, below = key.partition("__")
            if below:
                settings[name][below] = value
            else:
                chosen[name] = value
        path: list[Step | None] = []
        seeds: dict[str, Any] = {}
        *names, last = self._names
        for name in names:
            if skipped(chosen[name]) and not settings[name]:
                path.append(None)
                continue
            step = self._step(name, chosen[name], settings[name])
            seeds |= {f"{name}__{below}": self.seed for below in step.seeds}
            path.append(step)
        final = self._step(last, chosen[last], settings[last], final=True)
        seeds |= {f"{last}__{below}": self.seed for below in final.seeds}
        return self._finish(tuple(path), final, seeds)

    def _finish(
        self, steps: tuple[Step | None, ...], final: Step, seeds: dict[str, Any]
    ) -> Candidate:
        first = next(step for step in (*steps, final) if step)
        alone = None
        if first.writes_first:
            alone = f"{first.writes_first} writes into the data of the fold"
        root = identify((first.pairwise, getattr(self.estimator, "transform_input", None)))
        return Candidate(steps, final, alone, seeds, root, self._pipeline)

    def _step(
        self,
        name: str,
        estimator: Any,
        settings: dict[str, Any],
        *,
        final: bool = False,
        inside: bool = False,
    ) -> Step:
        label = f"{name}: {type(estimator).__name__}" if name else type(estimator).__name__
        try:
            if final and settings and all(plain(*item) for item in settings.items()):
                return self._plain_step(name, estimator, settings)
            key = (name, inside, self._identity(estimator), identify(sorted(settings.items())))
            if key not in self._steps:
                self._steps[key] = self._configure(name, estimator, settings, inside=inside)
        except Unidentified as error:
            return Step(label, None, str(error))
        return self._steps[key]

    def _identity(self, estimator: Any) -> bytes:
        """Return the identity of an estimator that nobody changes while the plan is made."""
        if id(estimator) not in self._identities:
            self._identities[id(estimator)] = (estimator, identify(estimator))
        return self._identities[id(estimator)][1]

    def _plain_step(self, name: str, estimator: Any, settings: dict[str, Any]) -> Step:
        """Return a final step with nothing set but plain parameters, without configuring it.

        Final steps come in as many settings as there are candidates.
        """
        base = self._step(name, estimator, {k: v for k, v in settings.items() if decides_draws(k)})
        if base.identity is None or base.pipeline:
            return self._configure(name, estimator, settings)
        if base.inner:
            try:
                step = self._composed(name, base, estimator, settings)
            except Unidentified:  # say so of the whole
                step = None
            return step or self._configure(name, estimator, settings)
        if base.seeds:
            settings = {**settings, **dict.fromkeys(base.seeds, self.seed)}
        identity = identify_set(estimator, settings)
        if identity is None:
            return self._configure(name, estimator, settings)
        family = self._family(name, estimator, settings) if base.in_place is None else None
        return replace(base, identity=identity, family=family)

    def _composed(
        self, name: str, base: Step, estimator: Any, settings: dict[str, Any]
    ) -> Step | None:
        """Return a meta-estimator that only its parts and parameters of its own make what it is.

        Its parts come in few settings, so each is configured once. None where what is set is in
        none of the parts, or where these do not tell all.
        """
        settings = {**settings, **dict.fromkeys(base.seeds, self.seed)}
        own = {key: value for key, value in settings.items() if "__" not in key}
        below: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            part, _, path = key.partition("__")
            if path:
                below.setdefault(part, {})[path] = value
        outer = object.__new__(type(estimator))  # its rule only looks at parameters
        vars(outer).update({**vars(estimator), **own})
        found = parts(outer)
        if not below.keys() <= {part.name for part in found}:
            return None
        configured = [
            replace(part, estimator=self._part(part.estimator, below.get(part.name, {})))
            for part in found
        ]
        inner = tuple(self._parts_of(name, configured))
        if any(one.step.identity is None for one in inner):
            return None
        known = {
            id(part.estimator): Identified(one.step.identity or b"")
            for part, one in zip(found, inner, strict=True)
        }
        used: list[int] = []
        stand_ins = {
            key: _stand_in(value, known, used)
            for key, value in {**parameters(estimator), **own}.items()
        }
        # one object may be several parts, or something else besides, each in a setting of its own
        if len(known) < len(found) or sorted(used) != sorted(known):
            return None
        identity = identify_set(estimator, stand_ins)
        if identity is None:
            return None
        family = None if below else self._family(name, estimator, own, stand_ins)
        return replace(base, identity=identity, inner=() if family else inner, family=family)

    def _part(self, estimator: Any, settings: dict[str, Any]) -> Any:
        """Return a part of a meta-estimator as these settings configure it, always the same."""
        if not settings:
            return estimator
        key = (self._identity(estimator), identify(sorted(settings.items())))
        if key not in self._configured:
            configured = clone(estimator).set_params(**clone(settings, safe=False))
            self._configured[key] = configured
        return self._configured[key]

    def _family(
        self,
        name: str,
        estimator: Any,
        settings: dict[str, Any],
        stand_ins: Mapping[str, Any] | None = None,
        *,
        inside: bool = False,
    ) -> Family | None:
        """Return the family of a step whose settings vary along an axis of its estimator.

        What varies `inside` a meta-estimator is not among the settings: there, whatever has an
        axis is of a family, which may stay small. `stand_ins` are parameters in which identities
        stand for the parts, so that these are not identified again.
        """
        axis = axes.known(estimator)
        if axis is None or not (inside or settings.keys() & set(axis.parameters)):
            return None
        common = {k: v for k, v in settings.items() if k not in axis.parameters}
        off = dict.fromkeys(axis.parameters)
        group = identify_set(estimator, {**(stand_ins or {}), **common, **off})
        if group is None:
            return None
        if (name, group) not in self._groups:
            configured = clone(estimator).set_params(**clone(settings, safe=False))
            self._groups[name, group] = axes.find(configured) is not None
        if not self._groups[name, group]:
            return None
        params = {**parameters(estimator), **settings}
        values = {key: params[key] for key in axis.parameters}
        size = values[axis.parameters[0]]
        if axis.grows and isinstance(size, Integral):  # XGBoost's may be None
            return Family(group, values, axis.grows, int(size))
        return Family(group, values)

    def _configure(
        self, name: str, estimator: Any, settings: dict[str, Any], *, inside: bool = False
    ) -> Step:
        prefix = f"{name}: " if name else ""
        if skipped(estimator):
            if settings:
                raise Unidentified(f"{prefix}{estimator!r} takes no parameters")
            return Step(f"{prefix}passthrough", identify(estimator))
        base, estimator = estimator, clone(estimator)
        if settings:
            estimator.set_params(**clone(settings, safe=False))
        without = unseeded(estimator)
        seeds: list[str] = []
        if self.seed is not None and without:
            estimator.set_params(**dict.fromkeys(without, self.seed))
            seeds, without = without, []
        label = f"{prefix}{type(estimator).__name__}"
        identity: bytes | None = None
        reason = None
        if without and self.seeded_only:
            reason = f"{label} has no seed"
        else:
            try:
                _check_kept(estimator, settings)
                identity = identify(estimator)
            except Unidentified as error:
                reason = str(error)
        pipeline = sharable_pipeline(estimator)
        in_place = None if pipeline else writes_input(estimator)  # its steps say it themselves
        below: tuple[Inner | None, ...] = ()
        family = None
        if pipeline:
            below = tuple(self._steps_of(name, estimator))
        elif in_place is None:
            below = tuple(self._parts_of(name, parts(estimator)))
            if identity is not None and all("__" not in key for key in settings):
                seeded = {**settings, **dict.fromkeys(seeds, self.seed)}
                family = self._family(name, base, seeded, inside=inside and not below)
        return Step(
            label,
            identity,
            reason,
            in_place,
            tuple(f"{label} ({path})" for path in without),
            tuple(seeds),
            _pairwise(estimator),
            pipeline,
            () if family else below,
            family,
            works_by_row(estimator),
        )

    def _steps_of(self, name: str, pipeline: Any) -> Iterator[Inner | None]:
        """Yield the steps inside a step that is a Pipeline."""
        last = len(pipeline.steps) - 1
        for place, (below, step) in enumerate(pipeline.steps):
            if skipped(step):
                yield None
            else:
                yield Inner(self._inside(name, below, step), final=place == last)

    def _parts_of(self, name: str, found: Iterable[Part]) -> Iterator[Inner]:
        """Yield the parts of a step that is another meta-estimator."""
        for part in found:
            yield Inner(
                self._inside(name, part.name, part.estimator),
                identify(part.context) if part.context else b"",
                identify(part.columns) if part.columns else b"",
                crossed=part.crossed,
                recorded=part.recorded,
            )

    def _inside(self, name: str, below: str, estimator: Any) -> Step:
        """Return a step inside another; what draws is named, and seeded, by the outer one."""
        step = self._step(f"{name}__{below}" if name else below, estimator, {}, inside=True)
        if step.unseeded or step.seeds:
            key = ("inside", id(step))
            if key not in self._steps:
                self._steps[key] = replace(step, unseeded=(), seeds=())
            return self._steps[key]
        return step


def _stand_in(value: Any, known: Mapping[int, Identified], used: list[int]) -> Any:
    """Return a value in which identities stand for estimators; `used` receives the ids of those."""
    if id(value) in known:
        used.append(id(value))
        return known[id(value)]
    if type(value) in (list, tuple):
        return type(value)(_stand_in(item, known, used) for item in value)
    return value


def _check_kept(estimator: Any, settings: dict[str, Any]) -> None:
    """Refuse an estimator whose ``get_params`` does not show what was set."""
    params = parameters(estimator)
    for name, value in settings.items():
        if "__" not in name and name in params and identify(params[name]) != identify(value):
            raise Unidentified(f"{type(estimator).__name__} does not show its {name}")


def _pairwise(estimator: Any) -> bool:
    try:
        return bool(get_tags(estimator).input_tags.pairwise)
    except Exception:  # not a scikit-learn estimator: it has no such tag
        return False
