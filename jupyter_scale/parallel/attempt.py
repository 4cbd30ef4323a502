"""One start of all ranks: they are sent, asked, stopped, and their outcomes told apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import cloudpickle
from distributed import CancelledError, Client, Future, KilledWorker

from jupyter_scale import clusters
from jupyter_scale.clusters.asking import ANSWER, TICK, Lost, answers, ask
from jupyter_scale.clusters.backend import reason
from jupyter_scale.parallel import rank
from jupyter_scale.parallel.context import Saved
from jupyter_scale.parallel.job import News
from jupyter_scale.parallel.placing import Place, host_of
from jupyter_scale.parallel.rank import Order, Outcome
from jupyter_scale.parallel.shards import Held, Here
from jupyter_scale.parallel.training import Training, TrainingError

__all__ = ["Attempt", "Settings"]

ENDED = 15.0  # seconds in which ranks that were stopped end
GRACE = 10.0  # seconds until it is clear why ranks have lost each other


@dataclass(frozen=True)
class Settings:
    """What `train` was asked for."""

    function: bytes
    world_size: int | None
    backend: str | None
    seed: int
    every: float
    restarts: int
    timeout: float


class Attempt:
    """One start of all ranks."""

    def __init__(
        self, client: Client, settings: Settings, where: list[Place], training: Training
    ) -> None:
        self._client, self._settings, self._where = client, settings, where
        self._name, self._backend = training.name, training.backend
        self._key = f"train-{uuid4().hex[:12]}"
        self._futures: list[Future[Outcome]] = []
        self._outcomes: dict[int, Outcome] = {}
        self._errors: dict[int, BaseException] = {}
        self._parted: float | None = None

    @property
    def _workers(self) -> list[str]:
        return [place.address for place in self._where]

    def start(self, data: Here | Held | None, saved: Saved | None) -> None:
        """Open the store of the rendezvous, send the data, start the ranks."""
        self._warm()
        first = self._workers[0]
        host = host_of(first)
        port = self._ask(rank.open_store, self._key, host, workers=[first]).get(first)
        if port is None:
            raise Lost([first])
        parts = None if data is None else data.divided(self._client, self._workers)
        machines: list[str] = []
        for n, place in enumerate(self._where):
            mine, starts = ([], ()) if parts is None else parts[n]
            order = Order(
                key=self._key,
                rank=n,
                world_size=len(self._where),
                process=place.process,
                host=host,
                port=port,
                backend=self._backend,
                device=_device(place, self._backend, machines.count(place.machine)),
                function=self._settings.function,
                seed=self._settings.seed,
                every=self._settings.every,
                timeout=self._settings.timeout,
                saved=saved if n == 0 else None,
                n_rows=0 if data is None else data.n_rows,
                starts=starts,
            )
            machines.append(place.machine)
            self._futures.append(
                self._client.submit(
                    rank.run,
                    order,
                    mine,
                    key=f"{self._name}-rank-{n}-{self._key}",
                    workers=[place.address],
                    pure=False,
                    priority=100,
                )
            )

    def _warm(self) -> None:
        """Have the workers import torch, which takes seconds: all at once, before one waits."""
        futures = {
            worker: self._client.submit(
                rank.load, workers=[worker], key=f"import-torch-{n}-{self._key}", priority=100
            )
            for n, worker in enumerate(self._workers)
        }
        deadline = time.monotonic() + self._settings.timeout
        while late := [worker for worker, future in futures.items() if not future.done()]:
            there = self._client.nthreads()
            if gone := [worker for worker in late if worker not in there]:
                raise Lost(gone)
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"The worker {late[0]} has not begun within timeout={self._settings.timeout:g} "
                    "seconds: it is busy with other work. Wait for it, or take fewer workers."
                )
            time.sleep(TICK / 4)
        for worker, future in futures.items():
            if error := future.exception():
                raise TrainingError(f"PyTorch cannot be imported on {worker}: {reason(error)}")

    def done(self) -> bool:
        """Look at all ranks: whether all have returned.

        Raises
        ------
        TrainingError
            When one failed.
        Lost
            When the worker of one is not there any more.
        """
        self._collect()
        for n, error in self._errors.items():
            if isinstance(error, KilledWorker):
                raise Lost([self._workers[n]])
            raise TrainingError(
                f"Rank {n} of {self._name} on {self._workers[n]} could not be run: {reason(error)}"
            )
        failed = [one for one in self._outcomes.values() if one.error]
        if replaced := [one.rank for one in failed if one.kind == "replaced"]:
            raise Lost([self._workers[n] for n in replaced])
        causes = [one for one in failed if one.kind in ("function", "busy")]
        if causes:
            raise self._error(causes[0])
        if len(self._outcomes) == len(self._futures) and not failed:
            return True
        if self._client.status != "running":
            raise clusters.ClusterError("The cluster has gone in the middle of a training.")
        there = self._client.nthreads()
        gone = [n for n, worker in enumerate(self._workers) if worker not in there]
        if any(n not in self._outcomes or self._outcomes[n].error for n in gone):
            raise Lost([self._workers[n] for n in gone])
        if failed:
            self._parted = self._parted or time.monotonic()
            if time.monotonic() - self._parted > GRACE:
                raise self._error(failed[0])
        return False

    def news(self) -> News | None:
        """Return what rank 0 says now, and let the others know that somebody is there."""
        time.sleep(TICK)
        running = [w for n, w in enumerate(self._workers) if n not in self._outcomes]
        answers = self._ask(rank.news, self._key, workers=running)
        found: News | None = answers.get(self._workers[0])
        return found

    def left(self) -> News | None:
        """Return what rank 0 said at its end."""
        self._collect()
        return self._outcomes[0].news if 0 in self._outcomes else None

    def values(self) -> list[Any]:
        """Return what the ranks returned."""
        return [cloudpickle.loads(self._outcomes[n].value or b"") for n in sorted(self._outcomes)]

    def stop(self) -> None:
        """End the ranks, and wait for them as long as it makes sense."""
        deadline, idle = time.monotonic() + ENDED, 0
        while time.monotonic() < deadline:
            self._collect()
            there = self._client.nthreads()
            running = [
                worker
                for n, worker in enumerate(self._workers)
                if worker in there and n < len(self._futures) and n not in self._outcomes
            ]
            if not running:
                return
            stopped = self._ask(rank.stop, self._key, workers=running)
            idle += bool(stopped) and not any(stopped.values())
            if idle > 1:
                # they have not begun: what has ended is known the second time
                self._client.cancel(
                    [f for n, f in enumerate(self._futures) if n not in self._outcomes]
                )
                return
            time.sleep(TICK)

    def close(self) -> None:
        """Leave nothing on the cluster."""
        if self._workers[0] in self._client.nthreads():
            self._ask(rank.close, self._key, workers=self._workers[:1])
        for future in self._futures:
            future.release()

    def _collect(self) -> None:
        for n, future in enumerate(self._futures):
            if n in self._outcomes or n in self._errors or not future.done():
                continue
            if future.status == "finished":
                worker = self._workers[n]
                with suppress(CancelledError):  # its worker is lost
                    came = answers(self._client, {worker: future._result()}, patience=ANSWER)
                    if worker in came:
                        self._outcomes[n] = came[worker]
            elif future.status == "error":
                self._errors[n] = future.exception() or RuntimeError("no reason is known")
            # else it was cancelled, or lost with its worker

    def _ask(self, function: Callable[..., Any], *args: Any, workers: list[str]) -> dict[str, Any]:
        return ask(self._client, function, *args, workers=workers)

    def _error(self, outcome: Outcome) -> TrainingError:
        n = outcome.rank
        where = f"rank {n} of {len(self._futures)} (worker {self._workers[n]})"
        if outcome.kind == "network":
            return TrainingError(
                f"{self._name}: {where} waited in vain for the others: {outcome.error}. Each rank "
                f"must do the same exchanges within timeout={self._settings.timeout:g} seconds."
            )
        error = TrainingError(f"{self._name} failed on {where}: {outcome.error}")
        if outcome.cause is not None:
            error.__cause__ = cloudpickle.loads(outcome.cause)
            error.__cause__.add_note(f"On the worker:\n{outcome.trace}")
        return error


def _device(place: Place, backend: str, before: int) -> str:
    return f"cuda:{before % place.gpus}" if backend == "nccl" and place.gpus else "cpu"
