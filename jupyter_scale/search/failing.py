"""What becomes of work that ended its workers, and of errors and warnings from elsewhere."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from sklearn.base import BaseEstimator

from jupyter_scale.search import tasks
from jupyter_scale.search.plan import Call, Cell, Plan
from jupyter_scale.search.tasks import Bundle, CarriedError, Outcome, Task

__all__ = [
    "LOST",
    "Removal",
    "SchedulerLost",
    "WorkerLost",
    "failed",
    "finish",
    "removals",
]

Removal = tuple[float, tuple[Any, ...]]
"""When a worker was lost, by the scheduler's clock, and the keys of its tasks."""


class WorkerLost(RuntimeError):
    """A candidate ended every worker that tried it."""


class SchedulerLost(RuntimeError):
    """The cluster has gone in the middle of a search."""


class _Failing(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Stands in for a candidate that cannot be fitted, so that scikit-learn scores the failure."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def fit(self, X: Any, y: Any = None, **params: Any) -> _Failing:
        raise self.error


LOST = (
    "the cluster does not answer any more: its scheduler has ended, or the network is gone. What "
    "was done is in the search's scale_report.scores. Start a cluster, then run the search again"
)


def failed(entry: Cell | Call, plan: Plan, error: BaseException | None, label: str) -> Outcome:
    """Return what scikit-learn makes of a cell that ended its workers."""
    why = f" ({error})" if error else ""
    lost = WorkerLost(
        f"{label} ended every worker that tried it, most likely by running out of memory: "
        f"give the workers more, or leave the candidate out{why}"
    )
    if isinstance(entry, Call):
        raise lost
    alone = replace(
        entry,
        parameters=None,
        path=(),
        needs=(),
        site=None,
        alone=True,
        estimator=_Failing(lost),
        watched=None,
    )
    outcome = tasks.run(
        Task(cells=(alone,)),
        Bundle(tuple(plan.setups), tuple(plan.folds)),
        dict(enumerate(plan.data)),
    )
    finish(outcome)
    return outcome


def removals(dask_scheduler: Any = None) -> list[Removal]:
    """Return, on the scheduler, which workers were lost against expectation."""
    return [
        (stamp, tuple(event["processing-tasks"]))
        for stamp, event in dask_scheduler.get_events("all")
        if isinstance(event, dict)
        and event.get("action") == "remove-worker"
        and not event.get("expected")
    ]


def finish(outcome: Outcome) -> None:
    """Show here what happened there: lines, warnings, and the error."""
    for line in outcome.lines:
        print(line)
    for entry in outcome.warned:
        warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    if isinstance(outcome.error, CarriedError):
        raise outcome.error.revive()
    if outcome.error is not None:
        raise outcome.error
