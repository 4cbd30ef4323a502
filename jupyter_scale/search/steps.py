"""What a candidate is made of: its steps, and what is fitted inside each, as the plan sees them.

`candidate` reads these from an estimator and its parameters; `nodes` and `planner` find those that
are equal. They hold no estimator, only what tells two of them apart and how a message names them,
so that a plan of a million candidates is made of few objects, most of them shared.

Invariant: two steps of equal identity, on equal data and in an equal context, make equal fits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Candidate", "Family", "Inner", "Step", "skipped"]


@dataclass(frozen=True, slots=True)
class Family:
    """Settings of one estimator that a single fit answers (`axes`).

    `group` is the identity of what they have in common; `values` tells this one from the others.
    `grows` is what a fit grows, `size` how many of them in this setting.
    """

    group: bytes
    values: dict[str, Any]
    grows: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Inner:
    """A step inside a Pipeline or a part of another meta-estimator (`meta.Part`)."""

    step: Step
    context: bytes = b""
    columns: bytes = b""
    final: bool = False
    """The last step of a Pipeline, which is fitted with the Pipeline."""
    crossed: bool = False
    recorded: bool = False


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
    pipeline: bool = False
    inner: tuple[Inner | None, ...] = ()
    """One per step of a Pipeline (None where it is skipped), or per part."""
    family: Family | None = None
    by_row: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """What fitting this step fits, itself last."""
        below: list[str] = []
        for inner in self.inner:
            if inner and inner.recorded:
                below.append(inner.step.label)
            elif inner:
                below += inner.step.labels[:-1] if inner.final else inner.step.labels
        return (*below, self.label)

    @property
    def writes_first(self) -> str | None:
        """What lets the step write into its input, such as ``copy=False``."""
        if not self.pipeline:
            return self.in_place
        return next((inner.step.writes_first for inner in self.inner if inner), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The steps of a candidate in the order of completion, the last one being the leaf.

    `steps` has an entry per step of the Pipeline, None where it is skipped. `alone` says why a
    candidate shares nothing at all, or is None.
    """

    steps: tuple[Step | None, ...]
    final: Step
    alone: str | None = None
    seeds: dict[str, int] = field(default_factory=dict)
    root: bytes = b""
    """Settings of the Pipeline itself that bear on what its steps see."""
    pipeline: bool = False
    """Whether the estimator is a Pipeline: one of a single step has no `steps`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What scikit-learn fits for this candidate, in the order of completion."""
        before = [label for step in self.steps if step for label in step.labels]
        return (*before, *self.final.labels)


def skipped(step: Any) -> bool:
    """Tell whether a Pipeline passes its data by this step."""
    return step is None or (isinstance(step, str) and step == "passthrough")
