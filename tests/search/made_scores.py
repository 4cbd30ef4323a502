"""Scores as a search would have them, made without fitting anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from jupyter_scale.search.report import Score, SearchReport

EVIL = "<script>alert('x')</script>"


class Evil:
    """A value, and a class, whose names are a script."""

    def __init__(self, text: str = EVIL) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Broken:
    """A value that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def grid(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """All combinations, the last parameter varying fastest."""
    found: list[dict[str, Any]] = [{}]
    for name, several in values.items():
        found = [{**each, name: value} for each in found for value in several]
    return found


def scores_of(
    params: Iterable[dict[str, Any] | None],
    score: Callable[[int, int], Any] | None = None,
    *,
    folds: int = 3,
) -> list[Score]:
    """Scores of candidates on folds, in the order of a grid search; one a second."""
    rng = np.random.default_rng(0)
    made: list[Score] = []
    for number, each in enumerate(params):
        for fold in range(folds):
            found = float(rng.random()) if score is None else score(number, fold)
            made.append(
                Score(number, fold, each, found, fit_time=0.5, score_time=0.25, ended=len(made) + 1)
            )
    return made


def report_of(scores: list[Score], name: str = "GridSearchCV(Pipeline)") -> SearchReport:
    """The report of a search that ended with these scores."""
    return SearchReport(name, "this process", status="done", scores=scores)
