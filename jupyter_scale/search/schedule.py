"""The order and the size of tasks: a plan -> pieces, decided as durations become known.

The plan is a forest: per fold, the nodes and below them the cells. A piece is a whole subtree or
several side by side, a node to be made for several pieces, or some of the cells directly below a
made node. What stands beside the forest (`sides`) is made first where several pieces ask for it.
Depth first keeps few intermediate results alive; the longest subtrees start first, and pieces
shrink as the remaining work does (guided self-scheduling), so that the cores end together. Pure: no
cluster, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from jupyter_scale.search.durations import Durations
from jupyter_scale.search.plan import Call, Cell, Plan
from jupyter_scale.search.sides import Sides

__all__ = ["Piece", "Schedule"]

SHORTEST = 0.2  # seconds
LONGEST = 2.0  # seconds: progress waits for a task to end
PER_THREAD = 0.03  # seconds for each thread, if that is more: the scheduler's time for a task
PART = 4  # of such a longest task, at the end
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
    left: int = 0
    """Entries below it that are not done."""
    nodes: tuple[int, int] = (0, 0)
    """Range of the forest's nodes, in the order of the entries, that are this one and below it."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A unit of work: run entries ``start:stop``, or make a node first.

    `base` is the made node that it starts from, `needs` are the made nodes beside it that it is
    given. `branch` is None for a node beside the forest; it is the parent of several `branches`.
    """

    branch: Branch | None
    start: int
    stop: int
    base: int | None
    node: int | None = None
    """The node to be made; None: the entries are to be run."""
    seconds: float = 0.0
    needs: tuple[int, ...] = ()
    branches: tuple[Branch, ...] = ()

    @property
    def make(self) -> bool:
        return self.node is not None


class Schedule:
    """Hands out a plan's work in pieces.

    Parameters
    ----------
    plan : Plan
        What is to be done.
    keep : collection of int
        Nodes that are to be made each by itself, as they are wanted after this plan too.

    Examples
    --------
    >>> schedule = Schedule(Plan())
    >>> schedule.next(threads=2) is None, schedule.finished
    (True, True)
    """

    def __init__(self, plan: Plan, *, keep: Iterable[int] = ()) -> None:
        self.plan = plan
        self._keep = frozenset(keep)
        self._had: list[Branch] = []
        self.entries: list[Cell | Call] = [
            *sorted(plan.cells, key=lambda cell: (cell.fold, cell.setup, cell.path, cell.needs)),
            *plan.calls,
        ]
        self.durations = Durations(plan.kinds)
        self._entry_kinds = np.array([entry.kind for entry in self.entries], dtype=np.intp)
        # what nothing is made for yet, in any order; and what goes on from where the work is
        self._branches: dict[int, Branch] = {}
        self._pool: list[Branch] = list(reversed(self._forest()))
        self._stack: list[Branch | Piece | int] = []
        self.sides = Sides(plan, self.entries[: len(plan.cells)])  # type: ignore[arg-type]
        self._beside_at = np.array([self.sides.first(n) for n in self.sides], dtype=np.intp)
        self._parked: list[Branch | Piece | int] = []
        self._opening: set[Branch] = set()  # their node is being made
        self._settled: set[int] = set()
        self._finished: set[int] = set()
        self._needed: dict[int, int] = {}
        self._learned = -1
        self._running = 0.0
        self._remaining = 0.0
        self._left = len(self.entries)

    @property
    def finished(self) -> bool:
        """Whether every entry is done."""
        return self._left == 0

    # -- what the schedule learns

    def have(self, numbers: Iterable[int]) -> list[int]:
        """Note, before anything is done, nodes that are made; return those not needed."""
        unneeded: list[int] = []
        had = sorted((self._branches[number] for number in numbers), key=lambda b: b.depth)
        for branch in had:
            assert branch.node is not None
            above, entries = _base(branch.parent), _open(branch)
            branch.made = True
            self._had.append(branch)
            self._needed[branch.node] = entries
            unneeded += [*self._release(above, entries), *self._settle(branch)]
        return unneeded

    def made(self, piece: Piece) -> Iterable[int]:
        """Note that a piece has made its node; return the nodes no longer needed."""
        self._running -= piece.seconds
        assert piece.node is not None
        if piece.branch is None:
            self.sides.making.discard(piece.node)
            self.sides.made.add(piece.node)
            self._unpark()
            return list(self.sides.settled(self.sides.direct(piece.node)))
        branch = piece.branch
        branch.made = True
        self._opening.discard(branch)
        entries = self._needed[piece.node] = _open(branch)
        self._stack.append(branch)
        return [*self._release(piece.base, entries), *self._settle(branch)]

    def done(self, piece: Piece) -> Iterable[int]:
        """Note that the entries of a piece are done; return the nodes no longer needed."""
        self._running -= piece.seconds
        self._left -= piece.stop - piece.start
        self._opening -= {piece.branch}
        return [*self._release(piece.base, piece.stop - piece.start), *self._settle_entries(piece)]

    def _unpark(self) -> None:
        """Decide anew on what waited for a side."""
        self._stack.extend(reversed(self._parked))
        self._parked.clear()

    def _settle(self, branch: Branch | None) -> Iterator[int]:
        """Note that a branch's node, and those before it, ask for nothing beside them any more."""
        while self.sides and branch is not None:
            if branch.node is not None and branch.node not in self._settled:
                self._settled.add(branch.node)
                yield from self.sides.settled(self.sides.direct(branch.node))
            branch = branch.parent

    def _settle_entries(self, piece: Piece) -> Iterator[int]:
        if not self.sides:
            return
        for place in range(piece.start, piece.stop):
            entry = self.entries[place]
            if not isinstance(entry, Cell):
                continue
            self._finished.add(place)
            yield from self.sides.settled(self.sides.tops(entry.needs))
            for number in entry.path:
                branch = self._branches[number]
                branch.left -= 1
                if not branch.left and number not in self._settled:
                    self._settled.add(number)
                    yield from self.sides.settled(self.sides.direct(number))

    def _release(self, base: int | None, entries: int) -> Iterable[int]:
        if base is None:
            return ()
        self._needed[base] -= entries
        if self._needed[base]:
            return ()
        del self._needed[base]
        return (base,)

    def unmakable(self, piece: Piece) -> None:
        """Take back a node beside the forest that cannot be made: all that need it try it."""
        self._running -= piece.seconds
        assert piece.node is not None
        self.sides.making.discard(piece.node)
        self.sides.unmakable(piece.node)
        self._unpark()

    def again(self, pieces: Sequence[Piece]) -> None:
        """Take back pieces that were lost, and every made node with them."""
        self._needed.clear()
        self.sides.making.clear()
        self._opening.clear()
        self._running = 0.0
        waiting: list[Branch | Piece] = [
            part
            for item in (*self._stack, *self._parked, *pieces)
            if not isinstance(item, int) and _branch(item) is not None
            for part in _parts(item)
        ]
        self._parked.clear()
        for had in self._had:
            had.made = False
        self._had.clear()
        for item in waiting:
            branch = _branch(item)
            while branch is not None:
                branch.made = False
                branch = branch.parent
        if self.sides:
            # a node that was made, and is lost with entries below it, asks again
            self._settled = {n for n in self._settled if not self._branches[n].left}
            self.sides.again(self._settled, self._finished)
        self._stack = [_unmade(item) for item in waiting]
        self._learned = -1

    # -- what comes next

    def next(self, *, threads: int) -> Piece | None:
        """Return the next piece for a cluster of so many threads, or None for now."""
        self._refresh()
        limit = self._limit(threads)
        while self._stack or self._pool:
            item = self._stack.pop() if self._stack else self._pool.pop()
            if isinstance(item, int):
                piece = self._beside(item)
            elif isinstance(item, Piece):
                piece = self._some(item, limit, threads)
            elif not self._keeps(item) and self._fits(item, limit, threads):
                piece = self._together(item, limit, threads)
            elif item.node is not None and not item.made and _open(item):
                piece = _making(item, self._keep)
            else:
                self._divide(item)
                continue
            ready = None if piece is None else self._ready(piece)
            if ready is not None:
                return self._start(ready)
        return None

    def _together(self, branch: Branch, limit: float, threads: int) -> Piece:
        """Return a branch as a piece, with those after it that fit into the same one."""
        branches, cost = [branch], self._seconds(branch)
        waiting = self._stack or self._pool
        while waiting and _follows(branches[-1], waiting[-1]):
            following = waiting[-1]
            assert isinstance(following, Branch)
            more = self._seconds(following)
            both = None if cost is None or more is None else cost + more
            entries = following.stop - branch.start
            if self._keeps(following) or not self._fit(entries, both, limit, threads):
                break
            cost = both
            branches.append(following)
            waiting.pop()
        base = _base(branch)
        if len(branches) == 1:
            return Piece(branch, branch.start, branch.stop, base)
        stop = branches[-1].stop
        return Piece(branch.parent, branch.start, stop, base, branches=tuple(branches))

    def _keeps(self, branch: Branch) -> bool:
        """Tell whether something at a branch, or below it, is made by itself."""
        if not self._keep:
            return False
        if branch.node in self._keep and not branch.made and _open(branch):
            return True
        return any(child.made or self._keeps(child) for child in branch.children)

    def _divide(self, branch: Branch) -> None:
        """Put what is below a branch in its place."""
        base = _base(branch)
        if base is None:
            self._pool.extend(reversed(branch.children))
            self._sort_pool()
        else:
            self._stack.extend(reversed(branch.children))
        if branch.direct:
            self._stack.append(Piece(branch, branch.start, branch.start + branch.direct, base))

    def _beside(self, number: int) -> Piece | None:
        """Return the piece that makes a side node."""
        sides = self.sides
        if number in sides.made or number in sides.making or not sides.asked(number):
            return None
        start = self.sides.first(number)
        spine = self.sides.spine(number)
        base = None if spine is None else _base(self._branches[spine])
        return Piece(None, start, start + 1, base, node=number)

    def _ready(self, piece: Piece) -> Piece | None:
        """Return a piece with what it must be given; None while that is to be made first."""
        if not self.sides:
            return piece
        wanted = self._wanted(piece)
        missing = [number for number in wanted if number not in self.sides.made]
        if not missing:
            return replace(piece, needs=tuple(wanted))
        if piece.branch is None:
            assert piece.node is not None
            self._parked.append(piece.node)
        else:
            self._parked.append(piece if _partial(piece) else piece.branch)
        self._stack.extend(reversed(missing))
        return None

    def _wanted(self, piece: Piece) -> list[int]:
        """Return the side nodes that a piece must be given."""
        sides = self.sides
        if piece.branch is None:
            assert piece.node is not None
            return sides.wanted(sides.direct(piece.node), 0, 0)
        stop = piece.start + 1 if piece.make else piece.stop
        cells = [entry for entry in self.entries[piece.start : stop] if isinstance(entry, Cell)]
        asking: dict[int, None] = {}
        for path in {cell.path: None for cell in cells}:
            first = 0 if piece.base is None else path.index(piece.base) + 1
            last = path.index(piece.node) + 1 if piece.node is not None else len(path)
            asking.update(dict.fromkeys(path[first:last]))
        asked = [side for number in asking for side in sides.direct(number)]
        if not piece.make:
            asked += [n for needs in {cell.needs for cell in cells} for n in sides.tops(needs)]
        return sides.wanted(asked, piece.start, piece.stop)

    def _some(self, piece: Piece, limit: float, threads: int) -> Piece:
        """Return as much of a piece as fits, and leave the rest for later."""
        if piece.branches:
            return piece
        start, stop = piece.start, piece.stop
        if not self._fits(piece, limit, threads):
            each = self._cost(start, start + 1)
            size = max(1, int(limit / each)) if each else self._probe(threads)
            middle = min(stop, start + size)
            if middle < stop:
                self._stack.append(Piece(piece.branch, middle, stop, piece.base))
            stop = middle
        return Piece(piece.branch, start, stop, piece.base)

    def _start(self, piece: Piece) -> Piece:
        if piece.node is not None and piece.branch is None:
            self.sides.making.add(piece.node)
        elif piece.node is not None and piece.branch is not None:
            self._opening.add(piece.branch)
        seconds = self._seconds(piece) or 0.0
        self._running += seconds
        self._remaining -= seconds
        return replace(piece, seconds=seconds)

    def _fits(self, item: Branch | Piece, limit: float, threads: int) -> bool:
        return self._fit(item.stop - item.start, self._seconds(item), limit, threads)

    def _fit(self, entries: int, cost: float | None, limit: float, threads: int) -> bool:
        if entries <= 1:
            return True
        return cost <= limit if cost is not None else entries <= self._probe(threads)

    def _probe(self, threads: int) -> int:
        return max(1, min(PROBE, len(self.entries) // (ROUNDS * threads)))

    def _limit(self, threads: int) -> float:
        remaining = self._running + max(0.0, self._remaining)
        wide = PER_THREAD * threads
        shortest, longest = max(SHORTEST, wide / PART), max(LONGEST, wide)
        return min(longest, max(shortest, remaining / (ROUNDS * threads)))

    # -- what it costs

    def _seconds(self, item: Branch | Piece) -> float | None:
        """Estimate the seconds of a piece of work; None if a step is unknown."""
        if isinstance(item, Piece) and item.node is not None:
            known = self._kind_seconds[self.plan.nodes[item.node].kind]
            return None if np.isnan(known) else float(known)
        cost, nodes = self._cost(item.start, item.stop), _nodes(item)
        if cost is None or nodes is None:
            return cost
        first, last = nodes
        if self._unknown_nodes[last] > self._unknown_nodes[first]:
            return None
        return cost + float(self._node_costs[last] - self._node_costs[first])

    def _cost(self, start: int, stop: int) -> float | None:
        """Estimate the seconds of a range of entries, without what is shared above them."""
        if self._unknown[stop] > self._unknown[start]:
            return None
        return float(self._costs[stop] - self._costs[start])

    def _refresh(self) -> None:
        """Estimate anew, when enough was learned since the last time."""
        news = self.durations.learned - self._learned
        if self._learned >= 0 and news <= self.durations.learned // 20:
            return
        self._learned = self.durations.learned
        seconds = self._kind_seconds = self.durations.estimates()
        costs = seconds[self._entry_kinds] if self.entries else np.zeros(0)
        beside = [self.plan.nodes[n].kind for n in self.sides]
        np.add.at(costs, self._beside_at, seconds[beside])
        self._costs, self._unknown = _sums(costs)
        self._node_costs, self._unknown_nodes = _sums(seconds[self._spine_kinds])
        self._remaining = sum(
            self._seconds(item) or 0.0
            for item in (*self._stack, *self._pool, *self._parked, *self._opening)
            if not isinstance(item, int)
        )
        self._sort_pool()

    def _sort_pool(self) -> None:
        """Put the longest last, where it is taken from: short ones fill up the end."""

        def seconds(branch: Branch) -> float:
            cost = self._seconds(branch)
            return np.inf if cost is None else cost

        self._pool.sort(key=seconds)

    # -- the forest

    def _forest(self) -> list[Branch]:
        roots: list[Branch] = []
        open_: list[Branch] = []
        keys: list[object] = []
        spine: list[int] = []
        for place, entry in enumerate(self.entries):
            root: object = (entry.fold, entry.setup) if isinstance(entry, Cell) else "calls"
            path = [root, *(entry.path if isinstance(entry, Cell) else ())]
            common = 0
            while common < min(len(path), len(keys)) and path[common] == keys[common]:
                common += 1
            for branch in open_[common:]:
                branch.stop, branch.nodes = place, (branch.nodes[0], len(spine))
            del open_[common:]
            keys = path
            for depth in range(common, len(path)):
                node = path[depth]
                parent = open_[-1] if open_ else None
                branch = Branch(node if isinstance(node, int) else None, parent, depth, place)
                branch.nodes = (len(spine), len(spine))
                if isinstance(node, int):
                    spine.append(self.plan.nodes[node].kind)
                (parent.children if parent else roots).append(branch)
                open_.append(branch)
                if branch.node is not None:
                    self._branches[branch.node] = branch
            open_[-1].direct += 1
        for branch in open_:
            branch.stop, branch.nodes = len(self.entries), (branch.nodes[0], len(spine))
        self._spine_kinds = np.array(spine, dtype=np.intp)
        for branch in self._branches.values():
            branch.left = branch.stop - branch.start
        return roots


def _sums(costs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Return running sums of costs, and of how many are unknown."""
    unknown = np.isnan(costs)
    known = np.where(unknown, 0.0, costs)
    return np.concatenate([[0.0], np.cumsum(known)]), np.concatenate([[0], np.cumsum(unknown)])


def _base(branch: Branch | None) -> int | None:
    """Return the nearest made node at or above a branch."""
    while branch is not None:
        if branch.made:
            return branch.node
        branch = branch.parent
    return None


def _open(branch: Branch) -> int:
    """Return the number of entries below a branch that no made node below it serves."""
    return branch.direct + sum(_open(child) for child in branch.children if not child.made)


def _making(branch: Branch, keep: frozenset[int]) -> Piece:
    """Make the node below which the branch first divides; those before it come along."""
    while branch.direct == 0 and len(branch.children) == 1 and branch.node not in keep:
        branch = branch.children[0]
    return Piece(branch, branch.start, branch.stop, _base(branch), node=branch.node)


def _follows(branch: Branch, other: Branch | Piece | int) -> bool:
    """Tell whether another branch follows on one, and can go the same way."""
    return (
        isinstance(other, Branch)
        and other.parent is branch.parent is not None
        and other.start == branch.stop
        and not branch.made
        and not other.made
    )


def _parts(item: Branch | Piece) -> Sequence[Branch | Piece]:
    """Return the branches of a piece that has several, the first one last."""
    return item.branches[::-1] if isinstance(item, Piece) and item.branches else (item,)


def _branch(item: Branch | Piece) -> Branch | None:
    return item if isinstance(item, Branch) else item.branch


def _nodes(item: Branch | Piece) -> tuple[int, int] | None:
    """Return the range of the forest's nodes that are still to be made for whole branches."""
    if isinstance(item, Piece) and item.branches:
        return item.branches[0].nodes[0], item.branches[-1].nodes[1]
    branch = _branch(item)
    if branch is None or (item.start, item.stop) != (branch.start, branch.stop):
        return None
    first, last = branch.nodes
    return first + branch.made, last


def _partial(piece: Piece) -> bool:
    """Tell whether a piece is less than its branch."""
    branch = piece.branch
    if branch is None:
        return True
    return not piece.make and (piece.start, piece.stop) != (branch.start, branch.stop)


def _unmade(item: Branch | Piece) -> Branch | Piece:
    if isinstance(item, Piece) and item.make and item.branch is not None:
        return item.branch
    return item if isinstance(item, Branch) else replace(item, base=None, needs=())
