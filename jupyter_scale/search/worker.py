"""What a Dask worker is asked to call: tasks, with what they need unpacked.

`given` arguments are futures on the client's side; here they are what `make` returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from distributed import get_worker

from jupyter_scale.search import tasks
from jupyter_scale.search.cache import renumbered
from jupyter_scale.search.mapping import Mapped
from jupyter_scale.search.plan import Ref
from jupyter_scale.search.sharing import Parcel
from jupyter_scale.search.store import Made
from jupyter_scale.search.tasks import Bundle, CarriedError, Outcome, Task

__all__ = ["hold", "make_on_worker", "outcome_of", "renumber", "run_on_worker"]


def run_on_worker(
    task: Task,
    nested: Callable[[], Any],
    given: list[tuple[dict[int, Made], Outcome]],
    bundle: Parcel | Mapped,
    *data: Parcel | Mapped,
) -> Outcome:
    """Run a task; end it between two cells when its client no longer wants it."""
    worker = get_worker()
    key = worker.get_current_task()

    def stopped() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state in ("cancelled", "resumed")

    values = _values(data)
    outcome = tasks.run(
        task,
        _filled(bundle.value, values),
        values,
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
    bundle: Parcel | Mapped,
    *data: Parcel | Mapped,
) -> tuple[dict[int, Made], Outcome]:
    """Make a node, and the nodes before it that were not given."""
    values = _values(data)
    return tasks.make(
        task,
        _filled(bundle.value, values),
        values,
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


def _values(data: tuple[Parcel | Mapped, ...]) -> dict[int, Any]:
    return {number: parcel.value for number, parcel in enumerate(data)}


def _filled(bundle: Bundle, values: dict[int, Any]) -> Bundle:
    """Return the bundle with the weights and the like that it refers to."""

    def value(option: Any) -> Any:
        if not isinstance(option, dict):
            return option
        return {k: values[v.number] if isinstance(v, Ref) else v for k, v in option.items()}

    setups = tuple(
        replace(
            setup,
            options={
                name: value(option) if name in ("fit_params", "score_params") else option
                for name, option in setup.options.items()
            },
        )
        for setup in bundle.setups
    )
    return replace(bundle, setups=setups)


def hold(parcel: Parcel | Mapped) -> Parcel | Mapped:
    """Return a piece of data: as the result of a task it can be had again."""
    return parcel


def renumber(
    made: tuple[dict[int, Made], Outcome], numbers: dict[int, int]
) -> tuple[dict[int, Made], Outcome]:
    """Return nodes that another plan has made, by their numbers in this one."""
    return renumbered(made[0], numbers), made[1]


def outcome_of(made: tuple[dict[int, Made], Outcome]) -> Outcome:
    """Return the small part of a made node, which is what the client asks for."""
    return made[1]
