"""What is known of a training while it runs and when it has ended, and what it fails with."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Report", "Status", "Training", "TrainingError"]

Status = Literal["starting", "running", "restarting", "done", "failed", "interrupted"]
LINES = 12
"""Epochs that are told as text."""


class TrainingError(RuntimeError):
    """A training could not begin, or cannot go on; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a training said of one step.

    Attributes
    ----------
    epoch, step : int
        Counted from 0; the step within its epoch.
    values : mapping of str to float
        ``loss``, and what the function has reported: means over all ranks.
    """

    epoch: int
    step: int
    values: Mapping[str, float]


@dataclass
class Training:
    """A training that runs or has run.

    Attributes
    ----------
    name : str
        Of the function.
    status : {"starting", "running", "restarting", "done", "failed", "interrupted"}
    world_size : int
        Ranks, as far as is known: fewer than at first when workers were lost for good.
    backend : str
        ``gloo`` or ``nccl``.
    where : str
        The cluster.
    history : list of Report
        In the order of steps; what was done twice, because a worker was lost, is in it once.
    values : list
        What the function returned on each rank.
    restarts : int
        How often it went on from a checkpoint after a loss.
    events : list of str
        What happened to workers, in plain words.
    """

    name: str
    status: Status = "starting"
    world_size: int = 0
    backend: str = ""
    where: str = ""
    history: list[Report] = field(default_factory=list)
    values: list[Any] = field(default_factory=list, repr=False)
    restarts: int = 0
    events: list[str] = field(default_factory=list)
    epochs: int = 0
    seconds: float = 0.0
    _started: float = field(default_factory=time.monotonic, repr=False)

    @property
    def value(self) -> Any:
        """What the function returned on rank 0; None before it has."""
        return self.values[0] if self.values else None

    def rewind(self, epoch: int, step: int) -> None:
        """Forget what was reported of a step and all after it: they are done again."""
        while self.history and (self.history[-1].epoch, self.history[-1].step) >= (epoch, step):
            self.history.pop()

    def tick(self) -> None:
        """Note how long it has taken."""
        self.seconds = time.monotonic() - self._started

    @property
    def metrics(self) -> list[str]:
        """The names of what was reported, the loss first."""
        names = dict.fromkeys(name for report in self.history for name in report.values)
        return sorted(names, key=lambda name: name != "loss")

    def by_epoch(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield each epoch's mean of everything that was reported in it."""
        found: dict[int, dict[str, list[float]]] = {}
        for report in self.history:
            for name, value in report.values.items():
                found.setdefault(report.epoch, {}).setdefault(name, []).append(value)
        for epoch, values in found.items():
            yield epoch, {name: math.fsum(some) / len(some) for name, some in values.items()}

    @property
    def headline(self) -> str:
        """All in a line."""
        parts = [f"{self.name}: {self.status}"]
        if self.history:
            last = self.history[-1]
            of = f" of {self.epochs}" if self.epochs else ""
            parts.append(f"epoch {last.epoch + 1}{of}")
            _, means = list(self.by_epoch())[-1]
            parts += [f"{name} {value:.4g}" for name, value in means.items()]
        if self.world_size:
            ranks = f"{self.world_size} rank{'s' * (self.world_size != 1)}"
            parts.append(f"{ranks} ({self.backend}) on {self.where}")
        if self.restarts:
            parts.append(f"{self.restarts} restart{'s' * (self.restarts != 1)}")
        return ", ".join([*parts, f"{self.seconds:.1f} s"])

    @property
    def lines(self) -> list[str]:
        """All that is known, as text: the headline, what happened, means by epoch."""
        told = [
            f"  epoch {epoch + 1}: " + ", ".join(f"{k} {v:.4g}" for k, v in means.items())
            for epoch, means in self.by_epoch()
        ]
        if len(told) > LINES:
            half = LINES // 2
            told = [*told[:half], f"  ... {len(told) - LINES} epochs more", *told[-half:]]
        return [self.headline, *(f"  {event}" for event in self.events), *told]

    def __str__(self) -> str:
        return "\n".join(self.lines)
