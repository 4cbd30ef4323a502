"""The order and the size of tasks: a plan -> pieces, decided as durations become known.

The plan is a forest: per fold, the nodes and below them the cells. A piece is a whole subtree, a
node to be made for several pieces, or some of the cells directly below a made node. Depth first
keeps few intermediate results alive; the longest subtrees start first, and pieces shrink as the
remaining work does (guided self-scheduling), so that the cores end together. Pure: no cluster, no
clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from jupyter_scale.search.durations import Durations
from jupyter_scale.search.plan import Call, Cell, Plan

__all__ = ["Piece", "Schedule"]

SHORTEST = 0.2
LONGEST = 2.0  # seconds: progress and interrupts wait for a task to end
ROUNDS = 3  # pieces that each thread should still get from what remains
PROBE = 8  # cells in a piece while their duration is unknown


@dataclass(slots=True, eq=False)
class Branch:
    """A node of the plan (or a fold) with the range of entries below it."""

    node: int | None
    parent: Branch | None
    depth: int
    start: int
    stop: int = 0
    direct: int = 0
    """Entries that need nothing more than this node; they come first in the range."""
    children: list[Branch] = field(default_factory=list)
    made: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A unit of work: run entries ``start:stop``, or make the branch's node first.

    `base` is the made node that it starts from.
    """

    branch: Branch
    start: int
    stop: int
    base: int | None
    make: bool = False
    whole: bool = False
    """Not to be divided again before it is tried."""
    seconds: float = 0.0


class Schedule:
    """Hands out a plan's work in pieces.

    Parameters
    ----------
    plan : Plan
        What is to be done.

    Examples
    --------
    >>> schedule = Schedule(Plan())
    >>> schedule.next(threads=2) is None, schedule.finished
    (True, True)
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.entries: list[Cell | Call] = [
            *sorted(plan.cells, key=lambda cell: (cell.fold, cell.setup, cell.path)),
            *plan.calls,
        ]
        self.durations = Durations(plan.kinds)
        self._entry_kinds = np.array([entry.kind for entry in self.entries], dtype=np.intp)
        self._node_kinds = np.array([node.kind for node in plan.nodes], dtype=np.intp)
        self._node_places = self._first_places()
        self._due = np.ones(len(plan.nodes), dtype=bool)
        # what nothing is made for yet, in any order; and what goes on from where the work is
        self._pool: list[Branch] = list(reversed(self._forest()))
        self._stack: list[Branch | Piece] = []
        self._needed: dict[int, int] = {}
        self._stale = True
        self._learned = 0
        self._running = 0.0
        self._left = len(self.entries)

    @property
    def finished(self) -> bool:
        """Whether every entry is done."""
        return self._left == 0

    # -- what the schedule learns

    def made(self, piece: Piece) -> Iterable[int]:
        """Note that a piece has made its node; return the nodes no longer needed."""
        self._running -= piece.seconds
        branch = piece.branch
        assert branch.node is not None
        self._mark(branch, made=True)
        self._needed[branch.node] = branch.stop - branch.start
        self._stack.append(branch)
        return self._release(piece.base, branch.stop - branch.start)

    def done(self, piece: Piece) -> Iterable[int]:
        """Note that the entries of a piece are done; return the nodes no longer needed."""
        self._running -= piece.seconds
        self._left -= piece.stop - piece.start
        return self._release(piece.base, piece.stop - piece.start)

    def _release(self, base: int | None, entries: int) -> Iterable[int]:
        if base is None:
            return ()
        self._needed[base] -= entries
        if self._needed[base]:
            return ()
        del self._needed[base]
        return (base,)

    def _mark(self, branch: Branch, *, made: bool) -> None:
        """Note that a branch's node, and those before it, are made (or lost)."""
        place: Branch | None = branch
        while place is not None and place.node is not None and self._due[place.node] == made:
            self._due[place.node] = not made
            place = place.parent
        branch.made = made
        self._stale = True

    def halve(self, piece: Piece) -> None:
        """Take back a piece of several entries that ended its workers, to find the culprit."""
        self._running -= piece.seconds
        middle = (piece.start + piece.stop) // 2
        for start, stop in ((middle, piece.stop), (piece.start, middle)):
            self._stack.append(Piece(piece.branch, start, stop, piece.base, whole=True))

    def unmakable(self, piece: Piece) -> None:
        """Take back a node that cannot be made; each of its entries is tried by itself."""
        self._running -= piece.seconds
        for start in reversed(range(piece.start, piece.stop)):
            self._stack.append(Piece(piece.branch, start, start + 1, piece.base, whole=True))

    def again(self, pieces: Sequence[Piece]) -> None:
        """Take back pieces that were lost, and every made node with them."""
        self._needed.clear()
        self._running = 0.0
        waiting = [*self._stack, *pieces]
        for item in waiting:
            branch: Branch | None = item if isinstance(item, Branch) else item.branch
            while branch is not None:
                if branch.made:
                    self._mark(branch, made=False)
                branch = branch.parent
        self._stack = [_unmade(item) for item in waiting]

    # -- what comes next

    def next(self, *, threads: int) -> Piece | None:
        """Return the next piece for a cluster of so many threads, or None for now."""
        self._refresh()
        limit = self._limit(threads)
        while self._stack or self._pool:
            item = self._stack.pop() if self._stack else self._pool.pop()
            if isinstance(item, Piece):
                return self._some(item, limit, threads)
            if self._fits(item.start, item.stop, limit, threads):
                return self._start(Piece(item, item.start, item.stop, _base(item)))
            if item.node is not None and not item.made:
                return self._start(_making(item))
            base = _base(item)
            (self._pool if base is None else self._stack).extend(reversed(item.children))
            self._sort_pool()
            if item.direct:
                self._stack.append(Piece(item, item.start, item.start + item.direct, base))
        return None

    def _some(self, piece: Piece, limit: float, threads: int) -> Piece:
        """Return as much of a piece as fits, and leave the rest for later."""
        start, stop = piece.start, piece.stop
        if not piece.whole and not self._fits(start, stop, limit, threads):
            each = self._cost(start, start + 1)
            size = max(1, int(limit / each)) if each else self._probe(threads)
            middle = min(stop, start + size)
            if middle < stop:
                self._stack.append(Piece(piece.branch, middle, stop, piece.base))
            stop = middle
        return self._start(Piece(piece.branch, start, stop, piece.base))

    def _start(self, piece: Piece) -> Piece:
        if piece.make:
            seconds = self._cost(piece.start, piece.start + 1) or 0.0
        else:
            seconds = self._cost(piece.start, piece.stop) or 0.0
        self._running += seconds
        return replace(piece, seconds=seconds)

    def _fits(self, start: int, stop: int, limit: float, threads: int) -> bool:
        if stop - start <= 1:
            return True
        cost = self._cost(start, stop)
        return cost <= limit if cost is not None else stop - start <= self._probe(threads)

    def _probe(self, threads: int) -> int:
        return max(1, min(PROBE, len(self.entries) // (ROUNDS * threads)))

    def _limit(self, threads: int) -> float:
        waiting: list[Branch | Piece] = [*self._stack, *self._pool]
        remaining = self._running + sum(
            self._cost(item.start, item.stop) or 0.0 for item in waiting
        )
        return min(LONGEST, max(SHORTEST, remaining / (ROUNDS * threads)))

    def _cost(self, start: int, stop: int) -> float | None:
        """Estimate the seconds of a range of entries; None if a step is unknown."""
        if self._unknown[stop] - self._unknown[start]:
            return None
        return float(self._costs[stop] - self._costs[start])

    def _refresh(self) -> None:
        """Estimate anew, when enough was learned since the last time."""
        news = self.durations.learned - self._learned
        if not self._stale and news <= self.durations.learned // 20:
            return
        self._stale, self._learned = False, self.durations.learned
        seconds = self.durations.estimates()
        costs = seconds[self._entry_kinds] if self.entries else np.zeros(0)
        due = self._due
        np.add.at(costs, self._node_places[due], seconds[self._node_kinds[due]])
        unknown = np.isnan(costs)
        self._unknown = np.concatenate([[0], np.cumsum(unknown)])
        self._costs = np.concatenate([[0.0], np.cumsum(np.where(unknown, 0.0, costs))])
        self._sort_pool()

    def _sort_pool(self) -> None:
        """Put the longest last, where it is taken from: short ones fill up the end."""

        def seconds(branch: Branch) -> float:
            cost = self._cost(branch.start, branch.stop)
            return np.inf if cost is None else cost

        self._pool.sort(key=seconds)

    # -- the forest

    def _first_places(self) -> NDArray[np.intp]:
        """Return for each node the first entry that needs it, in the order of entries."""
        places = np.zeros(len(self.plan.nodes), dtype=np.intp)
        for place in range(len(self.entries) - 1, -1, -1):
            entry = self.entries[place]
            if isinstance(entry, Cell):
                for number in entry.path:
                    places[number] = place
        return places

    def _forest(self) -> list[Branch]:
        roots: list[Branch] = []
        open_: list[Branch] = []
        keys: list[object] = []
        for place, entry in enumerate(self.entries):
            root: object = (entry.fold, entry.setup) if isinstance(entry, Cell) else "calls"
            path = [root, *(entry.path if isinstance(entry, Cell) else ())]
            common = 0
            while common < min(len(path), len(keys)) and path[common] == keys[common]:
                common += 1
            for branch in open_[common:]:
                branch.stop = place
            del open_[common:]
            keys = path
            for depth in range(common, len(path)):
                node = path[depth]
                parent = open_[-1] if open_ else None
                branch = Branch(node if isinstance(node, int) else None, parent, depth, place)
                (parent.children if parent else roots).append(branch)
                open_.append(branch)
            open_[-1].direct += 1
        for branch in open_:
            branch.stop = len(self.entries)
        return roots


def _base(branch: Branch | None) -> int | None:
    """Return the nearest made node at or above a branch."""
    while branch is not None:
        if branch.made:
            return branch.node
        branch = branch.parent
    return None


def _making(branch: Branch) -> Piece:
    """Make the node below which the branch first divides; those before it come along."""
    while branch.direct == 0 and len(branch.children) == 1:
        branch = branch.children[0]
    return Piece(branch, branch.start, branch.stop, _base(branch), make=True)


def _unmade(item: Branch | Piece) -> Branch | Piece:
    if isinstance(item, Branch):
        return item
    return item.branch if item.make else replace(item, base=None)
