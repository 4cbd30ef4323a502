"""Axes of XGBoost and LightGBM: the first rounds of the longest boosting.

They are registered as those of any other package, under the entry points of this one, and need
neither package to be installed. What the tests have found not to be exact is left out: ``dart``
weighs earlier trees anew, ``gblinear`` has no rounds to cut, early stopping looks at other rows.
From 3.4 on, an XGBoost model keeps the state of its random numbers, which a cut one does not have.

LightGBM chooses between building histograms by rows or by columns by measuring which is faster,
and promises the same sums for a fixed choice only. Hence its rule asks for ``force_col_wise`` or
``force_row_wise``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

from sklearn.base import clone

from jupyter_scale.search.axes import Axis, Settings, copy_fitted

__all__ = ["LIGHTGBM", "TESTED", "XGBOOST"]

TESTED = {"lightgbm": ("4.6", "4.7"), "xgboost": ("3.1", "3.2")}
"""Minor versions with which the suite of these rules has passed."""


def _tested(estimator: Any) -> bool:
    package = type(estimator).__module__.split(".", 1)[0]
    version = getattr(sys.modules.get(package), "__version__", "")
    return ".".join(version.split(".")[:2]) in TESTED[package]


def _rounds(estimator: Any) -> int:
    """Return the number of rounds, or 0 if only its package can say what it means."""
    count = estimator.n_estimators
    plain = isinstance(count, Integral) and not isinstance(count, bool)
    return max(int(count), 0) if plain else 0


def _longest(estimator: Any, settings: Sequence[Settings]) -> Any:
    candidates = [clone(estimator).set_params(**values) for values in settings]
    return max(candidates, key=_rounds)


# -- XGBoost

_XGBOOST_TREES = {
    "booster": (None, "gbtree"),
    "tree_method": (None, "auto", "hist", "approx", "exact"),
    "device": (None, "cpu"),
    "early_stopping_rounds": (None,),
    "callbacks": (None,),
}


def _xgboost_trees(estimator: Any) -> bool:
    return (
        _tested(estimator)
        and all(getattr(estimator, name) in known for name, known in _XGBOOST_TREES.items())
        and (estimator.objective is None or isinstance(estimator.objective, str))
        and not getattr(estimator, "kwargs", None)  # parameters of another name
        # get_params draws from any other, so that not even a clone of it is the same
        and (estimator.random_state is None or isinstance(estimator.random_state, Integral))
    )


def _xgboost_part(shared: Any, estimator: Any) -> Any | None:
    rounds = _rounds(estimator)
    booster = shared.get_booster()
    if not 1 <= rounds <= booster.num_boosted_rounds() or hasattr(shared, "evals_result_"):
        return None
    fitted = copy_fitted(shared, estimator, _Booster=booster[:rounds])
    fitted.objective = shared.objective  # a classifier's fit sets it for more than two classes
    return fitted


# -- LightGBM

_LIGHTGBM_OTHER = {
    "deterministic",
    "force_col_wise",
    "force_row_wise",
    "n_estimators",  # set_params notes every parameter as another one, too
    "verbose",
    "verbosity",
}


def _lightgbm_trees(estimator: Any) -> bool:
    own = type(estimator)().get_params(deep=False)
    given = estimator.get_params(deep=False)
    other = {name: value for name, value in given.items() if name not in own}
    return (
        _tested(estimator)
        and estimator.boosting_type == "gbdt"
        and (estimator.objective is None or isinstance(estimator.objective, str))
        and set(other) <= _LIGHTGBM_OTHER
        and bool(other.get("force_col_wise") or other.get("force_row_wise"))
    )


def _lightgbm_part(shared: Any, estimator: Any) -> Any | None:
    rounds = _rounds(estimator)
    if not 1 <= rounds <= shared.n_estimators or shared._evals_result:
        return None
    given = vars(clone(estimator))
    part = _lightgbm_booster(shared._Booster, rounds)
    return copy_fitted(shared, estimator, _Booster=part, _other_params=given["_other_params"])


def _lightgbm_booster(booster: Any, rounds: int) -> Any:
    """Return a booster as it comes out of a pickle, with its first rounds only."""
    state = booster.__getstate__()
    whole = f"[num_iterations: {booster.params['num_iterations']}]\n"
    text = booster.model_to_string(num_iteration=rounds)
    state["_handle"] = text.replace(whole, f"[num_iterations: {rounds}]\n")
    state["params"] = {**booster.params, "num_iterations": rounds}
    part = object.__new__(type(booster))
    part.__setstate__(state)
    return part


def _boosting(applies: Callable[[Any], bool], derive: Callable[[Any, Any], Any | None]) -> Axis:
    name = "rounds of the longest boosting"
    return Axis(name, ("n_estimators",), applies, _longest, derive, grows="rounds")


XGBOOST = _boosting(_xgboost_trees, _xgboost_part)
LIGHTGBM = _boosting(_lightgbm_trees, _lightgbm_part)
