"""What a worker's process holds of the data, found by name.

Tasks bring the names of their data, not the futures: for each task with futures the scheduler
weighs every worker that holds them, which takes milliseconds on a thousand workers. A task that
finds its worker without the data says so (`Missing`) and is sent there again with a `Holding`,
which the tasks after it find. A holding is the result of a Dask task: when its client lets go of
it, or has gone, so are the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from jupyter_scale.search.mapping import Mapped
from jupyter_scale.search.sharing import Parcel

__all__ = ["Holding", "Missing", "find", "hold"]

_known: WeakValueDictionary[str, Parcel | Mapped] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Missing:
    """What a worker lacks for a task that was sent to it."""

    worker: str
    names: tuple[str, ...]
    unmade: tuple[int, ...]
    """Places, among the nodes that it was given, of those that are to be made again: their worker
    was lost, and the one that was to make them once more lacked the data itself."""


class Holding:
    """Keeps data in this process as long as Dask keeps it here; the data do not travel with it."""

    __slots__ = ("parcels",)

    def __init__(self, parcels: dict[str, Parcel | Mapped]) -> None:
        self.parcels = parcels
        _known.update(parcels)

    def __reduce__(self) -> tuple[Any, ...]:
        return Holding, ({},)


def hold(names: Sequence[str], parcels: Sequence[Parcel | Mapped]) -> Holding:
    """Hold data from now on."""
    return Holding(dict(zip(names, parcels, strict=True)))


def find(names: Sequence[str], brought: Iterable[Holding]) -> dict[str, Parcel | Mapped]:
    """Return the data of these names that a task was sent with, or that are held here."""
    found: dict[str, Parcel | Mapped] = {}
    for holding in brought:
        found |= holding.parcels
    for name in names:
        parcel = found.get(name) or _known.get(name)
        if parcel is not None:
            found[name] = parcel
    return found
