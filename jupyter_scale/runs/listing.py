"""Runs as people read them: a table of many, a page of one; as text, as HTML and as JSON."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyter_scale.runs.run import Run
from jupyter_scale.search.summary.text import duration

__all__ = ["Page", "Table", "as_json"]

COLUMNS = ("id", "started", "status", "search", "best", "cells", "took", "notebook", "tags")


@dataclass(frozen=True, slots=True)
class Table:
    """A list of runs, the latest first."""

    runs: Sequence[Run]
    left_out: int = 0

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                run.id,
                _date(run.started),
                run.status,
                run.name,
                "" if run.best is None else f"{run.best:.6g}",
                _cells(run),
                duration(run.seconds, decimals=1),
                Path(run.notebook).name,
                " ".join(run.tags),
            )
            for run in self.runs
        ]

    @property
    def _more(self) -> str:
        return f"{self.left_out:,} more: %scale runs --all" if self.left_out else ""

    def __str__(self) -> str:
        if not self.runs:
            return "No run is on record: begin a cell with %%scale."
        rows = [COLUMNS, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *([self._more] if self._more else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self.runs:
            return f"<p>{html.escape(str(self))}</p>"
        head = "".join(f"<th scope='col' style='text-align:left'>{name}</th>" for name in COLUMNS)
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(text)}</td>" for text in row)
            + "</tr>"
            for row in self._rows()
        )
        more = f"<p>{html.escape(self._more)}</p>" if self._more else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


@dataclass(frozen=True, slots=True)
class Page:
    """All about one run."""

    run: Run
    environment: str = ""
    changes: str = ""

    def _facts(self) -> list[tuple[str, str]]:
        run = self.run
        best = "" if run.best is None else f"{run.best:.10g}"
        parameters = ", ".join(f"{name}={value}" for name, value in run.parameters.items())
        sizes = ", ".join(f"{int(w)} workers after {s:g} s" for s, w, _ in run.sizes)
        packages = sum("==" in line for line in self.environment.splitlines())
        python = next(
            (line for line in self.environment.splitlines() if line.startswith("python: ")), ""
        )
        changed = f", {len(self.changes.splitlines()):,} lines of changes" if self.changes else ""
        found = {
            "status": run.status,
            "best": f"{best}{' by ' + run.metric if run.metric else ''}",
            "parameters": parameters,
            "cells": _cells(run),
            "fits": f"{run.fits_done:,} done, {run.fits_saved:,} saved" if run.fits else "",
            "started": f"{_date(run.started)}, took {duration(run.seconds, decimals=1)}",
            "where": f"{run.where}{': ' + sizes if sizes else ''}",
            "host": run.process.machine,
            "notebook": run.notebook,
            "options": ", ".join(f"{k}={v}" for k, v in run.options.items()),
            "no seed": ", ".join(run.unseeded),
            "failures": "; ".join(f"{text} ({n:,} cells)" for text, n in run.failures.items()),
            "data": run.data,
            "environment": f"{python}, {packages} packages" if self.environment else "",
            "on workers": ", ".join(f"{name} {version}" for name, version in run.workers.items()),
            "commit": f"{run.commit[:12]}{changed}" if run.commit else "",
            "tags": " ".join(run.tags),
            "note": run.note,
        }
        return [(name, text) for name, text in found.items() if text]

    def __str__(self) -> str:
        facts = [f"  {name:<12} {text}" for name, text in self._facts()]
        lines = [f"    {line}" for line in self.run.cell.splitlines()]
        cell = ["  cell", *lines] if lines else []
        return "\n".join([f"{self.run.id}: {self.run.name}", *facts, *cell])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._facts()
        )
        cell = f"<pre>{html.escape(self.run.cell)}</pre>" if self.run.cell else ""
        title = html.escape(f"{self.run.id}: {self.run.name}")
        return f"<p><strong>{title}</strong></p><table><tbody>{facts}</tbody></table>{cell}"


def as_json(runs: Sequence[Run]) -> str:
    """Return runs as JSON."""
    return json.dumps([asdict(run) for run in runs], indent=1)


def _cells(run: Run) -> str:
    some = f"{run.cells_done:,} of " if run.cells_done < run.cells else ""
    text = f"{some}{run.cells:,}"
    return f"{text} ({run.cells_known:,} known)" if run.cells_known else text


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
