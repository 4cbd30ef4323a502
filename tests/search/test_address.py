"""Data are their values; an address is that of all that decides a score."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jupyter_scale.search.address import fingerprint

ROWS = np.arange(12.0).reshape(4, 3)
FRAME = {"a": [1, 2], "b": ["x", "y"], "c": pd.Categorical(["u", "v"])}

DIFFERENT: list[Callable[[], Any]] = [
    lambda: ROWS,
    lambda: ROWS.astype(np.float32),
    lambda: ROWS.reshape(3, 4),
    lambda: np.asfortranarray(ROWS),
    lambda: ROWS + 1,
    lambda: ROWS.astype(object),
    lambda: sparse.csr_matrix(ROWS),
    lambda: sparse.csc_matrix(ROWS),
    lambda: sparse.csr_array(ROWS),
    lambda: sparse.coo_matrix(ROWS),
    lambda: pd.DataFrame(FRAME),
    lambda: pd.DataFrame({**FRAME, "b": ["x", "z"]}),
    lambda: pd.DataFrame({**FRAME, "c": pd.Categorical(["u", "v"], ["v", "u"])}),
    lambda: pd.DataFrame(FRAME, index=[1, 2]),
    lambda: pd.DataFrame(FRAME).rename(columns={"a": "d"}),
    lambda: pd.DataFrame({**FRAME, "a": [1, "2"]}),
    lambda: pd.DataFrame({**FRAME, "a": ["1", "2"]}),
    lambda: pd.DataFrame({**FRAME, "a": [1, None]}),
    lambda: pd.Series([1, 2], name="a"),
    lambda: pd.Series([1, 2], name="b"),
    lambda: pd.Series(["x", "y"], dtype="string"),
    lambda: pd.Series(["x", None], dtype="string"),
    lambda: pd.to_datetime(pd.Series(["2020-01-01"])),
    lambda: ["a text", "another"],
    lambda: ["a text", "another "],
    lambda: da.arange(4, chunks=2),
    lambda: da.arange(5, chunks=2),
    lambda: None,
]


def test_different_data_differ() -> None:
    assert len({fingerprint(make()) for make in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize("make", DIFFERENT)
def test_equal_data_are_equal(make: Callable[[], Any]) -> None:
    assert fingerprint(make()) == fingerprint(make())


def test_a_mapped_file_is_not_read(tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, ROWS)

    def opened(name: str) -> Any:
        return np.load(tmp_path / name, mmap_mode="r")

    before = fingerprint(opened("a.npy"))
    assert fingerprint(opened("a.npy")) == before
    assert fingerprint(opened("b.npy")) != before
    parts = [opened("a.npy")[:2], opened("a.npy")[1:3], opened("a.npy")[::2], opened("a.npy")]
    assert len({fingerprint(part) for part in parts}) == 4
    assert fingerprint(opened("a.npy")[1:3]) == fingerprint(parts[1])
    np.save(tmp_path / "a.npy", ROWS + 1)
    os.utime(tmp_path / "a.npy", (1, 1))
    assert fingerprint(opened("a.npy")) != before


def test_memory_in_pieces_is_read_as_it_is() -> None:
    wide = np.arange(1200.0).reshape(100, 12)
    assert fingerprint(wide[:, ::3]) == fingerprint(np.ascontiguousarray(wide[:, ::3]))
    assert fingerprint(np.arange(10)[::-1]) == fingerprint(np.arange(9, -1, -1))
    assert fingerprint(np.array(1.0)) != fingerprint(np.array([1.0]))
    assert fingerprint(np.empty((0, 3))) != fingerprint(np.empty((0, 4)))
