"""``report.plot``: the plots of a search as methods, each returning a matplotlib figure."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from jupyter_scale.search.summary import series
from jupyter_scale.search.summary.parameters import Parameter
from jupyter_scale.search.summary.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jupyter_scale.search.report import SearchReport

__all__ = ["Plots"]


class Plots:
    """The plots of one search; each is a ``matplotlib.figure.Figure``, made without pyplot.

    All of them raise ImportError without matplotlib, and ValueError if there is nothing to plot.

    Parameters
    ----------
    report : SearchReport

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVC
    >>> from jupyter_scale import merged
    >>> search = GridSearchCV(SVC(), {"C": [0.1, 1.0], "kernel": ["rbf", "linear"]})
    >>> with merged() as report:
    ...     _ = search.fit(*load_iris(return_X_y=True))
    >>> report.plot.heatmap("C", "kernel").axes[0].get_xlabel()
    'C'
    """

    def __init__(self, report: SearchReport) -> None:
        self._report = report

    def __repr__(self) -> str:
        names = [name for name in vars(Plots) if not name.startswith("_")]
        return f"plots of {self._report.name}: {', '.join(f'{name}()' for name in names)}"

    def scores(self, *parameters: str) -> Figure:
        """Plot the mean score against these parameters; by default against all that vary.

        Without candidates (``cross_validate``): the score of each fit.
        """
        figures, ranking = _figures(), self._ranking()
        if not ranking.parameters:
            made: Figure = figures.alone(ranking)
            return made
        chosen = series.named(ranking, parameters) or ranking.varying or ranking.parameters
        made = figures.scores(ranking, chosen)
        return made

    def heatmap(self, x: str | None = None, y: str | None = None) -> Figure:
        """Plot the best mean score by two parameters; by default by the most important ones."""
        figures, ranking = _figures(), self._ranking()
        made: Figure = figures.heatmap(ranking, *series.two(ranking, x, y))
        return made

    def parallel(self, *parameters: str) -> Figure:
        """Plot each candidate as a line across parameters (all that vary) to its score."""
        figures, ranking = _figures(), self._ranking()
        made: Figure = figures.parallel(ranking, self._some(ranking, parameters))
        return made

    def progress(self) -> Figure:
        """Plot the best score so far against the time since the search began."""
        figures = _figures()
        made: Figure = figures.progress(self._ranking())
        return made

    def importance(self) -> Figure:
        """Plot how much of the variance of scores each parameter explains alone.

        By the adjusted eta squared of a one-way ANOVA (Kelley's epsilon squared) of the mean test
        scores; numbers with more than ten values are grouped into fifths.
        """
        figures = _figures()
        made: Figure = figures.importance(self._ranking())
        return made

    def times(self) -> Figure:
        """Plot the seconds spent on each step."""
        made: Figure = _figures().times(self._report.times)
        return made

    def plan(self) -> Figure:
        """Draw the plan of one fold: unmerged next to merged."""
        made: Figure = _figures().plan(self._report.tree)
        return made

    def _ranking(self) -> Ranking:
        ranking = self._report.ranking()
        if not ranking.scored.any():
            raise ValueError(f"{self._report.name}: no candidate has a score yet")
        return ranking

    @staticmethod
    def _some(ranking: Ranking, names: tuple[str, ...]) -> list[Parameter]:
        chosen = series.named(ranking, names) or ranking.varying or ranking.parameters
        if not chosen:
            raise ValueError("there are no parameters: nothing was searched")
        return chosen


def _figures() -> ModuleType:
    try:
        from jupyter_scale.search.summary import figures
    except ImportError as error:
        raise ImportError(
            'a report\'s plots need matplotlib: pip install "jupyter-scale[plot]"',
            name="matplotlib",
        ) from error
    return figures
