"""The scores of a search, one by one, in a loop.

The search runs in a thread of its own; leaving the loop early stops it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from distributed import Client
from sklearn import config_context, get_config

from jupyter_scale.search.control import Control, SearchStopped
from jupyter_scale.search.report import Score
from jupyter_scale.search.session import merged

__all__ = ["stream"]


def stream(
    search: Any,
    X: Any,
    y: Any = None,
    *,
    client: Client | None = None,
    fit_params: Mapping[str, Any] | None = None,
    control: Control | None = None,
    **options: Any,
) -> Iterator[Score]:
    """Fit a search and yield each score as soon as it is there.

    Parameters
    ----------
    search : GridSearchCV or another search of scikit-learn
        Fitted when the loop has come to its end.
    X, y
        What ``search.fit`` is given.
    client : distributed.Client, optional
        The cluster to run on; without one, this process.
    fit_params : mapping, optional
        Further arguments of ``search.fit``, as ``sample_weight``.
    control : Control, optional
        Pauses, resumes or stops the search. Leaving the loop stops it too.
    **options
        Further arguments of `merged`.

    Yields
    ------
    Score

    Raises
    ------
    Exception
        What ``search.fit`` raises, after the last score.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVC
    >>> search = GridSearchCV(SVC(), {"C": [0.1, 1.0]}, cv=2)
    >>> for score in stream(search, *load_iris(return_X_y=True)):
    ...     print(score.candidate, score.fold, score.parameters)
    0 0 {'C': 0.1}
    0 1 {'C': 0.1}
    1 0 {'C': 1.0}
    1 1 {'C': 1.0}
    >>> search.best_params_
    {'C': 1.0}
    """
    control = control or Control()
    scores: SimpleQueue[Score | None] = SimpleQueue()
    failed: list[BaseException] = []
    config = get_config()  # of this thread

    def fit() -> None:
        try:
            with (
                config_context(**config),
                merged(client, on_score=scores.put, control=control, **options),
            ):
                search.fit(X, y, **(fit_params or {}))
        except BaseException as error:
            failed.append(error)
        finally:
            scores.put(None)

    thread = threading.Thread(target=fit, name="search", daemon=True)
    thread.start()
    left = True
    try:
        while (score := scores.get()) is not None:
            yield score
        left = False
    finally:
        if left:
            control.stop()
        thread.join()
        with suppress(SearchStopped):  # it had come to its end by itself
            if left:
                control.check()
    if failed:
        raise failed[0]
