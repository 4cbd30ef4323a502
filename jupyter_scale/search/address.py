"""Where a record keeps a cell: an address that is the same wherever the same work is done.

It is made of all that decides a cell's scores: the candidate with its code (see `identity` and
`code`), the data, the rows of the fold, the scorer and the other arguments of the evaluation,
scikit-learn's configuration, and the releases of Python, scikit-learn, NumPy and SciPy. What cannot
be told of one of them leaves the cell without an address; it is then fitted each time. What a cell
predicts has an address, too: of all that, but what concerns the scores alone.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import dask.base
import numpy as np
import scipy
import sklearn
from scipy import sparse

from jupyter_scale.search.identity import Identified, Unidentified, identify
from jupyter_scale.search.internals import scores_itself
from jupyter_scale.search.plan import Fold, Setup
from jupyter_scale.search.steps import Candidate

__all__ = ["Addresses", "fingerprint"]

VERSION = 1
"""Of this module's way to make an address: another one knows none of the cells before."""
_BESIDE = ("verbose",)
_OF_THE_SCORE = (
    *("scorer", "score_params", "error_score"),
    *("return_train_score", "return_n_test_samples", "return_times"),
)
_SHOWN = ("display", "print_changed_only")
_BLOCK = 1 << 24  # bytes that are copied at a time, where memory is not in one piece


def releases() -> tuple[str, ...]:
    """Return the releases that all cells depend on."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return python, sklearn.__version__, np.__version__, scipy.__version__


class Addresses:
    """The addresses of the cells of one evaluation, in one or several plans."""

    def __init__(self) -> None:
        # the values are held, so that an id stays theirs
        self._data: dict[int, tuple[Any, bytes]] = {}
        self._setups: dict[tuple[int, bool], tuple[Setup, bytes | None]] = {}
        self._folds: dict[int, tuple[Fold, bytes]] = {}

    def of(self, setup: Setup, data: list[Any], fold: Fold, candidate: Candidate) -> bytes | None:
        """Return the address of a candidate on a fold, or None."""
        return self._of(setup, data, fold, candidate, scored=True)

    def fitted(
        self, setup: Setup, data: list[Any], fold: Fold, candidate: Candidate
    ) -> bytes | None:
        """Return the address of what it predicts there, whatever it is scored by; or None."""
        return self._of(setup, data, fold, candidate, scored=False)

    def _of(
        self, setup: Setup, data: list[Any], fold: Fold, candidate: Candidate, *, scored: bool
    ) -> bytes | None:
        steps = [step.identity if step else b"" for step in (*candidate.steps, candidate.final)]
        if None in steps:
            return None
        before = self._setup(setup, data, scored)
        if before is None:
            return None
        hasher = blake2b(before, digest_size=16)
        hasher.update(self._fold(fold))
        hasher.update(candidate.root)
        for step in steps:
            hasher.update(step or bytes(16))
        return hasher.digest()

    def _setup(self, setup: Setup, data: list[Any], scored: bool) -> bytes | None:
        key = (id(setup), scored)
        if key not in self._setups:
            try:
                identity = self._common(setup, data, scored)
            except Unidentified:
                identity = None
            self._setups[key] = (setup, identity)
        return self._setups[key][1]

    def data(self, setup: Setup, data: list[Any]) -> bytes:
        """Return a digest of the training vectors and targets."""
        targets = b"" if setup.y is None else self._datum(data[setup.y])
        return blake2b(self._datum(data[setup.X]) + targets, digest_size=16).digest()

    def _common(self, setup: Setup, data: list[Any], scored: bool) -> bytes:
        if setup.options.get("return_estimator") or setup.options.get("return_parameters"):
            raise Unidentified("only scores and times are on record")
        beside = _BESIDE if scored else (*_BESIDE, *_OF_THE_SCORE)
        options = {key: value for key, value in setup.options.items() if key not in beside}
        if not scored and not options.get("fit_params"):
            options.pop("fit_params", None)  # their kind depends on what the scorer is given
        if scores_itself(options.get("scorer")):
            options["scorer"] = "score"  # of the candidate; it holds the search's estimator
        config = {key: value for key, value in setup.config.items() if key not in _SHOWN}
        y = None if setup.y is None else Identified(self._datum(data[setup.y]))
        kind = type(setup.estimator)
        X = Identified(self._datum(data[setup.X]))
        what = (VERSION, releases(), kind, X, y, options, config)
        return identify(what if scored else ("predictions", *what))

    def _datum(self, value: Any) -> bytes:
        if id(value) not in self._data:
            self._data[id(value)] = (value, fingerprint(value))
        return self._data[id(value)][1]

    def _fold(self, fold: Fold) -> bytes:
        if id(fold) not in self._folds:
            self._folds[id(fold)] = (fold, identify((fold.train, fold.test)))
        return self._folds[id(fold)][1]


def fingerprint(value: Any) -> bytes:
    """Return a digest of data: arrays, sparse matrices, DataFrames, Dask collections, lists.

    Large arrays are read once and not copied. A Dask collection is what it is made from, its token;
    an array that is mapped from a file is that file, as it was written last.

    Raises
    ------
    Unidentified
        When the value can neither be read nor pickled.

    Examples
    --------
    >>> fingerprint(np.arange(3)) == fingerprint(np.arange(3))
    True
    >>> fingerprint(np.arange(3)) == fingerprint(np.arange(3.0))
    False
    """
    hasher = blake2b(digest_size=16)
    try:
        for part in _content(value):
            hasher.update(part)
    except Unidentified:
        raise
    except Exception as error:
        name = type(value).__name__
        raise Unidentified(f"{name} cannot be identified ({error})") from error
    return hasher.digest()


def _content(value: Any) -> Iterator[Any]:
    if isinstance(value, np.memmap) and value.filename is not None:
        yield from _mapped(value)
    elif type(value) is np.ndarray and not value.dtype.hasobject and value.dtype.names is None:
        yield from _array(value)
    elif sparse.issparse(value) and value.format in ("csr", "csc"):
        yield f"{type(value).__name__}{value.shape}".encode()
        for array in (value.data, value.indices, value.indptr):
            yield from _array(array)
    elif dask.base.is_dask_collection(value):
        yield dask.base.tokenize(value).encode()
    elif _is_pandas(value):
        yield from _table(value)
    else:
        yield identify(value)


def _mapped(array: np.memmap[Any, Any]) -> Iterator[bytes]:
    """Yield what tells a file from others without reading it: it may be larger than memory."""
    path = os.fspath(array.filename or "")
    found = os.stat(path)
    whole = np.frombuffer(array._mmap, np.uint8)  # type: ignore[attr-defined]  # no public way
    place = _start(array) - _start(whole) + array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    file = (path, found.st_mtime_ns, found.st_size)
    yield identify((file, place, array.dtype.str, array.shape, array.strides))


def _start(array: np.ndarray[Any, Any]) -> int:
    start: int = array.__array_interface__["data"][0]
    return start


def _array(array: np.ndarray[Any, Any]) -> Iterator[Any]:
    # how it lies in memory decides the order of summation
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    yield f"{array.dtype.str}{array.shape}{order}".encode()
    lying = array.T if order == "F" else array
    if not lying.size:
        return
    if lying.flags.c_contiguous:
        yield lying.reshape(-1).view(np.uint8).data
        return
    rows = max(1, _BLOCK // max(1, lying[:1].nbytes))
    for start in range(0, len(lying), rows):
        yield np.ascontiguousarray(lying[start : start + rows]).data


def _is_pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "index")


def _table(table: Any) -> Iterator[Any]:
    """Yield what determines a DataFrame or a Series."""
    yield type(table).__name__.encode()
    yield from _column(table.index.to_series())
    if table.ndim == 1:
        yield identify(table.name)
        yield from _column(table)
        return
    yield identify(table.columns.tolist())
    for place in range(table.shape[1]):
        yield from _column(table.iloc[:, place])


def _column(column: Any) -> Iterator[Any]:
    from pandas.api.types import infer_dtype
    from pandas.util import hash_array

    yield str(column.dtype).encode()
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else None
    if values is not None and not values.dtype.hasobject:
        yield from _array(values)
    elif infer_dtype(column, skipna=False) == "string":
        yield np.asarray(hash_array(np.asarray(column, dtype=object))).data
    elif hasattr(column, "cat"):
        yield from _column(column.cat.codes)
        yield identify((column.cat.categories.tolist(), bool(column.cat.ordered)))
    else:
        yield identify(column.tolist())
