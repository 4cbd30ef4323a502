"""Axes of trees and of ensembles: a part of the largest fit is the smaller fit.

Trees are pruned by scikit-learn's own code; ensembles are truncated, because each of their members
is fitted before and without regard to the number of those that follow. Both hold only when every
draw comes from a seed: a `RandomState` instance is one, since each candidate gets its own copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from sklearn.base import clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.metrics import check_scoring
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from sklearn.utils.validation import _num_samples

from jupyter_scale.search.axes import Axis, NotExact, Settings, accepted, copy_fitted, seeded, valid
from jupyter_scale.search.identity import is_estimator

__all__ = ["AXES"]


def _cold(estimator: Any) -> bool:
    """Apply when seeded, nothing is kept from an earlier fit and no rows are scored."""
    return (
        seeded(estimator)
        and not getattr(estimator, "warm_start", False)
        and not getattr(estimator, "oob_score", False)
    )


def _passes_seed(ensemble: Any) -> bool:
    """Apply when the members' seeds are drawn from the ensemble's."""
    return (
        ensemble.random_state is not None
        and not getattr(ensemble, "warm_start", False)
        and not getattr(ensemble, "oob_score", False)
    )


def _largest(name: str) -> Callable[[Any, Sequence[Settings]], Any]:
    """Set a parameter to its largest value."""

    def widest(estimator: Any, settings: Sequence[Settings]) -> Any:
        candidates = accepted(estimator, settings)
        largest = max((getattr(one, name) for one in candidates), default=getattr(estimator, name))
        return clone(estimator).set_params(**{name: largest})

    return widest


# -- trees


def _unpruned(estimator: Any, settings: Sequence[Settings]) -> Any:
    """Prune only what all candidates prune alike."""
    alphas = {candidate.ccp_alpha for candidate in accepted(estimator, settings)}
    return clone(estimator).set_params(ccp_alpha=alphas.pop() if len(alphas) == 1 else 0.0)


def _pruned(tree: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or tree.ccp_alpha not in (0.0, estimator.ccp_alpha):
        return None
    fitted = copy_fitted(tree, estimator)
    if tree.ccp_alpha != estimator.ccp_alpha:
        fitted._prune_tree()
    return fitted


# -- forests


def _largest_unpruned(estimator: Any, settings: Sequence[Settings]) -> Any:
    largest = _largest("n_estimators")(estimator, settings)
    return _unpruned(largest, settings)


def _part_of_forest(forest: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or forest.ccp_alpha not in (0.0, estimator.ccp_alpha):
        return None
    if estimator.n_estimators > len(forest.estimators_):
        return None
    trees = forest.estimators_[: estimator.n_estimators]
    if forest.ccp_alpha != estimator.ccp_alpha:
        trees = [_pruned_member(tree, estimator.ccp_alpha) for tree in trees]
    return copy_fitted(forest, estimator, estimators_=trees)


def _pruned_member(tree: Any, alpha: float) -> Any:
    pruned = copy.copy(tree)
    pruned.ccp_alpha = alpha
    pruned._prune_tree()
    return pruned


# -- bagging


def _part_of_bag(bag: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or estimator.n_estimators > len(bag.estimators_):
        return None
    size = estimator.n_estimators
    fitted = copy_fitted(
        bag,
        estimator,
        estimators_=bag.estimators_[:size],
        estimators_features_=bag.estimators_features_[:size],
        _seeds=bag._seeds[:size].copy(),
    )
    return _own_base(fitted)


def _own_base(ensemble: Any) -> Any:
    """Let ``estimator_`` be the parameter itself, as after a fit."""
    if ensemble.estimator is not None:
        ensemble.estimator_ = ensemble.estimator
    return ensemble


def _of_all_rows(forest: Any) -> bool:
    # any other contamination sets offset_ from the scores of the training rows
    return _cold(forest) and isinstance(forest.contamination, str)


def _part_of_isolation(forest: Any, estimator: Any) -> Any | None:
    fitted = _part_of_bag(forest, estimator)
    if fitted is not None:
        for name in ("_average_path_length_per_tree", "_decision_path_lengths"):
            setattr(fitted, name, getattr(forest, name)[: estimator.n_estimators])
    return fitted


# -- boosting


def _part_of_boost(boost: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or estimator.n_estimators > boost.n_estimators:
        return None
    size = estimator.n_estimators
    fitted = copy_fitted(
        boost,
        estimator,
        estimators_=boost.estimators_[:size],  # fewer when it ended early
        estimator_weights_=boost.estimator_weights_[:size].copy(),
        estimator_errors_=boost.estimator_errors_[:size].copy(),
    )
    return _own_base(fitted)


def _part_of_gradient_boost(boost: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or estimator.n_estimators > boost.n_estimators:
        return None
    size = min(estimator.n_estimators, boost.n_estimators_)
    changed: dict[str, Any] = {"n_estimators_": size}
    for name in ("estimators_", "train_score_", "oob_improvement_", "oob_scores_"):
        if hasattr(boost, name):
            changed[name] = getattr(boost, name)[:size].copy()
    if "oob_scores_" in changed:
        changed["oob_score_"] = changed["oob_scores_"][-1]
    if is_estimator(estimator.init):
        changed["init"] = boost.init_  # a fit fits the parameter itself
    return copy_fitted(boost, estimator, **changed)


def _hist_applies(boost: Any) -> bool:
    if boost.warm_start:
        return False
    return boost.random_state is not None or (
        # then only early stopping and the binning of many rows draw, see _FewRows
        boost.max_features == 1.0
        and (boost.early_stopping == "auto" or boost.early_stopping is False)
    )


class _FewRows:
    """Refuses the rows of which a fit without a seed would draw some."""

    early_stopping: Any

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **validation: Any) -> Any:
        # ``auto`` keeps some of more rows for validation, bins are made of some of more
        most = 200_000 if self.early_stopping is False else 10_000
        if _num_samples(X) > most:
            raise NotExact(f"more than {most} rows and no random_state")
        parent: Any = super()
        return parent.fit(X, y, sample_weight, **validation)


class _FewRowsClassifier(_FewRows, HistGradientBoostingClassifier):  # type: ignore[misc]
    pass


class _FewRowsRegressor(_FewRows, HistGradientBoostingRegressor):  # type: ignore[misc]
    pass


def _largest_hist(estimator: Any, settings: Sequence[Settings]) -> Any:
    largest = _largest("max_iter")(estimator, settings)
    if estimator.random_state is not None:
        return largest
    classifier = isinstance(estimator, HistGradientBoostingClassifier)
    few = _FewRowsClassifier if classifier else _FewRowsRegressor
    return few(**largest.get_params(deep=False))


def _part_of_hist(boost: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or estimator.max_iter > boost.max_iter:
        return None
    size = estimator.max_iter
    fitted = copy_fitted(
        boost,
        estimator,
        _predictors=boost._predictors[:size],
        # with early stopping they begin with the score before the first tree
        train_score_=boost.train_score_[: size + 1].copy(),
        validation_score_=boost.validation_score_[: size + 1].copy(),
    )
    if boost._scorer is not None:  # it may hold the estimator itself
        fitted._scorer = check_scoring(fitted, fitted.scoring)
    return fitted


_TREE = Axis("pruning", ("ccp_alpha",), _cold, _unpruned, _pruned)
_FOREST = Axis(
    "trees of the largest forest",
    ("n_estimators", "ccp_alpha"),
    _cold,
    _largest_unpruned,
    _part_of_forest,
    grows="trees",
)
_BAG = Axis(
    "members of the largest bag",
    ("n_estimators",),
    _passes_seed,
    _largest("n_estimators"),
    _part_of_bag,
    grows="members",
)
_ISOLATION = Axis(
    "trees of the largest forest",
    ("n_estimators",),
    _of_all_rows,
    _largest("n_estimators"),
    _part_of_isolation,
    grows="trees",
)
_ADABOOST = Axis(
    "stages of the longest boost",
    ("n_estimators",),
    _passes_seed,
    _largest("n_estimators"),
    _part_of_boost,
    grows="stages",
)
_GRADIENT = Axis(
    "stages of the longest boost",
    ("n_estimators",),
    _cold,
    _largest("n_estimators"),
    _part_of_gradient_boost,
    grows="stages",
)
_HIST = Axis(
    "stages of the longest boost",
    ("max_iter",),
    _hist_applies,
    _largest_hist,
    _part_of_hist,
    grows="stages",
)

AXES: dict[type, Axis] = {
    DecisionTreeClassifier: _TREE,
    DecisionTreeRegressor: _TREE,
    ExtraTreeClassifier: _TREE,
    ExtraTreeRegressor: _TREE,
    RandomForestClassifier: _FOREST,
    RandomForestRegressor: _FOREST,
    ExtraTreesClassifier: _FOREST,
    ExtraTreesRegressor: _FOREST,
    BaggingClassifier: _BAG,
    BaggingRegressor: _BAG,
    IsolationForest: _ISOLATION,
    AdaBoostClassifier: _ADABOOST,
    AdaBoostRegressor: _ADABOOST,
    GradientBoostingClassifier: _GRADIENT,
    GradientBoostingRegressor: _GRADIENT,
    HistGradientBoostingClassifier: _HIST,
    HistGradientBoostingRegressor: _HIST,
}
