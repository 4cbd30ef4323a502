"""Axes of ridge regression: one Gram matrix or decomposition, any penalty.

scikit-learn's ``fit`` runs up to the point where it would solve (``_BaseRidge.fit``); what it would
compute for every penalty again is kept, and solving is a few lines of ``_ridge_regression``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from scipy import linalg
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.linear_model._base import _preprocess_data, _rescale_data
from sklearn.linear_model._ridge import _BaseRidge, _solve_cholesky_kernel
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import _check_sample_weight

from jupyter_scale.search.axes import Axis, NotExact, Settings, copy_fitted, valid

__all__ = ["AXES"]


class _Decomposed(_BaseRidge):  # type: ignore[misc]
    """Stands between a ridge and its base, which would solve."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        if issparse(X):
            raise NotExact("the penalty of sparse data is part of an iteration")
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        X, y, *self.shared_offsets, _ = _preprocess_data(
            X,
            y,
            fit_intercept=self.fit_intercept,
            copy=self.copy_X,
            sample_weight=sample_weight,
            rescale_with_sw=False,
        )
        if y.ndim == 1:
            y = np.reshape(y, (-1, 1))
        if sample_weight is not None:
            X, y, _ = _rescale_data(X, y, sample_weight)
        rows, columns = X.shape
        self.shared_pieces: tuple[Any, ...]
        if self.solver == "svd":
            U, s, Vt = np.linalg.svd(X, full_matrices=False)
            self.shared_pieces = ("svd", s, U.T @ y, Vt)
        elif columns > rows:
            self.shared_pieces = ("dual", safe_sparse_dot(X, X.T), y, X)
        else:
            self.shared_pieces = ("primal", safe_sparse_dot(X.T, X), safe_sparse_dot(X.T, y))
        return self


class _Regression(Ridge, _Decomposed):  # type: ignore[misc]
    pass


class _Classification(RidgeClassifier, _Decomposed):  # type: ignore[misc]
    pass


def _direct(ridge: Any) -> bool:
    """Apply when the system of equations is solved directly, in a copy of the data."""
    return ridge.solver in ("auto", "cholesky", "svd") and bool(ridge.copy_X) and not ridge.positive


def _decomposed(estimator: Any, settings: Sequence[Settings]) -> Any:
    kind = _Classification if isinstance(estimator, RidgeClassifier) else _Regression
    return kind(**{**clone(estimator).get_params(deep=False), "alpha": 1.0})


def _penalised(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator) or not isinstance(estimator.alpha, Real):
        return None
    kind, *pieces = shared.shared_pieces
    alpha = np.asarray([estimator.alpha], dtype=pieces[0].dtype)
    try:
        coef = _SOLVERS[kind](*pieces, alpha)
    except linalg.LinAlgError:  # its own fit takes another way
        return None
    if coef.shape[0] == 1:
        coef = np.ravel(coef)
    solver = "cholesky" if estimator.solver == "auto" else estimator.solver
    fitted = copy_fitted(shared, estimator, coef_=coef, n_iter_=None, solver_=solver)
    fitted._set_intercept(*shared.shared_offsets)
    return fitted


def _primal(gram: Any, projected: Any, alpha: Any) -> Any:
    penalised = gram.copy()
    penalised.flat[:: len(gram) + 1] += alpha[0]
    return linalg.solve(penalised, projected, assume_a="pos", overwrite_a=True).T


def _dual(kernel: Any, y: Any, X: Any, alpha: Any) -> Any:
    dual = _solve_cholesky_kernel(kernel.copy(), y, alpha)
    return safe_sparse_dot(X.T, dual, dense_output=True).T


def _svd(s: Any, projected: Any, Vt: Any, alpha: Any) -> Any:
    kept = s > 1e-15
    positive = s[kept][:, None]
    d = np.zeros((len(s), projected.shape[1]), dtype=s.dtype)
    d[kept] = positive / (positive**2 + np.repeat(alpha, projected.shape[1]))
    return (Vt.T @ (d * projected)).T


_SOLVERS: dict[str, Callable[..., Any]] = {"primal": _primal, "dual": _dual, "svd": _svd}

_RIDGE = Axis("penalties of one decomposition", ("alpha",), _direct, _decomposed, _penalised)

AXES: dict[type, Axis] = {Ridge: _RIDGE, RidgeClassifier: _RIDGE}
