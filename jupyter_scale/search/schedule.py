"""The order and the size of tasks: a plan -> pieces, decided as durations become known.

The plan is a forest: per fold, the nodes and below them the cells. A piece is a whole subtree, a
node to be made for several pieces, or some of the cells directly below a made node. Depth first
keeps few intermediate results alive; pieces shrink as the remaining work does (guided
self-scheduling), so that the cores end together. Pure: no cluster, no clock.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

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
    counted: bool = True
    """The fit of the node is part of what remains."""


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
        self._labels: dict[str, int] = {}
        self._seconds: list[float] = []
        self._counts: list[int] = []
        self._totals = self._index()
        self._stack: list[Branch | Piece] = list(reversed(self._forest()))
        self._needed: dict[int, int] = {}
        self._running = 0.0
        self._left = len(self.entries)

    @property
    def finished(self) -> bool:
        """Whether every entry is done."""
        return self._left == 0

    # -- what the schedule learns

    def learn(self, label: str, seconds: float) -> None:
        """Note how long a fit of a step took."""
        number = self._labels[label]
        self._seconds[number] += seconds
        self._counts[number] += 1

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
        while place is not None and place.node is not None and place.counted == made:
            label = self._labels[self.plan.nodes[place.node].label]
            self._totals[label].move(place.start, due=not made)
            place.counted = not made
            place = place.parent
        branch.made = made

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
        limit = self._limit(threads)
        while self._stack:
            item = self._stack.pop()
            if isinstance(item, Piece):
                return self._some(item, limit, threads)
            if self._fits(item.start, item.stop, limit, threads):
                return self._start(Piece(item, item.start, item.stop, _base(item)))
            if item.node is not None and not item.made:
                return self._start(_making(item))
            self._stack += reversed(item.children)
            if item.direct:
                end = item.start + item.direct
                self._stack.append(Piece(item, item.start, end, _base(item)))
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
        remaining = self._running + sum(
            self._cost(item.start, item.stop) or 0.0 for item in self._stack
        )
        return min(LONGEST, max(SHORTEST, remaining / (ROUNDS * threads)))

    def _cost(self, start: int, stop: int) -> float | None:
        """Estimate the seconds of a range of entries; None if a step is unknown."""
        cost = 0.0
        for label, total in enumerate(self._totals):
            fits = total(start, stop)
            if fits and not self._counts[label]:
                return None
            if fits:
                cost += fits * self._seconds[label] / self._counts[label]
        return cost

    # -- the forest

    def _index(self) -> list[_Occurrences]:
        """Note for each label where in the order of entries its fits fall due."""
        places: list[list[int]] = []

        def note(label: str, place: int) -> None:
            if label not in self._labels:
                self._labels[label] = len(places)
                places.append([])
                self._seconds.append(0.0)
                self._counts.append(0)
            places[self._labels[label]].append(place)

        seen: set[int] = set()
        for place, entry in enumerate(self.entries):
            for number in entry.path if isinstance(entry, Cell) else ():
                if number not in seen:
                    seen.add(number)
                    note(self.plan.nodes[number].label, place)
            note(entry.label, place)
        return [_Occurrences(label) for label in places]

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


class _Occurrences:
    """Counts how many of some sorted places lie in a range."""

    __slots__ = ("places",)

    def __init__(self, places: list[int]) -> None:
        self.places = places

    def __call__(self, start: int, stop: int) -> int:
        return bisect_left(self.places, stop) - bisect_left(self.places, start)

    def move(self, place: int, *, due: bool) -> None:
        """Add or remove one occurrence."""
        if due:
            insort(self.places, place)
        else:
            del self.places[bisect_left(self.places, place)]


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
