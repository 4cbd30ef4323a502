"""Axes of feature selection: one scoring or elimination, any number of features."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.feature_selection import (
    RFE,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    chi2,
    f_classif,
    f_regression,
    mutual_info_classif,
    mutual_info_regression,
    r_regression,
)
from sklearn.utils.validation import _num_features

from jupyter_scale.search.axes import (
    Axis,
    NotExact,
    Settings,
    accepted,
    always,
    copy_fitted,
    defaults,
    seeded,
    valid,
)

__all__ = ["AXES"]


# -- scores of single features

_DETERMINISTIC = (chi2, f_classif, f_regression, r_regression)
_SEEDED = (mutual_info_classif, mutual_info_regression)


def _scored(selector: Any) -> bool:
    """Apply when the function that computes the scores is known not to draw without a seed."""
    function: Any = selector.score_func
    options: dict[str, Any] = {}
    if isinstance(function, functools.partial) and not function.args:
        function, options = function.func, function.keywords
    if any(function is known for known in _SEEDED):
        return isinstance(options.get("random_state"), Integral)
    return any(function is known for known in _DETERMINISTIC)


def _scores(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or _warns(estimator, len(shared.scores_)):
        return None
    return copy_fitted(shared, estimator)


def _warns(estimator: Any, features: int) -> bool:
    """Tell whether its own fit would warn of too large a `k`."""
    kind = type(estimator)
    if kind is GenericUnivariateSelect and estimator.mode == "k_best":
        wanted = estimator.param
    else:
        wanted = getattr(estimator, "k", 0)
    return not isinstance(wanted, str) and wanted > features


def _any_of(
    *parameters: str, widest: Callable[[Any, Sequence[Settings]], Any] | None = None
) -> Axis:
    """Return the axis of a selection by scores."""
    return Axis(
        "any of the scored features",
        parameters,
        _scored,
        widest or defaults(*parameters),
        _scores,
    )


def _all_features(estimator: Any, settings: Sequence[Settings]) -> Any:
    return clone(estimator).set_params(k="all")  # the default may be too large


# -- variances


def _positive(estimator: Any, settings: Sequence[Settings]) -> Any:
    """Keep every feature that any candidate keeps; 0 is computed in another way."""
    above = [one.threshold for one in accepted(estimator, settings) if one.threshold > 0]
    return clone(estimator).set_params(threshold=min(above, default=0.0))


def _varied(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or (estimator.threshold == 0) != (shared.threshold == 0):
        return None
    variances = shared.variances_
    if np.all(~np.isfinite(variances) | (variances <= estimator.threshold)):
        return None  # an error
    return copy_fitted(shared, estimator)


# -- importances in a fitted model

_FROM_MODEL = ("threshold", "max_features", "norm_order", "importance_getter")


def _not_fitted_yet(selector: Any) -> bool:
    return not selector.prefit and seeded(selector)


def _whole_model(estimator: Any, settings: Sequence[Settings]) -> Any:
    """Let a function that counts features do so, if it is the same for all candidates."""
    wanted = [values["max_features"] for values in settings]
    same = wanted[0] if all(one is wanted[0] for one in wanted) else None
    return defaults(*_FROM_MODEL)(estimator, settings).set_params(max_features=same)


def _from_model(shared: Any, estimator: Any) -> Any | None:
    wanted = estimator.max_features
    if not valid(estimator) or (callable(wanted) and wanted is not shared.max_features):
        return None
    fitted = copy_fitted(shared, estimator)
    if wanted is None:
        vars(fitted).pop("max_features_", None)
    elif not callable(wanted):
        fitted.max_features_ = wanted
    return fitted


# -- elimination


class _Eliminated(RFE):  # type: ignore[misc]
    """Keeps the estimators that it passes on the way to the fewest features."""

    shared_wanted: Sequence[Any] = ()

    def _fit(self, X: Any, y: Any, step_score: Any = None, **fit_params: Any) -> Any:
        features = _num_features(X)
        counts = {_count(features, one) for one in self.shared_wanted}
        counts = {count for count in counts if 1 <= count <= features}
        if not counts:
            raise NotExact("RFE is asked for no features or for more than there are")
        self.n_features_to_select = min(counts)
        self.shared_passed: dict[int, Any] = {}

        def keep(estimator: Any, chosen: Any) -> None:
            if len(chosen) in counts:
                self.shared_passed[len(chosen)] = estimator

        return super()._fit(X, y, keep, **fit_params)


def _count(features: int, wanted: Any) -> int:
    """Return the number of features to keep, as RFE does."""
    if wanted is None:
        return features // 2
    return int(wanted) if isinstance(wanted, Integral) else int(features * wanted)


def _fewest(estimator: Any, settings: Sequence[Settings]) -> Any:
    given = clone(estimator).get_params(deep=False)
    widest = _Eliminated(**{**given, "n_features_to_select": None})  # until the data are seen
    widest.shared_wanted = [one.n_features_to_select for one in accepted(estimator, settings)]
    return widest


def _passed(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator):
        return None
    count = _count(shared.n_features_in_, estimator.n_features_to_select)
    if count not in shared.shared_passed:
        return None  # with a step of more than one, those on the way are not all that are wanted
    at = shared.step_n_features_.index(count)
    fitted = copy_fitted(
        shared,
        estimator,
        estimator_=shared.shared_passed[count],
        support_=np.array(shared.step_support_[at]),
        ranking_=np.array(shared.step_ranking_[at]),
    )
    fitted.n_features_ = fitted.support_.sum()
    for name in ("n_features", "scores", "support", "ranking"):
        delattr(fitted, f"step_{name}_")
    return fitted


# -- addition or removal one by one


class _Sequence(SequentialFeatureSelector):  # type: ignore[misc]
    """Remembers in which order the features came."""

    shared_wanted: Sequence[Any] = ()

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        features = _num_features(X)
        steps = {one: _steps(self.direction, features, one) for one in self.shared_wanted}
        possible = {one: count for one, count in steps.items() if count is not None}
        if not possible:
            raise NotExact("more features are asked for than there are")
        self.n_features_to_select = max(possible, key=lambda one: possible[one])
        self.tol = None
        self.shared_order: list[int] = []
        return super().fit(X, y, **params)

    def _get_best_new_feature_score(self, *args: Any, **params: Any) -> Any:
        found = super()._get_best_new_feature_score(*args, **params)
        self.shared_order.append(found[0])
        return found


def _steps(direction: str, features: int, wanted: Any) -> int | None:
    """Return how many features come or go, as in ``SequentialFeatureSelector.fit``."""
    if isinstance(wanted, str):
        return features // 2
    count = int(wanted) if isinstance(wanted, Integral) else int(features * wanted)
    if count >= features:
        return None
    return count if direction == "forward" else features - count


def _repeatable(selector: Any) -> bool:
    """Apply when the folds and the estimators are the same each time."""
    draws = getattr(selector.cv, "random_state", 0) is None
    return seeded(selector) and not (draws and getattr(selector.cv, "shuffle", True))


def _longest(estimator: Any, settings: Sequence[Settings]) -> Any:
    given = clone(estimator).get_params(deep=False)
    widest = _Sequence(**{**given, "n_features_to_select": "auto"})  # until the data are seen
    widest.shared_wanted = [
        one.n_features_to_select for one in accepted(estimator, settings) if _without_end(one)
    ]
    return widest


def _without_end(selector: Any) -> bool:
    """Tell whether the number of features alone says when to stop."""
    return selector.tol is None or not isinstance(selector.n_features_to_select, str)


def _part_of_sequence(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or not _without_end(estimator):
        return None
    if estimator.tol is not None and estimator.tol < 0 and estimator.direction == "forward":
        return None  # an error
    count = _steps(estimator.direction, shared.n_features_in_, estimator.n_features_to_select)
    if count is None or count > len(shared.shared_order):
        return None
    support = np.zeros(shared.n_features_in_, dtype=bool)
    support[shared.shared_order[:count]] = True
    if estimator.direction == "backward":
        support = ~support
    return copy_fitted(shared, estimator, support_=support, n_features_to_select_=support.sum())


AXES: dict[type, Axis] = {
    SelectKBest: _any_of("k", widest=_all_features),
    SelectPercentile: _any_of("percentile"),
    SelectFpr: _any_of("alpha"),
    SelectFdr: _any_of("alpha"),
    SelectFwe: _any_of("alpha"),
    GenericUnivariateSelect: _any_of("mode", "param"),
    VarianceThreshold: Axis(
        "any of the varied features", ("threshold",), always, _positive, _varied
    ),
    SelectFromModel: Axis(
        "any of the weighed features", _FROM_MODEL, _not_fitted_yet, _whole_model, _from_model
    ),
    RFE: Axis("stages of one elimination", ("n_features_to_select",), seeded, _fewest, _passed),
    SequentialFeatureSelector: Axis(
        "stages of one sequence",
        ("n_features_to_select",),
        _repeatable,
        _longest,
        _part_of_sequence,
    ),
}
