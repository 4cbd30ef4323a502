"""The data of a training, divided among its ranks.

Rows keep the numbers that they have in the data, so that which rank has them is no difference;
each rank gets whole partitions, as many rows as the others as far as they allow, and those that
its worker has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed, delayed
from distributed import Client, Future

from jupyter_scale.clusters.asking import Lost, answers
from jupyter_scale.clusters.backend import reason
from jupyter_scale.parallel.training import TrainingError

__all__ = ["Data", "Held", "Here", "Part", "assign", "data_of"]

Assigned = tuple[list[Any], tuple[int, ...]]
"""The parts of a rank, and the number of the first row of each."""


@dataclass(frozen=True)
class Part:
    """Some rows of all arrays.

    Attributes
    ----------
    columns : tuple of ndarray
        With as many rows each.
    alone : bool
        Whether the data are one array, not several.
    """

    columns: tuple[Any, ...]
    alone: bool


@dataclass(frozen=True)
class Data:
    """What all kinds of data have.

    Attributes
    ----------
    n_rows : int
    alone : bool
        Whether it is one array, not several.
    """

    n_rows: int
    alone: bool


@dataclass(frozen=True)
class Here(Data):
    """Arrays in the notebook's process: each rank is sent its rows, anew for each attempt."""

    columns: tuple[Any, ...]

    def divided(self, client: Client, workers: Sequence[str]) -> list[Assigned]:
        """Return what each rank gets.

        Raises
        ------
        Lost
            When the worker of one is.
        """
        cuts = np.linspace(0, self.n_rows, len(workers) + 1).astype(int).tolist()
        made: list[Assigned] = []
        for worker, low, high in zip(workers, cuts, cuts[1:], strict=False):
            columns = tuple(_rows(column, low, high) for column in self.columns)
            part = Part(columns, self.alone)
            call = client._scatter([part], workers=[worker], hash=False)
            sent = answers(client, {worker: call}, patience=math.inf)
            if worker not in sent:
                raise Lost([worker])
            made.append((list(sent[worker]), (low,)))
        return made


@dataclass(frozen=True)
class Held(Data):
    """Partitions on the cluster: those of a lost worker are computed again."""

    parts: tuple[Future[Any], ...]
    counts: tuple[int, ...]

    def divided(self, client: Client, workers: Sequence[str]) -> list[Assigned]:
        """Return what each rank gets."""
        holders = client.who_has(list(self.parts))
        held = [
            [workers.index(one) for one in holders.get(part.key, ()) if one in workers]
            for part in self.parts
        ]
        starts = [0, *accumulate(self.counts)]
        made: list[Assigned] = []
        for mine in assign(self.counts, held, len(workers)):
            parts: list[Any] = [self.parts[n] for n in mine]
            if not parts:  # its arrays have the others' columns and types, and no rows
                parts = [client.submit(_none, self.parts[0], pure=False)]
            made.append((parts, tuple(starts[n] for n in mine) or (0,)))
        return made


def assign(counts: Sequence[int], held: Sequence[Sequence[int]], ranks: int) -> list[list[int]]:
    """Return which partitions each rank gets: the largest first, to whom has least or holds it.

    Parameters
    ----------
    counts : sequence of int
        Rows of each partition.
    held : sequence of sequence of int
        The ranks whose workers have it.
    ranks : int

    Examples
    --------
    >>> assign([50, 50, 10, 50], [[1], [1], [0], []], 2)
    [[2, 3], [0, 1]]
    """
    even = max(max(counts, default=0), sum(counts) / ranks)
    load = [0] * ranks
    mine: list[list[int]] = [[] for _ in range(ranks)]
    for n in sorted(range(len(counts)), key=lambda n: -counts[n]):
        near = [rank for rank in held[n] if load[rank] + counts[n] <= 1.25 * even]
        rank = min(near or range(ranks), key=lambda rank: load[rank])
        load[rank] += counts[n]
        mine[rank].append(n)
    return [sorted(some) for some in mine]


def data_of(client: Client, data: Any) -> Here | Held | None:
    """Read what `train` was given; compute Dask collections, which stay on the cluster.

    Raises
    ------
    TrainingError
        When it is of no known kind, cannot be computed, or its arrays do not fit each other.
    """
    if data is None:
        return None
    several = isinstance(data, (tuple, list))
    columns = tuple(data) if several else (data,)
    if not columns:
        raise TrainingError("The data are empty: give arrays such as (X, y), or None for no data.")
    if all(isinstance(column, (Delayed, Future)) for column in columns):
        return _held(client, [delayed(_part)(column, alone=True) for column in columns])
    dask = [is_dask_collection(column) for column in columns]
    if all(dask):
        return _held(client, _partitions(columns, not several))
    if any(dask):
        raise TrainingError(
            "Some of the data are Dask collections and some are not: make all the one or the other."
        )
    counts = [_length(column) for column in columns]
    if len(set(counts)) > 1:
        raise TrainingError(f"The data have {_numbers(counts)} rows: all must have as many.")
    return Here(counts[0], not several, columns)


def _length(column: Any) -> int:
    try:
        return int(column.shape[0])
    except (AttributeError, IndexError, TypeError):
        kind = type(column).__name__
        raise TrainingError(
            f"The data hold a {kind}: give arrays, data frames, tensors, Dask collections of them, "
            "or a list of Delayed that are a partition each."
        ) from None


def _rows(column: Any, low: int, high: int) -> Any:
    return np.asarray(column.iloc[low:high] if hasattr(column, "iloc") else column[low:high])


def _partitions(columns: tuple[Any, ...], alone: bool) -> list[Any]:
    """Return a Delayed for each partition, the pieces of all columns."""
    lists = []
    for column in columns:
        if hasattr(column, "rechunk") and column.ndim > 1:
            column = column.rechunk(dict.fromkeys(range(1, column.ndim), -1))
        pieces = column.to_delayed()
        lists.append(list(pieces.ravel()) if hasattr(pieces, "ravel") else list(pieces))
    counts = [len(pieces) for pieces in lists]
    if len(set(counts)) > 1:
        raise TrainingError(
            f"The data have {_numbers(counts)} partitions: rechunk or repartition them alike."
        )
    return [delayed(_part)(*pieces, alone=alone) for pieces in zip(*lists, strict=True)]


def _held(client: Client, parts: list[Any]) -> Held:
    futures: list[Future[Any]] = client.compute(parts)
    try:
        sizes = client.gather(client.map(_sizes, futures, pure=False))
    except Exception as error:
        raise TrainingError(f"The data cannot be computed: {reason(error)}") from error
    for n, (counts, _) in enumerate(sizes):
        if len(set(counts)) > 1:
            raise TrainingError(
                f"Partition {n} of the data has {_numbers(counts)} rows: rechunk or repartition "
                "them alike."
            )
    rows = tuple(counts[0] for counts, _ in sizes)
    return Held(sum(rows), sizes[0][1], tuple(futures), rows)


def _part(*pieces: Any, alone: bool) -> Part:
    """Make a part, on a worker; a single Delayed says itself what it is of."""
    if alone and isinstance(pieces[0], (tuple, list)):
        pieces, alone = tuple(pieces[0]), False
    return Part(tuple(np.asarray(piece) for piece in pieces), alone)


def _sizes(part: Part) -> tuple[list[int], bool]:
    return [len(column) for column in part.columns], part.alone


def _none(part: Part) -> Part:
    return Part(tuple(column[:0] for column in part.columns), part.alone)


def _numbers(counts: Sequence[int]) -> str:
    return " and ".join(f"{count:,}" for count in counts)
