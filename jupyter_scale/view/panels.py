"""What `%scale watch` shows of a cluster: each view as HTML and as text.

Pure functions of what is known. Every value is escaped, a colour never says anything alone, and no
text has a fixed colour: it is read on a dark ground, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dask.utils import format_bytes

from jupyter_scale.search.summary.parameters import short
from jupyter_scale.search.summary.svg import escaped
from jupyter_scale.view import stream
from jupyter_scale.view.observed import SPAN, Observed, Step, Worker

__all__ = ["VIEWS", "Head", "clock", "page", "text"]

ROWS = 32
TEXT = 160  # characters of a line of a log
BAR, LINE = 80, (120, 18)  # pixels
ACCENT = "var(--jp-brand-color1,#1976d2)"
SOFT = "var(--jp-border-color2,#8884)"
STYLE = f"""\
.jupyter-scale-watch{{color:var(--jp-ui-font-color1,inherit);font-size:12px;line-height:1.4;\
font-family:var(--jp-ui-font-family,system-ui,sans-serif)}}
.jupyter-scale-watch table{{border-collapse:collapse;margin:.4em 0;font-size:inherit;\
font-variant-numeric:tabular-nums}}
.jupyter-scale-watch caption{{caption-side:top;text-align:left;font-weight:600;color:inherit}}
.jupyter-scale-watch th,.jupyter-scale-watch td{{padding:.1em .6em;text-align:right;border:0;\
border-bottom:1px solid {SOFT}}}
.jupyter-scale-watch table .t{{text-align:left}}
.jupyter-scale-watch p,.jupyter-scale-watch ul{{margin:.3em 0}}
.jupyter-scale-watch .l{{overflow-wrap:anywhere}}
.jupyter-scale-watch .n{{white-space:nowrap}}
.jupyter-scale-watch [tabindex]:focus-visible{{outline:2px solid {ACCENT}}}
{stream.STYLE}"""
Cell = tuple[str, str]
"""A class and the markup of a table's cell."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the views.

    Attributes
    ----------
    name : str
        The cluster.
    trouble : str
        Why nothing newer is shown, at the moment.
    ended : str
        Why there will be nothing newer.
    """

    name: str
    trouble: str = ""
    ended: str = ""

    def lines(self, observed: Observed) -> list[str]:
        """Return them as text."""
        workers = f"{observed.n_workers:,} worker{'s' * (observed.n_workers != 1)}"
        threads = f"{observed.n_threads:,} thread{'s' * (observed.n_threads != 1)}"
        first = f"{self.name}: {workers}, {threads}, as of {clock(observed.now)}"
        ended = f"This view has ended: {self.ended}." if self.ended else ""
        return [first, *filter(None, [self.trouble, ended])]


def clock(stamp: float) -> str:
    """Return the time of day."""
    return time.strftime("%H:%M:%S", time.localtime(stamp))


def page(observed: Observed, views: Iterable[str], head: Head) -> str:
    """Return all of it as HTML."""
    lines = "".join(f"<div>{escaped(line)}</div>" for line in head.lines(observed))
    drawn = "".join(VIEWS[view].html(observed, not head.ended) for view in views)
    events = "".join(f"<li>{escaped(line)}</li>" for line in _events(observed))
    listed = f'<ul aria-label="what happened to workers">{events}</ul>' if events else ""
    return f'<div class="jupyter-scale-watch"><style>{STYLE}</style>{lines}{listed}{drawn}</div>'


def text(observed: Observed, views: Iterable[str], head: Head) -> str:
    """Return all of it as text."""
    events = [f"  {line}" for line in _events(observed)]
    parts = ["\n".join([*head.lines(observed), *events])]
    return "\n".join([*parts, *("\n".join(VIEWS[view].text(observed)) for view in views)])


def _events(observed: Observed) -> list[str]:
    return [f"{clock(stamp)} {what}" for stamp, what in observed.events]


# -- tasks


def _tasks(observed: Observed, live: bool) -> str:
    colours = stream.colours(observed.steps)
    legend = "; ".join(
        f'<span style="white-space:nowrap"><span aria-hidden="true" style="display:inline-block;'
        f'width:.8em;height:.8em;background:{colours[name]}"></span> {escaped(said)}</span>'
        for name, said in _legend(observed)
    )
    return (
        f"<p><b>Tasks of the last {SPAN:.0f} seconds</b></p>{stream.stream(observed, live=live)}"
        f"<p>{legend or 'no task has run'}</p>"
    )


def _tasks_text(observed: Observed) -> list[str]:
    heads, filled = stream.rows(observed)
    lines = [
        f"  {worker.name}:{thread + 1} {next((str(t) for t in tasks if t.running), 'nothing')}"
        for (worker, thread), tasks in zip(heads, filled, strict=True)
    ]
    steps = observed.steps
    ended = [
        f"  ended: {said}"
        for name, said in _legend(observed)
        if steps[name].done or steps[name].failed
    ]
    return ["Tasks, by worker and thread, now:", *lines, *ended]


def _legend(observed: Observed) -> list[tuple[str, str]]:
    return [
        (name, f"{name} {step.done + step.failed:,} ({step.seconds:.1f} s)")
        for name, step in observed.steps.items()
        if step.done or step.failed or step.running
    ]


# -- workers


def _workers(observed: Observed, live: bool) -> str:
    rows = [
        [
            ("t", escaped(f"{worker.name} ({worker.address})" if named else worker.address)),
            ("t", escaped(worker.status)),
            ("", f"{worker.busy} of {worker.threads}"),
            ("n", f"{worker.cpu:.0f} %"),
            ("t n", f"{_bar(worker.part)} {escaped(_memory_of(worker))}"),
            ("", format_bytes(worker.spilled) if worker.spilled else "none"),
        ]
        for worker in list(observed.workers.values())[:ROWS]
        for named in [worker.name != worker.address]
    ]
    heads = ("worker", "status", "busy threads", "CPU", "memory", "spilled to disk")
    more = observed.n_workers - len(rows)
    rest = f"<p>... and {more:,} workers more</p>" if more > 0 else ""
    return _table("Workers", heads, rows, left=(0, 1, 4)) + rest


def _workers_text(observed: Observed) -> list[str]:
    lines = [
        f"  {worker.name}: {worker.status}, {worker.busy} of {worker.threads} threads busy, "
        f"CPU {worker.cpu:.0f} %, memory {_memory_of(worker)}"
        + (f", {format_bytes(worker.spilled)} spilled to disk" if worker.spilled else "")
        for worker in list(observed.workers.values())[:ROWS]
    ]
    return ["Workers:", *lines]


def _memory_of(worker: Worker) -> str:
    if not worker.limit:
        return f"{format_bytes(worker.memory)}, no limit"
    used, limit = format_bytes(worker.memory), format_bytes(worker.limit)
    return f"{used} of {limit} ({worker.part:.0%})"


def _bar(part: float) -> str:
    """Return a bar beside a text that says the same."""
    width = BAR * min(1.0, max(0.0, part))
    return (
        f'<svg width="{BAR}" height="9" aria-hidden="true"><rect width="{BAR}" height="9" '
        f'fill="{SOFT}"/><rect width="{width:.0f}" height="9" fill="{ACCENT}"/></svg>'
    )


# -- memory over time


def _memory(observed: Observed, live: bool) -> str:
    rows = []
    for address, history in list(observed.memory.items())[:ROWS]:
        worker, sizes = observed.workers[address], [size for _, size in history]
        top = worker.limit or max(sizes) or 1
        points = [(stamp - observed.now + SPAN, size / top) for stamp, size in history]
        now, most = format_bytes(sizes[-1]), format_bytes(max(sizes))
        rows.append(
            [("t", escaped(worker.name)), ("t", _line(points)), ("", escaped(now)), ("", most)]
        )
    caption = f"Memory in the last {SPAN:.0f} seconds, up to the limit"
    return _table(caption, ("worker", "", "now", "most"), rows, left=(0, 1))


def _memory_text(observed: Observed) -> list[str]:
    lines = []
    for address, history in list(observed.memory.items())[:ROWS]:
        sizes = [size for _, size in history]
        least, most = format_bytes(min(sizes)), format_bytes(max(sizes))
        lines.append(f"  {observed.workers[address].name}: {least} to {most}")
    return [f"Memory in the last {SPAN:.0f} seconds:", *lines]


def _line(points: Sequence[tuple[float, float]]) -> str:
    width, height = LINE
    drawn = " ".join(
        f"{width * seconds / SPAN:.0f},{(height - 1) * (1 - min(1.0, part)) + 0.5:.1f}"
        for seconds, part in points
    )
    return (
        f'<svg width="{width}" height="{height}" aria-hidden="true"><rect width="{width}" '
        f'height="{height}" fill="{SOFT}"/><polyline points="{drawn}" fill="none" '
        f'stroke="{ACCENT}" stroke-width="1.5"/></svg>'
    )


# -- progress by step


def _graph(observed: Observed, live: bool) -> str:
    rows = [
        [
            ("t", escaped(name)),
            ("t", _bar(step.done / sum(_numbers(step)))),
            *(("", f"{number:,}") for number in _numbers(step)),
            ("", f"{step.seconds:.1f} s"),
        ]
        for name, step in observed.steps.items()
        if any(_numbers(step))
    ]
    heads = ("step", "", "done", "failed", "on workers", "waiting", "time")
    return _table("Tasks by step, since this view was opened", heads, rows, left=(0, 1))


def _graph_text(observed: Observed) -> list[str]:
    lines = [
        f"  {name}: {step.done:,} done, {step.failed:,} failed, {step.running:,} on workers, "
        f"{step.waiting:,} waiting, {step.seconds:.1f} s"
        for name, step in observed.steps.items()
        if any(_numbers(step))
    ]
    return ["Tasks by step, since this view was opened:", *lines]


def _numbers(step: Step) -> tuple[int, int, int, int]:
    return step.done, step.failed, step.running, step.waiting


# -- logs


def _log(observed: Observed, live: bool) -> str:
    rows = [
        [
            ("t", clock(line.time)),
            ("t", escaped(line.level.lower())),
            ("t", escaped(line.worker)),
            ("t l", escaped(short(line.text, TEXT))),
        ]
        for line in observed.lines
    ]
    if not rows:
        return "<p><b>Log of the workers</b>: nothing yet</p>"
    heads = ("time", "level", "worker", "line")
    return _table("Log of the workers, the latest last", heads, rows, left=range(4))


def _log_text(observed: Observed) -> list[str]:
    lines = [
        f"  {clock(line.time)} {line.level.lower()} {line.worker} {short(line.text, TEXT)}"
        for line in observed.lines
    ]
    return ["Log of the workers:", *(lines or ["  nothing yet"])]


def _table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, left: Iterable[int]
) -> str:
    left = set(left)
    names = "".join(
        f'<th scope="col"{" class=t" if n in left else ""}>{escaped(head)}</th>'
        if head
        else "<td></td>"
        for n, head in enumerate(heads)
    )
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return (
        f"<table><caption>{escaped(caption)}</caption><thead><tr>{names}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _cells(row: Sequence[Cell]) -> str:
    (kind, first), *rest = row
    cells = "".join(f'<td class="{kind}">{markup}</td>' for kind, markup in rest)
    return f'<th scope="row" class="{kind}">{first}</th>{cells}'


@dataclass(frozen=True, slots=True)
class View:
    """One of them, for a screen and for a terminal."""

    html: Callable[[Observed, bool], str]
    text: Callable[[Observed], list[str]]


VIEWS = {
    "tasks": View(_tasks, _tasks_text),
    "workers": View(_workers, _workers_text),
    "memory": View(_memory, _memory_text),
    "graph": View(_graph, _graph_text),
    "log": View(_log, _log_text),
}
"""By the word that asks for one."""
