"""Which steps a candidate fits, and what identifies each: parameters -> a path of steps.

A grid of thousands of candidates holds few distinct settings of each step, so a step is configured
(by scikit-learn's own ``clone`` and ``set_params``) and identified once per distinct setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.base import clone
from sklearn.utils import get_tags

from jupyter_scale.search.identity import (
    Unidentified,
    identify,
    identify_set,
    plain,
    unseeded,
    writes_input,
)
from jupyter_scale.search.internals import sharable_pipeline

__all__ = ["Candidate", "Candidates", "Step", "hooked_steps", "skipped"]


@dataclass(frozen=True, slots=True)
class Step:
    """A configured step.

    `identity` is None where nothing tells whether two such steps are the same; `reason` says why.
    `seeds` are the parameters, by path below the step, that the search's seed fills.
    """

    label: str
    identity: bytes | None
    reason: str | None = None
    in_place: str | None = None
    unseeded: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    pairwise: bool = False
    inner: tuple[Step, ...] = ()
    """Steps inside a step that is itself a Pipeline, in the order of completion."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The steps of a candidate in the order of completion, the last one being the leaf.

    `alone` says why a candidate shares nothing at all, or is None.
    """

    steps: tuple[Step, ...]
    final: Step
    alone: str | None = None
    seeds: dict[str, int] = field(default_factory=dict)
    root: bytes = b""
    """Settings of the Pipeline itself that bear on what its steps see."""


def skipped(step: Any) -> bool:
    """Tell whether a Pipeline passes its data by this step."""
    return step is None or (isinstance(step, str) and step == "passthrough")


def hooked_steps(pipeline: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield (Pipeline, step name, transformer) in the order in which fitting completes them.

    These are the steps that go through the Pipeline's ``memory``, those of inner Pipelines
    included; the final step is none of them.
    """
    for name, step in pipeline.steps[:-1]:
        if skipped(step):
            continue
        if sharable_pipeline(step):
            yield from hooked_steps(step)
        yield pipeline, name, step
    final = pipeline.steps[-1][1]
    if sharable_pipeline(final):
        yield from hooked_steps(final)


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
        path: list[Step] = []
        seeds: dict[str, Any] = {}
        *names, last = self._names
        for name in names:
            if skipped(chosen[name]) and not settings[name]:
                continue
            step = self._step(name, chosen[name], settings[name])
            seeds |= {f"{name}__{below}": self.seed for below in step.seeds}
            path += [*step.inner, step]
        final = self._step(last, chosen[last], settings[last], final=True)
        seeds |= {f"{last}__{below}": self.seed for below in final.seeds}
        return self._finish((*path, *final.inner), final, seeds)

    def _finish(self, steps: tuple[Step, ...], final: Step, seeds: dict[str, Any]) -> Candidate:
        first = (*steps, final)[0]
        alone = None
        if first.in_place:
            alone = f"{first.in_place} writes into the data of the fold"
        root = identify((first.pairwise, getattr(self.estimator, "transform_input", None)))
        return Candidate(steps, final, alone, seeds, root)

    def _step(
        self, name: str, estimator: Any, settings: dict[str, Any], *, final: bool = False
    ) -> Step:
        label = f"{name}: {type(estimator).__name__}" if name else type(estimator).__name__
        try:
            if final and settings and all(plain(*item) for item in settings.items()):
                return self._plain_step(name, estimator, settings)
            key = (name, identify(estimator), identify(sorted(settings.items())))
            if key not in self._steps:
                self._steps[key] = self._configure(name, estimator, settings)
        except Unidentified as error:
            return Step(label, None, str(error))
        return self._steps[key]

    def _plain_step(self, name: str, estimator: Any, settings: dict[str, Any]) -> Step:
        """Return a final step with nothing set but plain parameters, without configuring it.

        Final steps come in as many settings as there are candidates.
        """
        base = self._step(name, estimator, {})
        if base.inner or base.identity is None:
            return self._configure(name, estimator, settings)
        if base.seeds:
            settings = {**settings, **dict.fromkeys(base.seeds, self.seed)}
        identity = identify_set(estimator, settings)
        if identity is None:
            return self._configure(name, estimator, settings)
        return replace(base, identity=identity)

    def _configure(self, name: str, estimator: Any, settings: dict[str, Any]) -> Step:
        prefix = f"{name}: " if name else ""
        if skipped(estimator):
            if settings:
                raise Unidentified(f"{prefix}{estimator!r} takes no parameters")
            return Step(f"{prefix}passthrough", identify(estimator))
        estimator = clone(estimator)
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
                identity = identify(estimator)
                _check_kept(estimator, settings)
            except Unidentified as error:
                reason = str(error)
        inner = tuple(self._inner(name, estimator))
        return Step(
            label,
            identity,
            reason,
            None if inner else writes_input(estimator),  # the inner steps say it themselves
            tuple(f"{label} ({path})" for path in without),
            tuple(seeds),
            _pairwise(estimator),
            inner,
        )

    def _inner(self, name: str, estimator: Any) -> Iterator[Step]:
        """Yield the steps inside a step that is a Pipeline, in the order of completion."""
        if not sharable_pipeline(estimator):
            return
        for _, inner_name, inner in hooked_steps(estimator):
            step = self._step(f"{name}__{inner_name}", inner, {})
            # what lies deeper is in hooked_steps already, what draws is named by the whole
            yield replace(step, inner=(), unseeded=(), seeds=())


def _check_kept(estimator: Any, settings: dict[str, Any]) -> None:
    """Refuse an estimator whose ``get_params`` does not show what was set."""
    params = estimator.get_params(deep=False)
    for name, value in settings.items():
        if "__" not in name and name in params and identify(params[name]) != identify(value):
            raise Unidentified(f"{type(estimator).__name__} does not show its {name}")


def _pairwise(estimator: Any) -> bool:
    try:
        return bool(get_tags(estimator).input_tags.pairwise)
    except Exception:  # not a scikit-learn estimator: it has no such tag
        return False
