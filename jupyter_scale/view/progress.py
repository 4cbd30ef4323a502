"""The progress of the searches in one cell, and in its place their summary.

A `Recorder` of the engine. In a kernel it is one output that is updated in place and
ends as static HTML and plain text, so a saved notebook shows it without a kernel; in
a terminal it is one line that is overwritten. At most four updates a second. Every
value is escaped. Nothing here blocks or fails a search: whatever the screen does
wrong, the search goes on.
"""

from __future__ import annotations

import html
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Protocol
from uuid import uuid4

from IPython.core.interactiveshell import InteractiveShell

from jupyter_scale.search import Plan, SearchReport

INTERVAL = 0.25
# A cell that searches in a loop shows its last searches, not thousands.
SHOWN = 10


class Shown(Protocol):
    """What has a readable `str` and an HTML form: a plan or a report."""

    def _repr_html_(self) -> str: ...


@dataclass
class Tally:
    """How far one search is; numbers only.

    Parameters
    ----------
    name : str
        The search.
    started : float
        `time.monotonic()` of its start.
    cells, cells_done : int
        Pairs of candidate and fold.
    fits_requested, fits, fits_done : int
        Fits that scikit-learn asked for, distinct ones among them, and those done.
    stopped : bool
        Nothing more will come, although it is not done.
    """

    name: str
    started: float
    cells: int = 0
    cells_done: int = 0
    fits_requested: int = 0
    fits: int = 0
    fits_done: int = 0
    stopped: bool = False

    def add(self, plan: Plan) -> None:
        """Add the next batch of calls; successive halving plans several."""
        self.cells += plan.n_cells
        self.fits_requested += plan.fits_requested
        self.fits += plan.fits_distinct

    def text(self, now: float) -> str:
        """Return one line for people.

        Examples
        --------
        >>> Tally("GridSearchCV", 0.0, 60, 15, 180, 90, 30).text(10.0)
        'GridSearchCV: 15/60 cells, 30/90 fits (90 saved), 10 s, about 30 s left'
        """
        elapsed = max(0.0, now - self.started)
        saved = max(0, self.fits_requested - self.fits)
        text = (
            f"{self.name}: {self.cells_done}/{self.cells} cells, "
            f"{self.fits_done}/{self.fits} fits ({saved} saved), {duration(elapsed)}"
        )
        if self.stopped:
            text += ", stopped"
        elif 0 < self.cells_done < self.cells:
            left = elapsed * (self.cells - self.cells_done) / self.cells_done
            text += f", about {duration(left)} left"
        return text

    def html(self, now: float) -> str:
        """Return the line with an accessible bar above it."""
        text = html.escape(self.text(now))
        line = f'<div style="color:var(--jp-ui-font-color1,inherit)">{text}</div>'
        if self.stopped:
            return line
        part = 100 * min(1.0, self.cells_done / self.cells) if self.cells else 0.0
        return (
            f'<div role="progressbar" aria-label="{html.escape(self.name)}" aria-valuemin="0" '
            f'aria-valuemax="{self.cells}" aria-valuenow="{min(self.cells_done, self.cells)}" '
            f'aria-valuetext="{text}" style="height:0.6em;max-width:32em;border-radius:0.3em;'
            'overflow:hidden;background:var(--jp-layout-color3,#bdbdbd)">'
            f'<div style="height:100%;width:{part:.1f}%;'
            'background:var(--jp-brand-color1,#1976d2)"></div></div>' + line
        )


def duration(seconds: float) -> str:
    """Return a rough duration.

    Examples
    --------
    >>> duration(7.4), duration(754), duration(7540)
    ('7 s', '12 min 34 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def show(shell: InteractiveShell, thing: Shown) -> None:
    """Display a plan or a report as HTML with its text, in a terminal as text."""
    if in_kernel(shell):
        shell.display_pub.publish(_bundle([thing]))
    else:
        print(thing)


def in_kernel(shell: InteractiveShell) -> bool:
    """Say whether outputs of this shell can be updated: whether it is a kernel's."""
    return hasattr(shell, "kernel")


def _bundle(things: list[Any], running: Tally | None = None) -> dict[str, str]:
    now = time.monotonic()
    hidden = len(things) - SHOWN
    note = [f"... and {hidden} searches before"] if hidden > 0 else []
    plain, rich = list(note), [f"<div>{line}</div>" for line in note]
    for thing in things[-SHOWN:]:
        plain.append(str(thing))
        rich.append(thing._repr_html_())
    if running is not None:
        plain.append(running.text(now))
        rich.append(running.html(now))
    return {"text/plain": "\n".join(plain), "text/html": "\n".join(rich)}


@dataclass
class Progress:
    """The recorder of one cell.

    Parameters
    ----------
    shell : InteractiveShell
        Where the cell runs.
    """

    shell: InteractiveShell
    _reports: list[SearchReport] = field(default_factory=list)
    _running: Tally | None = None
    _output: str | None = None
    _drawn: float = 0.0
    _width: int = 0
    _refitting: bool = False
    _lock: RLock = field(default_factory=RLock)

    def planned(self, plan: Plan) -> None:
        """Show a new search, or a further batch of the running one."""
        with self._lock:
            if self._running is None:
                self._running = Tally(plan.name, time.monotonic())
            self._running.add(plan)
            self._draw()

    def done(self, cells: int, fits: int) -> None:
        """Count finished work."""
        with self._lock:
            if self._running is not None:
                self._running.cells_done += cells
                self._running.fits_done += fits
                if time.monotonic() - self._drawn >= INTERVAL:
                    self._draw()

    def finished(self, report: SearchReport) -> None:
        """Put the summary in the place of the progress.

        Successive halving comes here after each round, with one report that grows.
        """
        with self._lock:
            self._running = None
            if not any(report is known for known in self._reports):
                self._reports.append(report)
            self._draw(report)
            self._refitting = False

    def refitting(self, report: SearchReport) -> None:
        """Say that the best candidate is fitted; `finished` comes once more."""
        with self._lock:
            self._refitting = True
            self._draw()

    def close(self) -> None:
        """Leave nothing that looks as if it still ran."""
        with self._lock:
            if self._running is not None:
                self._running.stopped = True
                self._draw()
                self._running = None
                self._safely(self._wipe)

    def _draw(self, report: SearchReport | None = None) -> None:
        self._drawn = time.monotonic()
        if in_kernel(self.shell):
            self._safely(self._publish)
        else:
            self._safely(lambda: self._write(report))

    def _safely(self, action: Callable[[], None]) -> None:
        """Do what only the screen needs; an error there is not the search's."""
        try:
            action()
        except Exception as error:
            self.shell.log.debug("progress is not shown: %s", error)

    def _publish(self) -> None:
        bundle = _bundle(self._reports, self._running)
        output, again = self._output or uuid4().hex, self._output is not None
        self.shell.display_pub.publish(bundle, transient={"display_id": output}, update=again)
        self._output = output

    def _write(self, report: SearchReport | None) -> None:
        if report is not None:
            self._wipe()
            # after the refit the rest is on the screen already
            print((report.refit or report.headline) if self._refitting else report, flush=True)
        elif self._running is not None and sys.stdout.isatty():
            columns = shutil.get_terminal_size().columns - 1
            line = self._running.text(time.monotonic())[:columns]
            sys.stdout.write("\r" + line.ljust(self._width))
            sys.stdout.flush()
            self._width = len(line)

    def _wipe(self) -> None:
        if self._width:
            sys.stdout.write("\r" + " " * self._width + "\r")
            self._width = 0
