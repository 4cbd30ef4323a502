"""What a function that is trained by `train` sees: its rank, its rows, the average, checkpoints."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_scale.parallel.batches import local
from jupyter_scale.parallel.gradients import average
from jupyter_scale.parallel.job import Job

if TYPE_CHECKING:
    import torch

__all__ = ["Context", "Saved", "Shard"]

SHARE = 0.1  # of the time, for checkpoints


@dataclass(frozen=True)
class Shard:
    """A rank's own rows.

    Attributes
    ----------
    columns : tuple of ndarray
        With as many rows each, such as X and y.
    rows : ndarray of int
        Their numbers among the rows of all ranks.
    n_rows : int
        Of all ranks.
    alone : bool
        Whether the data are one array, not several.
    """

    columns: tuple[Any, ...]
    rows: Any
    n_rows: int
    alone: bool


@dataclass(frozen=True)
class Saved:
    """A checkpoint: where it was taken, and the state of what was prepared.

    Attributes
    ----------
    epoch, step : int
        What comes next.
    state : bytes
    """

    epoch: int
    step: int
    state: bytes


class Context:
    """One rank of a training, as its function sees it; `train` makes it.

    Attributes
    ----------
    rank, world_size : int
    backend : str
        ``gloo`` or ``nccl``: the default process group of torch.distributed is up, so everything
        in it can be used, on all ranks alike.
    device : torch.device
        Where this rank's model and data are.
    seed : int
    n_rows : int
        Rows of all ranks; 0 without data.
    epoch : int
        The one that runs, counted from 0.
    """

    def __init__(
        self, job: Job, shard: Shard | None, saved: Saved | None, *, seed: int, every: float
    ) -> None:
        import torch

        self.rank, self.world_size, self.backend = job.rank, job.world_size, job.backend
        self.device = torch.device(job.device)
        self.seed, self.epoch = seed, 0
        self.n_rows = 0 if shard is None else shard.n_rows
        self._job, self._shard, self._saved, self._every = job, shard, saved, every
        self._prepared: dict[str, Any] = {}
        self._parameters: list[torch.nn.Parameter] = []
        self._step, self._skip, self._rows = 0, 0, -1
        self._next = time.monotonic() + every

    def prepare(self, **objects: Any) -> None:
        """Make models and optimizers the same on all ranks, and go on from the last checkpoint.

        Call it once, on all ranks, before the first epoch. What is given here is what a checkpoint
        holds, and the gradients of the models among it are what `backward` averages.

        Parameters
        ----------
        **objects
            By name: whatever has ``state_dict`` and ``load_state_dict``, such as a model, an
            optimizer, a scheduler of the learning rate.
        """
        import torch

        for name, thing in objects.items():
            if not hasattr(thing, "load_state_dict"):
                kind = type(thing).__name__
                raise TypeError(
                    f"prepare({name}=...) takes what has a state_dict; this is a {kind}"
                )
            if isinstance(thing, torch.nn.Module):
                thing.to(self.device)
                self._parameters += [one for one in thing.parameters() if one.requires_grad]
        self._prepared = objects
        here = None
        if self.rank == 0:
            here = self._saved or Saved(0, 0, self._state())
        saved = self._told(here)
        state = torch.load(io.BytesIO(saved.state), map_location=self.device, weights_only=True)
        if set(state) != set(objects):
            raise ValueError(
                f"the checkpoint holds {', '.join(sorted(state))}, but prepare() was given "
                f"{', '.join(sorted(objects))}: name another file as checkpoint="
            )
        for name, thing in objects.items():
            thing.load_state_dict(state[name])
        self.epoch, self._skip = saved.epoch, saved.step
        self._reseed(0)

    def epochs(self, n: int) -> Iterator[int]:
        """Yield the numbers of epochs, from the one that a checkpoint was taken in.

        A checkpoint is taken between two steps, and at the end.
        """
        self._job.epochs = n
        for epoch in range(self.epoch, n):
            self.epoch, self._step = epoch, self._skip
            self._reseed(self._skip)
            yield epoch
            self.epoch, self._step, self._skip = epoch + 1, 0, 0
            self._save(last=epoch + 1 == n)

    def batches(self, size: int, *, shuffle: bool = True) -> Iterator[Any]:
        """Yield this rank's part of each global batch of an epoch; once in an epoch.

        Parameters
        ----------
        size : int
            Rows of the global batch, those of all ranks together.
        shuffle : bool
            Take rows in an order drawn from the seed and the epoch; else as they come.

        Yields
        ------
        tuple of Tensor, or Tensor
            As `train` was given the data. Floats have torch's default type. How many rows they have
            differs by step and by rank, and may be none.
        """
        import torch

        shard = self._own()
        if size < 1:
            raise ValueError(f"size={size}: a batch has at least one row")
        order = (self.seed, self.epoch) if shuffle else None
        columns = self.shard
        for step, rows in enumerate(local(shard.rows, shard.n_rows, size, order)):
            if step < self._skip:
                continue
            self._job.check()
            self._step, self._rows = step, len(rows)
            self._reseed(step)
            index = torch.from_numpy(rows).to(self.device)
            part = tuple(column[index] for column in columns)
            yield part[0] if shard.alone else part
            self._step = step + 1
            self._save()

    @property
    def shard(self) -> tuple[torch.Tensor, ...]:
        """All rows of this rank, a tensor for each array of the data."""
        self._own()
        if self._columns is None:
            self._columns = tuple(_tensor(one, self.device) for one in self._own().columns)
        return self._columns

    _columns: tuple[torch.Tensor, ...] | None = None

    def backward(self, loss: torch.Tensor, *, rows: int | None = None) -> float:
        """Set the gradients to those of the mean loss over the global batch, and return that loss.

        They are what one process would have for the same rows, to the precision of floats: each
        rank's are weighted by its rows. Then an optimizer makes the same step on all ranks. What
        a layer makes of a whole batch (BatchNorm) is made of each rank's rows.

        Parameters
        ----------
        loss : Tensor
            The mean over this rank's rows; of no rows it may be anything.
        rows : int, optional
            How many; by default those of the running batch.
        """
        self._job.check()
        rows = self._rows if rows is None else rows
        if rows < 0:
            raise ValueError("backward() outside of batches(): say rows=, how many the loss is of")
        if not self._parameters:
            raise ValueError("there is no model to train: give it to prepare(model=...) before")
        for parameter in self._parameters:
            parameter.grad = None
        if rows:
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
        mean = average(self._parameters, float(loss.detach()), rows, self.device)
        self._job.report(self.epoch, self._step, {"loss": mean})
        return mean

    def report(self, *, rows: int | None = None, **values: float) -> dict[str, float]:
        """Tell the notebook some numbers, and return their means over all ranks; all ranks call it.

        Parameters
        ----------
        rows : int, optional
            The weight of this rank's: by default its rows of the data.
        **values
            Such as ``accuracy=0.93``.
        """
        import torch
        import torch.distributed as dist

        self._job.check()
        if rows is None:
            rows = 1 if self._shard is None else len(self._shard.rows)
        weighted = [rows * float(value) if rows else 0.0 for value in values.values()]
        sums = torch.tensor([rows, *weighted], dtype=torch.float64).to(self.device)
        dist.all_reduce(sums)
        total, *summed = sums.tolist()
        means = {name: one / total for name, one in zip(values, summed, strict=True)}
        self._job.report(self.epoch, self._step, means)
        return means

    def _own(self) -> Shard:
        if self._shard is None:
            raise ValueError("train() was given no data: train(fn, (X, y)) divides them")
        return self._shard

    def _state(self) -> bytes:
        import torch

        file = io.BytesIO()
        torch.save({name: thing.state_dict() for name, thing in self._prepared.items()}, file)
        return file.getvalue()

    def _save(self, *, last: bool = False) -> None:
        """Take a checkpoint, when it is time to: rank 0 does, as all have the same."""
        if self.rank or not self._prepared or not (last or time.monotonic() >= self._next):
            return
        started = time.monotonic()
        self._job.save(Saved(self.epoch, self._step, self._state()))
        ended = time.monotonic()
        self._next = ended + max(self._every, (ended - started) / SHARE)

    def _told(self, saved: Saved | None) -> Saved:
        """Return on all ranks what rank 0 has."""
        import torch
        import torch.distributed as dist

        content = np.frombuffer(b"" if saved is None else saved.state, dtype=np.uint8).copy()
        head = torch.tensor([len(content), *((saved.epoch, saved.step) if saved else (0, 0))])
        head = head.to(self.device)
        dist.broadcast(head, src=0)
        size, epoch, step = head.tolist()
        state = torch.from_numpy(content) if saved else torch.empty(size, dtype=torch.uint8)
        state = state.to(self.device)
        dist.broadcast(state, src=0)
        return Saved(epoch, step, state.cpu().numpy().tobytes())

    def _reseed(self, step: int) -> None:
        """Draw from here on as in every run: dropout differs by rank, and by step."""
        import torch

        words = np.random.SeedSequence((self.seed, self.rank, self.epoch, step)).generate_state(2)
        seed = (int(words[0]) << 31) ^ int(words[1])
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)


def _tensor(column: Any, device: torch.device) -> torch.Tensor:
    import torch

    if not isinstance(column, torch.Tensor):
        column = np.asarray(column)
        if column.dtype.kind not in "biuf":
            raise TypeError(
                f"the data have a column of {column.dtype}: tensors hold numbers, encode it before"
            )
        if not column.flags.writeable:
            column = column.copy()
        if column.dtype.kind in "iu":
            column = column.astype(np.int64, copy=False)
        column = torch.from_numpy(np.ascontiguousarray(column))
    if column.is_floating_point():
        column = column.to(torch.get_default_dtype())
    made: torch.Tensor = column.to(device)
    return made
