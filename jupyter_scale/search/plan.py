"""What a search will fit, as plain data: made from scikit-learn's calls, before anything runs.

A `Cell` is one call of ``_fit_and_score``: a candidate on a fold. Its ``path`` names the `Node` of
each transformer that its data pass before the final step; paths that begin alike on the same fold
begin with the same node, which is fitted once. A node ``needs`` others where its fit asks for them:
the branches of a ColumnTransformer, the members of an ensemble. A `Call` is any other function that
scikit-learn hands to joblib. The plan holds no results and touches no
cluster: it can be counted, printed and compared.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Call",
    "Cell",
    "Counted",
    "Fold",
    "Node",
    "Plan",
    "Ref",
    "Setup",
    "Site",
    "StepCount",
]


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What the cells of one evaluation have in common: the arguments of ``_fit_and_score``."""

    estimator: Any
    X: int
    """Number of the training vectors in ``Plan.data``."""
    y: int | None
    options: dict[str, Any]
    """Scorer, fit and score parameters, error_score and the like."""
    config: dict[str, Any]
    warning_filters: list[Any]

    @property
    def error_score(self) -> Any:
        return self.options.get("error_score")


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Row numbers of a split, as scikit-learn's splitter gave them."""

    train: Any
    test: Any


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An estimator fitted on the training part of a fold, after the steps before it.

    ``parent`` is the node that its data come from, and `needs` are the nodes that its own fit asks
    for: the parts of a meta-estimator.
    """

    number: int
    kind: int
    label: str
    parent: int | None
    setup: int
    fold: int
    cell: int
    """The first cell that needs this node: running it so far makes the node."""
    in_place: bool = False
    """The step may write into its input, so it is given a copy."""
    needs: tuple[int, ...] = ()
    role: str = "fit"
    """fit; columns (selected by a ColumnTransformer for a part); family (one fit that answers each
    setting in `family`) and derived (from it); inner (fits of a meta-estimator on data of its own);
    whole (a step that treats each row by itself, on the rows of all folds) and cut (from it)."""
    family: list[dict[str, Any]] = field(default_factory=list)

    @property
    def fitted(self) -> bool:
        """Whether making this node fits something; else it comes from another node or the data."""
        return self.role in ("fit", "family", "inner", "whole")


@dataclass(frozen=True, slots=True)
class Site:
    """Where in an estimator shared work is asked for: one per step or part that may share.

    `inner` has an entry per step of a Pipeline, or per part (`meta.parts`), in their order.
    """

    number: int | None = None
    """The node that answers."""
    inner: tuple[Site | None, ...] = ()
    family: int | None = None
    """The node whose one fit answers this setting among others."""
    columns: int | None = None
    """The node that stands for the columns which the part is fitted on."""
    whole: int | None = None
    """The node that has transformed the rows of all folds."""
    recorded: bool = False
    crossed: bool = False

    def holds(self, number: int) -> bool:
        """Tell whether a node is made at this site or inside it."""
        mine = (self.number, self.family, self.columns, self.whole)
        return number in mine or any(site.holds(number) for site in self.inner if site)


@dataclass(slots=True, eq=False)
class Cell:
    """One candidate on one fold."""

    number: int
    kind: int
    setup: int
    fold: int
    parameters: dict[str, Any] | None
    progress: dict[str, Any]
    label: str = ""
    """The final step."""
    path: tuple[int, ...] = ()
    """Nodes that the data pass in turn, up to the first step that cannot be shared."""
    needs: tuple[int, ...] = ()
    """Nodes that the fit of the final step asks for: the parts of a meta-estimator."""
    site: Site | None = None
    labels: tuple[str, ...] = ()
    """The steps that this cell fits for itself, the final one last."""
    alone: bool = False
    """This cell shares nothing: scikit-learn runs it on its own copy of the fold."""
    in_place: bool = False
    """The final step may write into its input, so it is given a copy."""
    estimator: Any = None
    """An estimator that is this cell's own instead of the setup's."""
    keep: bool = False
    """What it predicts is to be kept, see `predictions`."""
    watched: dict[str, Any] | None = None
    """scikit-learn's callback arguments, where callbacks watch the fit."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands in a call for the entry of ``Plan.data`` with this number."""

    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call that is not ``_fit_and_score``; a `Ref` stands for a large argument."""

    number: int
    kind: int
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    config: dict[str, Any]
    warning_filters: list[Any]
    label: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The function, as the one step of this call."""
        return (self.label,)


@dataclass(frozen=True, slots=True)
class StepCount:
    """How often a step is fitted by scikit-learn (`requested`) and by the plan (`distinct`)."""

    label: str
    requested: int
    distinct: int
    done: int = 0

    @property
    def saved(self) -> int:
        return self.requested - self.distinct


class Counted:
    """Something with fits per step: [requested, distinct] or [requested, distinct, done]."""

    __slots__ = ()

    counts: dict[str, list[int]]

    @property
    def steps(self) -> tuple[StepCount, ...]:
        return tuple(StepCount(label, *count) for label, count in self.counts.items())

    @property
    def fits_requested(self) -> int:
        return sum(step.requested for step in self.steps)

    @property
    def fits_distinct(self) -> int:
        return sum(step.distinct for step in self.steps)


@dataclass(slots=True, eq=False, repr=False)
class Plan(Counted):
    """The distinct pieces of work of a batch of calls.

    Attributes
    ----------
    cells : list of Cell
        The distinct cells, one per piece of work.
    calls : list of Call
        Work that the plan does not look into.
    copies : dict of int to int
        Call numbers answered by the cell with another number: equal candidates.
    nodes : list of Node
        The transformers to fit before the final steps.
    keys : list of tuple
        What identifies each node: its role, where its data come from, and what is fitted.
    counts : dict of str to list of two int
        Per step: fits that scikit-learn would do, fits that the plan does.
    unshared, unseeded : dict of str to int
        Why something is not shared, and which steps draw without a seed; each with the
        number of cells concerned.
    grown : dict of (str, str) to list of two int
        By step and what it grows (trees, stages), where one fit answers several numbers of them:
        how many scikit-learn would grow, how many the plan does.
    kinds : list of str
        The step of each kind of work: what differs by the fold alone is of one kind.
    addresses : dict of int to bytes
        Where a record keeps cells, by call number.
    known : dict of int to dict
        What ``_fit_and_score`` returns, by call number, for the cells that were on record: they are
        not fitted.
    fitted : dict of int to bytes
        Where a record is to keep what cells predict, by call number.
    rescored : int
        How many of the known cells are scored from predictions on record.
    warned : list
        The warnings which that gave.
    data_digest : bytes
        Of the training data, if there is a record.
    """

    name: str = "search"
    n_calls: int = 0
    n_folds: int = 0
    setups: list[Setup] = field(default_factory=list)
    folds: list[Fold] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    keys: list[tuple[Any, ...]] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    copies: dict[int, int] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    grown: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    unshared: dict[str, int] = field(default_factory=dict)
    unseeded: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    addresses: dict[int, bytes] = field(default_factory=dict)
    known: dict[int, dict[str, Any]] = field(default_factory=dict)
    fitted: dict[int, bytes] = field(default_factory=dict)
    rescored: int = 0
    warned: list[warnings.WarningMessage] = field(default_factory=list)
    data_digest: bytes = b""

    @property
    def n_cells(self) -> int:
        """Number of (candidate, fold) pairs, equal ones counted each."""
        return self.n_calls

    @property
    def fits_saved(self) -> int:
        return self.fits_requested - self.fits_distinct

    def nodes_of(self, cell: Cell) -> list[int]:
        """Return all nodes that a cell needs, each after those that it needs itself."""
        numbers: list[int] = []
        for number in cell.path:
            numbers += self.nodes[number].needs
            numbers.append(number)
        return [*numbers, *cell.needs]

    def __str__(self) -> str:
        return "\n".join([self.headline, *table_lines(self.steps), *self.notes])

    __repr__ = __str__

    @property
    def headline(self) -> str:
        return (
            f"{self.name}: {self.fits_distinct:,} fits instead of {self.fits_requested:,} "
            f"for {self.n_cells:,} cells"
        )

    @property
    def notes(self) -> list[str]:
        """Sentences on trees that are saved, what is on record, not shared or without a seed."""
        return [
            *grown_lines(self.grown),
            *note_lines(self.unshared, self.unseeded, len(self.known), self.rescored),
        ]

    def _repr_html_(self) -> str:
        return table_html(self.headline, self.steps, self.notes)


def grown_lines(grown: dict[tuple[str, str], list[int]]) -> Iterator[str]:
    """Yield a sentence per step that grows less than scikit-learn would.

    Examples
    --------
    >>> print(*grown_lines({("GradientBoostingClassifier", "stages"): [4500, 1500]}))
    GradientBoostingClassifier: 1,500 stages instead of 4,500 (33 %)
    """
    for (step, unit), (requested, distinct) in grown.items():
        if distinct < requested:
            part = float(f"{100 * distinct / requested:.2g}")
            yield f"{step}: {distinct:,} {unit} instead of {requested:,} ({part:g} %)"


def note_lines(
    unshared: dict[str, int], unseeded: dict[str, int], known: int = 0, rescored: int = 0
) -> Iterator[str]:
    """Yield a sentence on what is known, and per reason why something is not shared or seeded."""
    if known:
        yield f"{known:,} cells are on record, and are not fitted again (--fresh does)"
    if rescored:
        yield f"{rescored:,} of them by another metric: scored from predictions that were kept"
    for reason, cells in unshared.items():
        yield f"not shared in {cells:,} cells: {reason}"
    for step, cells in unseeded.items():
        yield f"no seed in {cells:,} cells: {step} (--seed N seeds it)"


def table_lines(steps: tuple[StepCount, ...]) -> Iterator[str]:
    """Yield the lines of a text table: fits per step, unmerged, merged and saved."""
    width = max([len(step.label) for step in steps] + [len("step")])
    yield f"  {'step':<{width}} {'scikit-learn':>12} {'merged':>8} {'saved':>8}"
    for step in steps:
        yield (
            f"  {step.label:<{width}} {step.requested:>12,} {step.distinct:>8,} {step.saved:>8,}"
        )


def table_html(headline: str, steps: tuple[StepCount, ...], notes: list[str]) -> str:
    """Return the same table as HTML, every value escaped."""
    rows = "".join(
        f"<tr><th scope='row' style='text-align:left'>{html.escape(step.label)}</th>"
        f"<td>{step.requested:,}</td><td>{step.distinct:,}</td><td>{step.saved:,}</td></tr>"
        for step in steps
    )
    remarks = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return (
        "<table><caption style='caption-side:top;text-align:left;white-space:nowrap'>"
        f"{html.escape(headline)}</caption><thead><tr><th scope='col'>step</th>"
        "<th scope='col'>scikit-learn</th><th scope='col'>merged</th><th scope='col'>saved</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>" + (f"<ul>{remarks}</ul>" if remarks else "")
    )
