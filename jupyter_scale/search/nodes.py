"""Steps -> nodes: finds the fits that are equal, to any depth.

A node's identity is where its data come from, what is fitted, and what else bears on the fit (the
context of a part). Equal ones are found in a dictionary of small tuples, and a step that was
planned for one cell is planned for all that share what comes before it. Called by the planner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jupyter_scale.search.plan import Cell, Node, Plan, Site
from jupyter_scale.search.steps import Inner, Step

__all__ = ["Inside", "Nodes", "Planned", "Upstream"]

# Where data come from: a node, the rows of a fold (setup, fold, root), or None: nothing tells.
Upstream = int | tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What is planned for a step.

    Attributes
    ----------
    node : int or None
        None where the step cannot be shared.
    site : Site
    spine : tuple of int
        Nodes that the data pass, the step's own last.
    needs : tuple of int
        Nodes that whoever fits a step without a node asks for.
    own : tuple of str
        Labels of what each cell fits for itself.
    """

    node: int | None
    site: Site
    spine: tuple[int, ...] = ()
    needs: tuple[int, ...] = ()
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inside:
    """What is planned inside a step: as in `Planned`; `up` is where its own fit gets its data."""

    up: Upstream
    sites: tuple[Site | None, ...] = ()
    spine: tuple[int, ...] = ()
    needs: tuple[int, ...] = ()
    own: tuple[str, ...] = ()


class Nodes:
    """Adds to a plan the nodes that its cells need.

    Parameters
    ----------
    plan : Plan
        Receives the nodes, their kinds and the counts of distinct fits.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._planned: dict[tuple[Any, ...], Planned] = {}
        self._kinds: dict[tuple[Any, ...], int] = {}
        self._largest: dict[int, int] = {}

    def step(
        self, cell: Cell, up: Upstream, step: Step, *, context: bytes = b"", whole: Upstream = None
    ) -> Planned:
        """Plan a step on data from `up`.

        `whole` says where the rows of all folds come from, for a step that needs no more.
        """
        key = (up, id(step), context)
        if key not in self._planned:
            planned = self._step(cell, up, step, context, whole)
            if planned.node is None:
                return planned
            self._planned[key] = planned
        return self._planned[key]

    def _step(
        self, cell: Cell, up: Upstream, step: Step, context: bytes, whole: Upstream
    ) -> Planned:
        inside = self.inside(cell, up, step)
        if inside.up is None or step.identity is None:
            site = Site(inner=inside.sites)
            return Planned(None, site, inside.spine, inside.needs, (*inside.own, step.label))
        needs, role, spine = inside.needs, "fit", list(inside.spine)
        family = source = None
        before = inside.up
        if step.family is not None and self.sharable(cell):
            role = "derived"
            family = before = self.family(cell, inside.up, step)
            spine.append(family)
        elif whole is not None:
            role = "cut"
            source = self._node(cell, ("whole", whole, step.identity), whole, step, role="whole")
            needs = (*needs, source)
        key = (role, before, step.identity, context, self._name(cell, step))
        known = key in self._numbers
        node = self._node(cell, key, before, step, role=role, needs=needs)
        if not known and family is not None:
            self.answer(family, step)
        elif not known:
            self.grow(step)
        site = Site(node, inside.sites, family, whole=source)
        return Planned(node, site, (*spine, node))

    def inside(self, cell: Cell, up: Upstream, step: Step) -> Inside:
        """Plan what is fitted inside a step: steps of a Pipeline, parts of a meta-estimator."""
        if not step.inner:
            return Inside(up)
        sites: list[Site | None] = []
        spine: list[int] = []
        needs: list[int] = []
        own: list[str] = []
        for inner in step.inner:
            if inner is None:
                sites.append(None)
                continue
            if inner.final:
                last = self.inside(cell, up, inner.step)
                up = last.up
                found = Planned(None, Site(inner=last.sites), last.spine, last.needs, last.own)
            elif step.pipeline:
                found = self.step(cell, up, inner.step)
                up = found.node
            else:
                found = self._part(cell, up, inner)
            sites.append(found.site)
            if step.pipeline:
                spine += found.spine
            else:
                needs += self._flat(found.spine)
            needs += found.needs
            own += found.own
        return Inside(up, tuple(sites), tuple(spine), tuple(needs), tuple(own))

    def _flat(self, numbers: tuple[int, ...]) -> list[int]:
        """Return nodes, each after those that its fit asks for."""
        return [n for number in numbers for n in (*self.plan.nodes[number].needs, number)]

    def _part(self, cell: Cell, up: Upstream, part: Inner) -> Planned:
        """Plan a part of a meta-estimator that is fitted on data from `up`."""
        label, identity = part.step.label, part.step.identity
        if part.recorded:
            if up is None or identity is None:
                return Planned(None, Site(), own=(label,))
            key = ("inner", up, identity, part.context, self._name(cell, part.step))
            node = self._node(cell, key, up, part.step, role="inner")
            return Planned(node, Site(node, recorded=True), (node,))
        columns = None
        if part.columns and up is not None:
            columns = self._node(cell, ("columns", up, part.columns), up, part.step, role="columns")
            up = columns
        found = self.step(cell, up, part.step, context=part.context)
        site = replace(found.site, columns=columns, crossed=part.crossed)
        return replace(
            found, site=site, spine=found.spine if columns is None else (columns, *found.spine)
        )

    def sharable(self, cell: Cell) -> bool:
        """Tell whether axes hold with what ``fit`` is given besides the data."""
        options = self.plan.setups[cell.setup].options.get("fit_params") or {}
        return all(name.rpartition("__")[2] == "sample_weight" for name in options)

    def family(self, cell: Cell, up: Upstream, step: Step) -> int:
        """Return the node whose one fit answers all settings of a step's family."""
        assert step.family is not None
        key = ("family", up, step.family.group, self._name(cell, step))
        return self._node(cell, key, up, step, role="family")

    def answer(self, family: int, step: Step) -> None:
        """Have the one fit of a family answer a step's setting, too."""
        assert step.family is not None
        self.plan.nodes[family].family.append(step.family.values)
        largest = self._largest.get(family, 0)
        self._largest[family] = max(largest, step.family.size)
        self.grow(step, self._largest[family] - largest)

    def grow(self, step: Step, more: int | None = None) -> None:
        """Count what fitting a step grows, or so many more, where the plan counts such."""
        if step.family is not None:
            count = self.plan.grown.get((step.label, step.family.grows))
            if count is not None:
                count[1] += step.family.size if more is None else more

    def _name(self, cell: Cell, step: Step) -> str | None:
        # without metadata routing, fit parameters reach a step by its name
        return step.label if self.plan.setups[cell.setup].options.get("fit_params") else None

    def _node(
        self,
        cell: Cell,
        key: tuple[Any, ...],
        up: Upstream,
        step: Step,
        *,
        role: str,
        needs: tuple[int, ...] = (),
    ) -> int:
        if key in self._numbers:
            return self._numbers[key]
        number = self._numbers[key] = len(self.plan.nodes)
        kind = self.kind(step.label, role, self.kind_of(up), *key[2:])
        node = Node(
            number,
            kind,
            step.label,
            up if isinstance(up, int) else None,
            cell.setup,
            cell.fold,
            len(self.plan.cells),
            step.in_place is not None,
            needs,
            role,
        )
        self.plan.nodes.append(node)
        self.plan.keys.append(key)
        if node.fitted:
            self.plan.counts[step.label][1] += 1
        return number

    def kind(self, label: str, *settings: Any) -> int:
        """Return the kind of a piece of work in some setting, whatever the fold."""
        key = (label, *settings)
        if key not in self._kinds:
            self._kinds[key] = len(self._kinds)
            self.plan.kinds.append(label)
        return self._kinds[key]

    def kind_of(self, up: Upstream) -> Any:
        """Return what tells the kinds of data apart, whatever the fold."""
        if isinstance(up, int):
            return self.plan.nodes[up].kind
        return None if up is None else (up[0], *up[2:])
