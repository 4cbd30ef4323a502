"""The searches of this process that are on record: what they have fitted, while they are there.

A record has scores and no models. Who writes a run elsewhere, with its model, asks here: for the
best estimator and a few rows of what it was fitted on, which tell its columns and their types.
Nothing is kept alive, and nothing is pickled with a search.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dask.base

from jupyter_scale.search import internals

__all__ = ["Fitted", "fitted", "hold"]

ROWS = 5
_SEARCHES: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best estimator of a search.

    Attributes
    ----------
    estimator : object
    rows : object or None
        The first rows of its training vectors; None where they cannot be had without computing.
    """

    estimator: Any
    rows: Any = None


def hold(search: Any, X: Any) -> None:
    """Remember a search as long as somebody else does."""
    with suppress(TypeError):  # of a class that cannot be told apart by identity
        _SEARCHES[search] = _first(X)


def fitted(run: str) -> Fitted | None:
    """Return what a run has fitted, if its search is there and has refitted its best candidate."""
    for search, rows in list(_SEARCHES.items()):
        report = getattr(search, "scale_report", None)
        if report is not None and report.run == run and hasattr(search, "best_estimator_"):
            return Fitted(search.best_estimator_, rows)
    return None


def _first(X: Any) -> Any:
    if dask.base.is_dask_collection(X):
        return None
    with suppress(Exception):  # data of any kind, of which only the first rows are wanted
        n = X.shape[0] if hasattr(X, "shape") else len(X)
        return internals.safe_indexing(X, list(range(min(n, ROWS))))
    return None
