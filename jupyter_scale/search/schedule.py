"""The order and the size of tasks: a plan -> pieces, decided as durations become known.

A piece is a whole subtree of the plan's forest or several side by side, a node to be made for
several pieces, or some of the cells directly below a made node. What stands beside the forest
(`sides`) is made first where several pieces ask for it. There is a lane for each thread: it goes
down one tree, depth first, so that few intermediate results are alive and stay where they were
made. The longest trees start first, and pieces shrink as the remaining work does (guided
self-scheduling), so that the cores end together. Pure: no cluster, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from jupyter_scale.search.durations import Durations
from jupyter_scale.search.estimates import Estimates
from jupyter_scale.search.forest import Branch, Forest, Item, Piece, base_node
from jupyter_scale.search.plan import Call, Cell, Plan
from jupyter_scale.search.sides import Sides

__all__ = ["Piece", "Schedule"]

SHORTEST = 0.2  # seconds
LONGEST = 2.0  # seconds: progress waits for a task to end
PER_THREAD = 0.03  # seconds for each thread, if that is more: the scheduler's time for a task
PART = 4  # of such a longest task, at the end
ROUNDS = 3  # pieces that each thread should still get from what remains
PROBE = 8  # cells in a piece while their duration is unknown
PARTS = 16  # of a piece that is suspected of ending its workers
AHEAD = 2  # pieces of a lane that may be under way before another lane is asked


@dataclass(frozen=True, slots=True)
class Room:
    """How large the next piece may be: in seconds, in entries while those are unknown."""

    seconds: float
    entries: int

    def holds(self, entries: int, seconds: float | None) -> bool:
        """Tell whether so many entries fit, which take so long; a single one always does."""
        if entries <= 1:
            return True
        return entries <= self.entries if seconds is None else seconds <= self.seconds

    def count(self, each: float | None) -> int:
        """Return how many entries fit that take so long each."""
        return max(1, int(self.seconds / each)) if each else self.entries


@dataclass(slots=True, eq=False)
class Lane:
    """A tree, or what is left of it: what comes next is last."""

    stack: list[Item | int] = field(default_factory=list)
    """An int is a node beside the forest that is to be made."""
    parked: list[Item | int] = field(default_factory=list)
    """What waits for such a node."""
    out: int = 0
    """Pieces under way."""

    def __bool__(self) -> bool:
        return bool(self.stack or self.parked or self.out)

    @property
    def items(self) -> Iterator[Item]:
        """What of the forest is on it."""
        for item in (*self.stack, *self.parked):
            if not isinstance(item, int):
                yield item

    def unpark(self) -> None:
        """Decide anew on what waited."""
        self.stack.extend(reversed(self.parked))
        self.parked.clear()


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
        cells = sorted(plan.cells, key=lambda cell: (cell.fold, cell.setup, cell.path, cell.needs))
        self.entries: list[Cell | Call] = [*cells, *plan.calls]
        self.durations = Durations(plan.kinds)
        self.sides = Sides(plan, cells)
        forest = Forest(self.entries, plan)
        self._branches = forest.branches
        self._estimates = Estimates(
            self.durations,
            [entry.kind for entry in self.entries],
            forest.kinds,
            [plan.nodes[number].kind for number in self.sides],
            [self.sides.first(number) for number in self.sides],
        )
        # trees that nothing is made for yet, the longest last; and those that are gone down now
        self._pool = [Lane([root]) for root in reversed(forest.roots)]
        self._lanes: list[Lane] = []
        self._had: list[Branch] = []
        self._opening: set[Branch] = set()  # their node is being made
        self._settled: set[int] = set()
        self._finished: set[int] = set()
        self._needed: dict[int, int] = {}
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
            above, entries = base_node(branch.parent), branch.open
            branch.made = True
            self._had.append(branch)
            self._needed[branch.node] = entries
            unneeded += [*self._release(above, entries), *self._settle(branch)]
        return unneeded

    def made(self, piece: Piece) -> Iterable[int]:
        """Note that a piece has made its nodes; return the nodes no longer needed."""
        lane = self._ended(piece)
        sides, branch = self.sides, piece.branch
        if branch is None:
            sides.making -= piece.makes.keys()
            sides.made |= piece.makes.keys()
            self._unpark()
            return [n for number in piece.makes for n in sides.settled(sides.direct(number))]
        assert branch.node is not None
        branch.made = True
        self._opening.discard(branch)
        entries = self._needed[branch.node] = branch.open
        lane.stack.append(branch)
        return [*self._release(piece.base, entries), *self._settle(branch)]

    def done(self, piece: Piece) -> Iterable[int]:
        """Note that the entries of a piece are done; return the nodes no longer needed."""
        self._ended(piece)
        self._left -= piece.stop - piece.start
        self._opening -= {piece.branch}
        return [*self._release(piece.base, piece.stop - piece.start), *self._settle_entries(piece)]

    def unmakable(self, piece: Piece) -> None:
        """Take back nodes beside the forest that cannot be made: all that need them try it."""
        self._ended(piece)
        for number in piece.makes:
            self.sides.making.discard(number)
            self.sides.unmakable(number)
        self._unpark()

    def divided(self, piece: Piece) -> list[Piece]:
        """Return the parts of a piece under way: single nodes, or fewer entries."""
        if piece.makes:
            each = piece.seconds / len(piece.makes)
            return [replace(piece, makes={n: at}, seconds=each) for n, at in piece.makes.items()]
        size = -(-(piece.stop - piece.start) // PARTS)
        starts = range(piece.start, piece.stop, size)
        each = piece.seconds / len(starts)
        parts = [
            replace(piece, start=at, stop=min(at + size, piece.stop), seconds=each, branches=())
            for at in starts
        ]
        made = self.sides.made  # a part asks for some of them only, and lets the others go
        return [
            replace(part, needs=tuple(n for n in self._wanted(part) if n in made)) for part in parts
        ]

    def again(self, pieces: Sequence[Piece]) -> None:
        """Take back pieces that were lost, and every made node with them."""
        self._needed.clear()
        self.sides.making.clear()
        self._opening.clear()
        self._running = 0.0
        for had in self._had:
            had.made = False
        self._had.clear()
        items = [item for lane in self._lanes for item in lane.items] + list(pieces)
        lanes: dict[Branch, Lane] = {}
        for part in (part for item in items for part in _parts(item)):
            branch = part if isinstance(part, Branch) else part.branch
            if branch is None:
                continue  # who needs what stands beside the forest asks again
            lane = lanes.setdefault(branch.root, Lane())
            lane.stack.append(part.anew if isinstance(part, Piece) else part)
            above: Branch | None = branch
            while above is not None:
                above.made = False
                above = above.parent
        self._lanes = list(lanes.values())
        if self.sides:
            # a node that was made, and is lost with entries below it, asks again
            self._settled = {n for n in self._settled if not self._branches[n].left}
            self.sides.again(self._settled, self._finished)
        self._estimates.forget()

    def _ended(self, piece: Piece) -> Lane:
        """Note that a piece is not under way any more; return its lane."""
        self._running -= piece.seconds
        lane = piece.lane
        assert isinstance(lane, Lane)
        lane.out = max(0, lane.out - 1)  # it may have been divided
        if lane not in self._lanes:
            self._lanes.append(lane)
        return lane

    def _unpark(self) -> None:
        for lane in self._lanes:
            lane.unpark()

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

    # -- what comes next

    def next(self, *, threads: int) -> Piece | None:
        """Return the next piece for a cluster of so many threads, or None for now."""
        if self._estimates.refresh():
            self._survey()
        room = self._room(threads)
        while (lane := self._lane(threads)) is not None:
            while lane.stack:
                piece = self._top(lane, room)
                if piece is not None:
                    return self._start(piece, lane)
        return None

    def _lane(self, threads: int) -> Lane | None:
        """Return the lane to take the next piece from; a new one while threads have none."""
        self._lanes = [lane for lane in self._lanes if lane]
        found = None
        if len(self._lanes) >= threads or not self._pool:
            waiting = (lane for lane in self._lanes if lane.stack)
            found = min(waiting, key=lambda lane: max(lane.out, AHEAD - 1), default=None)
        if found is None and self._pool:
            found = self._pool.pop()
            self._lanes.append(found)
        return found

    def _top(self, lane: Lane, room: Room) -> Piece | None:
        """Return the piece on top of a lane; None where that was divided or has to wait."""
        if isinstance(lane.stack[-1], int):
            return self._beside(lane, room)
        item = lane.stack.pop()
        assert not isinstance(item, int)
        if isinstance(item, Piece):
            piece = self._some(item, lane, room)
        elif not self._keeps(item) and room.holds(item.stop - item.start, self._seconds(item)):
            piece = self._together(item, lane, room)
        elif item.node is not None and not item.made and item.open:
            piece = Piece.making(item, self._keep)
        else:
            self._divide(item, lane)
            return None
        return self._ready(piece, lane)

    def _together(self, branch: Branch, lane: Lane, room: Room) -> Piece:
        """Return a branch as a piece, with those after it that fit into the same one."""
        branches, cost = [branch], self._seconds(branch)
        while source := lane if lane.stack else next(reversed(self._pool), None):
            following = source.stack[-1]
            if not isinstance(following, Branch) or not branches[-1].precedes(following):
                break
            more = self._seconds(following)
            both = None if cost is None or more is None else cost + more
            if self._keeps(following) or not room.holds(following.stop - branch.start, both):
                break
            cost = both
            branches.append(following)
            source.stack.pop()
            if source is not lane:
                self._pool.pop()  # it had this one branch
        return Piece.whole(*branches)

    def _keeps(self, branch: Branch) -> bool:
        """Tell whether something at a branch, or below it, is made by itself."""
        if not self._keep:
            return False
        if branch.node in self._keep and not branch.made and branch.open:
            return True
        return any(child.made or self._keeps(child) for child in branch.children)

    def _divide(self, branch: Branch, lane: Lane) -> None:
        """Put what is below a branch in its place."""
        if branch.base is None and not self.sides:
            self._pool += [Lane([child]) for child in reversed(branch.children)]
            self._sort_pool()
        else:  # what they share is in one place
            lane.stack.extend(reversed(branch.children))
        if branch.direct:
            lane.stack.append(Piece.direct(branch))

    def _some(self, piece: Piece, lane: Lane, room: Room) -> Piece:
        """Return as much of a piece as fits, and leave the rest for later."""
        start, stop = piece.start, piece.stop
        if piece.branches or room.holds(stop - start, self._seconds(piece)):
            return piece
        middle = start + room.count(self._estimates.entries(start, start + 1))
        if middle < stop:
            lane.stack.append(replace(piece, start=middle))
            stop = middle
        return replace(piece, stop=stop)

    def _beside(self, lane: Lane, room: Room) -> Piece | None:
        """Return the piece that makes the nodes on top of a lane, as many as fit."""
        sides = self.sides
        makes: dict[int, int] = {}
        needs: dict[int, None] = {}
        base, cost = None, 0.0
        while lane.stack and isinstance(number := lane.stack[-1], int):
            ready = number in makes or number in sides.made or number in sides.making
            if ready or not sides.asked(number):
                lane.stack.pop()
                continue
            wanted = [n for n in sides.wanted(sides.direct(number), 0, 0) if n not in makes]
            if not sides.making.isdisjoint(wanted):
                lane.parked.append(lane.stack.pop())
                continue
            if missing := [n for n in wanted if n not in sides.made]:
                lane.stack.extend(reversed(missing))
                continue
            spine = sides.spine(number)
            own = None if spine is None else base_node(self._branches[spine])
            seconds = self._estimates.kind(self.plan.nodes[number].kind)
            if makes and (own != base or seconds is None or cost + seconds > room.seconds):
                break
            base, cost = own, np.inf if seconds is None else cost + seconds
            needs.update(dict.fromkeys(wanted))
            makes[number] = sides.first(number)
            lane.stack.pop()
        if not makes:
            return None
        start = min(makes.values())
        return Piece(None, start, start + 1, base, makes, tuple(needs))

    def _ready(self, piece: Piece, lane: Lane) -> Piece | None:
        """Return a piece with what it must be given; None while that is to be made first."""
        if not self.sides:
            return piece
        wanted = self._wanted(piece)
        missing = [number for number in wanted if number not in self.sides.made]
        if not missing:
            return replace(piece, needs=tuple(wanted))
        assert piece.branch is not None
        lane.parked.append(piece if piece.partial else piece.branch)
        lane.stack.extend(reversed(missing))
        return None

    def _wanted(self, piece: Piece) -> list[int]:
        """Return the nodes beside the forest that a piece must be given."""
        sides = self.sides
        stop = piece.start + 1 if piece.makes else piece.stop
        cells = [entry for entry in self.entries[piece.start : stop] if isinstance(entry, Cell)]
        asking: dict[int, None] = {}
        for path in {cell.path: None for cell in cells}:
            first = 0 if piece.base is None else path.index(piece.base) + 1
            last = max((path.index(node) + 1 for node in piece.makes), default=len(path))
            asking.update(dict.fromkeys(path[first:last]))
        asked = [side for number in asking for side in sides.direct(number)]
        if not piece.makes:
            asked += [n for needs in {cell.needs for cell in cells} for n in sides.tops(needs)]
        return sides.wanted(asked, piece.start, piece.stop)

    def _start(self, piece: Piece, lane: Lane) -> Piece:
        if piece.branch is None:
            self.sides.making |= piece.makes.keys()
        elif piece.makes:
            self._opening.add(piece.branch)
        seconds = self._seconds(piece) or 0.0
        self._running += seconds
        self._remaining -= seconds
        lane.out += 1
        return replace(piece, seconds=seconds, lane=lane)

    # -- what it costs

    def _room(self, threads: int) -> Room:
        remaining = self._running + max(0.0, self._remaining)
        wide = PER_THREAD * threads
        shortest, longest = max(SHORTEST, wide / PART), max(LONGEST, wide)
        seconds = min(longest, max(shortest, remaining / (ROUNDS * threads)))
        return Room(seconds, max(1, min(PROBE, len(self.entries) // (ROUNDS * threads))))

    def _seconds(self, item: Item) -> float | None:
        """Estimate the seconds of a piece of work; None if a step is unknown."""
        if isinstance(item, Piece) and item.makes:
            each = [self._estimates.kind(self.plan.nodes[number].kind) for number in item.makes]
            return None if None in each else sum(seconds or 0.0 for seconds in each)
        entries = self._estimates.entries(item.start, item.stop)
        nodes = self._estimates.nodes(*item.unmade)
        return None if entries is None or nodes is None else entries + nodes

    def _survey(self) -> None:
        """Look again at what remains, and what is longest."""
        items = [item for lane in (*self._lanes, *self._pool) for item in lane.items]
        self._remaining = sum(self._seconds(item) or 0.0 for item in (*items, *self._opening))
        self._sort_pool()

    def _sort_pool(self) -> None:
        """Put the longest last, where it is taken from: short ones fill up the end."""

        def seconds(lane: Lane) -> float:
            each = [self._seconds(item) for item in lane.items]
            return np.inf if None in each else sum(one or 0.0 for one in each)

        self._pool.sort(key=seconds)


def _parts(item: Item) -> Sequence[Item]:
    return item.parts if isinstance(item, Piece) else (item,)
