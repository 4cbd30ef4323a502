"""Runs written to a tracking service, whichever: the shape of what it is given.

A `Tracker` is any callable of one argument, a `Tracked`: a parent (the search) and its children
(the candidates), each with parameters, metrics and tags, as MLflow has them. `runs.mlflow.MLflow`
is one; docs/tracking.md shows others, of ten lines. All that is in it comes from the record, in
which secrets are hidden, but for the model, which is there as long as the kernel has it.

The settings ``jupyter-scale.mlflow`` and ``jupyter-scale.callbacks`` of Dask's configuration name
trackers that are told of every finished search of a `%%scale` cell.
"""

from __future__ import annotations

import importlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import dask
import numpy as np

from jupyter_scale.runs.place import RecordError
from jupyter_scale.runs.provenance import redacted
from jupyter_scale.runs.run import Cell, Run
from jupyter_scale.runs.scores import by_metric
from jupyter_scale.runs.store import Store, opened
from jupyter_scale.search.fitted import Fitted, fitted
from jupyter_scale.search.report import Score
from jupyter_scale.search.summary.ranking import SCORE, Ranking, ranked

__all__ = ["CALLBACKS", "Candidate", "Tracked", "Tracker", "callbacks", "log", "tracked"]

CALLBACKS = "jupyter-scale.callbacks"
_VERSIONS = ("python", "jupyter-scale", "scikit-learn", "numpy", "scipy", "dask", "distributed")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A child: one candidate of a search.

    Attributes
    ----------
    number : int
        Its row in ``cv_results_``.
    name : str
        Its parameters in one line.
    parameters : dict of str to str
    metrics : dict of str to float
        By the names of ``cv_results_``, such as ``mean_test_score`` and ``split0_test_score``; what
        is not finite is left out.
    started, ended : float
        Of its first and its last cell, in seconds since the epoch.
    error : str
        The last line of what ended one of its fits, or nothing.
    """

    number: int
    name: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    started: float
    ended: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A parent: one search.

    Attributes
    ----------
    run : Run
        All that is on record of it; its ``id`` tells it from all others.
    name : str
    parameters : dict of str to str
        Those of the best candidate, behind ``best_``, and the options of ``%%scale``.
    metrics : dict of str to float
        Those of the best candidate, by the same names as the candidates have; ``seconds``, and how
        many cells and fits there were.
    tags : dict of str to str
        Notebook, commit, digest of the data, cluster, host, seed, steps without one, versions.
    texts : dict of str to str
        Files, by name: the cell, the packages, what was changed since the commit.
    candidates : list of Candidate
        The children, the best first.
    model : Fitted or None
        The best estimator, if this process has it.
    """

    run: Run
    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    model: Fitted | None = None


class Tracker(Protocol):
    """Writes a run somewhere; the same run may come again, and is then brought up to date."""

    def __call__(self, search: Tracked, /) -> object:
        """Write it, and return a text that says where it can be seen, or anything else.

        What it raises is said in one line and harms neither the search nor the record.
        """


def tracked(name: str = "last", store: Store | None = None) -> Tracked:
    """Return a run as a tracking service takes it.

    Parameters
    ----------
    name : str
        Its id, the beginning of that, or ``last``.
    store : Store, optional
        The record; by default the one that is set.

    Raises
    ------
    RecordError
        When there is no such run.
    """
    with store or opened() as record:
        run = record.find(name)
        run.note, run.tags = redacted(run.note), [redacted(tag) for tag in run.tags]
        cells, parameters = record.cells(run), record.candidates(run)
        environment, changes = record.text(run.environment), record.text(run.diff)
    texts = {"cell.py": run.cell, "environment.txt": environment, "changes.diff": changes}
    candidates = _candidates(run, cells, parameters)
    best = {} if run.best is None else {"best_score": run.best, **_best(run, candidates).metrics}
    return Tracked(
        run,
        f"{run.name} {run.id}",
        parameters={
            **{f"best_{key}": text for key, text in run.parameters.items()},
            **{key: str(value) for key, value in run.options.items()},
        },
        metrics={
            **{name: value for name, value in best.items() if math.isfinite(value)},
            "seconds": run.seconds,
            "cells_done": run.cells_done,
            "cells_known": run.cells_known,
            "fits_done": run.fits_done,
            "fits_saved": run.fits_saved,
        },
        tags=_tags(run, environment),
        texts={name: text for name, text in texts.items() if text},
        candidates=candidates,
        model=fitted(run.id),
    )


def _best(run: Run, candidates: list[Candidate]) -> Candidate:
    """Return the candidate that the run calls its best: after successive halving, not the first."""
    name = f"mean_test_{run.metric or SCORE}"
    same = (one for one in candidates if one.parameters == run.parameters)
    return next((one for one in same if one.metrics.get(name) == run.best), candidates[0])


def _tags(run: Run, environment: str) -> dict[str, str]:
    lines = dict(line.replace("==", ": ", 1).split(": ", 1) for line in environment.splitlines()
                 if "==" in line or line.startswith("python: "))  # fmt: skip
    found = {
        "run": run.id,
        "search": run.name,
        "status": run.status,
        "metric": run.metric,
        "notebook": run.notebook,
        "where": run.where,
        "host": run.process.machine,
        "data": run.data,
        "commit": run.commit,
        "seed": str(run.options.get("seed", "")),
        "no seed": ", ".join(run.unseeded),
        "failures": "; ".join(f"{text} ({n:,} cells)" for text, n in run.failures.items()),
        "on workers": ", ".join(f"{name} {version}" for name, version in run.workers.items()),
        "tags": " ".join(run.tags),
        "note": run.note,
        **{name: lines.get(name, "") for name in _VERSIONS},
    }
    return {name: text for name, text in found.items() if text}


def _candidates(
    run: Run, cells: list[Cell], parameters: Mapping[int, dict[str, str]]
) -> list[Candidate]:
    """Return the candidates, the best first."""
    if not cells:
        return []
    scores = _scores(cells, parameters)
    halving = "Halving" in run.name.partition("(")[0]
    ranking = ranked(scores, metric=run.metric, halving=halving)
    mine = defaultdict(list)
    for score in scores:
        mine[score.candidate].append(score)
    numbers = sorted(mine)
    return [_candidate(run, ranking, int(row), mine[numbers[row]]) for row in ranking.order]


def _candidate(run: Run, ranking: Ranking, row: int, scores: list[Score]) -> Candidate:
    number, known = scores[0].candidate, scores[0].parameters or {}
    name = ", ".join(f"{key.rpartition('__')[2]}={text}" for key, text in known.items())
    began = min(score.ended - score.fit_time - score.score_time for score in scores)
    return Candidate(
        number,
        name or f"candidate {number}",
        known,
        _metrics(ranking, row),
        run.started + max(0.0, began),
        run.started + max(score.ended for score in scores),
        ranking.errors[row] or "",
    )


def _scores(cells: list[Cell], parameters: Mapping[int, dict[str, str]]) -> list[Score]:
    """Return cells as their report had them, with the parameters as text."""
    found = [cell.scores for cell in cells]
    tested = [by_metric(one.get("test_scores")) for one in found]
    nothing = dict.fromkeys(next(filter(None, tested), [SCORE]), math.nan)
    named: dict[int, Any] = {number: dict(known) for number, known in parameters.items()}
    return [
        Score(
            cell.candidate,
            cell.fold,
            named.setdefault(cell.candidate, {}),  # one dict each: so are candidates told apart
            scores or nothing,
            by_metric(one.get("train_scores")) or None,
            one.get("fit_time", 0.0),
            one.get("score_time", 0.0),
            cell.error,
            cell.ended,
        )
        for cell, one, scores in zip(cells, found, tested, strict=True)
    ]


def _metrics(ranking: Ranking, row: int) -> dict[str, float]:
    """Return the row of a candidate in ``cv_results_``, as far as it is finite numbers."""
    found: dict[str, Any] = {}
    for name, metric in ranking.metrics.items():
        found[f"mean_test_{name}"] = metric.means[row]
        found[f"std_test_{name}"] = metric.deviations[row]
        found[f"rank_test_{name}"] = metric.ranks[row]
        for fold in np.flatnonzero(ranking.done[row]):
            found[f"split{fold}_test_{name}"] = metric.splits[row, fold]
        if metric.train_means is not None and metric.train_deviations is not None:
            found[f"mean_train_{name}"] = metric.train_means[row]
            found[f"std_train_{name}"] = metric.train_deviations[row]
    for kind, times in (("fit", ranking.fit_times), ("score", ranking.score_times)):
        found[f"mean_{kind}_time"], found[f"std_{kind}_time"] = times[row]
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def callbacks() -> list[Tracker]:
    """Return the trackers that are set: callables, or where to import them, ``module:name``.

    Raises
    ------
    RecordError
        When one is neither, or cannot be imported.
    """
    setting = dask.config.get(CALLBACKS, None) or []
    found = setting if isinstance(setting, list | tuple) else [setting]
    return [_callback(one) for one in found]


def _callback(value: Any) -> Tracker:
    if callable(value):
        tracker: Tracker = value
        return tracker
    module, colon, name = str(value).partition(":")
    if not isinstance(value, str) or not colon:
        raise RecordError(f"{CALLBACKS}: {value!r}: write module:name, or a function")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise RecordError(f"{CALLBACKS}: {value!r} cannot be imported ({error})") from error
    if not callable(found):
        raise RecordError(f"{CALLBACKS}: {value!r} is no function")
    imported: Tracker = found
    return imported


def log(name: str, tracker: Callable[[Tracked], object], store: Store | None = None) -> str:
    """Write a run to a tracking service; return where it can be seen, if that is said.

    Parameters
    ----------
    name : str
        The run's id, the beginning of that, or ``last``.
    tracker : Tracker
        Such as ``MLflow("http://127.0.0.1:5000")``.
    store : Store, optional
        The record; by default the one that is set.

    Raises
    ------
    RecordError
        When there is no such run, or it could not be written there.
    """
    search = tracked(name, store)
    try:
        said = tracker(search)
    except RecordError:
        raise
    except Exception as error:
        who = getattr(tracker, "__qualname__", type(tracker).__qualname__)
        text = redacted(" ".join(str(error).split())) or type(error).__name__
        raise RecordError(f"{who} did not take {search.run.id}: {text}") from error
    return said if isinstance(said, str) else f"{search.run.id} is written."
