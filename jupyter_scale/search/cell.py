"""Run one cell: scikit-learn's own ``_fit_and_score``, answered from shared pieces of work.

Three of its moments are taken over, all else is scikit-learn's code:

- its split: the rows of a fold are taken once and handed out as read-only views;
- the fits inside it, of the steps of Pipelines and of the parts of meta-estimators: what another
  cell has fitted is not fitted again (`hooks` ask, `answers` know);
- ``transform`` and ``predict`` of those: each remembers its answer for the fold's own test rows
  (and training rows), so that a scorer given the whole Pipeline finds the work done.

Invariant: the scores are those of an undisturbed ``_fit_and_score``. A step that could see the
difference (it writes into data that others read, or fails because it may not) raises `NotShared`,
and the cell is run again alone, undisturbed.
"""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from sklearn.base import clone

from jupyter_scale.search import internals
from jupyter_scale.search.answers import Answers, NotShared, Reached
from jupyter_scale.search.hooks import hook_of
from jupyter_scale.search.plan import Cell, Fold, Setup
from jupyter_scale.search.predictions import Evaluation, taken
from jupyter_scale.search.sharing import denied
from jupyter_scale.search.store import Store

__all__ = ["NotShared", "Reached", "run_cell", "run_inner"]


def run_cell(
    cell: Cell,
    setup: Setup,
    fold: Fold,
    data: Mapping[int, Any],
    store: Store,
    *,
    until: int | None = None,
    say: Callable[..., None] = print,
    warned: list[warnings.WarningMessage] | None = None,
    kept: dict[int, bytes] | None = None,
) -> dict[str, Any]:
    """Fit and score one cell.

    Parameters
    ----------
    cell, setup, fold
        What to run, from the plan.
    data : mapping of int to object
        The plan's data (X, y, ...).
    store : Store
        Nodes already made; receives those made here.
    until : int, optional
        A node: stop as soon as it is made.
    say : callable
        Where scikit-learn's ``verbose`` lines go.
    warned : list, optional
        Receives the warnings.
    kept : dict, optional
        Receives what the cell predicts, by its number, if that is to be kept.

    Returns
    -------
    dict
        What ``_fit_and_score`` returns. ``fit_time`` and ``score_time`` count shared work in full,
        as if the cell had been run alone.

    Raises
    ------
    Reached
        When `until` is made.
    Exception
        What scikit-learn raises, with ``error_score="raise"``.
    """
    arguments = {
        "y": None if setup.y is None else data[setup.y],
        "train": fold.train,
        "test": fold.test,
        "parameters": cell.parameters,
        **cell.progress,
        **setup.options,
    }
    X = data[setup.X]
    with warnings.catch_warnings(record=True) as log, _saying(say):
        try:
            result = None
            if not (cell.alone or _known_not_shared(cell, store)):
                answers = Answers(cell, setup, fold, data, store, until)
                result = _shared(answers, X, arguments, kept)
            if result is None and until is not None:
                raise Reached
            if result is None:
                log.clear()
                if not cell.alone:
                    store.alone.append(cell.number)
                estimator = clone(setup.estimator) if cell.estimator is None else cell.estimator
                arguments |= cell.watched or {}
                with _noting(cell.keep and kept is not None) as noted:
                    run_it = _plain if noted is None else _plain_noted
                    result = run_it(estimator, X, **arguments)
                if noted and kept is not None:
                    evaluation = Evaluation(setup, fold, X, arguments["y"])
                    _keep(kept, cell.number, noted, result, evaluation, anew=True)
            return result
        finally:
            if warned is not None:
                warned.extend(log)


def _shared(
    answers: Answers, X: Any, arguments: dict[str, Any], kept: dict[int, bytes] | None
) -> dict[str, Any] | None:
    """Run a cell on shared data; None if it must be run alone."""
    try:
        return _answered(answers, X, arguments, kept)
    except NotShared:
        return None
    except Exception as error:
        if denied(error):
            return None
        raise


def _known_not_shared(cell: Cell, store: Store) -> bool:
    made = store.made
    return any(number in made and made[number].not_shared for number in (*cell.path, *cell.needs))


def _answered(
    answers: Answers, X: Any, arguments: dict[str, Any], kept: dict[int, bytes] | None
) -> dict[str, Any]:
    """Run scikit-learn's ``_fit_and_score`` with these answers in force."""
    cell = answers.cell
    estimator = clone(answers.setup.estimator)
    before, _local.answers = _current(), answers
    try:
        with _noting(cell.keep and kept is not None) as noted:
            result: dict[str, Any] = _intercepted(estimator, X, **arguments)
        if "fit_time" in result:
            result["fit_time"] += answers.clock.fit_seconds - answers.clock.elapsed
            result["score_time"] += answers.clock.test_seconds
        if noted and kept is not None:
            evaluation = Evaluation(answers.setup, answers.sources.fold, X, arguments["y"])
            _keep(kept, cell.number, noted, result, evaluation, anew=cell.in_place)
    finally:
        _local.answers = before
        answers.release()  # nodes keep the estimators that they were made in
    return result


def _keep(
    kept: dict[int, bytes],
    number: int,
    noted: list[tuple[Any, Any]],
    result: dict[str, Any],
    evaluation: Evaluation,
    *,
    anew: bool,
) -> None:
    """Keep what a cell predicts for the rows that were scored, when all else is over.

    With `anew`, a method may write into its rows: each is given some of its own.
    """
    fold, X = evaluation.fold, evaluation.X
    estimator = noted[0][0]

    def rows(place: int) -> Any:
        if not anew:
            return noted[place][1]
        which = (fold.test, fold.train) if place == 0 else (fold.train,)
        return internals.safe_split(estimator, X, None, *which)[0]

    parts = [partial(rows, place) for place in range(len(noted))]
    with suppress(NotShared, Reached):
        body = taken(estimator, parts, result, evaluation)
        if body is not None:
            kept[number] = body


def run_inner(call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run what an estimator hands to joblib while a cell fits it: a part's fit, mostly."""
    answers = _current()
    estimator = kwargs.get("transformer", args[0] if args else None)
    hook = None if answers is None else hook_of(estimator)
    if answers is None or hook is None:
        return call(*args, **kwargs)
    if hook.unwanted(answers.until):
        return None
    function, _, _ = internals.unwrapped(call)
    if hook.site.crossed and function is internals.cross_val_predict:
        return answers.crossed(hook, call, args, kwargs)
    return call(*args, **kwargs)


_local = threading.local()


def _current() -> Answers | None:
    return getattr(_local, "answers", None)


@contextmanager
def _saying(say: Callable[..., None]) -> Iterator[None]:
    before, _local.say = getattr(_local, "say", print), say
    try:
        yield
    finally:
        _local.say = before


@contextmanager
def _noting(wanted: bool) -> Iterator[list[tuple[Any, Any]] | None]:
    """Note what is scored, with its rows; None where nobody wants to know."""
    before = getattr(_local, "noted", None)
    noted = _local.noted = [] if wanted else None
    try:
        yield noted
    finally:
        _local.noted = before


def _note(estimator: Any, X: Any) -> None:
    if _local.noted is not None:
        _local.noted.append((estimator, X))


def _say(*args: Any, **kwargs: Any) -> None:
    _local.say(*args, **kwargs)


def _split(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    rows: tuple[Any, Any] = _local.answers.split(*args, **kwargs)
    return rows


def _score(estimator: Any, X: Any, y: Any, scorer: Any, *args: Any, **kwargs: Any) -> Any:
    _local.answers.scored()
    _note(estimator, X)
    return _watched_score(estimator, X, y, internals.watched(scorer, _look), *args, **kwargs)


def _score_noted(estimator: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
    _note(estimator, X)
    return internals.score(estimator, X, *args, **kwargs)


def _look(text: str) -> None:
    """Look at an error before scikit-learn makes a score of it, whatever becomes of warnings."""
    if denied(text):
        raise NotShared


def _format_exc() -> str:
    text = traceback.format_exc()
    _look(text)
    return text


_watched_score = internals.substituted(internals.score, format_exc=_format_exc)
_plain = internals.substituted(internals.fit_and_score, print=_say)
_plain_noted = internals.substituted(internals.fit_and_score, print=_say, _score=_score_noted)
_intercepted = internals.substituted(
    internals.fit_and_score,
    print=_say,
    format_exc=_format_exc,
    _safe_split=_split,
    _score=_score,
)
