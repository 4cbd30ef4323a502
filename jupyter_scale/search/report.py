"""What a search did: counts per step, seconds spent and saved, where it ran.

`SearchReport` is one search (or one evaluation such as ``cross_validate``), `Report` all of those
in a `merged` context. Both are plain data that can be pickled with the search they hang on.
"""

from __future__ import annotations

import html
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from jupyter_scale.search.control import Control
from jupyter_scale.search.durations import Durations
from jupyter_scale.search.plan import (
    Call,
    Cell,
    Counted,
    Plan,
    grown_lines,
    note_lines,
    table_lines,
)
from jupyter_scale.search.store import SHARED
from jupyter_scale.search.summary.frame import frame
from jupyter_scale.search.summary.page import page
from jupyter_scale.search.summary.plots import Plots
from jupyter_scale.search.summary.ranking import Ranking, ranked
from jupyter_scale.search.summary.text import candidate_lines
from jupyter_scale.search.summary.tree import Tree, tree_of
from jupyter_scale.search.tasks import Outcome

__all__ = ["Place", "Record", "Recorder", "Report", "Score", "SearchReport", "Tally"]

INTERVAL = 0.25  # seconds between estimates of the time that is left

SHOWN = 10
"""Searches; a cell may search in a loop, thousands of times."""
Place = tuple[int, int, dict[str, Any] | None]
"""Candidate, fold and parameters of a call."""


@dataclass(frozen=True, slots=True)
class Score:
    """One finished cell: a candidate on a fold.

    Attributes
    ----------
    candidate : int
        Its row in ``cv_results_``; 0 where there is no search.
    fold : int
        Number of the split; where scikit-learn does not tell it, of the call.
    parameters : dict or None
        The candidate.
    test_scores, train_scores : float or dict of str to float
        By metric where there are several; `train_scores` is None unless asked for.
    fit_time, score_time : float
        Seconds, as in ``cv_results_``.
    error : str or None
        The last line of the error that ended the fit.
    ended : float
        Seconds after the search began.
    worker : str
        Address of the worker that fitted it; empty for this process.
    known : bool
        Whether it was on record, and not fitted now.
    """

    candidate: int
    fold: int
    parameters: dict[str, Any] | None
    test_scores: float | dict[str, float]
    train_scores: float | dict[str, float] | None = None
    fit_time: float = 0.0
    score_time: float = 0.0
    error: str | None = None
    ended: float = 0.0
    worker: str = ""
    known: bool = False

    @classmethod
    def of(
        cls,
        place: Place,
        result: dict[str, Any],
        ended: float,
        worker: str = "",
        known: bool = False,
    ) -> Score:
        """Return the record of what ``_fit_and_score`` returned."""
        error = (result.get("fit_error") or "").partition(SHARED)[0].strip().rpartition("\n")[2]
        return cls(
            *place,
            result["test_scores"],
            result.get("train_scores"),
            result.get("fit_time", 0.0),
            result.get("score_time", 0.0),
            error or None,
            ended,
            worker,
            known,
        )


class Recorder(Protocol):
    """Follows a search: a progress bar, a record on disk.

    Each method is called from the thread that runs the search; an error in one is reported as a
    warning and never fails the search.
    """

    def planned(self, plan: Plan, report: SearchReport) -> None:
        """Learn of a plan, and of the report that grows with it; a search may plan several times.

        Successive halving plans each round.
        """

    def done(self, cells: int, fits: int) -> None:
        """Count so many more cells and fits as done: none, from time to time, while all run."""

    def finished(self, report: SearchReport) -> None:
        """Take leave of a search that is done, has failed or was interrupted (its status)."""

    def refitting(self, report: SearchReport) -> None:
        """Learn that the best candidate is fitted on the cluster; `finished` comes once more.

        A recorder may be without this method.
        """


class Record(Recorder, Protocol):
    """A recorder that keeps finished cells, and knows those of earlier searches."""

    def known(self, address: bytes, seeded: bool) -> dict[str, Any] | None:
        """Return what ``_fit_and_score`` has returned for a cell, or None.

        Parameters
        ----------
        address : bytes
            Of the cell, see `address`.
        seeded : bool
            Whether nothing in it draws without a seed.
        """

    def cell(
        self, report: SearchReport, score: Score, address: bytes | None, result: dict[str, Any]
    ) -> None:
        """Take a finished cell, also a known one; it has no address if it is never to be known."""

    def predictions(self) -> tuple[bool, bool]:
        """Tell whether what cells predict is to be kept, and whether there is any of it.

        A record may be without this method, and without the two that follow.
        """

    def predicted(self, address: bytes) -> bytes | None:
        """Return what is kept at the address of what a cell predicts, or None."""

    def keep(self, report: SearchReport, address: bytes, body: bytes) -> None:
        """Take what a cell has predicted, see `predictions`."""


class Told(Protocol):
    """Who is told of each finished cell."""

    def done(self, cells: int, fits: int) -> None: ...

    def cell(
        self, report: SearchReport, score: Score, address: bytes | None, result: dict[str, Any]
    ) -> None: ...

    def keep(self, report: SearchReport, address: bytes, body: bytes) -> None: ...


@dataclass(slots=True, eq=False, repr=False)
class SearchReport(Counted):
    """What one search planned, did and saved.

    Attributes
    ----------
    name : str
        The search and its estimator, such as ``GridSearchCV(Pipeline)``.
    n_cells, cells_done, cells_known : int
        (candidate, fold) pairs; those that were on record are done, too.
    cells_rescored : int
        Those on record that were scored by another metric, from predictions that were kept.
    fits_requested, fits_distinct, fits_done, fits_saved : int
        Fits that scikit-learn alone would do, that the plan has, that were done, that were saved.
    seconds : float
        Wall time.
    seconds_spent, seconds_saved : float
        Time of the fits that were done, and of those that need not be.
    seconds_left : float or None
        Time that the planned fits which are not done will take one after the other, judged by those
        that are; None while no fit is done.
    where : str
        The cluster, or this process.
    grown : dict of (str, str) to list of two int
        As in `Plan`: trees or stages that scikit-learn would grow, and that were planned.
    unshared, unseeded : dict of str to int
        Why something was not shared, which steps draw without a seed; with cells concerned.
    times : dict of str to float
        Seconds spent on each step, its fits and what was scored with them.
    started : float
        When it began, in seconds since the epoch.
    metric : str
        By which of several metrics the best is chosen; empty where there is one.
    refit : str
        Where the best candidate was fitted, and how long that took; empty for the kernel.
    scores : list of Score
        The finished cells in the order of their completion.
    rounds : list of int
        The first candidate of each round; successive halving has several.
    tree : Tree or None
        The plan's picture, of one fold; None where nothing could be merged.
    results : pandas.DataFrame
        The candidates, the best first, with the columns of ``cv_results_``.
    plot : Plots
        Matplotlib figures.
    status : {"running", "refitting", "done", "failed", "interrupted", "stopped"}
    run : str
        Its id on record, if it is.
    """

    name: str
    where: str
    n_cells: int = 0
    cells_done: int = 0
    cells_known: int = 0
    cells_rescored: int = 0
    seconds: float = 0.0
    seconds_spent: float = 0.0
    seconds_saved: float = 0.0
    seconds_left: float | None = None
    status: str = "running"
    run: str = ""
    metric: str = ""
    refit: str = ""
    counts: dict[str, list[int]] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    grown: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    unshared: dict[str, int] = field(default_factory=dict)
    unseeded: dict[str, int] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    tree: Tree | None = None

    def plan(self, plan: Plan) -> None:
        """Add what a plan intends."""
        self.tree = self.tree or tree_of(plan)
        self.n_cells += plan.n_cells
        for label, (requested, distinct) in plan.counts.items():
            count = self.counts.setdefault(label, [0, 0, 0])
            count[0] += requested
            count[1] += distinct
        for step, (requested, distinct) in plan.grown.items():
            grown = self.grown.setdefault(step, [0, 0])
            grown[0] += requested
            grown[1] += distinct
        for mine, theirs in ((self.unshared, plan.unshared), (self.unseeded, plan.unseeded)):
            for key, cells in theirs.items():
                mine[key] = mine.get(key, 0) + cells

    @property
    def fits_done(self) -> int:
        return sum(step.done for step in self.steps)

    @property
    def fits_saved(self) -> int:
        return self.fits_requested - max(self.fits_distinct, self.fits_done)

    @property
    def headline(self) -> str:
        done = "" if self.status == "done" else f", {self.status}"
        return (
            f"{self.name}: {self.fits_done:,} fits done, {self.fits_saved:,} saved, "
            f"{self.cells_done:,} of {self.n_cells:,} cells in {self.seconds:.1f} s on "
            f"{self.where}{done}"
        )

    @property
    def notes(self) -> list[str]:
        """Sentences on time saved, on what was not shared and on what has no seed."""
        saved = (
            [f"{self.seconds_saved:.1f} s of fitting saved, {self.seconds_spent:.1f} s spent"]
            if self.seconds_saved >= 0.05
            else []
        )
        refit = [self.refit] if self.refit else []
        known = note_lines(self.unshared, self.unseeded, self.cells_known, self.cells_rescored)
        grown = grown_lines(self.grown)
        return [*saved, *grown, *refit, *known, *([f"on record as {self.run}"] if self.run else [])]

    def ranking(self) -> Ranking:
        """Return the candidates that have scores so far."""
        # a list of its own: the search may be running, in another thread
        return ranked(
            list(self.scores),
            metric=self.metric,
            rounds=self.rounds,
            halving="Halving" in self.name.partition("(")[0],
        )

    @property
    def results(self) -> Any:
        return frame(self.ranking())

    @property
    def plot(self) -> Plots:
        return Plots(self)

    def __str__(self) -> str:
        candidates = candidate_lines(self.ranking())
        return "\n".join([self.headline, *candidates, *table_lines(self.steps), *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return page(self)


@dataclass(slots=True, eq=False, repr=False)
class Report:
    """All searches of a `merged` context, in the order of their start; and their `control`."""

    searches: list[SearchReport] = field(default_factory=list)
    control: Control = field(default_factory=Control)

    @property
    def scores(self) -> list[Score]:
        """The finished cells of all searches."""
        return [score for search in self.searches for score in search.scores]

    @property
    def results(self) -> Any:
        """The candidates of the last search that has scores, as a pandas DataFrame."""
        return self._last.results

    @property
    def plot(self) -> Plots:
        """The plots of the last search that has scores."""
        return self._last.plot

    @property
    def _last(self) -> SearchReport:
        if not self.searches:
            raise ValueError("no search ran")
        return next((s for s in reversed(self.searches) if s.scores), self.searches[-1])

    def __str__(self) -> str:
        return "\n\n".join([*self._left_out, *map(str, self._shown)]) or "no search ran"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        left_out = "".join(f"<p>{line}</p>" for line in self._left_out)
        shown = "".join(search._repr_html_() for search in self._shown)
        return left_out + shown or html.escape(str(self))

    @property
    def _shown(self) -> list[SearchReport]:
        return self.searches[-SHOWN:]

    @property
    def _left_out(self) -> list[str]:
        count = len(self.searches) - SHOWN
        return [f"{count:,} searches before are in the report's searches"] if count > 0 else []


class Tally:
    """Adds outcomes up: results by call number, and the report's counts.

    Parameters
    ----------
    plan : Plan
    report : SearchReport
    told : Told
    places : sequence of Place
        By call number.
    """

    def __init__(
        self,
        plan: Plan,
        report: SearchReport,
        told: Told,
        places: Sequence[Place],
    ) -> None:
        self.plan = plan
        self._places = places
        self.results: dict[int, object] = dict(plan.known)
        self._report = report
        self._told = told
        entries: list[Cell | Call] = [*plan.cells, *plan.calls]
        self._entries = {entry.number: entry for entry in entries}
        self._uses = Counter(number for cell in plan.cells for number in plan.nodes_of(cell))
        self._copies: dict[int, list[int]] = defaultdict(list)
        for copy, number in plan.copies.items():
            self._copies[number].append(copy)
        self._durations = Durations(plan.kinds)
        kinds = [entry.kind for entry in entries] + [node.kind for node in plan.nodes]
        self._left = np.bincount(kinds, minlength=len(plan.kinds))
        self._estimated = 0.0
        if plan.cells or plan.known:
            report.rounds.append(min(place[0] for place in places))

    def recall(self) -> None:
        """Add the cells that were on record."""
        for number, result in self.plan.known.items():
            score = Score.of(self._places[number], result, 0.0, known=True)
            self._report.scores.append(score)
            self._told.cell(self._report, score, self.plan.addresses[number], result)
        self._report.cells_done += len(self.plan.known)
        self._report.cells_known += len(self.plan.known)
        self._report.cells_rescored += self.plan.rescored
        self._told.done(len(self.plan.known), 0)

    def add(self, outcome: Outcome) -> None:
        """Add what a task found."""
        fits = 0
        for number, seconds in outcome.made.items():
            self._learn(self.plan.nodes[number].kind, seconds)
            if self.plan.nodes[number].fitted:
                fits += self._count(self.plan.nodes[number].label)
            self._spend(self.plan.nodes[number].label, seconds)
            self._report.seconds_saved += seconds * (self._uses[number] - 1)
        cells = 0
        for number, result in outcome.results.items():
            self.results[number] = result
            copies = len(self._copies.get(number, ()))
            cells += 1 + copies
            fits += self._count(*self._entries[number].labels)
            seconds = outcome.seconds.get(number, 0.0)
            self._learn(self._entries[number].kind, seconds)
            self._spend(self._entries[number].label, seconds)
            self._report.seconds_saved += seconds * copies
            if number in outcome.kept:
                address = self.plan.fitted[number]
                self._told.keep(self._report, address, outcome.kept[number])
            self._tell(number, result, outcome.worker)
        for number in outcome.alone:
            cell = self._entries[number]
            assert isinstance(cell, Cell)
            nodes = [self.plan.nodes[node] for node in self.plan.nodes_of(cell)]
            fits += self._count(*(node.label for node in nodes if node.fitted))
        fits += self._count(*outcome.unplanned)
        if outcome.alone:
            reason = "a step writes into its input, so its cells had data of their own"
            unshared = self._report.unshared
            unshared[reason] = unshared.get(reason, 0) + len(outcome.alone)
        self._report.cells_done += cells
        self._estimate()
        self._told.done(cells, fits)

    def tick(self) -> None:
        """Let the recorder see that time goes by."""
        self._told.done(0, 0)

    def _learn(self, kind: int, seconds: float) -> None:
        self._durations.learn(kind, seconds)
        self._left[kind] -= self._left[kind] > 0  # what was lost is made twice

    def _estimate(self) -> None:
        """Estimate the rest, as often as anybody looks."""
        now = time.monotonic()
        if now - self._estimated > INTERVAL or not self._left.any():
            self._estimated = now
            seconds = self._durations.estimates()
            known = np.nanmean(seconds) if self._durations.learned else np.nan
            left = float(self._left @ np.where(np.isnan(seconds), known, seconds))
            self._report.seconds_left = None if np.isnan(left) else left

    def _spend(self, label: str, seconds: float) -> None:
        self._report.seconds_spent += seconds
        self._report.times[label] = self._report.times.get(label, 0.0) + seconds

    def _tell(self, number: int, result: Any, worker: str) -> None:
        """Record a cell, and with it those that are equal."""
        if isinstance(self._entries[number], Cell):
            ended = time.time() - self._report.started
            for each in (number, *self._copies.get(number, ())):
                score = Score.of(self._places[each], result, ended, worker)
                self._report.scores.append(score)
                self._told.cell(self._report, score, self.plan.addresses.get(each), result)

    def _count(self, *labels: str) -> int:
        for label in labels:
            self._report.counts[label][2] += 1
        return len(labels)
