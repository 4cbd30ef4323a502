"""The plots of a search as matplotlib figures, to be saved, restyled and put into papers.

Made without pyplot: no state, no display. Imported only when somebody asks for a plot.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from jupyter_scale.search.summary import picture, series
from jupyter_scale.search.summary.parameters import Parameter, number, short, short_names
from jupyter_scale.search.summary.ranking import Ranking
from jupyter_scale.search.summary.svg import ACCENT, BEST, Scale, place
from jupyter_scale.search.summary.tree import Tree

__all__ = ["Plot"]

COLOURS = colormaps["viridis"]
MOST_DOTS, MOST_LINES = 5000, 1000
MOST_VALUES = 40
"""Categories, or sides of a heat map."""
LABEL = 22
RESOLUTION = 144


class Plot(Figure):
    """A figure that a notebook shows although pyplot does not know it; its text says of what."""

    shown = ""

    def __repr__(self) -> str:
        return f"<Figure: {self.shown}>"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        image = io.BytesIO()
        self.savefig(image, format="png", dpi=RESOLUTION)
        width, height = self.get_size_inches() * 96
        return image.getvalue(), {"width": round(width), "height": round(height)}


def _figure(width: float, height: float, shown: str) -> Plot:
    figure = Plot(figsize=(width, height), layout="constrained")
    figure.shown = shown
    return figure


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _axis(axes: Axes, parameter: Parameter, which: str) -> None:
    """Set an axis up for a parameter's values."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_label_text(parameter.name)
    if parameter.numbers is not None:
        if parameter.log:
            (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        return
    every = math.ceil(len(parameter.levels) / MOST_VALUES)
    ticks = range(0, len(parameter.levels), every)
    texts = [short(parameter.levels[tick], LABEL) for tick in ticks]
    long = which == "x" and sum(map(len, texts)) > 32
    axis.set_ticks(list(ticks), texts)
    (axes.set_xlim if which == "x" else axes.set_ylim)(-0.5, len(parameter.levels) - 0.5)
    if long:
        for label in axis.get_ticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")


def _places(parameter: Parameter, chosen: NDArray[np.int_]) -> list[float]:
    return [place(parameter, int(n)) for n in chosen]


def scores(ranking: Ranking, parameters: Sequence[Parameter]) -> Plot:
    """Plot the mean score against each of some parameters: all candidates, the best of a value."""
    across = min(3, len(parameters))
    down = math.ceil(len(parameters) / across)
    names = ", ".join(parameter.name for parameter in parameters)
    what = f"{ranking.score_name} against {names}"
    figure = _figure(max(5, 3.6 * across), 3.1 * down, what)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    chosen = series.thinned(ranking, MOST_DOTS)
    for axes, parameter in zip(grid.flat, parameters, strict=False):
        _bare(axes)
        _axis(axes, parameter, "x")
        xs = _places(parameter, chosen)
        axes.scatter(xs, ranking.means[chosen], s=18, alpha=0.5, color=ACCENT, linewidth=0)
        # each value's best: the first of it, as the best come first
        values, first = np.unique(xs, return_index=True)
        if 1 < len(values) <= MOST_VALUES:
            style = "-" if parameter.numbers is not None else "_"
            look = {"marker": style, "linestyle": "", "markersize": 18} if style == "_" else {}
            axes.plot(values, ranking.means[chosen][first], color=ACCENT, linewidth=1.5, **look)
        axes.scatter(xs[:1], ranking.means[chosen[:1]], s=45, color=BEST, zorder=3, label="best")
    for axes in grid.flat[len(parameters) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel(ranking.score_name)
    return figure


def heatmap(ranking: Ranking, x: Parameter, y: Parameter) -> Plot:
    """Plot the best mean score by two parameters: as cells, or as dots where there are many."""
    if max(len(x.levels), len(y.levels)) > MOST_VALUES:
        return _pairs(ranking, x, y)
    heat = series.heat(ranking, x, y)
    what = f"best {ranking.score_name} by {x.name} and {y.name}"
    figure = _figure(2.4 + 0.75 * len(heat.x), 1.6 + 0.45 * len(heat.y), what)
    axes = figure.subplots()
    norm = Normalize(np.nanmin(heat.best), np.nanmax(heat.best))
    image = axes.imshow(heat.best, origin="lower", aspect="auto", cmap=COLOURS, norm=norm)
    for row, column in np.argwhere(heat.counts > 0):
        value = heat.best[row, column]
        dark = float(norm(value)) < 0.55
        ink = "white" if dark else "black"
        axes.text(
            column, row, ranking.written(value), ha="center", va="center", color=ink, fontsize=8
        )
    for which, parameter in (("x", x), ("y", y)):
        axis = axes.xaxis if which == "x" else axes.yaxis
        axis.set_ticks(range(len(parameter.levels)), [short(t, LABEL) for t in parameter.levels])
        axis.set_label_text(parameter.name)
    if sum(min(LABEL, len(text)) for text in x.levels) > 9 * len(x.levels):
        axes.tick_params(axis="x", labelrotation=30)
    figure.colorbar(image, ax=axes, label=f"best {ranking.score_name}")
    return figure


def _pairs(ranking: Ranking, x: Parameter, y: Parameter) -> Plot:
    figure = _figure(6, 4.2, f"{ranking.score_name} by {x.name} and {y.name}")
    axes = figure.subplots()
    _bare(axes)
    _axis(axes, x, "x")
    _axis(axes, y, "y")
    chosen = series.thinned(ranking, MOST_DOTS)[::-1]  # the best are drawn last
    dots = axes.scatter(
        _places(x, chosen), _places(y, chosen), c=ranking.means[chosen], s=30, cmap=COLOURS
    )
    figure.colorbar(dots, ax=axes, label=ranking.score_name)
    return figure


def parallel(ranking: Ranking, parameters: Sequence[Parameter]) -> Plot:
    """Plot each candidate as a line across parameters to its score."""
    what = f"candidates across {', '.join(p.name for p in parameters)} to {ranking.score_name}"
    figure = _figure(2 + 1.6 * len(parameters), 3.8, what)
    axes = figure.subplots()
    chosen = series.thinned(ranking, MOST_LINES)
    means = ranking.means[chosen]
    scales = [Scale.of_parameter(parameter, 0, 1) for parameter in parameters]
    scores = Scale.of_numbers([float(mean) for mean in means], 0, 1)
    ways = np.array(
        [
            *([s(x) for x in _places(p, chosen)] for s, p in zip(scales, parameters, strict=True)),
            [scores(float(mean)) for mean in means],
        ]
    )
    xs = list(range(len(ways)))
    norm = Normalize(means.min(), means.max())
    alpha = float(np.clip(60 / len(chosen), 0.15, 0.8))
    for way, mean in zip(ways.T[:0:-1], means[:0:-1], strict=True):
        axes.plot(xs, way, color=COLOURS(norm(mean)), alpha=alpha, linewidth=1)
    axes.plot(xs, ways[:, 0], color=BEST, linewidth=2.5, label="best")
    names = short_names([parameter.name for parameter in parameters])
    axes.set_xticks(xs, [*(short(n, LABEL) for n in names.values()), ranking.score_name])
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for x, scale in zip(xs, [*scales, scores], strict=True):
        axes.axvline(x, color="grey", linewidth=0.8)
        for value, text in scale.ticks:
            _tick(axes, x, scale(value), text)
    axes.set_xlim(-0.1, xs[-1] + 0.4)
    axes.set_ylim(-0.03, 1.03)
    figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label=ranking.score_name)
    return figure


def _tick(axes: Axes, x: float, height: float, text: str) -> None:
    box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}
    axes.text(x + 0.03, height, short(text, LABEL), va="center", fontsize=8, bbox=box, zorder=3)


def progress(ranking: Ranking) -> Plot:
    """Plot the best score so far against the time since the search began."""
    figure = _figure(6, 3.4, f"best {ranking.score_name} so far, over time")
    axes = figure.subplots()
    _bare(axes)
    chosen = [n for n in series.thinned(ranking, MOST_DOTS) if ranking.complete[n]]
    axes.scatter(
        ranking.ended[chosen], ranking.means[chosen],
        s=16, alpha=0.45, color=ACCENT, linewidth=0, label="candidates",
    )  # fmt: skip
    rises = series.best_over_time(ranking)
    if rises:
        seconds, best, _ = zip(*rises, strict=True)
        end = float(ranking.ended[chosen].max())
        axes.step([*seconds, end], [*best, best[-1]], where="post", color=BEST, label="best so far")
        axes.legend(frameon=False, loc="lower right")
    axes.set_xlabel("seconds since the search began")
    axes.set_ylabel(ranking.score_name)
    axes.set_xlim(left=0)
    return figure


def importance(ranking: Ranking) -> Plot:
    """Plot the importance of the parameters, its method named."""
    found = series.importance(ranking)
    if found.why:
        raise ValueError(f"the importance of parameters is not meaningful here: {found.why}")
    names, shares = zip(*found.shares, strict=True)
    figure = _bars(names, shares, [f"{share:.0%}" for share in shares])
    figure.axes[0].set_xlabel(f"share of the variance of scores\n{series.METHOD}")
    figure.axes[0].set_xlim(0, max(1.0, *shares) * 1.08)
    return figure


def times(seconds: dict[str, float]) -> Plot:
    """Plot the time that was spent on each step."""
    if not seconds:
        raise ValueError("no step has been fitted")
    values = list(seconds.values())
    figure = _bars(list(seconds), values, [f"{value:.3g} s" for value in values])
    figure.axes[0].set_xlabel("seconds of all workers")
    return figure


def _bars(names: Sequence[str], values: Sequence[float], texts: Sequence[str]) -> Plot:
    told = ", ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True))
    figure = _figure(6, 1 + 0.36 * len(names), told)
    axes = figure.subplots()
    _bare(axes)
    places = range(len(names))
    axes.bar_label(axes.barh(places, values, color=ACCENT), texts, padding=3)
    axes.set_yticks(places, [short(name, 40) for name in names])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    return figure


def plan(tree: Tree | None) -> Plot:
    """Draw the plan of one fold, unmerged and merged."""
    if tree is None:
        raise ValueError("the plan has no picture: nothing in it can be merged")
    placed = picture.layout(tree)
    steps = max(len(chain) for chain in tree.chains)
    inches = 1 / 72
    left = steps * (picture.SMALL + picture.SMALL_GAP)
    what = f"plan of a fold: {tree.unmerged:,} fits unmerged, {tree.merged:,} merged"
    size = (left + placed.width + 40, placed.height + 30)
    figure = _figure(size[0] * inches * 1.1, size[1] * inches * 1.1, what)
    two = figure.subplots(1, 2, width_ratios=[max(left, 100), placed.width])
    for axes, title in zip(
        two, (f"Unmerged: {tree.unmerged:,} fits", f"Merged: {tree.merged:,} fits"), strict=True
    ):
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_axis_off()
        axes.set_ylim(placed.height, 0)
    two[0].set_xlim(0, max(left, 100))
    two[1].set_xlim(0, placed.width)
    _unmerged(two[0], tree)
    _merged(two[1], tree, placed)
    return figure


def _unmerged(axes: Axes, tree: Tree) -> None:
    for row, chain in enumerate(tree.chains):
        middle = picture.HEAD + picture.ROW * (row + 0.5)
        left_out = next((tree.boxes[n] for n in chain if tree.boxes[n].left_out), None)
        if left_out:
            axes.text(2, middle, left_out.text, fontsize=7, style="italic", va="center")
            continue
        for at in range(len(chain)):
            left = 2 + at * (picture.SMALL + picture.SMALL_GAP)
            _box(axes, (left, middle - 7, picture.SMALL, 14), fitted=True)
            if at:
                axes.plot([left - picture.SMALL_GAP, left], [middle] * 2, color="grey", linewidth=1)


def _merged(axes: Axes, tree: Tree, placed: picture.Layout) -> None:
    for left, width, name in zip(placed.lefts, placed.widths, tree.columns, strict=True):
        axes.text(left + width / 2, 10, name, ha="center", fontsize=7, fontweight="bold")
    for n, box in enumerate(tree.boxes):
        left, top, width, high = placed.box(tree, n)
        for before in box.before:
            x, y, wide, tall = placed.box(tree, before)
            ends = ([x + wide, left], [y + tall / 2, top + high / 2])
            axes.plot(*ends, color="grey", linewidth=0.8, zorder=0)
        shown = short(box.text, picture.LONGEST)
        if box.left_out:
            axes.text(left + 4, top + high / 2, shown, fontsize=7, style="italic", va="center")
            continue
        _box(axes, (left, top, width, high), fitted=box.fitted)
        axes.text(left + width / 2, top + high / 2, shown, ha="center", va="center", fontsize=7)


def _box(axes: Axes, where: tuple[float, float, float, float], *, fitted: bool) -> None:
    left, top, width, high = where
    patch = FancyBboxPatch((left, top), width, high, boxstyle="round,pad=0,rounding_size=3")
    if fitted:
        patch.set(facecolor="#dcebf6", edgecolor=ACCENT)
    else:
        patch.set(facecolor="white", edgecolor="grey", linestyle="--")
    axes.add_patch(patch)


def alone(ranking: Ranking) -> Plot:
    """Plot the score of each fit, where there are no candidates."""
    figure = _figure(5, 3.2, "score of each fit")
    axes = figure.subplots()
    _bare(axes)
    values = ranking.main.splits[0][ranking.done[0]]
    axes.scatter(range(len(values)), values, color=ACCENT)
    mean = float(ranking.means[0])
    axes.axhline(mean, color=BEST, label=f"mean {number(mean)}")
    axes.legend(frameon=False)
    axes.set_xlabel("fit")
    axes.set_ylabel("test score" if ranking.metric == "score" else f"test {ranking.metric}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
