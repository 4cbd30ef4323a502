"""Start the ranks of a training, follow them, and start them again when a worker was lost.

In the notebook's process. It asks rank 0 a few times a second what there is to tell; ranks that
are to end are told so and waited for, whatever ended the training: an error of one of them, a
lost worker, or an interrupt.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import Client

from jupyter_scale import clusters
from jupyter_scale.clusters.asking import TICK, Lost
from jupyter_scale.clusters.backend import reason
from jupyter_scale.clusters.preparation import prepare
from jupyter_scale.parallel import files
from jupyter_scale.parallel.attempt import Attempt, Settings
from jupyter_scale.parallel.context import Context, Saved
from jupyter_scale.parallel.job import News
from jupyter_scale.parallel.placing import INSTALL, Place, places
from jupyter_scale.parallel.placing import backend as chosen
from jupyter_scale.parallel.shards import Held, Here, data_of
from jupyter_scale.parallel.training import Training, TrainingError

__all__ = ["Show", "show_with", "train"]

Show = Callable[[Training], None]
"""Called with the same training whenever more is known of it, and when it has ended."""

BACK = 20.0  # seconds in which lost workers come back

_made: Callable[[], Show | None] = lambda: None  # noqa: E731 - what `show_with` replaces


def show_with(make: Callable[[], Show | None]) -> None:
    """Say how trainings are shown that are not told otherwise: the magics do, for a notebook."""
    global _made
    _made = make


def train(
    fn: Callable[[Context], Any],
    data: Any = None,
    *,
    client: Client | None = None,
    world_size: int | None = None,
    backend: str | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 5.0,
    restarts: int = 3,
    timeout: float = 120.0,
    show: Show | None = None,
) -> Training:
    """Train one model on the workers of a cluster at once, by synchronous data parallelism.

    Each worker process has a rank of torch.distributed, which runs `fn`. What `Context.batches` and
    `Context.backward` do equals one process's training on the same global batches, to the
    precision of floats, on any number of workers. When one is lost, the others' ranks end within
    seconds, and all go on from the last checkpoint, on those that are there or come back within 20
    seconds (`timeout`, where none is there).

    Parameters
    ----------
    fn : callable
        ``fn(context)`` trains, and returns what is wanted of it; see `Context`.
    data : optional
        What to divide: an array, data frame or tensor, or several in a tuple; Dask collections of
        them; or a list of Delayed or Future, each a partition: an array or a tuple of arrays.
    client : distributed.Client, optional
        By default that of the cluster in use, the current one of Dask, or a cluster of this Jupyter
        server.
    world_size : int, optional
        Ranks; one for each worker process by default.
    backend : {"gloo", "nccl"}, optional
        By default NCCL where each rank has a GPU of its own, else gloo.
    seed : int
        Decides the batches, and what torch draws on each rank at each step.
    checkpoint : path, optional
        A file here that holds the last checkpoint. If it is there, training goes on from it.
    checkpoint_every : float
        Seconds between checkpoints, at least; more where they would take a tenth of the time.
    restarts : int
        How often workers may be lost.
    timeout : float
        Seconds that a rank waits for the others, at the start and in each exchange.
    show : callable, optional
        Called with the `Training` whenever more is known. By default a notebook shows a loss curve.

    Returns
    -------
    Training
        With what each rank returned (`values`; `value` is rank 0's) and the `history` of losses.

    Raises
    ------
    TrainingError
        When it cannot be started, or a rank fails: its cause is the error that was raised there.
    ClusterError
        When there is no cluster, or it does not answer.

    Examples
    --------
    >>> def fit(context):
    ...     model = torch.nn.Linear(4, 1)
    ...     optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ...     context.prepare(model=model, optimizer=optimizer)
    ...     for epoch in context.epochs(5):
    ...         for X, y in context.batches(32):
    ...             context.backward(torch.nn.functional.mse_loss(model(X)[:, 0], y))
    ...             optimizer.step()
    ...     return model.state_dict()
    >>> train(fit, (X, y)).value  # doctest: +SKIP
    """
    if importlib.util.find_spec("torch") is None:
        raise TrainingError(f"Training needs PyTorch: {INSTALL}")
    name = getattr(fn, "__name__", type(fn).__name__)
    client = _client() if client is None else client
    prepare(client, Path.cwd())
    settings = Settings(
        _pickled(fn, name), world_size, backend, seed, checkpoint_every, restarts, timeout
    )
    path = None if checkpoint is None else Path(checkpoint)
    run = _Run(client, settings, Training(name, where=_name(client)), show or _made(), path)
    return run.whole(data)


class _Run:
    """One call of `train`, through all its attempts."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        training: Training,
        show: Show | None,
        path: Path | None,
    ) -> None:
        self._client, self._settings, self._training = client, settings, training
        self._show, self._path = show, path
        self._saved = None if path is None else files.read(path)

    def whole(self, data: Any) -> Training:
        """Do all of it."""
        training = self._training
        try:
            if self._saved is not None:
                training.events.append(f"goes on from {_at(self._saved)} in {self._path}")
            held = data_of(self._client, data)
            while not self._attempt(held):
                pass
            training.status = "done"
        except KeyboardInterrupt:
            training.status = "interrupted"
            raise
        except BaseException:
            training.status = "failed"
            raise
        finally:
            self._tell()
        return training

    def _attempt(self, data: Here | Held | None) -> bool:
        """Run all ranks; False when workers were lost, and it is to be tried again."""
        training, settings = self._training, self._settings
        where = self._places()
        training.world_size = len(where)
        training.backend = chosen(where, settings.backend)
        self._tell()
        attempt = Attempt(self._client, settings, where, training)
        try:
            attempt.start(data, self._saved)
            self._follow(attempt)
        except Lost as lost:
            attempt.stop()
            self._keep(attempt.left())
            training.restarts += 1
            gone = f"lost {', '.join(lost.workers)}"
            if training.restarts > settings.restarts:
                training.restarts -= 1
                raise TrainingError(
                    f"{training.name} has lost workers {settings.restarts + 1} times, last "
                    f"{', '.join(lost.workers)}: most likely they ran out of memory. Give them "
                    "more, or take smaller batches (restarts= says how often it may be)."
                ) from None
            training.rewind(*((self._saved.epoch, self._saved.step) if self._saved else (0, 0)))
            on = "the start" if self._saved is None else _at(self._saved)
            training.events.append(f"{gone}; goes on from {on}")
            training.status = "restarting"
            self._tell()
            return False
        except BaseException:
            attempt.stop()
            self._keep(attempt.left())
            raise
        finally:
            attempt.close()
        training.values = attempt.values()
        return True

    def _places(self) -> list[Place]:
        """Return where the ranks go: after a loss, as many as before if they come back in time."""
        training, asked = self._training, self._settings.world_size
        if training.restarts:
            self._await(training.world_size)
            asked = None
        elif not self._client.nthreads():
            self._await(asked or 1)
        return places(self._client, asked)[: training.world_size or None]

    def _await(self, workers: int) -> None:
        """Wait for workers to come back: longer where there is none at all."""
        began = time.monotonic()
        while (there := len(self._client.nthreads())) < workers:
            if time.monotonic() - began > (BACK if there else self._settings.timeout):
                return
            self._tell()
            time.sleep(TICK)

    def _follow(self, attempt: Attempt) -> None:
        """Tell what happens until all ranks are done.

        Raises
        ------
        TrainingError
            When one failed.
        """
        while not attempt.done():
            self._keep(attempt.news())
            self._tell()
        self._keep(attempt.left())

    def _keep(self, news: News | None) -> None:
        if news is None:
            return
        self._training.history.extend(news.reports)
        if self._training.status != "running":
            self._training.status = "running"
        self._training.epochs = news.epochs or self._training.epochs
        if news.saved is not None:
            self._saved = news.saved
            if self._path is not None:
                files.write(self._path, news.saved)

    def _tell(self) -> None:
        self._training.tick()
        if self._show is not None:
            self._show(self._training)


def _client() -> Client:
    """Return the client of the cluster in use, of the user's own, or of one that runs already."""
    cluster = clusters.current()
    if cluster is not None and cluster.state().alive:
        return cluster.client
    client = clusters.other()
    if client is not None:
        return client
    found = clusters.nearest()
    if found is None:
        raise clusters.ClusterError(
            "No cluster is running: %scale up starts one; or pass the client of another as client=."
        )
    return found.client


def _name(client: Client) -> str:
    cluster = clusters.of(client)
    if cluster is not None:
        return cluster.name
    return "the cluster" if client.scheduler is None else str(client.scheduler.address)


def _pickled(fn: Callable[[Context], Any], name: str) -> bytes:
    try:
        made: bytes = cloudpickle.dumps(fn)
    except Exception as error:
        raise TrainingError(f"{name} cannot be sent to the workers: {reason(error)}") from error
    return made


def _at(saved: Saved) -> str:
    """Return in words where a checkpoint was taken."""
    if saved.step:
        return f"epoch {saved.epoch + 1}, step {saved.step + 1}"
    return f"the end of epoch {saved.epoch}" if saved.epoch else "the start"
