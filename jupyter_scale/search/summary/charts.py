"""The plots of the page, each an SVG with a text equivalent: series -> markup.

A plot of ten thousand candidates is no larger than one of some hundreds: points are thinned
(`series.thinned`), the best ones always shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jupyter_scale.search.summary import series
from jupyter_scale.search.summary.parameters import Parameter, number, short, short_names
from jupyter_scale.search.summary.ranking import Ranking
from jupyter_scale.search.summary.svg import (
    ACCENT,
    BEST,
    DARK_UP_TO,
    VIRIDIS,
    Scale,
    apart,
    circle,
    dots,
    element,
    fitting,
    line,
    path,
    place,
    shade,
    svg,
    text,
)

__all__ = ["against", "best_over_time", "folds", "heat_map", "pairs", "parallel"]

WIDTH, HEIGHT = 252, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 46
CELLS = 20
"""Values a side of a heat map; with more, candidates are dots."""
AXES = 10
LINES = 120
DOTS = 240


def _frame(
    x: Scale, y: Scale, x_title: str, y_title: str, *, width: float = WIDTH, full: str = ""
) -> list[str]:
    """Draw the axes."""
    bottom = HEIGHT - BOTTOM
    marks = []
    for value, tick in y.ticks:
        marks.append(line(LEFT, y(value), width - RIGHT, y(value), stroke_opacity=0.13))
        marks.append(text(LEFT - 5, y(value) + 3.5, fitting(tick, LEFT - 8), text_anchor="end"))
    room = (x.end - x.start) / max(1, len(x.ticks))
    # long ones take turns in two lines
    lines = 2 if any(fitting(tick, room - 8) != tick for _, tick in x.ticks) else 1
    labels = apart([tick for _, tick in x.ticks], lines * room - 8)
    for nth, ((value, tick), shown) in enumerate(zip(x.ticks, labels, strict=True)):
        down = bottom + 15 + 11 * (nth % lines)
        marks.append(line(x(value), bottom, x(value), down - 10, stroke_opacity=0.5))
        marks.append(text(x(value), down, shown, full=tick, text_anchor="middle"))
    marks.append(line(LEFT, bottom, width - RIGHT, bottom, stroke_opacity=0.5))
    middle = (LEFT + width - RIGHT) / 2
    title = fitting(x_title, width - RIGHT)
    marks.append(text(middle, HEIGHT - 5, title, full=full or x_title, text_anchor="middle"))
    if y_title:
        shown = fitting(y_title, bottom)
        turn = f"rotate(-90 9 {bottom / 2 + TOP / 2:.0f})"
        marks.append(text(9, bottom / 2 + TOP / 2, shown, text_anchor="middle", transform=turn))
    return marks


def _scores(ranking: Ranking, chosen: Sequence[int]) -> Scale:
    means = [float(ranking.means[n]) for n in chosen]
    return Scale.of_numbers(_padded(means), HEIGHT - BOTTOM, TOP, ticks=5)


def _padded(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    extra = (high - low) * 0.06
    return [low - extra, high + extra]


def against(ranking: Ranking, parameter: Parameter, *, limit: int = DOTS) -> str:
    """Plot the mean score against a parameter: each candidate, and the best of each value."""
    chosen = [n for n in series.thinned(ranking, limit) if not math.isnan(place(parameter, n))]
    if not chosen:
        return ""
    x = Scale.of_parameter(parameter, LEFT + 10, WIDTH - RIGHT - 10)
    y = _scores(ranking, chosen)
    points = [(x(place(parameter, n)), y(float(ranking.means[n]))) for n in chosen]
    marks = _frame(x, y, parameter.name, ranking.score_name)
    marks.append(dots(points[1:], 5, stroke=ACCENT, stroke_opacity=0.6))
    found = series.levels(ranking, parameter)
    if len(found) > 1:
        where = (
            [(x(float(n)), level) for n, level in _numbered(parameter, found)]
            if parameter.numbers is not None
            else [(x(parameter.levels.index(level.text)), level) for level in found]
        )
        best = [(px, y(level.best)) for px, level in where]
        if parameter.numbers is not None:
            marks.append(path(best, stroke=ACCENT, stroke_width=1.5))
        else:
            marks += [
                line(px - 9, py, px + 9, py, stroke=ACCENT, stroke_width=2, stroke_opacity=1)
                for px, py in best
            ]
    top = chosen[0]
    marks.append(
        circle(*points[0], 4, fill=BEST, full=f"best: {parameter.name} = {parameter.text(top)}")
    )
    told = "; ".join(f"{short(v.text, 40)}: best {ranking.written(v.best)}" for v in found)
    best_one = f"best {ranking.written(float(ranking.means[top]))} at {parameter.text(top)}"
    label = f"{ranking.score_name} against {parameter.name}, {best_one}. {told}"
    return svg(label, WIDTH, HEIGHT, marks)


def _numbered(
    parameter: Parameter, found: Sequence[series.Level]
) -> list[tuple[float, series.Level]]:
    """Return levels with their numbers."""
    assert parameter.numbers is not None
    numbers = sorted({float(x) for x in parameter.numbers if not math.isnan(x)})
    by_text = dict(zip(parameter.levels, numbers, strict=False))
    return [(by_text[level.text], level) for level in found if level.text in by_text]


def heat_map(ranking: Ranking, x: Parameter, y: Parameter) -> str:
    """Plot the best mean score of each pair of values, written in its cell."""
    heat = series.heat(ranking, x, y)
    finite = heat.best[heat.counts > 0]
    low, high = float(finite.min()), float(finite.max())
    left = min(120, 16 + max(len(t) for t in heat.y) * 6) + 14
    wide, tall = max(46, min(90, max(len(t) for t in heat.x) * 6 + 8)), 26
    marks = []
    for row, y_text in enumerate(heat.y):
        top = 6 + (len(heat.y) - 1 - row) * tall
        shown = fitting(y_text, left - 22)
        marks.append(text(left - 6, top + tall / 2 + 3.5, shown, full=y_text, text_anchor="end"))
        for column, x_text in enumerate(heat.x):
            score = float(heat.best[row, column])
            at = {
                "x": left + column * wide + 1,
                "y": top + 1,
                "width": wide - 2,
                "height": tall - 2,
            }
            if math.isnan(score):
                marks.append(
                    element("rect", **at, fill="none", stroke="currentColor", stroke_opacity=0.2)
                )
                continue
            colour = shade(score, low, high)
            best = {"stroke": BEST, "stroke_width": 3} if score == high else {}
            marks.append(element("rect", **at, fill=VIRIDIS[colour], rx=2, **best))
            ink = "white" if colour < DARK_UP_TO else "black"
            middle = left + (column + 0.5) * wide
            full = f"{x.name} = {x_text}, {y.name} = {y_text}: {ranking.written(score)}"
            marks.append(
                text(
                    middle, top + tall / 2 + 3.5, ranking.written(score),
                    full=full, text_anchor="middle", fill=ink,
                )
            )  # fmt: skip
    bottom = 6 + len(heat.y) * tall
    labels = apart(heat.x, wide - 2)
    for column, (x_text, shown) in enumerate(zip(heat.x, labels, strict=True)):
        middle = left + (column + 0.5) * wide
        marks.append(text(middle, bottom + 13, shown, full=x_text, text_anchor="middle"))
    width = left + len(heat.x) * wide + 6
    marks.append(text(left, bottom + 30, x.name))
    marks.append(
        text(10, bottom / 2, fitting(y.name, bottom), full=y.name, text_anchor="middle",
             transform=f"rotate(-90 10 {bottom / 2:.0f})")
    )  # fmt: skip
    label = (
        f"Heat map of the {ranking.score_name} by {x.name} and {y.name}, "
        f"from {ranking.written(low)} to {ranking.written(high)}"
    )
    return svg(label, max(width, left + len(x.name) * 6), bottom + 36, marks)


def pairs(ranking: Ranking, x: Parameter, y: Parameter) -> str:
    """Plot candidates as dots by two parameters, coloured by their score."""
    chosen = [
        n
        for n in series.thinned(ranking, DOTS)
        if not math.isnan(place(x, n)) and not math.isnan(place(y, n))
    ]
    if not chosen:
        return ""
    width = 420
    across = Scale.of_parameter(x, LEFT + 10, width - RIGHT - 10)
    up = Scale.of_parameter(y, HEIGHT - BOTTOM - 8, TOP + 8)
    marks = _frame(across, up, x.name, y.name, width=width)
    means = ranking.means
    low, high = float(min(means[chosen])), float(max(means[chosen]))
    by_colour: dict[int, list[tuple[float, float]]] = {}
    for n in reversed(chosen):
        point = (across(place(x, n)), up(place(y, n)))
        by_colour.setdefault(shade(float(means[n]), low, high), []).append(point)
    every = [point for points in by_colour.values() for point in points]
    marks.append(dots(every, 8.5, stroke="currentColor", stroke_opacity=0.5))
    marks += [dots(points, 7, stroke=VIRIDIS[c]) for c, points in sorted(by_colour.items())]
    best = chosen[0]
    marks.append(
        circle(across(place(x, best)), up(place(y, best)), 6, fill="none", stroke=BEST,
               stroke_width=2.5, full=f"best: {ranking.written(float(means[best]))}")
    )  # fmt: skip
    label = (
        f"Candidates by {x.name} and {y.name}, coloured by their {ranking.score_name} "
        f"from {ranking.written(low)} to {ranking.written(high)}"
    )
    return svg(label, width, HEIGHT, marks)


def parallel(ranking: Ranking) -> str:
    """Plot each candidate as a line across all parameters to its score."""
    chosen = [int(n) for n in series.thinned(ranking, LINES)]
    parameters = ranking.varying[:AXES]
    if not chosen:
        return ""
    shown = short_names([parameter.name for parameter in parameters])
    height, top, bottom = 230, 26, 222
    gap = max(110, min(220, 700 // len(parameters)))
    scores = Scale.of_numbers(_padded([float(ranking.means[n]) for n in chosen]), bottom, top)
    scales = [Scale.of_parameter(p, bottom - 4, top + 4) for p in parameters]
    left = max(24, min(70, 3 * len(shown[parameters[0].name])))
    width = gap * len(parameters) + left + 60
    xs = [left + gap * i for i in range(len(parameters) + 1)]
    means = ranking.means
    low, high = float(min(means[chosen])), float(max(means[chosen]))
    lines: dict[int, list[str]] = {}
    for n in chosen[1:]:
        step = 4 if high == low else int(4.999 * (float(means[n]) - low) / (high - low))
        lines.setdefault(step, []).append(_way(n, parameters, scales, scores, ranking, xs))
    marks = [
        element("path", d="".join(ways), fill="none", stroke=ACCENT, stroke_width=1 + 0.2 * step,
                stroke_opacity=(0.2, 0.3, 0.42, 0.58, 0.85)[step])
        for step, ways in sorted(lines.items())
    ]  # fmt: skip
    way = _way(chosen[0], parameters, scales, scores, ranking, xs)
    marks.append(element("path", d=way, fill="none", stroke=BEST, stroke_width=2.5))
    for i, x in enumerate(xs):
        marks.append(line(x, top, x, bottom, stroke_opacity=0.6))
        last = i == len(parameters)
        title = ranking.score_name if last else shown[parameters[i].name]
        full = title if last else parameters[i].name
        fits = fitting(title, gap - 4)
        marks.append(text(x, 12, fits, full=full, text_anchor="middle", font_weight="bold"))
        for value, tick in (scores if last else scales[i]).ticks:
            at = (scores if last else scales[i])(value)
            marks.append(line(x - 3, at, x + 3, at, stroke_opacity=0.8))
            fits = fitting(tick, gap * 0.6)
            marks.append(text(x + 6, at + 3.5, fits, full=tick, class_="halo"))
    names = ", ".join(parameter.name for parameter in parameters)
    label = (
        f"Parallel coordinates: {len(chosen)} of {len(ranking):,} candidates across {names} to "
        f"their {ranking.score_name}; the best one stands out. The table lists the same"
    )
    return svg(label, width, height + 4, marks)


def _way(
    candidate: int,
    parameters: Sequence[Parameter],
    scales: Sequence[Scale],
    scores: Scale,
    ranking: Ranking,
    xs: Sequence[float],
) -> str:
    """Return the line of a candidate; where it has no value, it is broken."""
    d, pen = "", "M"
    for x, parameter, scale in zip(xs, parameters, scales, strict=False):
        value = place(parameter, candidate)
        if math.isnan(value):
            pen = "M"
            continue
        d += f"{pen}{x:.0f} {scale(value):.0f}"
        pen = "L"
    return f"{d}{pen}{xs[-1]:.0f} {scores(float(ranking.means[candidate])):.0f}"


def best_over_time(ranking: Ranking) -> str:
    """Plot the best score so far against the time since the search began."""
    rises = series.best_over_time(ranking)
    if not rises:
        return ""
    width = 420
    complete = [int(n) for n in series.thinned(ranking, DOTS) if ranking.complete[n]]
    end = max(float(ranking.ended[n]) for n in complete)
    x = Scale.of_numbers([0.0, end or 1.0], LEFT, width - RIGHT - 6)
    y = _scores(ranking, complete)
    marks = _frame(x, y, "seconds since the search began", ranking.score_name, width=width)
    points = [(x(float(ranking.ended[n])), y(float(ranking.means[n]))) for n in complete]
    marks.append(dots(points, 5, stroke=ACCENT, stroke_opacity=0.6))
    steps: list[tuple[float, float]] = []
    for seconds, score, _ in rises:
        if steps:
            steps.append((x(seconds), steps[-1][1]))
        steps.append((x(seconds), y(score)))
    steps.append((x(end), steps[-1][1]))
    marks.append(path(steps, stroke=BEST, stroke_width=2))
    told = "; ".join(f"{ranking.written(score)} after {s:.1f} s" for s, score, _ in rises[-5:])
    return svg(f"Best {ranking.score_name} over time. {told}", width, HEIGHT, marks)


def folds(values: Sequence[float], mean: float) -> str:
    """Plot the scores of one estimator on each fold, where there are no candidates."""
    finite = [(n, value) for n, value in enumerate(values) if math.isfinite(value)]
    if not finite:
        return ""
    x = Scale.of_numbers([0.0, max(1.0, len(values) - 1.0)], LEFT + 10, WIDTH - RIGHT - 10)
    if len(values) <= 12:
        marks_at = tuple((float(n), str(n)) for n in range(len(values)))
        x = Scale(x.low, x.high, x.start, x.end, False, marks_at)
    y = Scale.of_numbers(_padded([value for _, value in finite]), HEIGHT - BOTTOM, TOP)
    marks = _frame(x, y, "fit", "test score")
    marks.append(dots([(x(float(n)), y(v)) for n, v in finite[:1000]], 7, stroke=ACCENT))
    marks.append(
        line(LEFT, y(mean), WIDTH - RIGHT, y(mean), stroke=BEST, stroke_opacity=1)
        if math.isfinite(mean)
        else ""
    )
    told = ", ".join(number(value) for _, value in finite[:20])
    return svg(f"Test score of each fit: {told}; mean {number(mean)}", WIDTH, HEIGHT, marks)
