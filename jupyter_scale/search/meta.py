"""Meta-estimators whose inner fits can be shared: which estimators each fits, and on what.

A `Part` is an estimator that a meta-estimator fits. Parts of a union, a ColumnTransformer or an
ensemble are planned one by one, as their data are known before anything runs: the rows of the
meta-estimator itself, or columns of them. The inner estimator of other meta-estimators is fitted
on data that only they know (inner folds, a transformed target): such fits are *recorded* by the
content of their data, and shared by candidates that vary nothing but the meta-estimator's own
parameters.

Only scikit-learn's own classes are known, by their exact type: a subclass may do anything. A
meta-estimator that is not known here is one piece of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import Binarizer, FunctionTransformer, Normalizer, PolynomialFeatures

__all__ = ["Part", "parts", "rowwise", "works_by_row"]


@dataclass(frozen=True, slots=True)
class Part:
    """An estimator inside a meta-estimator.

    Attributes
    ----------
    name : str
        As in the parameters: ``name__parameter``.
    estimator : estimator
    columns : tuple
        Empty, or what the ColumnTransformer selects the columns with.
    context : tuple
        What else bears on the part's fit, besides its own parameters and data.
    crossed : bool
        Cross-validated predictions belong to it, besides its fit.
    recorded : bool
        Its data are known to the meta-estimator only.
    """

    name: str
    estimator: Any
    columns: tuple[Any, ...] = ()
    context: tuple[Any, ...] = ()
    crossed: bool = False
    recorded: bool = False


def parts(estimator: Any) -> list[Part]:
    """Return the parts of a meta-estimator in the order in which it fits them.

    Parameters
    ----------
    estimator : estimator
        Configured, not fitted.

    Returns
    -------
    list of Part
        Empty for an estimator that is no known meta-estimator.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.feature_selection import SelectKBest
    >>> from sklearn.pipeline import make_union
    >>> [part.name for part in parts(make_union(PCA(), SelectKBest()))]
    ['pca', 'selectkbest']
    """
    rule = _RULES.get(type(estimator))
    return [] if rule is None else list(rule(estimator))


def _estimator(value: Any) -> bool:
    return hasattr(value, "get_params") and hasattr(value, "fit") and not isinstance(value, type)


def _union(union: Any) -> Iterator[Part]:
    for name, transformer in union.transformer_list:
        if _estimator(transformer):
            yield Part(name, transformer)


def _columns(transformer: Any) -> Iterator[Part]:
    for name, part, columns in transformer.transformers:
        if _estimator(part):
            yield Part(name, part, (columns,))
    if _estimator(transformer.remainder):
        others = tuple(columns for _, _, columns in transformer.transformers)
        yield Part("remainder", transformer.remainder, ("remainder", others))


def _voting(ensemble: Any) -> Iterator[Part]:
    for name, member in ensemble.estimators:
        if _estimator(member):
            yield Part(name, member, context=(type(ensemble),))  # a classifier encodes y


def _stacking(ensemble: Any) -> Iterator[Part]:
    cv = ensemble.cv
    draws = getattr(cv, "random_state", 0) is None and getattr(cv, "shuffle", True)
    # "prefit" fits nothing; splits that are drawn anew must be the same for all members
    if draws or isinstance(cv, str):
        return
    context = (type(ensemble), cv, ensemble.stack_method)
    for name, member in ensemble.estimators:
        if _estimator(member):
            yield Part(name, member, context=context, crossed=True)


def _recorded(name: str, *bearing: str) -> Callable[[Any], Iterator[Part]]:
    """Return the rule of a meta-estimator that fits its parameter `name` on data of its own."""

    def rule(estimator: Any) -> Iterator[Part]:
        inner = getattr(estimator, name)
        if _estimator(inner) and not getattr(estimator, "prefit", False):
            context = (type(estimator), *(getattr(estimator, key) for key in bearing))
            yield Part(name, inner, context=context, recorded=True)

    return rule


_RULES: dict[type, Callable[[Any], Iterator[Part]]] = {
    FeatureUnion: _union,
    ColumnTransformer: _columns,
    VotingClassifier: _voting,
    VotingRegressor: _voting,
    StackingClassifier: _stacking,
    StackingRegressor: _stacking,
    SelectFromModel: _recorded("estimator"),
    FixedThresholdClassifier: _recorded("estimator"),
    TunedThresholdClassifierCV: _recorded("estimator", "cv", "refit", "random_state"),
    CalibratedClassifierCV: _recorded("estimator", "cv", "ensemble"),
    TransformedTargetRegressor: _recorded("regressor", "transformer", "func", "inverse_func"),
}


_BY_ROW = (Binarizer, FeatureHasher, HashingVectorizer, Normalizer, PolynomialFeatures)


def rowwise(function: Any) -> Any:
    """Declare that a function of X treats each row by itself.

    A FunctionTransformer with such a function, standing first in a Pipeline, is computed once for
    all folds.

    Parameters
    ----------
    function : callable
        Takes X of shape (n_samples, ...) and returns as many rows, each computed from its own row
        alone.

    Returns
    -------
    callable
        The same function, so this serves as a decorator.

    Examples
    --------
    >>> @rowwise
    ... def lengths(texts):
    ...     return [[len(text)] for text in texts]
    """
    function.__rowwise__ = True
    return function


def works_by_row(estimator: Any) -> bool:
    """Tell whether `estimator` learns nothing and transforms each row by itself."""
    if type(estimator) is FunctionTransformer:
        function = estimator.func
        elementwise = isinstance(function, np.ufunc) and function.nin == function.nout == 1
        return function is not None and (elementwise or hasattr(function, "__rowwise__"))
    return type(estimator) in _BY_ROW
