"""What was fitted in one round of a search, kept for the next under a memory limit.

Searches that decide as they go (`OptunaSearchCV`, successive halving) evaluate in rounds, and each
round is a plan of its own. A `Cache` lives as long as one ``search.fit``. It knows each fitted step
by content: the chain of steps up to it, the row numbers of the fold, the data (which it holds, so
that their ids stay theirs) and what bears on a fit besides. What costs the least to make again, per
byte, goes first, and with age all goes: the value of an entry is its seconds per byte plus the
value of what was evicted last (GreedyDual-Size, Cao and Irani 1997).

Pure bookkeeping: what is kept is a future on a cluster, a made node in this process. Losing an
entry costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from jupyter_scale.search.identity import Unidentified, identify
from jupyter_scale.search.plan import Plan, Setup

__all__ = ["Cache", "Chain", "Kept", "renumbered"]

ROLES = ("fit", "derived", "cut")
"""What is worth keeping: one setting of a step; a family answers the settings of its plan only."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A made node with those before it, which are known by number in the plan that made them."""

    path: tuple[int, ...]
    value: Any


@dataclass(slots=True)
class _Entry:
    value: Any
    seconds: float
    nbytes: int
    worth: float


class Cache:
    """A mapping that forgets what is cheap for its size and long unused.

    Parameters
    ----------
    limit : int
        Bytes.

    Examples
    --------
    >>> cache = Cache(limit=100)
    >>> cache.put("cheap", 1, seconds=1.0, nbytes=60)
    >>> cache.put("dear", 2, seconds=9.0, nbytes=40)
    >>> cache.put("new", 3, seconds=5.0, nbytes=50)
    >>> cache.get("cheap") is None, cache.get("dear"), cache.get("new"), cache.nbytes
    (True, 2, 3, 90)
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nbytes = 0
        self._entries: dict[Hashable, _Entry] = {}
        self._age = 0.0
        self._held: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Any:
        """Return what is kept, or None; it is now as good as new."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.worth = self._age + entry.seconds / entry.nbytes
        return entry.value

    def put(self, key: Hashable, value: Any, *, seconds: float, nbytes: int) -> None:
        """Keep a value that took so long to make, if it is worth its room."""
        nbytes = max(1, nbytes)
        self._remove(key)
        if nbytes > self.limit:
            return
        self._entries[key] = _Entry(value, seconds, nbytes, self._age + seconds / nbytes)
        self.nbytes += nbytes
        while self.nbytes > self.limit:
            least = min(self._entries, key=lambda known: self._entries[known].worth)
            self._age = self._entries[least].worth
            self._remove(least)

    def clear(self) -> None:
        """Keep nothing."""
        self._entries.clear()
        self._held.clear()
        self.nbytes, self._age = 0, 0.0

    def holds(self, value: Any) -> bool:
        """Tell whether this very object is kept."""
        return any(
            entry.value is value or (isinstance(entry.value, Chain) and entry.value.value is value)
            for entry in self._entries.values()
        )

    def of(self, plan: Plan) -> Kept:
        """Return what is kept for a plan."""
        return Kept(self, plan, self._keys(plan))

    def _remove(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.nbytes -= entry.nbytes

    # -- keys that mean the same in every plan

    def _keys(self, plan: Plan) -> dict[int, Hashable]:
        """Return the keys of the nodes that cells pass one after the other."""
        try:
            setups = [self._setup(setup, plan) for setup in plan.setups]
            folds = [identify((fold.train, fold.test)) for fold in plan.folds]
        except Unidentified:
            return {}
        known: dict[int, Hashable] = {}

        def content(up: Any) -> Hashable:
            if isinstance(up, int):
                return known[up]
            setup, fold, *rest = up
            return (setups[setup], folds[fold] if fold >= 0 else None, *rest)

        for number, (role, up, *rest) in enumerate(plan.keys):
            known[number] = (role, content(up), *rest)
        return {
            number: known[number]
            for cell in plan.cells
            for number in cell.path
            if plan.nodes[number].role in ROLES
        }

    def _setup(self, setup: Setup, plan: Plan) -> Hashable:
        data = [plan.data[setup.X], None if setup.y is None else plan.data[setup.y]]
        values = [*data, *setup.options.values()]
        self._held.update((id(value), value) for value in values)
        return (*map(id, values), *setup.options, identify(setup.config))


class Kept:
    """What a plan finds in a cache, and puts there.

    Attributes
    ----------
    found : dict of int to Chain
        Nodes that need not be made.
    numbers : collection of int
        Nodes that are to be put there when they are made.
    """

    def __init__(self, cache: Cache, plan: Plan, keys: dict[int, Hashable]) -> None:
        self._cache = cache
        self._keys = keys
        self._paths: dict[int, tuple[int, ...]] = {}
        for cell in plan.cells:
            for place, number in enumerate(cell.path):
                self._paths.setdefault(number, cell.path[: place + 1])
        self.numbers: Iterable[int] = keys.keys()
        self.found: dict[int, Chain] = {}
        for number in keys:
            chain = cache.get(keys[number])
            if chain is not None and len(chain.path) == len(self._paths[number]):
                self.found[number] = chain
        self._spare(plan)

    def _spare(self, plan: Plan) -> None:
        """Leave out of the plan's counts what it has not to fit."""
        needed: set[int] = set()
        used: set[int] = set()
        for cell in plan.cells:
            places = [place for place, number in enumerate(cell.path) if number in self.found]
            if places:
                used.add(cell.path[places[-1]])
            for number in cell.path[places[-1] + 1 if places else 0 :]:
                needed.update((number, *plan.nodes[number].needs))
            needed.update(cell.needs)
        self.found = {number: chain for number, chain in self.found.items() if number in used}
        for node in plan.nodes:
            if node.fitted and node.number not in needed:
                plan.counts[node.label][1] -= 1

    def numbered(self, number: int) -> dict[int, int]:
        """Return the numbers in this plan of the nodes in a chain that was found."""
        return dict(zip(self.found[number].path, self._paths[number], strict=True))

    def put(self, number: int, value: Any, *, seconds: float, nbytes: int) -> None:
        """Keep a node that was made."""
        if number in self._keys:
            chain = Chain(self._paths[number], value)
            self._cache.put(self._keys[number], chain, seconds=seconds, nbytes=nbytes)

    def holds(self, value: Any) -> bool:
        """Tell whether a value goes on being kept."""
        return self._cache.holds(value)

    def lost(self) -> None:
        """Forget everything: the workers have."""
        self._cache.clear()


def renumbered(values: dict[int, Any], numbers: dict[int, int]) -> dict[int, Any]:
    """Return made nodes by their numbers in another plan."""
    return {numbers[number]: value for number, value in values.items()}
