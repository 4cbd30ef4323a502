"""What a Dask worker is asked to call: tasks, with what they need unpacked.

`given` arguments are futures on the client's side; here they are what `make` returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributed import get_worker

from jupyter_scale.search import tasks
from jupyter_scale.search.sharing import Parcel
from jupyter_scale.search.store import Made
from jupyter_scale.search.tasks import CarriedError, Outcome, Task

__all__ = ["hold", "make_on_worker", "outcome_of", "run_on_worker"]


def run_on_worker(
    task: Task,
    nested: Callable[[], Any],
    given: list[tuple[dict[int, Made], Outcome]],
    bundle: Parcel,
    *data: Parcel,
) -> Outcome:
    """Run a task; end it between two cells when its client no longer wants it."""
    worker = get_worker()
    key = worker.get_current_task()

    def stopped() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state in ("cancelled", "resumed")

    outcome = tasks.run(
        task,
        bundle.value,
        {number: parcel.value for number, parcel in enumerate(data)},
        _nodes(given),
        nested=nested,
        stopped=stopped,
    )
    if isinstance(outcome.error, BaseException):
        outcome.error = CarriedError.of(outcome.error)
    return outcome


def make_on_worker(
    task: Task,
    nested: Callable[[], Any],
    given: list[tuple[dict[int, Made], Outcome]],
    bundle: Parcel,
    *data: Parcel,
) -> tuple[dict[int, Made], Outcome]:
    """Make a node, and the nodes before it that were not given."""
    return tasks.make(
        task,
        bundle.value,
        {number: parcel.value for number, parcel in enumerate(data)},
        _nodes(given),
        nested=nested,
    )


def _nodes(given: list[tuple[dict[int, Made], Outcome]]) -> dict[int, Made]:
    """Return all nodes that a task is given; one that was to be made has its training rows."""
    found: dict[int, Made] = {}
    for made, _ in given:
        for number, node in made.items():
            if number not in found or found[number].train is None:
                found[number] = node
    return found


def hold(parcel: Parcel) -> Parcel:
    """Return a piece of data: as the result of a task it can be had again."""
    return parcel


def outcome_of(made: tuple[dict[int, Made], Outcome]) -> Outcome:
    """Return the small part of a made node, which is what the client asks for."""
    return made[1]
