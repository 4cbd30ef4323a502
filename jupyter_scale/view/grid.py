"""The candidates of a running search by fold: how far each is, and how it scores.

Plain numbers that grow with each score, and the SVG made of them. Where there are more candidates
or folds than tiles, a tile stands for several: its colour is their mean.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_scale.search import Score
from jupyter_scale.search.summary.parameters import short, text_of
from jupyter_scale.search.summary.svg import VIRIDIS

__all__ = ["Grid", "abridged", "colour", "said", "value"]

COLUMNS, ROWS = 60, 10
"""Tiles at most: each costs about 150 bytes, several times a second."""
WIDTH, GAP = 12, 2  # pixels
WIDEST = 40  # letters of a parameter's value


@dataclass(slots=True)
class Tile:
    """One candidate on one fold, or several of them.

    Attributes
    ----------
    done, failed : int
    total : float
        Sum of the scores of those that have one.
    last : Score or None
        The latest.
    """

    done: int = 0
    failed: int = 0
    total: float = 0.0
    last: Score | None = None

    @property
    def mean(self) -> float:
        """Mean score; nan without one."""
        scored = self.done - self.failed
        return self.total / scored if scored else math.nan


@dataclass(slots=True)
class Grid:
    """The tiles of one search.

    Parameters
    ----------
    candidates, folds : int
        How many there will be.
    metric : str
        Which of several scores is shown; the first if empty.
    """

    candidates: int
    folds: int
    metric: str = ""
    _tiles: dict[tuple[int, int], Tile] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether no cell is done."""
        return not self._tiles

    def larger(self, candidates: int, folds: int, metric: str) -> Grid:
        """Return one for so many: itself, or an empty one where other cells would share a tile."""
        new = Grid(candidates, folds, metric)
        if (self.across, self.down, self.metric) == (new.across, new.down, metric):
            self.candidates, self.folds = candidates, folds
            return self
        return new

    @property
    def across(self) -> int:
        """Candidates of a tile."""
        return math.ceil(self.candidates / COLUMNS) or 1

    @property
    def down(self) -> int:
        """Folds of a tile."""
        return math.ceil(self.folds / ROWS) or 1

    def add(self, score: Score) -> None:
        """Count a finished cell."""
        place = score.candidate // self.across, score.fold // self.down
        tile = self._tiles.setdefault(place, Tile())
        found = value(score, self.metric)
        tile.done += 1
        if score.error is not None or math.isnan(found):
            tile.failed += 1
        else:
            tile.total += found
        tile.last = score

    def svg(self) -> str:
        """Return the picture: a group for each column, which the keyboard reaches, too."""
        columns = math.ceil(self.candidates / self.across)
        rows = math.ceil(self.folds / self.down)
        means = self._means
        least, most = (min(means), max(means)) if means else (0.0, 0.0)
        step = WIDTH + GAP
        drawn = "".join(
            self._column(column, rows, least, most)
            for column in range(columns)
            if any((column, row) in self._tiles for row in range(rows))
        )
        width, height = columns * step, rows * step
        return (
            f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'style="max-width:100%" role="group" aria-label="scores by candidate and fold">'
            f'<defs><pattern id="js-open" width="{step}" height="{step}" '
            'patternUnits="userSpaceOnUse">'
            f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{WIDTH - 1}" fill="none" '
            'stroke="var(--jp-border-color1,#bdbdbd)"/></pattern></defs>'
            f'<rect width="{width}" height="{height}" fill="url(#js-open)"/>{drawn}</svg>'
        )

    def legend(self) -> str:
        """Return what the colours mean, in a line."""
        means = self._means
        ramp = "".join(f'<span style="background:{each}">&emsp;</span>' for each in VIRIDIS)
        scale = f"{said(min(means))} {ramp} {said(max(means))}" if means else ""
        several = f"; a tile is {self.across} candidates" if self.across > 1 else ""
        failed = sum(tile.failed for tile in self._tiles.values())
        crossed = f"; {failed:,} failed (crossed)" if failed else ""
        return f"{scale} candidates from left to right, folds from top to bottom{several}{crossed}"

    @property
    def _means(self) -> list[float]:
        return [tile.mean for tile in self._tiles.values() if not math.isnan(tile.mean)]

    def _column(self, column: int, rows: int, least: float, most: float) -> str:
        places = [(column, row) for row in range(rows) if (column, row) in self._tiles]
        tiles = [(row, self._tiles[column, row]) for _, row in places]
        last = next(tile.last for _, tile in tiles if tile.last is not None)
        first = column * self.across
        beyond = min(self.candidates, first + self.across) - 1
        name = f"candidate {first}" if first == beyond else f"candidates {first} to {beyond}"
        if first == beyond and last.parameters:
            name += f": {abridged(last.parameters)}"
        scores = ", ".join("failed" if math.isnan(t.mean) else said(t.mean) for _, t in tiles)
        drawn = "".join(self._tile(column, row, tile, least, most) for row, tile in tiles)
        label = html.escape(f"{name}; {scores}")
        return f'<g tabindex="0" role="img" aria-label="{label}">{drawn}</g>'

    def _tile(self, column: int, row: int, tile: Tile, least: float, most: float) -> str:
        x, y = column * (WIDTH + GAP), row * (WIDTH + GAP)
        size = self.across * self.down
        part = min(1.0, tile.done / size)
        fill = colour(tile.mean, least, most)
        height = max(2, round(WIDTH * part))
        drawn = f'<rect x="{x}" y="{y + WIDTH - height}" width="{WIDTH}" height="{height}" '
        drawn += (
            f'fill="{fill}"><title>{html.escape(self._title(column, row, tile))}</title></rect>'
        )
        if tile.failed:
            cross = f"M{x + 3} {y + 3}l6 6m0-6l-6 6"
            drawn += f'<path d="{cross}" stroke="var(--jp-error-color1,#d32f2f)" stroke-width="2"/>'
        return drawn

    def _title(self, column: int, row: int, tile: Tile) -> str:
        score = tile.last
        mean = "failed" if math.isnan(tile.mean) else said(tile.mean)
        if score is None or self.across * self.down > 1:
            return f"{tile.done:,} cells done, {tile.failed:,} failed, mean {mean}"
        where = f" on {score.worker}" if score.worker else ""
        settings = f"\n{abridged(score.parameters)}" if score.parameters else ""
        error = f"\n{score.error}" if score.error else ""
        return (
            f"candidate {score.candidate}, fold {score.fold}: {mean}{settings}{error}\n"
            f"fit {said(score.fit_time)} s, score {said(score.score_time)} s{where}"
        )


def value(score: Score, metric: str = "") -> float:
    """Return one number of a score; nan for one that failed."""
    found = score.test_scores
    if isinstance(found, dict):
        found = found.get(metric, next(iter(found.values()), math.nan))
    return float(found)


def colour(mean: float, least: float, most: float) -> str:
    """Return the colour of a score between two others.

    Examples
    --------
    >>> colour(0.5, 0.0, 1.0), colour(1.0, 1.0, 1.0), colour(float("nan"), 0.0, 1.0)
    ('#21918c', '#fde725', 'none')
    """
    if math.isnan(mean):
        return "none"
    part = (mean - least) / (most - least) if most > least else 1.0
    return VIRIDIS[round(min(1.0, max(0.0, part)) * (len(VIRIDIS) - 1))]


def said(number: float) -> str:
    """Return a number as people read it.

    Examples
    --------
    >>> said(0.912345), said(-1234.5), said(2e-9)
    ('0.9123', '-1234', '2e-09')
    """
    return f"{number:.4g}"


def abridged(parameters: Mapping[str, Any]) -> str:
    """Return a candidate in a line; what is long is cut.

    Examples
    --------
    >>> abridged({"clf__alpha": 0.1, "norm": "l2"})
    'clf__alpha=0.1, norm=l2'
    """
    return ", ".join(f"{name}={short(text_of(each), WIDEST)}" for name, each in parameters.items())
