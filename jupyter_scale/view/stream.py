"""The task stream: what each thread of each worker did in the last seconds, as SVG.

A row for each thread, a bar for each task, a colour for each step. What would be narrower than a
few pixels is drawn together with its like. A row can be reached by the keyboard, and says in words
what is in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jupyter_scale.search.summary.svg import escaped
from jupyter_scale.view.observed import SPAN, Observed, Task, Worker

__all__ = ["Bar", "bars", "colours", "rows", "stream"]

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
"""Okabe and Ito's: told apart by all eyes. Further steps share a grey."""
OTHER = "#999999"
WIDTH, LEFT, ROW, GAP, FOOT = 760, 110, 14, 3, 34  # pixels
NARROW = 3  # pixels, up to which bars are drawn together
ROWS, BARS = 32, 240
LIVE = "jupyter-scale-live"
STYLE = f".{LIVE} .task:hover text{{display:inline}}.{LIVE} .task:hover{{opacity:.7}}"
"""A browser's own tooltip needs a second, in which a live picture is drawn anew."""


@dataclass(slots=True)
class Bar:
    """A task, or several of one step and row that are narrow."""

    row: int
    left: float
    right: float
    tasks: list[Task]

    @property
    def label(self) -> str:
        """What it says under the mouse."""
        if len(self.tasks) == 1:
            return str(self.tasks[0])
        seconds = sum(task.seconds for task in self.tasks)
        return f"{len(self.tasks)} tasks {self.tasks[0].step}: {seconds:.2f} s"


def colours(steps: Iterable[str]) -> dict[str, str]:
    """Return the colour of each step, in the order of their appearance.

    Examples
    --------
    >>> colours(["fit-tfidf", "score-svc"])
    {'fit-tfidf': '#0072b2', 'score-svc': '#e69f00'}
    """
    return {s: PALETTE[n] if n < len(PALETTE) else OTHER for n, s in enumerate(steps)}


def rows(observed: Observed) -> tuple[list[tuple[Worker, int]], list[list[Task]]]:
    """Return a row per thread of the workers, and the tasks in each, by their start."""
    heads: list[tuple[Worker, int]] = []
    filled: list[list[Task]] = []
    mine: dict[str, list[Task]] = {address: [] for address in observed.workers}
    for task in observed.recent:
        if task.worker in mine:
            mine[task.worker].append(task)
    for address, worker in observed.workers.items():
        lanes: list[list[Task]] = [[] for _ in range(worker.threads)]
        known = sorted({task.thread for task in mine[address] if not task.running})
        place = {thread: n % len(lanes) for n, thread in enumerate(known)}
        for task in sorted(mine[address], key=lambda task: (task.running, task.start)):
            if task.running:  # on which thread is not told: on one that did nothing else then
                free = [lane for lane in lanes if not lane or lane[-1].stop <= task.start]
                lane = (free or [min(lanes, key=lambda lane: lane[-1].stop)])[0]
            else:
                lane = lanes[place[task.thread]]
            lane.append(task)
        heads += [(worker, n) for n in range(worker.threads)]
        filled += lanes
    return heads[:ROWS], filled[:ROWS]


def bars(filled: list[list[Task]], now: float) -> list[Bar]:
    """Return the bars of all rows, narrow ones of a step together; the latest if too many."""
    found: list[Bar] = []
    scale = (WIDTH - LEFT) / SPAN
    for row, tasks in enumerate(filled):
        last: Bar | None = None
        for task in tasks:
            left = LEFT + max(0.0, task.start - now + SPAN) * scale
            right = min(float(WIDTH), max(left + 1, LEFT + (task.stop - now + SPAN) * scale))
            left = min(left, WIDTH - 1.0)
            if last is not None and _together(last, task, left, right):
                last.right = max(last.right, right)
                last.tasks.append(task)
            else:
                last = Bar(row, left, right, [task])
                found.append(last)
    return sorted(found, key=lambda bar: bar.right)[-BARS:]


def _together(last: Bar, task: Task, left: float, right: float) -> bool:
    like = last.tasks[0]
    alike = (like.step, like.failed, like.running) == (task.step, task.failed, task.running)
    return alike and left - last.right < 1 and right - left < NARROW and not task.running


def stream(observed: Observed, *, live: bool) -> str:
    """Return the picture.

    Parameters
    ----------
    observed : Observed
    live : bool
        Whether it will be drawn again in a moment.
    """
    heads, filled = rows(observed)
    if not heads:
        return "<p>No worker is there.</p>"
    height = len(heads) * (ROW + GAP) + FOOT
    colour = colours(observed.steps)
    drawn: dict[int, list[str]] = {}
    for bar in bars(filled, observed.now):
        drawn.setdefault(bar.row, []).append(_bar(bar, colour, height, live))
    body = "".join(
        _row(n, worker, thread, filled[n], drawn.get(n, []))
        for n, (worker, thread) in enumerate(heads)
    )
    label = f"tasks by thread in the last {SPAN:.0f} seconds"
    more = observed.n_threads - len(heads)
    rest = f"<p>... and {more:,} threads more</p>" if more > 0 else ""
    return (
        f'<svg class="{LIVE if live else ""}" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" style="max-width:100%;display:block" font-size="11" '
        f'fill="currentColor" role="group" aria-label="{label}">{body}{_axis(height)}</svg>{rest}'
    )


def _row(n: int, worker: Worker, thread: int, tasks: list[Task], drawn: list[str]) -> str:
    y = n * (ROW + GAP)
    name = f"worker {worker.name}" if len(worker.name) <= 8 else f"…{worker.name[-13:]}"
    number = f" thread {thread + 1}" if worker.threads > 1 else ""
    said = escaped(f"worker {worker.name}{number}: {_said(tasks)}")
    head = escaped(name + number.replace(" thread ", ":"))
    text = f'<text x="0" y="{y + ROW - 3}">{head}</text>'
    line = f"M{LEFT} {y + ROW + 1}H{WIDTH}"
    return (
        f'<g tabindex="0" role="img" aria-label="{said}">{text}'
        f'<path d="{line}" stroke="currentColor" stroke-opacity=".2"/>{"".join(drawn)}</g>'
    )


def _said(tasks: list[Task]) -> str:
    """Return in words what a thread did, and does."""
    counts = Counter(task.step for task in tasks if not task.running)
    did = ", ".join(f"{count:,} {step}" for step, count in counts.most_common(5)) or "nothing"
    failed = sum(task.failed for task in tasks)
    wrong = f", {failed:,} failed" if failed else ""
    now = next((f"; now {task}" for task in tasks if task.running), "")
    return f"{did}{wrong}{now or (f'; last {tasks[-1]}' if tasks else '')}"


def _bar(bar: Bar, colour: Mapping[str, str], height: int, live: bool) -> str:
    task = bar.tasks[0]
    y, width = bar.row * (ROW + GAP), bar.right - bar.left
    edge = ""
    if task.failed:
        edge = ' stroke="var(--jp-error-color1,#d32f2f)" stroke-width="2"'
    elif task.running:
        edge = ' fill-opacity=".5" stroke="currentColor" stroke-dasharray="3 2"'
    label = escaped(bar.label)
    said = f"<title>{label}</title>"
    if live:
        said = f'<text x="{LEFT}" y="{height - 3}" display="none">{label}</text>'
    return (
        f'<g class="task"><rect x="{bar.left:.1f}" y="{y}" width="{width:.1f}" height="{ROW}" '
        f'fill="{colour.get(task.step, OTHER)}"{edge}/>{said}</g>'
    )


def _axis(height: int) -> str:
    drawn = []
    for seconds in (30, 20, 10, 0):
        x = WIDTH - seconds * (WIDTH - LEFT) / SPAN
        anchor = "end" if not seconds else "middle" if seconds < SPAN else "start"
        text = f"{seconds} s ago" if seconds else "now"
        drawn.append(f'<text x="{x:.0f}" y="{height - FOOT + 13}" text-anchor="{anchor}">{text}')
    return "</text>".join([*drawn, ""])
