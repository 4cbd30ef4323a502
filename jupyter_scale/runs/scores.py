"""What ``_fit_and_score`` returns, as text that gives the same back, to the last bit and type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jupyter_scale.search.summary.ranking import SCORE

__all__ = ["SCORE", "by_metric", "decoded", "encoded"]

KEPT = frozenset(
    ("test_scores", "train_scores", "n_test_samples", "fit_time", "score_time", "fit_error")
)
_PLAIN = frozenset((float, int, bool, type(None)))
# NumPy's numbers of up to 8 bytes, each with its name in the record
_NUMBERS = {np.dtype(code).type: np.dtype(code).str for code in "?bhilqBHILQefd"}


def encoded(result: Mapping[str, Any]) -> tuple[str, bool]:
    """Return a result as JSON, and whether `decoded` gives the very same back.

    It does not where more is in it than scores, sizes and times, or where the fit has failed: the
    text of its error is not kept.

    Examples
    --------
    >>> encoded({"test_scores": np.float64(0.5), "fit_time": 0.1, "fit_error": None})
    ('{"test_scores": ["<f8", 0.5], "fit_time": 0.1, "fit_error": null}', True)
    """
    written, same = {}, result.get("fit_error") is None
    for name, value in result.items():
        if name in KEPT:
            written[name], exact = _encode(None if name == "fit_error" else value)
            same = same and exact
        else:
            same = False
    return json.dumps(written), same


def decoded(text: str) -> dict[str, Any]:
    """Return the result that `encoded` was given."""
    return {name: _decode(value) for name, value in json.loads(text).items()}


def by_metric(scores: Any) -> dict[str, float]:
    """Return the scores of a cell by metric, also where it has one or none.

    Examples
    --------
    >>> by_metric(np.float64(0.5)), by_metric({"f1": 1, "r2": 0}), by_metric(None)
    ({'score': 0.5}, {'f1': 1.0, 'r2': 0.0}, {})
    """
    if scores is None:
        return {}
    if not isinstance(scores, Mapping):
        scores = {SCORE: scores}
    return {str(name): float(score) for name, score in scores.items()}


def _encode(value: Any) -> tuple[Any, bool]:
    if type(value) in _PLAIN:
        return value, True
    if (name := _NUMBERS.get(type(value))) is not None:
        return [name, value.item()], True
    if isinstance(value, Mapping):
        pairs = {str(key): _encode(one) for key, one in value.items()}
        same = type(value) is dict and all(type(key) is str for key in value)
        return (
            {key: one for key, (one, _) in pairs.items()},
            same and all(exact for _, exact in pairs.values()),
        )
    try:
        return float(value), False
    except (TypeError, ValueError):
        return None, False


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        kind, number = value
        return np.dtype(kind).type(number)
    if isinstance(value, dict):
        return {name: _decode(one) for name, one in value.items()}
    return value
