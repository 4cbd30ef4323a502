"""The progress of the searches in one cell, and in its place their summary.

A `Recorder` of the engine. In a kernel it is one output that is updated in place and
ends as static HTML and plain text, so a saved notebook shows it without a kernel; in
a terminal it is one line that is overwritten. At most four updates a second, and no
more bytes than a slow connection takes. Every value is escaped. Nothing here blocks
or fails a search: whatever the screen does wrong, the search goes on.
"""

from __future__ import annotations

import html
import math
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Protocol
from uuid import uuid4

from IPython.core.interactiveshell import InteractiveShell

from jupyter_scale.journal import Journal
from jupyter_scale.search import Control, Plan, Score, SearchReport
from jupyter_scale.search.summary.text import duration
from jupyter_scale.view.buttons import Buttons
from jupyter_scale.view.grid import Grid, abridged, said, value

INTERVAL = 0.25  # seconds between updates, at least
RATE = 50_000  # bytes that updates may take in a second
PATIENCE = 1.0  # seconds for which the next update may be due already
# A cell that searches in a loop shows its last searches, not thousands.
SHOWN = 10
ERRORS = 5  # different ones that are shown
METADATA = "jupyter_scale"
SOFT = "color:var(--jp-ui-font-color1,inherit)"


class Shown(Protocol):
    """What has a readable `str` and an HTML form: a plan or a report."""

    def _repr_html_(self) -> str: ...


@dataclass
class Running:
    """A search that runs, as far as it is known from its report.

    Parameters
    ----------
    report : SearchReport
    started : float
        `time.monotonic()` of its start.
    """

    report: SearchReport
    started: float
    stopped: bool = False
    refitting: bool = False
    _folds: int = 1
    _read: int = 0
    _grid: Grid = field(default_factory=lambda: Grid(0, 1))
    _totals: dict[int, tuple[int, float]] = field(default_factory=dict)
    _best: tuple[float, dict[str, Any]] | None = None
    _errors: Counter[str] = field(default_factory=Counter)

    def plan(self, plan: Plan) -> None:
        """Make room for the next batch of calls; successive halving plans several."""
        self._folds = max(self._folds, plan.n_folds)
        searched = any(cell.parameters is not None for cell in plan.cells[:1])
        folds = self._folds if searched else self.report.n_cells
        candidates = math.ceil(self.report.n_cells / folds) if folds else 0
        self._grid = self._grid.larger(candidates, folds, self.report.metric)
        if self._grid.empty:
            for score in self.report.scores[: self._read]:
                self._grid.add(score)

    def read(self) -> None:
        """Take in the scores that have come."""
        scores = self.report.scores
        while self._read < len(scores):
            self._take(scores[self._read])
            self._read += 1

    def _take(self, score: Score) -> None:
        self._grid.add(score)
        if score.error is not None:
            self._errors[score.error] += 1
            return
        folds, total = self._totals.get(score.candidate, (0, 0.0))
        folds, total = folds + 1, total + value(score, self.report.metric)
        self._totals[score.candidate] = folds, total
        # the mean of some folds would favour whoever had the easiest ones first
        if score.parameters is None or folds < self._folds or math.isnan(total):
            return
        if self._best is None or total / folds > self._best[0]:
            self._best = total / folds, score.parameters

    @property
    def best(self) -> str:
        """The best candidate that has all its folds, in a line; empty while there is none."""
        if self._best is None:
            return ""
        mean, parameters = self._best
        return f"best so far: {said(mean)} with {abridged(parameters)}"

    @property
    def failures(self) -> list[str]:
        """What has failed, the most frequent errors first."""
        lines = [f"{count:,} failed: {error}" for error, count in self._errors.most_common(ERRORS)]
        more = len(self._errors) - ERRORS
        return [*lines, f"... and {more} other errors"] if more > 0 else lines

    def facts(self, now: float) -> dict[str, Any]:
        """Return what a journal says of it."""
        report, elapsed = self.report, max(0.0, now - self.started)
        mean, parameters = self._best or (None, {})
        return {
            "name": report.name,
            "cluster": report.where,
            "cells": report.n_cells,
            "cells_done": report.cells_done,
            "fits": report.fits_distinct,
            "fits_done": report.fits_done,
            "fits_saved": max(0, report.fits_saved),
            "seconds": elapsed,
            "seconds_left": self._left(elapsed) if report.status == "running" else None,
            "score": mean,
            "parameters": abridged(parameters),
            "failures": tuple(self.failures),
            "run": report.run,
        }

    def text(self, now: float) -> str:
        """Return one line for people."""
        report = self.report
        elapsed = max(0.0, now - self.started)
        done, cells = report.cells_done, report.n_cells
        text = (
            f"{report.name}: {done:,}/{cells:,} cells, {report.fits_done:,}/"
            f"{report.fits_distinct:,} fits ({max(0, report.fits_saved):,} saved), "
            f"{duration(elapsed)}"
        )
        if self.stopped:
            return f"{text}, {'stopped' if report.status == 'running' else report.status}"
        if self.refitting:
            return f"{text}, fitting the best candidate"
        left = self._left(elapsed)
        if left is not None and done < cells:
            text += f", {said(done / elapsed)} cells/s, about {duration(left)} left"
        return text

    def _left(self, elapsed: float) -> float | None:
        """Return the seconds that are left: the work that is, at the pace of what is done."""
        report = self.report
        if not report.cells_done or elapsed <= 0:
            return None
        pace = report.seconds_spent / elapsed
        if report.seconds_left is None or pace <= 0:
            return elapsed * (report.n_cells - report.cells_done) / report.cells_done
        return report.seconds_left / pace

    def lines(self, now: float) -> list[str]:
        """Return all that is known, as text."""
        return [self.text(now), *filter(None, [self.best]), *self.failures]

    def html(self, now: float) -> str:
        """Return the same below an accessible bar, with the grid."""
        said = [html.escape(line) for line in self.lines(now)]
        body = "".join(f'<div style="{SOFT}">{line}</div>' for line in said)
        if self.stopped:
            return body
        grid = self._grid
        picture = legend = ""
        if grid.candidates * grid.folds > 1:
            picture = f'<div style="margin:.4em 0">{grid.svg()}</div>'
            legend = f'<div style="{SOFT};font-size:85%">{grid.legend()}</div>'
        return self._bar(said[0]) + body + picture + legend

    def _bar(self, text: str) -> str:
        report = self.report
        part = 100 * min(1.0, report.cells_done / report.n_cells) if report.n_cells else 0.0
        return (
            f'<div role="progressbar" aria-label="{html.escape(report.name)}" aria-valuemin="0" '
            f'aria-valuemax="{report.n_cells}" '
            f'aria-valuenow="{min(report.cells_done, report.n_cells)}" '
            f'aria-valuetext="{text}" style="height:0.6em;max-width:52em;border-radius:0.3em;'
            'overflow:hidden;background:var(--jp-layout-color3,#bdbdbd)">'
            f'<div style="height:100%;width:{part:.1f}%;'
            'background:var(--jp-brand-color1,#1976d2)"></div></div>'
        )


def show(shell: InteractiveShell, thing: Shown) -> None:
    """Display a plan or a report as HTML with its text, in a terminal as text."""
    if in_kernel(shell):
        shell.display_pub.publish(_bundle([thing]))
    else:
        print(thing)


def in_kernel(shell: InteractiveShell) -> bool:
    """Say whether outputs of this shell can be updated: whether it is a kernel's."""
    return hasattr(shell, "kernel")


def _bundle(things: list[Any], running: Running | None = None) -> dict[str, str]:
    """Return what is shown: the summaries of searches, or lines of them above one that runs."""
    now = time.monotonic()
    hidden = len(things) - SHOWN
    plain = [f"... and {hidden} searches before"] if hidden > 0 else []
    rich = [f"<div>{line}</div>" for line in plain]
    for thing in things[-SHOWN:]:
        plain.append(str(thing))
        rich.append(thing._repr_html_())
    if running is not None:
        plain += running.lines(now)
        rich.append(running.html(now))
    return {"text/plain": "\n".join(plain), "text/html": "\n".join(rich)}


@dataclass
class Line:
    """A search in one line: drawn often, where its summary would be too much."""

    report: SearchReport

    def __str__(self) -> str:
        return self.report.headline

    def _repr_html_(self) -> str:
        return f'<div style="{SOFT}">{html.escape(self.report.headline)}</div>'


@dataclass
class Progress:
    """The recorder of one cell.

    Parameters
    ----------
    shell : InteractiveShell
        Where the cell runs.
    control : Control, optional
        Of its searches.
    buttons : Buttons, optional
        Pause and stop them.
    journal : Journal, optional
        Tells others of them.
    """

    shell: InteractiveShell
    control: Control | None = None
    buttons: Buttons | None = None
    journal: Journal | None = None
    _reports: list[SearchReport] = field(default_factory=list)
    _running: Running | None = None
    _last: Running | None = None
    _output: str | None = None
    _next: float = 0.0
    _whole: bool = True
    _width: int = 0
    _lock: RLock = field(default_factory=RLock)

    def planned(self, plan: Plan, report: SearchReport) -> None:
        """Show a new search, or a further batch of the running one."""
        with self._lock:
            self._run(report).plan(plan)
            self._draw()
            if self.buttons is not None:
                self._safely(self.buttons.show)

    def done(self, cells: int, fits: int) -> None:
        """Show what was done, when it is time to."""
        with self._lock:
            if self._running is not None and time.monotonic() >= self._next:
                self._draw()

    def refitting(self, report: SearchReport) -> None:
        """Say that the best candidate is fitted; `finished` comes once more."""
        with self._lock:
            self._run(report).refitting = True
            self._draw()

    def finished(self, report: SearchReport) -> None:
        """Put the summary in the place of the progress.

        Successive halving comes here after each round, with one report that grows.
        """
        with self._lock:
            refitted = self._running is not None and self._running.refitting
            self._running = None
            if not any(report is known for known in self._reports):
                self._reports.append(report)
            self._draw(report, refitted=refitted)

    def close(self) -> None:
        """Leave nothing that looks as if it still ran."""
        with self._lock:
            if self._running is not None:
                self._running.stopped = True
                self._draw()
                self._safely(self._wipe)
            elif not self._whole:
                self._safely(lambda: self._publish(_bundle(self._reports)))
            self._running = None
            if self.buttons is not None:
                self._safely(self.buttons.close)
            if self.journal is not None:
                self._safely(self.journal.close)

    def _run(self, report: SearchReport) -> Running:
        """Begin to follow a search, or go on with one that comes in rounds."""
        if self._last is None or self._last.report is not report:
            self._last = Running(report, time.monotonic())
        self._running = self._last
        self._running.refitting = False
        self._reports = [known for known in self._reports if known is not report]
        return self._running

    def _draw(self, report: SearchReport | None = None, *, refitted: bool = False) -> None:
        if in_kernel(self.shell):
            self._safely(self._show)
        else:
            self._safely(lambda: self._write(report, refitted=refitted))

    def _safely(self, action: Callable[[], None]) -> None:
        """Do what only the screen needs; an error there is not the search's."""
        try:
            action()
        except Exception as error:
            self.shell.log.debug("progress is not shown: %s", error)

    def _show(self) -> None:
        now = time.monotonic()
        if self._running is not None:
            self._running.read()
        # Many searches, or rounds, one after the other: their summaries come when the cell ends.
        self._whole = self._running is None and self._next - now <= PATIENCE
        shown = self._reports if self._whole else [Line(known) for known in self._reports]
        self._publish(_bundle(shown, self._running))

    def _publish(self, bundle: dict[str, str]) -> None:
        output, again = self._output or uuid4().hex, self._output is not None
        metadata = self._note(bundle)
        self.shell.display_pub.publish(
            bundle, metadata, transient={"display_id": output}, update=again
        )
        self._output = output
        size = sum(map(len, bundle.values()))
        self._next = time.monotonic() + max(INTERVAL, size / RATE)

    def _note(self, bundle: dict[str, str]) -> dict[str, Any]:
        """Tell the journal what is shown; return what the output says of itself while it grows.

        By that a front end finds the outputs of a kernel that ended in the middle.
        """
        last = self._last
        if self.journal is None or last is None:
            return {}
        status = self._status(last)
        self.journal.note(
            status=status,
            **last.facts(time.monotonic()),
            html=bundle["text/html"],
            text=bundle["text/plain"],
        )
        if self._running is None or self._running.stopped:
            return {}
        return {METADATA: {"search": self.journal.entry.id, "status": status}}

    def _status(self, last: Running) -> str:
        if last.stopped and last.report.status in ("running", "refitting"):
            return "interrupted"
        if last.report.status != "running":
            return last.report.status
        return "paused" if self.control is not None and self.control.paused else "running"

    def _write(self, report: SearchReport | None, *, refitted: bool) -> None:
        self._next = time.monotonic() + INTERVAL
        if report is not None:
            self._wipe()
            # after the refit the rest is on the screen already
            print((report.refit or report.headline) if refitted else report, flush=True)
        elif self._running is not None and sys.stdout.isatty():
            self._running.read()
            columns = shutil.get_terminal_size().columns - 1
            line = self._running.text(time.monotonic())[:columns]
            sys.stdout.write("\r" + line.ljust(self._width))
            sys.stdout.flush()
            self._width = len(line)

    def _wipe(self) -> None:
        if self._width:
            sys.stdout.write("\r" + " " * self._width + "\r")
            self._width = 0
