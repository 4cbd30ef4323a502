"""What the plots of a search show, as numbers: shared by the SVG of the page and the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jupyter_scale.search.summary.parameters import Parameter
from jupyter_scale.search.summary.ranking import Ranking

__all__ = [
    "METHOD",
    "Heat",
    "Importance",
    "Level",
    "best_over_time",
    "heat",
    "importance",
    "levels",
    "thinned",
]

METHOD = "adjusted \N{GREEK SMALL LETTER ETA}\N{SUPERSCRIPT TWO} (one-way ANOVA)"
METHOD_LONG = (
    f"{METHOD}: the share of the variance of the mean test scores that a parameter explains alone, "
    "less what as many values explain by chance. What parameters do together is not in it."
)
FEWEST = 5
"""Candidates; the variance of fewer tells nothing."""
LEVELS = 20
"""Values of a parameter that are summed up one by one."""
MANY = 10
"""Different numbers; where there are more, they are grouped into fifths."""


@dataclass(frozen=True, slots=True)
class Level:
    """What the candidates with one value of a parameter scored."""

    text: str
    candidates: int
    mean: float
    best: float


@dataclass(frozen=True, slots=True)
class Importance:
    """Shares by parameter, the largest first; `why` says why there are none."""

    shares: tuple[tuple[str, float], ...] = ()
    why: str = ""
    left_out: tuple[str, ...] = ()
    """Parameters without two candidates of one value."""


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """The best mean score for each pair of values (with successive halving, that of its last
    round); nan where there is none.

    Rows are the levels of `y`.
    """

    x: Sequence[str]
    y: Sequence[str]
    best: NDArray[np.float64]
    counts: NDArray[np.int_]


def thinned(ranking: Ranking, limit: int) -> NDArray[np.int_]:
    """Return at most so many scored candidates, best first: the best quarter of the limit, then
    evenly from all ranks.
    """
    order = ranking.order[ranking.scored[ranking.order]]
    if len(order) <= limit:
        return order
    best = limit // 4
    rest = np.linspace(best, len(order) - 1, limit - best).astype(int)
    return np.asarray(order[np.concatenate([np.arange(best), rest])])


def levels(ranking: Ranking, parameter: Parameter) -> list[Level]:
    """Return what each value of a parameter scored.

    Values without a score are left out; of a parameter with many values nothing is returned.
    """
    if len(parameter.levels) > LEVELS:
        return []
    found = []
    for code, text in enumerate(parameter.levels):
        scores = ranking.means[(parameter.codes == code) & ranking.scored]
        if len(scores):
            found.append(Level(text, len(scores), float(scores.mean()), float(scores.max())))
    return found


def binned(parameter: Parameter, chosen: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Return in which group each of the chosen candidates is: of one value, or one fifth."""
    numbers = parameter.numbers
    if numbers is None or len(parameter.levels) <= MANY or np.isnan(numbers).any():
        return parameter.codes[chosen]
    inner = np.unique(np.quantile(numbers[chosen], [0.2, 0.4, 0.6, 0.8]))
    return np.searchsorted(inner, numbers[chosen], side="left")


def importance(ranking: Ranking) -> Importance:
    """Return how much of the scores' variance each parameter explains alone.

    For the groups of candidates with one value (numbers with many values: with one fifth of them),
    eta squared is the variance between groups as a share of all; adjusted for what as many groups
    explain by chance it is Kelley's epsilon squared (1935), as the adjusted R squared of a one-way
    ANOVA. Negative ones are 0.
    """
    scores = ranking.means[ranking.scored]
    n = len(scores)
    if len(ranking.varying) < 2:
        return Importance(why="fewer than two parameters vary")
    if n < FEWEST:
        return Importance(why=f"fewer than {FEWEST} candidates have a score")
    total = float(((scores - scores.mean()) ** 2).sum())
    if not np.isfinite(total) or total <= (1e-12 * np.abs(scores).max()) ** 2 * n:
        return Importance(why="all candidates have the same score")
    shares, left_out = [], []
    for parameter in ranking.varying:
        groups = binned(parameter, ranking.scored)
        sizes = np.bincount(groups)
        k = int((sizes > 0).sum())
        if k == n or k < 2:
            left_out.append(parameter.name)
            continue
        means = np.bincount(groups, scores) / np.maximum(sizes, 1)
        within = float(((scores - means[groups]) ** 2).sum())
        share = 1 - (within / (n - k)) / (total / (n - 1))
        shares.append((parameter.name, max(0.0, share)))
    shares.sort(key=lambda item: -item[1])
    why = "" if shares else "no value of a parameter was tried twice"
    return Importance(tuple(shares), why, tuple(left_out))


def heat(ranking: Ranking, x: Parameter, y: Parameter) -> Heat:
    """Return the best mean score for each pair of values of two parameters."""
    shape = (len(y.levels), len(x.levels))
    best, counts = np.full(shape, np.nan), np.zeros(shape, int)
    for n in thinned(ranking, len(ranking)):  # the best first
        where = y.codes[n], x.codes[n]
        if not counts[where]:
            best[where] = ranking.means[n]
        counts[where] += 1
    return Heat(x.levels, y.levels, best, counts)


def best_over_time(ranking: Ranking) -> list[tuple[float, float, int]]:
    """Return when the best score rose: seconds, score, candidate.

    A candidate counts when its last fold is done. With successive halving the best starts anew
    in each round, as scores of different rounds are on different amounts of the resource.
    """
    rises: list[tuple[float, float, int]] = []
    best, round_ = -np.inf, -1
    complete = np.flatnonzero(ranking.complete)
    for place in complete[np.argsort(ranking.ended[complete], kind="stable")]:
        if ranking.halving and ranking.rounds[place] > round_:
            best, round_ = -np.inf, ranking.rounds[place]
        if ranking.means[place] > best:
            best = ranking.means[place]
            rises.append((float(ranking.ended[place]), float(best), int(place)))
    return rises


def named(ranking: Ranking, names: Sequence[str | None]) -> list[Parameter]:
    """Return the parameters with these names.

    Raises
    ------
    ValueError
        If there is no such parameter, with those that there are.
    """
    known = {parameter.name: parameter for parameter in ranking.parameters}
    for name in names:
        if name is not None and name not in known:
            raise ValueError(f"no parameter {name!r}: choose of {', '.join(known) or 'none'}")
    return [known[name] for name in names if name is not None]


def two(ranking: Ranking, x: str | None, y: str | None) -> tuple[Parameter, Parameter]:
    """Return two parameters for a heat map: those named, else the most important ones.

    Raises
    ------
    ValueError
        If there is no such parameter, or no second one.
    """
    chosen = {p.name: p for p in named(ranking, [x, y])}
    names = [name for name, _ in importance(ranking).shares]
    order = [*names, *(p.name for p in ranking.varying)]
    for name in order:
        if len(chosen) < 2:
            chosen.setdefault(name, named(ranking, [name])[0])
    if len(chosen) < 2:
        raise ValueError("a heat map needs two parameters that vary")
    first, second = chosen.values()
    return (second, first) if x is None and y is not None else (first, second)
