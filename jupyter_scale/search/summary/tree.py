"""The plan's picture as plain data: which fits there are on one fold, and what each builds on.

Made from a `Plan` before it runs and kept in the search's report, so it holds texts and numbers
only, and no more of them than a picture can show: of a large plan the first branches, and how many
are left out. `picture` and `figures` draw it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jupyter_scale.search.plan import Cell, Plan
from jupyter_scale.search.summary.parameters import short, text_of

__all__ = ["Box", "Tree", "tree_of"]

ROWS = 48
"""Candidates that a picture shows."""
BRANCHES = 8
"""... of each node, at most so many of what builds on it."""
LENGTH = 60
BESIDE = " | "
"""Between the names of steps in one column."""
_UNFITTED = ("columns", "cut")
_Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the picture.

    Attributes
    ----------
    column : int
        Its step, in ``Tree.columns``.
    text : str
        Its settings where the search varies some, else its class.
    before : tuple of int
        The boxes that it builds on.
    fitted : bool
        Whether it takes a fit; else it is answered by one of those before it.
    family : bool
        Whether this one fit answers several settings.
    left_out : int
        So many candidates are left out here: this is no node.
    """

    column: int
    text: str
    before: tuple[int, ...] = ()
    fitted: bool = True
    family: bool = False
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """The fits on one fold.

    Attributes
    ----------
    columns : tuple of str
        Steps in the order of their fits.
    boxes : tuple of Box
    chains : tuple of tuple of int
        For each candidate shown (or a place where some are left out), its boxes: what it would fit
        for itself if nothing were merged.
    candidates : int
        All of them, shown or not.
    unmerged, merged : int
        Fits on this fold for all candidates.
    folds : int
    """

    columns: tuple[str, ...]
    boxes: tuple[Box, ...]
    chains: tuple[tuple[int, ...], ...]
    candidates: int
    unmerged: int
    merged: int
    folds: int


def tree_of(plan: Plan) -> Tree | None:
    """Return the picture of a plan, or None where there is nothing to merge.

    The fold is the first one; the others look alike.
    """
    if not plan.cells:
        return None
    fold = plan.cells[0].fold
    cells = [cell for cell in plan.cells if cell.fold == fold]
    if len(cells) < 2:
        return None
    return _Drawing(plan, cells).tree()


@dataclass(slots=True, eq=False)
class _Branch:
    """A node with what builds on it, by the way that the data go."""

    children: dict[_Key, _Branch] = field(default_factory=dict)
    cell: Cell | None = None
    cells: int = 0


class _Drawing:
    """Turns the cells of a fold into boxes."""

    def __init__(self, plan: Plan, cells: list[Cell]) -> None:
        self.plan = plan
        self._cells = cells
        self._names = [_name(label) for label in plan.counts]
        self._copies: dict[int, int] = {}
        for number in plan.copies.values():
            self._copies[number] = self._copies.get(number, 0) + 1
        self._columns: dict[tuple[str, bool], None] = {}
        self._boxes: dict[_Key, Any] = {}

    def tree(self) -> Tree:
        root = _Branch()
        for cell in self._cells:
            self._grow(root, cell)
        chains = [self._chain(*found) for found in self._shown(root, (), ROWS)]
        places, titles = self._ordered()
        numbers = {key: number for number, key in enumerate(self._boxes)}
        boxes = []
        for column, text, before, options in self._boxes.values():
            place, several = places[column], titles[places[column]].count(BESIDE)
            if several and not options.get("left_out"):
                text = f"{column[0].rpartition('__')[2]}: {text}"
            kept = tuple(dict.fromkeys(numbers[key] for key in before))
            boxes.append(Box(place, short(text, LENGTH), kept, **options))
        unmerged, merged = self._counts()
        return Tree(
            tuple(titles),
            tuple(boxes),
            tuple(tuple(numbers[key] for key in chain) for chain in chains),
            root.cells,
            unmerged,
            merged,
            self.plan.n_folds,
        )

    # -- which candidates are shown

    def _way(self, cell: Cell) -> list[_Key]:
        """Return the keys of what the data of a cell pass, its final step last."""
        nodes = [("node", n) for n in map(self._visible, cell.path) if n is not None]
        own = [("own", cell.number, place) for place in range(max(1, len(cell.labels)))]
        return [*nodes, *own]

    def _grow(self, root: _Branch, cell: Cell) -> None:
        times = 1 + self._copies.get(cell.number, 0)
        root.cells += times
        branch = root
        for key in self._way(cell):
            branch = branch.children.setdefault(key, _Branch())
            branch.cells += times
            branch.cell = branch.cell or cell

    def _shown(
        self, branch: _Branch, way: tuple[_Key, ...], room: int
    ) -> Iterator[tuple[tuple[_Key, ...], _Branch, int]]:
        """Yield the ways to leaves, while there is room, and to where the others are left out."""
        if not branch.children:
            yield way, branch, 0
            return
        chosen = list(branch.children.items())[: min(BRANCHES, room) if room > 1 else 1]
        left = room
        for place, (key, child) in enumerate(chosen):
            # what one branch does not need, the next ones can have
            share = max(1, left // (len(chosen) - place))
            for found in self._shown(child, (*way, key), share):
                left -= 1
                yield found
        left_out = branch.cells - sum(child.cells for _, child in chosen)
        if left_out:
            yield way, branch, left_out

    # -- what is drawn of them

    def _chain(self, way: tuple[_Key, ...], branch: _Branch, left_out: int) -> list[_Key]:
        cell = branch.cell or self._cells[0]
        chain: list[_Key] = []
        before: tuple[_Key, ...] = ()
        labels = cell.labels or (cell.label,)
        for key in way:
            if key[0] == "node":
                node = self.plan.nodes[key[1]]
                parts = self._parts(node.needs, cell, before)
                self._node(key, cell, tuple(self._ends([*before, *parts])))
            else:
                last = key[2] == len(labels) - 1
                parts = self._parts(cell.needs if last else (), cell, before)
                self._own(key, cell, labels[key[2]], tuple(self._ends([*before, *parts])))
            chain += [each for each in (*parts, key) if not self._boxes[each][0][1]]
            before = (key,)
        if left_out:
            stub = ("left out", way)
            column = self._column_after(way, branch)
            self._boxes[stub] = (
                column,
                f"… and {left_out:,} more",
                before,
                {"fitted": False, "left_out": left_out},
            )
            chain.append(stub)
        return list(dict.fromkeys(chain))

    def _parts(self, needs: tuple[int, ...], cell: Cell, before: tuple[_Key, ...]) -> list[_Key]:
        """Draw what a fit asks for besides its data; return it."""
        keys: list[_Key] = []
        for number in dict.fromkeys(needs):
            node = self.plan.nodes[number]
            if node.role in _UNFITTED:
                continue
            key = ("node", number)
            # a part whose data come from no other box has those of what it is a part of
            parent = self._visible(node.parent)
            below = [("node", n) for n in node.needs if ("node", n) in self._boxes]
            above = before if parent is None else (("node", parent),)
            self._node(key, cell, tuple(self._ends([*above, *below])))
            keys.append(key)
        return keys

    def _ends(self, keys: list[_Key]) -> list[_Key]:
        """Return those on which none of the others builds."""
        inner = {before for key in keys for before in self._boxes[key][2]}
        return [key for key in keys if key not in inner]

    def _visible(self, number: int | None) -> int | None:
        """Return the node whose box stands for a node: columns and rows are cut without a fit."""
        while number is not None and self.plan.nodes[number].role in _UNFITTED:
            node = self.plan.nodes[number]
            number = node.needs[-1] if node.role == "cut" else node.parent
        return number

    def _node(self, key: _Key, cell: Cell, before: tuple[_Key, ...]) -> None:
        if key in self._boxes:
            return
        node = self.plan.nodes[key[1]]
        name, family = _name(node.label), node.role == "family"
        without = {setting for each in node.family for setting in each} if family else set()
        text = self._text(node.label, cell, without)
        if family:
            text = f"{text}, {len(node.family)} in one fit"
        elif node.role == "whole":
            text += " (all folds)"
        self._box(key, (name, family), text, before, fitted=node.fitted, family=family)

    def _own(self, key: _Key, cell: Cell, label: str, before: tuple[_Key, ...]) -> None:
        times = 1 + self._copies.get(cell.number, 0)
        text = self._text(label, cell, set()) + (f" ({times} candidates)" if times > 1 else "")
        self._box(key, (_name(label), False), text, before, fitted=bool(cell.labels))

    def _box(
        self,
        key: _Key,
        column: tuple[str, bool],
        text: str,
        before: tuple[_Key, ...],
        **options: Any,
    ) -> None:
        self._columns.setdefault(column)
        self._boxes.setdefault(key, (column, text, before, options))

    def _column_after(self, way: tuple[_Key, ...], branch: _Branch) -> tuple[str, bool]:
        key, child = next(iter(branch.children.items()))
        if key in self._boxes:
            column: tuple[str, bool] = self._boxes[key][0]
            return column
        assert child.cell is not None
        return _name(child.cell.label), False

    def _text(self, label: str, cell: Cell, without: set[str]) -> str:
        """Return what a cell sets of a step; where it sets nothing, the step's class."""
        name = _name(label)
        settings = []
        for key, value in (cell.parameters or {}).items():
            owner = self._owner(key)
            below = key[len(owner) :].removeprefix("__") if owner else key
            if below in without or (owner if ": " in label else name) != name:
                continue
            if below:
                settings.append(f"{below}={text_of(value)}")
            else:
                settings.insert(0, text_of(value))
        return ", ".join(settings) or label.rpartition(": ")[2]

    def _owner(self, key: str) -> str:
        """Return the innermost step that a parameter is of."""
        fitting = [n for n in self._names if key == n or key.startswith(f"{n}__")]
        return max(fitting, key=len, default="")

    def _ordered(self) -> tuple[dict[tuple[str, bool], int], list[str]]:
        """Return the place of each step's column, and the title of each column.

        Steps of which none builds on another, such as the branches of a FeatureUnion, stand in one
        column.
        """
        order = {name: place for place, name in reversed(list(enumerate(self._names)))}
        columns = sorted(self._columns, key=lambda c: (order.get(c[0], len(order)), not c[1]))
        before: dict[tuple[str, bool], set[tuple[str, bool]]] = {c: set() for c in columns}
        for column, _, keys, _ in self._boxes.values():
            before[column].update(self._boxes[key][0] for key in keys)
        depths: dict[tuple[str, bool], int] = {}
        for column in columns:
            depths[column] = max([depths[c] + 1 for c in before[column] if c in depths], default=0)
        titles: list[str] = []
        for depth in sorted(set(depths.values())):
            found = [c for c in columns if depths[c] == depth]
            title = BESIDE.join(dict.fromkeys(name for name, _ in found))
            titles.append(f"{title}, one fit for all" if all(c[1] for c in found) else title)
        return depths, titles

    def _counts(self) -> tuple[int, int]:
        """Return the fits on this fold, unmerged and merged."""
        unmerged = merged = 0
        fitted: set[int] = set()
        for cell in self._cells:
            nodes = [self.plan.nodes[n] for n in self.plan.nodes_of(cell)]
            fitted.update(node.number for node in nodes if node.fitted)
            merged += len(cell.labels)
            asked = {n.number for n in nodes if n.role not in ("columns", "family", "whole")}
            unmerged += (1 + self._copies.get(cell.number, 0)) * (
                len(asked) + max(1, len(cell.labels))
            )
        return unmerged, merged + len(fitted)


def _name(label: str) -> str:
    return label.partition(": ")[0]
