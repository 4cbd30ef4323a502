"""Shared data: nobody can change what another sees, and memory layout survives the way."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jupyter_scale.search.sharing import Parcel, aliased, changed, freeze, private, view

BASE = np.arange(24.0).reshape(4, 6)
LAYOUTS = {
    "c": BASE,
    "fortran": np.asfortranarray(BASE),
    "columns": BASE[:, ::2],
    "slice": BASE[:, :3],
    "backwards": BASE[::-1],
    "transposed slice": BASE[:, 1:4].T,
    "empty": BASE[:0],
    "zero": np.array(3.0),
}


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layout_survives(array: np.ndarray[Any, Any]) -> None:
    copies = [
        private(array),
        pickle.loads(pickle.dumps(Parcel(array), protocol=5)).value,
        view(freeze(array)),
    ]
    for result in copies:
        np.testing.assert_array_equal(result, array)
        assert result.dtype == array.dtype
        if array.size > 1:
            assert result.strides == array.strides
    assert private(array).flags.writeable
    assert not np.shares_memory(private(array), array)


def test_a_frozen_array_cannot_be_written_and_the_original_can() -> None:
    array = BASE.copy()
    shared = view(freeze(array))
    with pytest.raises(ValueError, match="read-only"):
        shared += 1
    with warnings.catch_warnings():  # NumPy 2.5 deprecates what older code still does
        warnings.filterwarnings("ignore", "Setting the shape", DeprecationWarning)
        shared.shape = (24,)  # of this view alone
    array[0, 0] = 5.0
    assert freeze(array).shape == (4, 6)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array])
def test_frozen_sparse_matrices(kind: str, make: Any) -> None:
    matrix = make(np.eye(4)).asformat(kind)
    shared = view(freeze(matrix))
    with pytest.raises(ValueError, match="read-only"):
        shared.data[...] = 2
    shared.data = shared.data * 2  # rebinding is its own affair
    np.testing.assert_array_equal(matrix.toarray(), np.eye(4))
    mine = private(freeze(matrix))
    mine.data[...] = 3
    np.testing.assert_array_equal(freeze(matrix).toarray(), np.eye(4))


def test_frames_and_lists_are_isolated_and_watched() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]})
    series = frame["a"].copy()
    words = ["x", "y"]
    for original, write in (
        (frame, lambda seen: seen.insert(0, "c", 1)),
        (frame, lambda seen: seen.__setitem__("a", 5)),
        (series, lambda seen: seen.__setitem__(0, 9)),
        (words, lambda seen: seen.append("z")),
        (words, lambda seen: seen.__setitem__(0, "z")),
    ):
        before = copy.deepcopy(original)
        seen = view(freeze(original))
        assert not changed(seen, original)
        write(seen)
        assert changed(seen, original)
        assert not changed(original, before)


class Unknown:
    def __init__(self) -> None:
        self.values = [1]


def test_an_unknown_type_is_copied() -> None:
    original = Unknown()
    seen = view(freeze(original))
    seen.values.append(2)
    assert original.values == [1]


def test_aliases() -> None:
    array = BASE.copy()
    assert aliased(array, array)
    assert aliased(array[1:], array)
    assert not aliased(array.copy(), array)
    matrix = sparse.csr_matrix(np.eye(3))
    assert aliased(sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr)), matrix)
    assert not aliased(matrix.copy(), matrix)
    assert not aliased(["a"], ["a"])
    assert aliased(pd.DataFrame(array), array), "if in doubt, yes"
