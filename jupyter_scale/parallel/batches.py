"""Which rows are in which batch: the same for any number of ranks, from the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["batches", "local"]

Rows = NDArray[np.int64]


def batches(n_rows: int, size: int, *, seed: int = 0, epoch: int = 0) -> Iterator[Rows]:
    """Yield the rows of each global batch of an epoch, as `Context.batches` takes them.

    By it a loop in one process trains on the very batches of `train`.

    Parameters
    ----------
    n_rows : int
        Of all the data.
    size : int
        Rows of a global batch; the last one has what is left.
    seed : int
        That of `train`.
    epoch : int
        Counted from 0.

    Yields
    ------
    ndarray of shape (size,)
        Numbers of rows.

    Examples
    --------
    >>> [rows.tolist() for rows in batches(5, 2, seed=1)]
    [[4, 0], [1, 2], [3]]
    """
    order = _order(n_rows, seed, epoch)
    for start in range(0, n_rows, size):
        yield order[start : start + size]


def local(mine: Rows, n_rows: int, size: int, order: tuple[int, int] | None) -> list[Rows]:
    """Return which of a rank's own rows are in each global batch: for many batches none.

    Parameters
    ----------
    mine : ndarray of int
        The numbers, among all rows, of those that a rank has.
    n_rows, size : int
        Rows of all ranks, and of a global batch.
    order : (int, int) or None
        Seed and epoch; None takes rows as they come.

    Examples
    --------
    >>> [rows.tolist() for rows in local(np.array([0, 4]), 5, 2, (1, 0))]
    [[1, 0], [], []]
    """
    if order is None:
        place = mine
    else:
        where = np.empty(n_rows, dtype=np.int64)
        where[_order(n_rows, *order)] = np.arange(n_rows)
        place = where[mine]
    sorter = np.argsort(place, kind="stable")
    cuts = np.searchsorted(place[sorter], np.arange(size, n_rows, size))
    return np.split(sorter, cuts)


def _order(n_rows: int, seed: int, epoch: int) -> Rows:
    return np.random.default_rng((seed, epoch)).permutation(n_rows)
