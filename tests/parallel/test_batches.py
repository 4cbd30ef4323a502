"""Batches and partitions: pure functions."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_scale.parallel.batches import batches, local
from jupyter_scale.parallel.shards import assign


@pytest.mark.parametrize("n_rows", [1, 10, 23])
@pytest.mark.parametrize("size", [1, 5, 23, 40])
@pytest.mark.parametrize("ranks", [1, 3, 30])
def test_the_parts_of_all_ranks_are_the_batch(n_rows: int, size: int, ranks: int) -> None:
    owner = np.random.default_rng(0).integers(ranks, size=n_rows)
    mine = [np.flatnonzero(owner == rank) for rank in range(ranks)]
    parts = [local(rows, n_rows, size, (7, 2)) for rows in mine]
    whole = list(batches(n_rows, size, seed=7, epoch=2))
    assert {len(some) for some in parts} == {len(whole)}
    for step, batch in enumerate(whole):
        together = np.concatenate([mine[rank][parts[rank][step]] for rank in range(ranks)])
        np.testing.assert_array_equal(np.sort(together), np.sort(batch))
    np.testing.assert_array_equal(np.sort(np.concatenate(whole)), np.arange(n_rows))


def test_epochs_and_seeds_differ() -> None:
    orders = [next(batches(50, 50, seed=s, epoch=e)).tolist() for s in (0, 1) for e in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_rows_come_as_they_are_without_an_order() -> None:
    parts = local(np.array([1, 2, 4]), 5, 2, None)
    assert [part.tolist() for part in parts] == [[0], [1], [2]]


def test_partitions_stay_where_they_are_unless_that_is_uneven() -> None:
    assert assign([10, 10, 10, 10], [[0], [1], [0], [1]], 2) == [[0, 2], [1, 3]]
    loads = [sum([10] * len(mine)) for mine in assign([10] * 8, [[0]] * 8, 2)]
    assert max(loads) <= 50
    assert assign([5], [[1]], 2) == [[], [0]]
