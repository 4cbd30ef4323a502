"""Axes of predictors that learn the same whatever the parameter: neighbours, counts, members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import (
    BernoulliNB,
    CategoricalNB,
    ComplementNB,
    GaussianNB,
    MultinomialNB,
)
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
)
from sklearn.utils.validation import validate_data

from jupyter_scale.search.axes import (
    Axis,
    Settings,
    accepted,
    always,
    copy_fitted,
    defaults,
    seeded,
    valid,
)

__all__ = ["AXES"]


def _same(shared: Any, estimator: Any) -> Any | None:
    return copy_fitted(shared, estimator) if valid(estimator) else None


# -- neighbours


def _fewest(estimator: Any, settings: Sequence[Settings]) -> Any:
    """Ask for the fewest neighbours, for which ``algorithm="auto"`` prefers a tree."""
    candidates = accepted(estimator, settings)
    return min(candidates, key=lambda one: one.n_neighbors or 0, default=clone(estimator))


def _neighbours(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or _many(shared, estimator) != _many(shared, shared):
        return None
    return copy_fitted(
        shared, estimator, effective_metric_params_=dict(shared.effective_metric_params_)
    )


def _many(shared: Any, estimator: Any) -> bool:
    """Tell whether an estimator asks for so many neighbours that it builds no tree (``_fit``)."""
    rows = shared._fit_X
    if estimator.algorithm != "auto" or issparse(rows) or rows.shape[1] > 15:
        return False
    if estimator.metric == "precomputed" or estimator.n_neighbors is None:
        return False
    return bool(estimator.n_neighbors >= rows.shape[0] // 2)


# -- counts


def _smoothed(shared: Any, estimator: Any) -> Any | None:
    """Finish a naive Bayes from its counts, as its ``fit`` does."""
    if not valid(estimator):
        return None
    fitted = copy_fitted(shared, estimator)
    try:
        alpha = fitted._check_alpha()
        fitted._update_feature_log_prob(alpha)
        fitted._update_class_log_prior(class_prior=fitted.class_prior)
    except ValueError:  # its own fit will say so
        return None
    return fitted


class _Gaussian(GaussianNB):  # type: ignore[misc]
    """Variances without their smoothing, and the largest of the whole data's."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        super().fit(X, y, sample_weight)
        self.shared_largest = np.max(np.var(validate_data(self, X, reset=False), axis=0))
        return self


def _unsmoothed(estimator: Any, settings: Sequence[Settings]) -> Any:
    return _Gaussian(priors=clone(estimator).priors, var_smoothing=0.0)


def _gaussian(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator):
        return None
    epsilon = estimator.var_smoothing * shared.shared_largest
    fitted = copy_fitted(shared, estimator, epsilon_=epsilon, var_=shared.var_.copy())
    fitted.var_[:, :] += epsilon
    return fitted


# -- members


def _weighted(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator):
        return None
    if estimator.weights is not None and len(estimator.weights) != len(estimator.estimators):
        return None
    return copy_fitted(shared, estimator)


_DISTANCES = "neighbours of one index"
_K_NEIGHBOURS = Axis(_DISTANCES, ("n_neighbors", "weights"), always, _fewest, _neighbours)
_SMOOTHING = ("alpha", "force_alpha", "fit_prior", "class_prior")


def _after(
    name: str,
    *parameters: str,
    applies: Callable[[Any], bool] = always,
    derive: Callable[[Any, Any], Any | None] = _same,
) -> Axis:
    """Return the axis of parameters that bear on nothing that is learned."""
    return Axis(name, parameters, applies, defaults(*parameters), derive)


AXES: dict[type, Axis] = {
    KNeighborsClassifier: _K_NEIGHBOURS,
    KNeighborsRegressor: _K_NEIGHBOURS,
    RadiusNeighborsClassifier: _after(_DISTANCES, "radius", "weights"),
    RadiusNeighborsRegressor: _after(_DISTANCES, "radius", "weights"),
    MultinomialNB: _after("smoothing of counts", *_SMOOTHING, derive=_smoothed),
    BernoulliNB: _after("smoothing of counts", *_SMOOTHING, derive=_smoothed),
    CategoricalNB: _after("smoothing of counts", *_SMOOTHING, derive=_smoothed),
    ComplementNB: _after("smoothing of counts", *_SMOOTHING, "norm", derive=_smoothed),
    GaussianNB: Axis("smoothing of variances", ("var_smoothing",), always, _unsmoothed, _gaussian),
    FixedThresholdClassifier: _after(
        "threshold of one fit", "threshold", "pos_label", "response_method", applies=seeded
    ),
    VotingClassifier: _after(
        "votes of the same members",
        "weights",
        "voting",
        "flatten_transform",
        applies=seeded,
        derive=_weighted,
    ),
    VotingRegressor: _after(
        "votes of the same members", "weights", applies=seeded, derive=_weighted
    ),
}
