"""The loss curve of a training, live in its cell: one output, updated in place.

It ends as static HTML and plain text, so a saved notebook shows it without a kernel; a terminal
gets a line. What the screen does wrong is not the training's end.
"""

from __future__ import annotations

import html
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

from jupyter_scale.parallel import Training
from jupyter_scale.search.summary.svg import ACCENT, BEST, Scale, line, path, svg, text
from jupyter_scale.view.progress import INTERVAL, RATE, SOFT, in_kernel

__all__ = ["Curve", "picture"]

WIDTH, HEIGHT = 460, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 22, 38
POINTS = 400
COLOURS = (ACCENT, BEST, "#7a52c7", "#2a9d68")
ENDED = ("done", "failed", "interrupted")
Points = list[tuple[float, float]]


class Curve:
    """Shows a training: what `train` calls whenever more is known.

    Parameters
    ----------
    shell : InteractiveShell
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._output = ""
        self._next = 0.0
        self._shown = ""

    def __call__(self, training: Training) -> None:
        """Show it, if it is time to, or it has ended."""
        ended = training.status in ENDED
        if not ended and time.monotonic() < self._next:
            return
        try:
            if in_kernel(self._shell):
                self._publish(training)
            else:
                self._write(training, ended=ended)
        except Exception as error:
            self._shell.log.debug("a training is not shown: %s", error)

    def _publish(self, training: Training) -> None:
        bundle = {"text/plain": str(training), "text/html": page(training)}
        output, again = self._output or uuid4().hex, bool(self._output)
        self._shell.display_pub.publish(bundle, transient={"display_id": output}, update=again)
        self._output = output
        size = sum(map(len, bundle.values()))
        self._next = time.monotonic() + max(INTERVAL, size / RATE)

    def _write(self, training: Training, *, ended: bool) -> None:
        said = training.headline
        sys.stdout.write(f"\r\x1b[K{said}" if sys.stdout.isatty() else f"{said}\n" * ended)
        if ended and sys.stdout.isatty():
            sys.stdout.write("\n")
        sys.stdout.flush()
        self._next = time.monotonic() + INTERVAL


def page(training: Training) -> str:
    """Return the training as HTML: what is known as text, below its curves."""
    pictures = "".join(
        f'<div style="display:inline-block;margin:.4em 1em .4em 0">{picture(training, name)}</div>'
        for name in training.metrics
    )
    head, *rest = (html.escape(said) for said in training.lines)
    events = "".join(f"<li>{html.escape(event)}</li>" for event in training.events)
    listed = f'<ul aria-label="what happened" style="margin:.2em 0">{events}</ul>' if events else ""
    told = "\n".join(rest[len(training.events) :])
    epochs = f"<details><summary>by epoch</summary><pre>{told}</pre></details>" if told else ""
    return f'<div style="{SOFT}"><div>{head}</div>{listed}{pictures}{epochs}</div>'


def picture(training: Training, name: str) -> str:
    """Return the curve of one number by epochs, with the mean of each epoch."""
    points = _points(training, name)
    if not points:
        return ""
    epochs = max(training.epochs, math.ceil(points[-1][0]), 1)
    x = Scale.of_numbers([0, epochs], LEFT, WIDTH - RIGHT)
    values = [value for _, value in points]
    log = name == "loss" and min(values) > 0 and max(values) > 20 * min(values)
    y = Scale.of_numbers(values, HEIGHT - BOTTOM, TOP, log=log)
    every, means = _thinned(points), _means(points)
    thick = "; thick: the mean of each epoch" if len(points) > len(means) else ""
    marks = _axes(x, y, name + ", logarithmic" * log + thick)
    if len(every) > 1:
        look = {"stroke": ACCENT, "stroke_opacity": 0.6, "stroke_width": 1}
        marks.append(path([(x(at), y(value)) for at, value in every], **look))
    if len(means) > 1:
        middle = [(x(at), y(value)) for at, value in means.values()]
        marks.append(path(middle, stroke=BEST, stroke_width=2))
    last = list(means.items())[-5:]
    told = "; ".join(f"{value:.4g} in epoch {epoch + 1}" for epoch, (_, value) in last)
    return svg(f"{name} by epoch. Means: {told}", WIDTH, HEIGHT, marks)


def _points(training: Training, name: str) -> Points:
    """Return each value and when it was: in epochs, whose steps are evenly spaced."""
    mine = [report for report in training.history if name in report.values]
    longest = max(Counter(report.epoch for report in mine).values(), default=1)
    nth: Counter[int] = Counter()
    found = []
    for report in mine:
        nth[report.epoch] += 1
        at = report.epoch + nth[report.epoch] / longest
        found.append((at, report.values[name]))
    return [(at, value) for at, value in found if math.isfinite(value)]


def _means(points: Points) -> dict[int, tuple[float, float]]:
    """Return the mean of each epoch, in the middle of what it is of."""
    epochs: dict[int, Points] = {}
    for at, value in points:
        epochs.setdefault(math.ceil(at) - 1, []).append((at, value))
    return {epoch: _mean(some) for epoch, some in epochs.items()}


def _thinned(points: Points) -> Points:
    """Return at most so many points, each the mean of some that follow each other."""
    every = math.ceil(len(points) / POINTS)
    if every == 1:
        return points
    cuts = [*range(0, len(points), every), len(points)]
    return [_mean(points[start:end]) for start, end in pairwise(cuts)]


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    n = len(points)
    return math.fsum(at for at, _ in points) / n, math.fsum(value for _, value in points) / n


def _axes(x: Scale, y: Scale, title: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    marks = [text(LEFT - 5, 11, title, text_anchor="start")]
    for value, tick in y.ticks:
        marks.append(line(LEFT, y(value), WIDTH - RIGHT, y(value), stroke_opacity=0.13))
        marks.append(text(LEFT - 5, y(value) + 3.5, tick, text_anchor="end"))
    for value, tick in x.ticks:
        if value == int(value):
            marks.append(line(x(value), bottom, x(value), bottom + 5, stroke_opacity=0.5))
            marks.append(text(x(value), bottom + 16, tick, text_anchor="middle"))
    marks.append(line(LEFT, bottom, WIDTH - RIGHT, bottom, stroke_opacity=0.5))
    marks.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, "epochs", text_anchor="middle"))
    return marks
