"""Axes: parameters for which one fit answers every candidate exactly.

A forest of 100 trees holds the forest of 10; the neighbours of a point do not depend on how many of
them vote. An `Axis` says, for one class of estimators, which fit answers all candidates (`widest`)
and how each is taken from it (`derive`). What is not bit-identical to a fit of its own is not a
rule, and a rule holds only for the scikit-learn versions that its tests have passed (`TESTED`).

The rules for scikit-learn are in `ensembles`, `predictors`, `ridges`, `selectors`,
`decompositions` and `documents`. Other packages name
theirs under the entry-point group ``jupyter_scale.axes``; it is looked into when an estimator of
another package is met, and only the rule for that very class is loaded. The name of an entry point
is the full name of the class, its value leads to the `Axis`::

    [project.entry-points."jupyter_scale.axes"]
    "package.module.Shrunken" = "package.axes:SHRUNKEN"

Such a rule may be as short as this:

>>> import numpy as np
>>> from sklearn.base import BaseEstimator, RegressorMixin, clone
>>> from jupyter_scale.search.axes import Axis, copy_fitted
>>> class Shrunken(RegressorMixin, BaseEstimator):
...     def __init__(self, factor=1.0):
...         self.factor = factor
...     def fit(self, X, y):
...         self.mean_ = np.mean(y)
...         return self
...     def predict(self, X):
...         return np.full(len(X), self.factor * self.mean_)
>>> SHRUNKEN = Axis(
...     name="shrinkage after the fit",
...     parameters=("factor",),
...     applies=lambda estimator: True,
...     widest=lambda estimator, settings: clone(estimator),
...     derive=copy_fitted,
... )
>>> shared = SHRUNKEN.widest(Shrunken(), [{"factor": 1.0}, {"factor": 0.5}]).fit([[0]], [8.0])
>>> SHRUNKEN.derive(shared, Shrunken(factor=0.5)).predict([[0], [1]])
array([4., 4.])
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import sklearn
from sklearn.base import clone

from jupyter_scale.search.identity import unseeded

__all__ = [
    "GROUP",
    "TESTED",
    "Axis",
    "NotExact",
    "Settings",
    "accepted",
    "always",
    "copy_fitted",
    "defaults",
    "find",
    "known",
    "seeded",
    "valid",
]

TESTED = ("1.8", "1.9")
"""Minor versions of scikit-learn with which the suite of the rules has passed."""

GROUP = "jupyter_scale.axes"
"""The entry-point group of other packages' rules."""

Settings = Mapping[str, Any]
"""The values of all parameters of an axis, of one candidate."""


class NotExact(Exception):
    """The data rule the shared fit out: each candidate has to be fitted by itself."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How one fit answers all candidates that differ in some parameters only.

    Equal means equal to the last bit in everything that predicts, transforms or scores. Two things
    are not part of it: the state in which a ``RandomState`` given as ``random_state`` is left,
    and private attributes that only a second fit would read.

    Parameters
    ----------
    name : str
        For the plan's report.
    parameters : tuple of str
        The parameters in which the candidates may differ.
    applies : callable
        ``applies(estimator)`` of a configured, unfitted estimator: whether its other parameters
        allow for the rule.
    widest : callable
        ``widest(estimator, settings)``: a new unfitted estimator whose ``fit`` (of a transformer,
        also whose ``fit_transform``) answers all `settings`. It must not be cloned. When its fit
        raises, `NotExact` or anything else, each candidate is to be fitted by itself.
    derive : callable
        ``derive(shared, estimator)`` of that fit and a candidate's unfitted estimator: a new
        fitted estimator, or None where only a fit of its own will do. `shared` is left as it is.
    output : callable, optional
        ``output(shared, derived, X, widest_output)``: what the candidate's ``fit_transform(X)``
        would have returned, in the same memory layout. None: ``derived.transform(X)``.
    grows : str, optional
        What a fit grows as many of as the first of the parameters says, for the plan's report:
        ``"trees"``.
    """

    name: str
    parameters: tuple[str, ...]
    applies: Callable[[Any], bool]
    widest: Callable[[Any, Sequence[Settings]], Any]
    derive: Callable[[Any, Any], Any | None]
    output: Callable[[Any, Any, Any, Any], Any] | None = None
    grows: str = ""


def find(estimator: Any) -> Axis | None:
    """Return the axis of an estimator, or None.

    Parameters
    ----------
    estimator : estimator
        Configured and unfitted. Its class must be the very class of a rule: a subclass may do
        anything.

    Returns
    -------
    Axis or None
        None where there is no rule or it does not apply.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> find(RandomForestClassifier(random_state=0)).parameters
    ('n_estimators', 'ccp_alpha')
    >>> find(RandomForestClassifier()) is None  # each fit draws anew
    True
    """
    axis = known(estimator)
    return axis if axis is not None and axis.applies(estimator) else None


def known(estimator: Any) -> Axis | None:
    """Return the axis that an estimator has in some settings, whether or not in this one."""
    kind = type(estimator)
    return _own().get(kind) if _is_sklearn(kind) else _foreign(_path(kind))


def copy_fitted(shared: Any, estimator: Any, **attributes: Any) -> Any:
    """Return a copy of an unfitted estimator with what `shared` learned.

    Parameters
    ----------
    shared : estimator
        Fitted, of the same class, or of a subclass that keeps more than a fit does in attributes
        that begin with ``shared_``.
    estimator : estimator
        Unfitted.
    **attributes
        Take the place of those of `shared`.

    Returns
    -------
    estimator
        New. It shares with `shared` the objects that it learned.
    """
    fitted = clone(estimator)
    parameters = fitted.get_params(deep=False)
    for name, value in vars(shared).items():
        if name not in parameters and not name.startswith("shared_"):
            vars(fitted)[name] = value
    vars(fitted).update(attributes)
    return fitted


def valid(estimator: Any) -> bool:
    """Tell whether scikit-learn will accept the parameters of an estimator."""
    try:
        estimator._validate_params()
    except ValueError:
        return False
    return True


def accepted(estimator: Any, settings: Sequence[Settings]) -> list[Any]:
    """Return the candidates whose parameters scikit-learn accepts, configured."""
    candidates = [clone(estimator).set_params(**values) for values in settings]
    return [candidate for candidate in candidates if valid(candidate)]


def seeded(estimator: Any) -> bool:
    """Tell whether every draw of an estimator and of those inside it comes from a seed."""
    return not unseeded(estimator)


def always(estimator: Any) -> bool:
    """Apply whatever the other parameters are."""
    return True


def defaults(*names: str) -> Callable[[Any, Sequence[Settings]], Any]:
    """Return a `widest` that gives parameters their default: what is learned is always the same."""

    def widest(estimator: Any, settings: Sequence[Settings]) -> Any:
        parameters = inspect.signature(type(estimator)).parameters
        return clone(estimator).set_params(**{name: parameters[name].default for name in names})

    return widest


def _is_sklearn(kind: type) -> bool:
    return kind.__module__.split(".", 1)[0] == "sklearn"


@functools.cache
def _own() -> dict[type, Axis]:
    """Return the rules for the installed scikit-learn."""
    if ".".join(sklearn.__version__.split(".")[:2]) not in TESTED:
        return {}
    from jupyter_scale.search import (
        decompositions,
        documents,
        ensembles,
        predictors,
        ridges,
        selectors,
    )

    return {
        **decompositions.AXES,
        **documents.AXES,
        **ensembles.AXES,
        **predictors.AXES,
        **ridges.AXES,
        **selectors.AXES,
    }


@functools.cache
def _foreign(path: str) -> Axis | None:
    """Return the rule that a package has registered for a class."""
    for entry in metadata.entry_points(group=GROUP, name=path):
        try:
            axis = entry.load()
            if not isinstance(axis, Axis):
                raise TypeError(f"{entry.value} is not an Axis")
            return axis
        except Exception as error:
            warnings.warn(f"the axis of {path} is ignored: {error}", stacklevel=3)
    return None


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
