"""Axes of decompositions: one of them, any number of its components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.decomposition._pca import _infer_dimension
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils._set_output import _wrap_data_with_container

from jupyter_scale.search.axes import (
    Axis,
    NotExact,
    Settings,
    accepted,
    copy_fitted,
    defaults,
    seeded,
    valid,
)

__all__ = ["AXES"]

# -- principal components


class _Decomposed(PCA):  # type: ignore[misc]
    """All components, computed where at least one candidate would compute them all."""

    shared_wanted: Sequence[Any] = ()

    def _fit(self, X: Any) -> Any:
        shape, sparse = np.shape(X), issparse(X)
        if not any(_full(self.svd_solver, size, shape, sparse) for size in self.shared_wanted):
            raise NotExact("PCA's solver computes the wanted components only")
        if self.svd_solver == "covariance_eigh" and shape[0] < shape[1]:
            raise NotExact("of more columns than rows, PCA forgets some of the variances")
        return super()._fit(X)


def _full(solver: str, wanted: Any, shape: tuple[int, ...], sparse: bool) -> bool:
    """Tell whether a PCA decomposes in full, whatever it then keeps (``PCA._fit``)."""
    if solver != "auto":
        return True
    if sparse:
        return False
    rows, columns = shape
    if (columns <= 1000 and rows >= 10 * columns) or max(shape) <= 500:
        return True
    if wanted is None:
        wanted = min(shape)
    return isinstance(wanted, str) or not 1 <= wanted < 0.8 * min(shape)


def _decomposes(estimator: Any) -> bool:
    return bool(estimator.copy) and estimator.svd_solver in ("auto", "full", "covariance_eigh")


def _all_components(estimator: Any, settings: Sequence[Settings]) -> Any:
    widest = _Decomposed(**clone(estimator).get_params(deep=False)).set_params(n_components=None)
    widest.shared_wanted = [one.n_components for one in accepted(estimator, settings)]
    for name in ("_sklearn_output_config", "_metadata_request"):
        if hasattr(estimator, name):
            setattr(widest, name, getattr(clone(estimator), name))
    return widest


def _components(shared: Any, estimator: Any) -> Any | None:
    """Keep some of all components, as the end of ``PCA._fit_full`` does."""
    size = estimator.n_components
    rows, columns = shape = (shared.n_samples_, shared.n_features_in_)
    smaller = min(shape)
    if not valid(estimator) or not isinstance(shared.components_, np.ndarray):
        return None
    # a sparse matrix that is decomposed at all was not left to "auto"
    if not _full(estimator.svd_solver, size, shape, sparse=False):
        return None
    variances = shared.explained_variance_
    if shared._fit_svd_solver == "covariance_eigh":
        # there they lie in memory in ascending order, and so they are summed
        variances = np.flip(np.ascontiguousarray(np.flip(variances)))
    if size is None:
        size = smaller
    elif size == "mle":
        if rows < columns:
            return None
        size = _infer_dimension(variances, rows)
    elif 0 < size < 1.0:
        size = np.searchsorted(np.cumsum(shared.explained_variance_ratio_), size, "right") + 1
    elif size > smaller:
        return None
    return copy_fitted(
        shared,
        estimator,
        noise_variance_=np.mean(variances[size:]) if size < smaller else 0.0,
        n_components_=size,
        # the copy keeps the order in memory, which decides the order of summation in transform
        components_=np.array(shared.components_[:size, :]),
        explained_variance_=np.array(variances[:size]),
        explained_variance_ratio_=np.array(shared.explained_variance_ratio_[:size]),
        singular_values_=np.array(shared.singular_values_[:size]),
    )


def _projected(shared: Any, derived: Any, X: Any, output: Any) -> Any:
    """Return the part of U (times S) that is kept, where fitting made U."""
    if shared._fit_svd_solver != "full":
        return derived.transform(X)
    kept = np.array(np.asarray(output)[:, : derived.n_components_])
    return (
        kept
        if isinstance(output, np.ndarray)
        else _wrap_data_with_container("transform", kept, X, derived)
    )


# -- discriminants


def _discriminants(shared: Any, estimator: Any) -> Any | None:
    count = estimator.n_components
    if not valid(estimator) or (count is not None and count > shared._max_components):
        return None
    fitted = copy_fitted(shared, estimator)
    if count is not None:
        fitted._max_components = fitted._n_features_out = count
        if hasattr(shared, "explained_variance_ratio_"):
            fitted.explained_variance_ratio_ = shared.explained_variance_ratio_[:count]
    return fitted


AXES: dict[type, Axis] = {
    PCA: Axis(
        "components of the full decomposition",
        ("n_components",),
        _decomposes,
        _all_components,
        _components,
        _projected,
    ),
    LinearDiscriminantAnalysis: Axis(
        "components of all discriminants",
        ("n_components",),
        seeded,
        defaults("n_components"),
        _discriminants,
    ),
}
