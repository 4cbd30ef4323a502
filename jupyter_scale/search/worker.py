"""What a Dask worker is asked to call: tasks, with what they need unpacked.

`given` arguments are futures on the client's side; here they are what `make` returned. `names` are
those of the plan's bundle and data, `brought` may hold some of them. What a task found is told
under `topic` (see `results`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from distributed import get_worker
from distributed.protocol.pickle import dumps, loads

from jupyter_scale.search import draws, tasks
from jupyter_scale.search.cache import renumbered
from jupyter_scale.search.holding import Holding, Missing, find
from jupyter_scale.search.mapping import Mapped
from jupyter_scale.search.plan import Ref
from jupyter_scale.search.results import tell
from jupyter_scale.search.sharing import Parcel
from jupyter_scale.search.store import Made, Splits
from jupyter_scale.search.tasks import Bundle, CarriedError, Outcome, Task

__all__ = ["make_on_worker", "outcome_of", "renumber", "run_on_worker", "sent"]

FOLDS = 0.05
"""Share of a worker's memory in which it keeps folds that are asked for in turn."""

draws.apart()  # in each process that runs tasks
_cut: WeakKeyDictionary[Parcel | Mapped, Splits] = WeakKeyDictionary()


class Nodes(dict[int, Made]):
    """A node, and those that are needed with it; none when its worker lacked the data.

    What cannot be pickled stays where it was made: a task on another worker is given nothing in
    its place and makes it anew. (Dask itself would wait for it for ever: its scheduler takes no
    word of a result that cannot be fetched.)
    """

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        buffers: list[Any] = []
        try:
            pickled = dumps(dict(self), buffer_callback=buffers.append)
        except Exception:
            return Nodes, ()
        return _loaded, (pickled, *buffers)


def _loaded(pickled: bytes, *buffers: Any) -> Nodes:
    return Nodes(loads(pickled, buffers=buffers))


Node = tuple[Nodes, Outcome | Missing]


def run_on_worker(
    task: Task,
    nested: Callable[[], Any],
    given: Sequence[Node],
    names: Sequence[str],
    brought: Sequence[Holding],
    topic: str,
) -> Outcome | Missing:
    """Run a task; end it between two cells when its client no longer wants it."""
    shared = _shared(names, brought, given)
    if isinstance(shared, Missing):
        tell(topic, shared)
        return shared
    worker = get_worker()
    key = worker.get_current_task()

    def stopped() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state in ("cancelled", "resumed")

    bundle, values, splits = _opened(shared)
    outcome = tasks.run(
        task, bundle, values, _nodes(given), splits=splits, nested=nested, stopped=stopped
    )
    if isinstance(outcome.error, BaseException):
        outcome.error = CarriedError.of(outcome.error)
    outcome.worker = worker.address
    tell(topic, outcome)
    return outcome


def make_on_worker(
    task: Task,
    nested: Callable[[], Any],
    given: Sequence[Node],
    names: Sequence[str],
    brought: Sequence[Holding],
    topic: str,
) -> Node:
    """Make a node, and the nodes before it that were not given."""
    shared = _shared(names, brought, given)
    if isinstance(shared, Missing):
        made: Node = (Nodes(), shared)
    else:
        bundle, values, splits = _opened(shared)
        found, outcome = tasks.make(
            task, bundle, values, _nodes(given), splits=splits, nested=nested
        )
        made = (Nodes(found), outcome)
    tell(topic, made[1])
    return made


def _shared(
    names: Sequence[str], brought: Sequence[Holding], given: Sequence[Node]
) -> list[Parcel | Mapped] | Missing:
    """Return the bundle and the data, or what is missing."""
    found = find(names, brought)
    lacking = tuple(name for name in names if name not in found)
    unmade = tuple(n for n, (_, outcome) in enumerate(given) if isinstance(outcome, Missing))
    if lacking or unmade:
        return Missing(get_worker().address, lacking, unmade)
    return [found[name] for name in names]


def _nodes(given: Sequence[Node]) -> dict[int, Made]:
    """Return all nodes that a task is given; one that was to be made has its training rows."""
    found: dict[int, Made] = {}
    for made, _ in given:
        for number, node in made.items():
            if number not in found or found[number].train is None:
                found[number] = node
    return found


def _opened(shared: Sequence[Parcel | Mapped]) -> tuple[Bundle, dict[int, Any], Splits]:
    """Return the bundle, with the weights and the like that it refers to, the data, their folds.

    What tasks of the plan have cut of the folds stays as long as the bundle is held here.
    """
    values = {number: parcel.value for number, parcel in enumerate(shared[1:])}

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
        for setup in shared[0].value.setups
    )
    here = get_worker()
    room = FOLDS * (here.memory_manager.memory_limit or 0)
    splits = _cut.setdefault(shared[0], Splits(folds=here.state.nthreads, room=room))
    return replace(shared[0].value, setups=setups), values, splits


def sent(parcel: Parcel | Mapped) -> Parcel | Mapped:
    """Return a piece of data: as the result of a task it can be had again."""
    return parcel


def renumber(made: Node, numbers: dict[int, int]) -> Node:
    """Return nodes that another plan has made, by their numbers in this one."""
    return Nodes(renumbered(made[0], numbers)), made[1]


def outcome_of(made: Node) -> Outcome | Missing:
    """Return the small part of a made node, for a client that was not told it."""
    return made[1]
