"""The nodes beside the spine of a plan: parts of meta-estimators, and rows of all folds.

The schedule goes down a tree of nodes whose data pass from one to the next. What a node's own fit
asks for stands beside that tree, and may be asked for from many places in it: `Sides` tells which
of them a piece of work must be given, and when the last that asks is done. Pure: no cluster, no
clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from jupyter_scale.search.plan import Cell, Plan

__all__ = ["Sides"]


class Sides:
    """The side nodes of a plan.

    Parameters
    ----------
    plan : Plan
    cells : sequence of Cell
        In the order of the schedule; a place is an index into it.

    Attributes
    ----------
    made, making : set of int
        Side nodes that are made and held, and those under way.
    """

    def __init__(self, plan: Plan, cells: Sequence[Cell]) -> None:
        self.plan = plan
        self.made: set[int] = set()
        self.making: set[int] = set()
        self._direct: dict[int, tuple[int, ...]] = {}
        self._tops: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._span: dict[int, tuple[int, int]] = {}
        self._unmakable: set[int] = set()
        self._askers: dict[int, int] = {}
        self._asking: set[int] = set()
        self._shared: set[int] = set()
        self._cells = cells
        self._sides = {n for node in plan.nodes for n in node.needs}
        self._sides.update(n for cell in cells for n in cell.needs)
        if self._sides:
            self._survey()

    def __bool__(self) -> bool:
        return bool(self._sides)

    def __iter__(self) -> Iterator[int]:
        return iter(self._span)

    def _survey(self) -> None:
        """Find where each side is needed, and which are asked for from several places."""
        askers: dict[int, set[int]] = {}
        seen: set[int] = set()
        for place, cell in enumerate(self._cells):
            for number in self.plan.nodes_of(cell):
                if number in self._sides:
                    first, _ = self._span.get(number, (place, place))
                    self._span[number] = (first, place)
                if number not in seen:
                    seen.add(number)
                    for below in self.direct(number):
                        askers.setdefault(below, set()).add(number)
            for below in self.tops(cell.needs):
                askers.setdefault(below, set()).add(-1 - place)
        self._shared = {
            n for n, by in askers.items() if len(by) > 1 and self.plan.nodes[n].role != "columns"
        }
        self._askers = {n: len(by) for n, by in askers.items()}
        self._asking = seen

    def first(self, number: int) -> int:
        """Return the first place where a side is needed."""
        return self._span[number][0]

    def tops(self, needs: tuple[int, ...]) -> tuple[int, ...]:
        """Return those among some nodes that none of the others needs."""
        if needs not in self._tops:
            below: set[int] = set()
            for number in needs:
                node = self.plan.nodes[number]
                below.update(node.needs)
                if node.parent is not None:
                    below.add(node.parent)
            self._tops[needs] = tuple(n for n in dict.fromkeys(needs) if n not in below)
        return self._tops[needs]

    def direct(self, number: int) -> tuple[int, ...]:
        """Return the sides that a node itself asks for."""
        if number not in self._direct:
            node = self.plan.nodes[number]
            above: tuple[int, ...] = ()
            if number in self._sides and node.parent is not None and node.parent in self._sides:
                above = (node.parent,)
            self._direct[number] = (*above, *self.tops(node.needs))
        return self._direct[number]

    def wanted(self, asked: Iterable[int], start: int, stop: int) -> list[int]:
        """Return the sides to be given to a piece of the entries ``start:stop``.

        Those that no other piece asks for are made inside it, unless that has been seen to.
        """
        found: dict[int, None] = {}
        waiting = list(asked)
        while waiting:
            number = waiting.pop()
            first, last = self._span[number]
            outside = first < start or last >= stop
            seen_to = number in self.made or number in self.making
            shared = number in self._shared and number not in self._unmakable
            if seen_to or (outside and shared):
                found[number] = None
            else:
                waiting.extend(self.direct(number))
        return list(found)

    def asked(self, number: int) -> bool:
        """Tell whether anything still asks for a side."""
        return self._askers[number] > 0

    def unmakable(self, number: int) -> None:
        """Note that whoever asks for a side must make it alone."""
        self._unmakable.add(number)

    def spine(self, number: int) -> int | None:
        """Return the node of the spine that a side's data come from."""
        parent: int | None = number
        while parent is not None and parent in self._sides:
            parent = self.plan.nodes[parent].parent
        return parent

    def settled(self, asked: Iterable[int]) -> Iterator[int]:
        """Note that something asks no more; yield the sides that are not needed any more."""
        waiting = list(asked)
        while waiting:
            number = waiting.pop()
            self._askers[number] -= 1
            if self._askers[number]:
                continue
            if number in self.made:
                self.made.remove(number)
                yield number
            else:
                waiting.extend(self.direct(number))

    def again(self, settled_nodes: set[int], settled_places: set[int]) -> None:
        """Forget what was made: it is lost. What has settled asks no more."""
        self.made.clear()
        self._survey()
        for number in settled_nodes & self._asking:
            for _ in self.settled(self.direct(number)):
                pass
        for place in settled_places:
            for _ in self.settled(self.tops(self._cells[place].needs)):
                pass
