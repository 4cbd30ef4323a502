"""The candidates of a search as a pandas DataFrame, with the columns of ``cv_results_``."""

from __future__ import annotations

from typing import Any

from jupyter_scale.search.summary.ranking import Metric, Ranking

__all__ = ["frame"]


def frame(ranking: Ranking) -> Any:
    """Return a DataFrame with a row per candidate, the best first.

    Raises
    ------
    ImportError
        Without pandas.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            'a report\'s results need pandas: pip install "jupyter-scale[plot]"', name="pandas"
        ) from error
    columns: dict[str, Any] = {}
    for name in (ranking.metric, *(n for n in ranking.metrics if n != ranking.metric)):
        columns[f"rank_test_{name}"] = ranking.metrics[name].ranks
        columns[f"mean_test_{name}"] = ranking.metrics[name].means
        columns[f"std_test_{name}"] = ranking.metrics[name].deviations
    if len(ranking) and ranking.rounds.max() > 0:
        columns["iter"] = ranking.rounds
    for parameter in ranking.parameters:
        values = [(each or {}).get(parameter.name) for each in ranking.params]
        columns[f"param_{parameter.name}"] = (
            values if parameter.numbers is not None else pandas.Series(values, dtype=object)
        )
    columns["folds"] = ranking.folds_done
    for name, metric in ranking.metrics.items():
        columns |= _splits(name, metric)
    for what, times in (("fit", ranking.fit_times), ("score", ranking.score_times)):
        columns[f"mean_{what}_time"], columns[f"std_{what}_time"] = times[:, 0], times[:, 1]
    columns["error"] = pandas.Series(ranking.errors, dtype=object)
    columns["params"] = pandas.Series(ranking.params, dtype=object)
    made = pandas.DataFrame(columns)
    made.index.name = "candidate"
    return made.iloc[ranking.order]


def _splits(name: str, metric: Metric) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for fold in range(metric.splits.shape[1]):
        columns[f"split{fold}_test_{name}"] = metric.splits[:, fold]
    if metric.train_splits is not None:
        for fold in range(metric.train_splits.shape[1]):
            columns[f"split{fold}_train_{name}"] = metric.train_splits[:, fold]
        columns[f"mean_train_{name}"] = metric.train_means
        columns[f"std_train_{name}"] = metric.train_deviations
    return columns
