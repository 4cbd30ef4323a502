"""Scores -> candidates: means, deviations and ranks, as in ``cv_results_``.

Works on a search that was stopped, too: a mean is that of the folds which are done. Invariant: for
a search that ended, each number equals the one in ``cv_results_`` to the last bit.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from jupyter_scale.search.summary.parameters import Parameter, parameters_of, text_of

if TYPE_CHECKING:
    from jupyter_scale.search.report import Score

__all__ = ["Metric", "Ranking", "ranked"]

_PATH = re.compile(r"^(\w+\.)+(?=\w+:)")
"""The module before the name of an error."""
Floats = NDArray[np.float64]
SCORE = "score"
"""What ``cv_results_`` calls the only metric."""
FAILURES = 3
"""How many kinds of errors are told."""


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """The scores of all candidates by one metric: an entry per candidate, a column per fold."""

    splits: Floats
    means: Floats
    deviations: Floats
    ranks: NDArray[np.int32]
    train_splits: Floats | None = None
    train_means: Floats | None = None
    train_deviations: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The candidates of a search, each list in the order of ``cv_results_``.

    Attributes
    ----------
    params : list of dict or None
        None where there is no search.
    parameters : list of Parameter
        The same by parameter.
    metrics : dict of str to Metric
    metric : str
        The one of them that ranks.
    done : ndarray of bool, shape (n_candidates, n_folds)
        Which cells are finished.
    rounds : ndarray of int
        In which round of the search a candidate came, from 0.
    fit_times, score_times : ndarray, shape (n_candidates, 2)
        Mean and standard deviation in seconds.
    ended : ndarray
        Seconds from the beginning of the search to a candidate's last fold.
    errors : list of str or None
        Of the first fold that failed.
    order : ndarray of int
        The best first. Where the last round has the last word (successive halving), its candidates
        stand before those of the round before, whatever their rank.
    halving : bool
    """

    params: list[dict[str, Any] | None]
    parameters: list[Parameter]
    metrics: dict[str, Metric]
    metric: str
    done: NDArray[np.bool_]
    rounds: NDArray[np.int_]
    fit_times: Floats
    score_times: Floats
    ended: Floats
    errors: list[str | None]
    order: NDArray[np.int_]
    halving: bool = False

    def __len__(self) -> int:
        return len(self.params)

    @property
    def main(self) -> Metric:
        """The metric that ranks."""
        return self.metrics[self.metric]

    @property
    def means(self) -> Floats:
        """The mean test score of each candidate."""
        return self.main.means

    @property
    def n_folds(self) -> int:
        return int(self.done.shape[1])

    @property
    def folds_done(self) -> NDArray[np.int_]:
        """How many folds of each candidate are finished."""
        return np.asarray(self.done.sum(axis=1))

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which candidates have all folds and a score."""
        return np.asarray(self.done.all(axis=1) & np.isfinite(self.means))

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which candidates have a score."""
        return np.isfinite(self.means)

    @property
    def score_name(self) -> str:
        """What a score is called: ``mean test score``, with its metric where there are several."""
        return "mean test score" if self.metric == SCORE else f"mean test {self.metric}"

    def written(self, score: float) -> str:
        """Return a score in as many decimals as tell this search's scores apart."""
        if not math.isfinite(score):
            return str(score)
        finite = np.abs(self.means[self.scored])
        largest = finite.max(initial=0.0)
        if 0 < largest < 1e-3 or largest >= 1e6:
            return f"{score:.4g}"
        return f"{score:.{max(0, 4 - max(0, math.floor(math.log10(largest or 1))))}f}"

    def score(self, n: int) -> str:
        """Return the score of the candidate at a place, and what is to be known of it."""
        mean, deviation = float(self.means[n]), float(self.main.deviations[n])
        text = self.written(mean)
        if math.isfinite(mean):
            text += f" ± {self.written(deviation)}"
        done = int(self.folds_done[n])
        if done < self.n_folds:
            text += f" ({done} of {self.n_folds} folds)"
        return f"{text} failed" if self.errors[n] else text

    @property
    def failures(self) -> list[tuple[str, int]]:
        """The commonest errors, each with the number of candidates that it ended."""
        return Counter(error for error in self.errors if error).most_common(FAILURES)

    @property
    def varying(self) -> list[Parameter]:
        """The parameters with more than one value."""
        return [parameter for parameter in self.parameters if len(parameter.levels) > 1]


def ranked(
    scores: Sequence[Score],
    *,
    metric: str = "",
    rounds: Sequence[int] = (),
    halving: bool = False,
) -> Ranking:
    """Return the candidates that have scores.

    Parameters
    ----------
    scores : sequence of Score
        In any order.
    metric : str
        Which of several metrics ranks; by default the first one.
    rounds : sequence of int
        The number of the first candidate of each round.
    halving : bool
        Whether only the last round's candidates can be the best.
    """
    rows, columns, firsts = _places(scores)
    n, n_folds = len(firsts), int(columns.max(initial=-1)) + 1
    where = (rows, columns)
    done = np.zeros((n, n_folds), bool)
    done[where] = True
    names = next((list(s.test_scores) for s in scores if isinstance(s.test_scores, dict)), [SCORE])
    metrics = {name: _metric(scores, name, where, done) for name in names}
    metric = metric if metric in metrics else names[0]
    ended = np.zeros(n)
    np.maximum.at(ended, rows, [score.ended for score in scores])
    errors: list[str | None] = [None] * n
    for row, score in zip(rows, scores, strict=True):
        errors[row] = errors[row] or (None if score.error is None else _PATH.sub("", score.error))
    params = [scores[first].parameters for first in firsts]
    numbers = [scores[first].candidate for first in firsts]
    round_ = np.maximum(np.searchsorted(np.asarray(rounds, int), numbers, side="right") - 1, 0)
    ranks = metrics[metric].ranks
    keys = np.array([numbers, ranks, -round_ if halving else np.zeros_like(round_)])
    return Ranking(
        params,
        parameters_of(params),
        metrics,
        metric,
        done,
        round_,
        _times([score.fit_time for score in scores], where, done),
        _times([score.score_time for score in scores], where, done),
        ended,
        errors,
        np.lexsort(keys),
        halving,
    )


def _places(scores: Sequence[Score]) -> tuple[NDArray[np.int_], NDArray[np.int_], list[int]]:
    """Return for each score its row and its column, and for each row one of its scores.

    A search numbers its candidates. What has none (``validation_curve``) gives each call a dict of
    its own and counts calls: there, candidates are told apart by their values.
    """
    own: dict[int, Any] = {}
    unnumbered: set[int] = set()
    for score in scores:
        if own.setdefault(score.candidate, score.parameters) is not score.parameters:
            unnumbered.add(score.candidate)
    columns = np.fromiter((score.fold for score in scores), int, len(scores))
    if not unnumbered:
        numbers = np.fromiter((score.candidate for score in scores), int, len(scores))
        _, firsts, rows = np.unique(numbers, return_index=True, return_inverse=True)
        return rows, columns, firsts.tolist()
    found: dict[Any, list[int]] = {}
    for place in sorted(range(len(scores)), key=lambda n: (scores[n].candidate, scores[n].fold)):
        score = scores[place]
        found.setdefault((score.candidate, _values(score.parameters)), []).append(place)
    rows = np.empty(len(scores), int)
    for row, places in enumerate(found.values()):
        rows[places] = row
        if scores[places[0]].candidate in unnumbered:
            columns[places] = range(len(places))
    return rows, columns, [places[0] for places in found.values()]


def _values(parameters: dict[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, text_of(value)) for name, value in (parameters or {}).items())


def _metric(scores: Sequence[Score], name: str, where: Any, done: NDArray[np.bool_]) -> Metric:
    splits = _matrix([_value(score.test_scores, name) for score in scores], where, done)
    means, deviations = _moments(splits, done)
    if all(score.train_scores is None for score in scores):
        return Metric(splits, means, deviations, _ranks(means))
    train = _matrix([_value(score.train_scores, name) for score in scores], where, done)
    return Metric(splits, means, deviations, _ranks(means), train, *_moments(train, done))


def _value(found: float | dict[str, float] | None, name: str) -> float:
    value = found.get(name) if isinstance(found, dict) else found
    return np.nan if value is None else float(value)


def _matrix(values: Sequence[float], where: Any, done: NDArray[np.bool_]) -> Floats:
    matrix = np.full(done.shape, np.nan)
    matrix[where] = values
    return matrix


def _times(seconds: Sequence[float], where: Any, done: NDArray[np.bool_]) -> Floats:
    return np.stack(_moments(_matrix(seconds, where, done), done), axis=1)


def _moments(matrix: Floats, done: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each row's finished cells, as scikit-learn computes."""
    means, deviations = np.full(len(matrix), np.nan), np.full(len(matrix), np.nan)
    whole = done.all(axis=1)
    with np.errstate(invalid="ignore"):  # infinite scores
        if whole.any():
            rows = matrix[whole]
            means[whole] = np.average(rows, axis=1)
            spread = rows - means[whole][:, np.newaxis]
            deviations[whole] = np.sqrt(np.average(spread**2, axis=1))
        for row in np.flatnonzero(~whole & done.any(axis=1)):
            cells = matrix[row, done[row]]
            means[row], deviations[row] = np.average(cells), np.std(cells)
    return means, deviations


def _ranks(means: Floats) -> NDArray[np.int32]:
    """Rank as scikit-learn does: equal means share the better rank, nan is last."""
    if not len(means) or np.isnan(means).all():
        return np.ones(len(means), np.int32)
    lowest = np.nanmin(means) - 1
    ranks = rankdata(-np.nan_to_num(means, nan=lowest), method="min")
    return np.asarray(ranks, np.int32)
