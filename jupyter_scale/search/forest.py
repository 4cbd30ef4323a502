"""The forest of a plan, and the pieces that it is cut into.

Per fold there is a tree: nodes whose data pass from one to the next, and below them the entries
(cells) in an order in which each node has a range of them. Pure: no cluster, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jupyter_scale.search.plan import Call, Cell, Plan

__all__ = ["Branch", "Forest", "Item", "Piece"]


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

    @property
    def base(self) -> Branch | None:
        """The nearest made node at or above it."""
        found: Branch | None = self
        while found is not None and not found.made:
            found = found.parent
        return found

    @property
    def root(self) -> Branch:
        return self if self.parent is None else self.parent.root

    @property
    def unmade(self) -> tuple[int, int]:
        """Range of the forest's nodes that are still to be made for it."""
        return self.nodes[0] + self.made, self.nodes[1]

    @property
    def open(self) -> int:
        """Number of entries below it that no made node below it serves."""
        return self.direct + sum(child.open for child in self.children if not child.made)

    def precedes(self, other: Item) -> bool:
        """Tell whether another branch follows on this one, and can go the same way."""
        return (
            isinstance(other, Branch)
            and other.parent is self.parent is not None
            and other.start == self.stop
            and not self.made
            and not other.made
        )


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A unit of work: run entries ``start:stop``, or make nodes first.

    `base` is the made node that it starts from, `needs` are the made nodes beside it that it is
    given. `branch` is None for nodes beside the forest; it is the parent of several `branches`.
    """

    branch: Branch | None
    start: int
    stop: int
    base: int | None
    makes: Mapping[int, int] = field(default_factory=dict)
    """The nodes to be made, one after the other, each with the place of an entry that passes it;
    none: the entries are to be run."""
    needs: tuple[int, ...] = ()
    branches: tuple[Branch, ...] = ()
    seconds: float = 0.0
    """As estimated when it was handed out."""
    lane: object = None
    """Where the schedule took it from."""

    @classmethod
    def whole(cls, *branches: Branch) -> Piece:
        """Return the piece of all entries below branches that follow one on the other."""
        first, start, stop = branches[0], branches[0].start, branches[-1].stop
        if len(branches) == 1:
            return cls(first, start, stop, base_node(first))
        return cls(first.parent, start, stop, base_node(first), branches=branches)

    @classmethod
    def direct(cls, branch: Branch) -> Piece:
        """Return the piece of the entries that need nothing more than a branch's node."""
        start = branch.start
        return cls(branch, start, start + branch.direct, base_node(branch))

    @classmethod
    def making(cls, branch: Branch, keep: frozenset[int]) -> Piece:
        """Make the node below which a branch first divides; those before it come along."""
        while branch.direct == 0 and len(branch.children) == 1 and branch.node not in keep:
            branch = branch.children[0]
        assert branch.node is not None
        makes = {branch.node: branch.start}
        return cls(branch, branch.start, branch.stop, base_node(branch), makes)

    @property
    def given(self) -> list[int]:
        """The nodes that it is given."""
        return [number for number in (self.base, *self.needs) if number is not None]

    @property
    def unmade(self) -> tuple[int, int]:
        """Range of the forest's nodes that are still to be made for whole branches."""
        if self.branches:
            return self.branches[0].nodes[0], self.branches[-1].nodes[1]
        return (0, 0) if self.branch is None or self.partial else self.branch.unmade

    @property
    def partial(self) -> bool:
        """Whether it is less, or more, than its branch."""
        branch = self.branch
        return branch is None or (self.start, self.stop) != (branch.start, branch.stop)

    @property
    def parts(self) -> Sequence[Item]:
        """The branches of a piece that has several, the first one last."""
        return self.branches[::-1] or (self,)

    @property
    def anew(self) -> Item:
        """What is to be done when everything made is lost."""
        if self.makes and self.branch is not None:
            return self.branch
        return replace(self, base=None, needs=(), lane=None)


Item = Branch | Piece


class Forest:
    """The trees of a plan.

    Parameters
    ----------
    entries : sequence of Cell or Call
        In an order in which those below a node follow one on the other.
    plan : Plan

    Attributes
    ----------
    roots : list of Branch
    branches : dict of int to Branch
        By the number of their node.
    kinds : list of int
        Kinds of its nodes in the order of the entries.
    """

    def __init__(self, entries: Sequence[Cell | Call], plan: Plan) -> None:
        self.roots: list[Branch] = []
        self.branches: dict[int, Branch] = {}
        self.kinds: list[int] = []
        open_: list[Branch] = []
        keys: list[object] = []

        def close(depth: int, place: int) -> None:
            for branch in open_[depth:]:
                branch.stop, branch.nodes = place, (branch.nodes[0], len(self.kinds))
                branch.left = branch.stop - branch.start
            del open_[depth:]

        for place, entry in enumerate(entries):
            root: object = (entry.fold, entry.setup) if isinstance(entry, Cell) else "calls"
            path = [root, *(entry.path if isinstance(entry, Cell) else ())]
            common = 0
            while common < min(len(path), len(keys)) and path[common] == keys[common]:
                common += 1
            close(common, place)
            keys = path
            for depth in range(common, len(path)):
                node = path[depth]
                parent = open_[-1] if open_ else None
                branch = Branch(node if isinstance(node, int) else None, parent, depth, place)
                branch.nodes = (len(self.kinds), len(self.kinds))
                (parent.children if parent else self.roots).append(branch)
                open_.append(branch)
                if branch.node is not None:
                    self.kinds.append(plan.nodes[branch.node].kind)
                    self.branches[branch.node] = branch
            open_[-1].direct += 1
        close(0, len(entries))


def base_node(branch: Branch | None) -> int | None:
    """Return the nearest made node at or above a branch."""
    base = None if branch is None else branch.base
    return None if base is None else base.node
