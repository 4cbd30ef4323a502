"""Predictions that are kept of a cell, so that another metric needs no other fit.

What a fitted estimator predicts for the rows that were scored is all that most scorers ask of it.
`taken` packs that, on the worker; `scored` has scikit-learn's own ``_fit_and_score`` score a
`StandIn` that answers with it, wherever y is at hand.

Invariant: a score told from kept predictions is that of a fit, to the last bit. So they are kept
only where the score that was just found can be told from them; what else a scorer may ask for
raises, and the cell is fitted.
"""

from __future__ import annotations

import io
import json
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dask.base
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import get_tags

from jupyter_scale.search import internals
from jupyter_scale.search.plan import Fold, Setup

__all__ = ["Evaluation", "Kept", "StandIn", "scorable", "scored", "taken"]

METHODS = ("predict", "predict_proba", "decision_function")
_KNOWN = {*METHODS, "predict_log_proba", "score"}
_PARTS = ("test", "train")
_COMPARED = ("test_scores", "train_scores", "n_test_samples")
_SCORES: dict[str, Any] = {"classifier": ClassifierMixin.score, "regressor": RegressorMixin.score}


class Unkept(Exception):
    """A scorer asks for what was not kept."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a cell is scored with: its setup, its fold, and the data."""

    setup: Setup
    fold: Fold
    X: Any
    y: Any


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a cell.

    Attributes
    ----------
    kind : str or None
        What scikit-learn takes the estimator for: a classifier, a regressor.
    methods : list of str
        Those that it has, kept or not: a scorer asks for the first that is there.
    score : str
        Whose ``score`` it has: that of every classifier, of every regressor, or (empty) its own.
    fit_time, score_time : float
    arrays : dict of str to array
        ``classes``, and by part of the fold and method what was predicted.
    """

    kind: str | None
    methods: list[str]
    score: str
    fit_time: float
    score_time: float
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def packed(self) -> bytes:
        """Return it as bytes: compressed .npy files, none of them pickled."""
        texts = [name for name, array in self.arrays.items() if array.dtype.hasobject]
        written: dict[str, Any] = {
            name: array.astype(str) if name in texts else array
            for name, array in self.arrays.items()
        }
        about = [self.kind, self.methods, self.score, self.fit_time, self.score_time, texts]
        file = io.BytesIO()
        np.savez_compressed(file, about=np.array(json.dumps(about)), **written)
        return file.getvalue()

    @classmethod
    def unpacked(cls, body: bytes) -> Kept:
        """Return what `packed` was asked to pack."""
        with np.load(io.BytesIO(body), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        kind, methods, score, fit_time, score_time, texts = json.loads(arrays.pop("about").item())
        for name in texts:
            arrays[name] = arrays[name].astype(object)
        return cls(kind, methods, score, fit_time, score_time, arrays)


def scorable(setup: Setup) -> bool:
    """Tell whether the scorer of an evaluation asks for nothing but predictions."""
    asked = internals.responses(setup.options.get("scorer"))
    if asked is None or setup.y is None or setup.config.get("array_api_dispatch"):
        return False
    if "score" in asked and setup.options.get("score_params"):
        return False  # a Pipeline hands them on in ways of its own
    return asked <= _KNOWN


# -- where a cell is fitted


def taken(
    estimator: Any,
    parts: Sequence[Callable[[], Any]],
    result: Mapping[str, Any],
    evaluation: Evaluation,
) -> bytes | None:
    """Return what is to be kept of a cell, packed; None if its score cannot be told from it.

    Parameters
    ----------
    estimator : estimator
        As it was fitted.
    parts : sequence of callable
        Give the test rows, and the training rows if they were scored.
    result : mapping
        What ``_fit_and_score`` has returned.
    evaluation : Evaluation
    """
    try:
        with _undisturbed():
            kept = _kept(estimator, parts, result)
            again = _scored(kept, evaluation)
            if all(repr(again.get(name)) == repr(result.get(name)) for name in _COMPARED):
                return kept.packed()
    except Exception:  # whatever it is, it costs these predictions and nothing else
        pass
    return None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave no trace in what the fits to come read: the generators, the warnings."""
    drawn, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - of all fits
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(drawn)
        np.random.set_state(legacy)  # noqa: NPY002 - as it was


def _kept(estimator: Any, parts: Sequence[Callable[[], Any]], result: Mapping[str, Any]) -> Kept:
    methods = [name for name in sorted(_KNOWN - {"score"}) if _has(estimator, name)]
    kept = Kept(
        get_tags(estimator).estimator_type,
        methods,
        _whose_score(estimator),
        result["fit_time"],
        result["score_time"],
    )
    if (classes := _storable(getattr(estimator, "classes_", None))) is not None:
        kept.arrays["classes"] = classes
    for part, rows in zip(_PARTS, parts, strict=False):
        for name in METHODS:
            method = getattr(estimator, name, None)
            # scikit-learn asks for a method by the name that it has itself
            if name in methods and getattr(method, "__name__", "") == name:
                predicted = _storable(method(rows()))  # type: ignore[misc]  # it is there
                if predicted is not None:
                    kept.arrays[f"{part}.{name}"] = predicted
    return kept


def _has(estimator: Any, name: str) -> bool:
    return bool(getattr(estimator, name, None))


def _storable(value: Any) -> np.ndarray[Any, Any] | None:
    """Return an array if its bytes are all of it, and their order is kept; or one of texts."""
    if type(value) is not np.ndarray:
        return None
    if not (value.flags.c_contiguous or value.flags.f_contiguous):
        return None  # its layout decides the order of summation
    if value.dtype.kind in "biufcU":
        return value
    if value.dtype == object and all(type(one) is str for one in value.flat):
        return value if (value.astype(str).astype(object) == value).all() else None
    return None


def _whose_score(estimator: Any) -> str:
    kind: Any = type(estimator)
    if internals.passes_score_on(estimator):
        return _whose_score(estimator.steps[-1][1])
    if "score" not in vars(estimator):
        return next((name for name, score in _SCORES.items() if kind.score is score), "")
    return ""


# -- where it is scored again


def scored(
    body: bytes, evaluation: Evaluation
) -> tuple[dict[str, Any], list[warnings.WarningMessage]] | None:
    """Return what ``_fit_and_score`` would return for a cell, and its warnings.

    None where that cannot be told from the predictions that are kept: then fit it.
    """
    if any(dask.base.is_dask_collection(data) for data in (evaluation.X, evaluation.y)):
        return None
    setup = evaluation.setup
    run_it = internals.configured(_scored, setup.config, setup.warning_filters)
    try:
        kept = Kept.unpacked(body)
        with warnings.catch_warnings(record=True) as log:
            result: dict[str, Any] = run_it(kept, evaluation)
    except Exception:
        return None
    if "fit_time" in result:
        result["fit_time"], result["score_time"] = kept.fit_time, kept.score_time
    return result, log


def _scored(kept: Kept, evaluation: Evaluation) -> dict[str, Any]:
    """Have scikit-learn score what is kept.

    Raises
    ------
    Exception
        Whatever goes wrong: ``error_score`` is for fits.
    """
    setup, fold = evaluation.setup, evaluation.fold
    options = {**setup.options, "fit_params": None, "error_score": "raise", "verbose": 0}
    rows = np.arange(internals.n_rows(evaluation.X)).reshape(-1, 1)
    return internals.fit_and_score(
        StandIn(kept), rows, evaluation.y, train=fold.train, test=fold.test, parameters=None,
        **options,
    )  # fmt: skip


class StandIn:
    """Answers a scorer as the estimator did of which the predictions are kept.

    It is given the numbers of the rows in the place of the rows.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._trained = np.empty(0)
        attributes: dict[str, Any] = {name: self._method(name) for name in kept.methods}
        if "classes" in kept.arrays:
            attributes["classes_"] = kept.arrays["classes"]
        if kept.score:
            attributes["score"] = partial(_SCORES[kept.score], self)
        vars(self).update(attributes)

    def __sklearn_tags__(self) -> Any:
        tags = BaseEstimator().__sklearn_tags__()
        tags.estimator_type = self._kept.kind
        return tags

    def fit(self, X: Any, y: Any = None) -> StandIn:
        """Note which rows are for training."""
        self._trained = X
        return self

    def _method(self, name: str) -> Callable[[Any], Any]:
        def method(X: Any) -> Any:
            part = "train" if np.array_equal(X, self._trained) else "test"
            found = self._kept.arrays.get(f"{part}.{name}")
            if found is None or len(found) != len(X):
                raise Unkept(f"{name} of the {part} rows")
            return found.copy(order="K")

        method.__name__ = name
        return method
