"""The Dask cluster of this kernel: start it, find it, look at it, close it.

One cluster at a time, embedded in the process that asks for it. Invariants: every
port listens on loopback; comms are encrypted with a certificate that exists in
memory only; the environment of this process is the same before and after; no worker
outlives this process, however it ends. `%scale` and `%%scale` are the callers; a
cluster that is a process of its own takes this place later, behind the same functions.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import resource_tracker
from threading import RLock
from typing import Any

import dask
from distributed import (
    Client,
    LocalCluster,
    Nanny,
    Security,
    Status,
    default_client,
    fire_and_forget,
)

from jupyter_scale.clusters.limits import ClusterError, Size
from jupyter_scale.clusters.tuning import overdue, settings

# A restarted worker is back in about 3 s on a slow machine.
PATIENCE = 20.0

_lock = RLock()
_current: Cluster | None = None
_kept: dict[str, str | None] = {}
_keepers = 0


@contextmanager
def _environment_kept(names: Iterable[str]) -> Iterator[None]:
    """Take back what starting workers writes into this process's environment.

    Nannies set variables such as OMP_NUM_THREADS in their own process so that the
    child inherits them, and leave them there. Several start at the same time in one
    event loop: the first to come keeps the values, the last to go restores them.
    """
    global _keepers
    if _keepers == 0:
        _kept.clear()
    for name in names:
        _kept.setdefault(name, os.environ.get(name))
    _keepers += 1
    try:
        yield
    finally:
        _keepers -= 1
        if _keepers == 0:
            for name, value in _kept.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


class _Nanny(Nanny):
    """A nanny that leaves the environment as it was, whose worker no interrupt reaches.

    Jupyter interrupts a kernel by a signal to its whole process group. The workers stay
    in that group, so that they are killed with it, but an interrupt is not theirs: the
    kernel cancels their work, and a worker that died would cost what it holds.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        configured = overdue()
        self.pre_spawn_env.update(configured)
        self.env.update(configured)
        # `silence_logs` ends with the Worker object; what its process says while it
        # exits would still reach the notebook.
        self.pre_spawn_env["DASK_LOGGING__DISTRIBUTED"] = "critical"

    async def instantiate(self) -> Status:
        # A process inherits what its parent's thread blocks. This is the event loop's
        # thread, where Python handles no signals anyway; starting multiprocessing's
        # resource tracker would unblock them again, so it starts first.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with _environment_kept([*self.pre_spawn_env, "__DASK_PARENT_PID"]):
            status: Status = await super().instantiate()
            return status


class _LocalCluster(LocalCluster):
    """A LocalCluster that is closed when its start is interrupted half-way."""

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)  # type: ignore[no-untyped-call]  # distributed's
        except BaseException:
            with suppress(Exception):
                self.sync(self._abandon, callback_timeout=PATIENCE)  # type: ignore[no-untyped-call]  # distributed's
            raise

    async def _abandon(self) -> None:
        """Close what a broken-off start has begun.

        Nannies go on starting in the event loop, and the cluster does not count them
        yet: wait for each, so that no process is born after its nanny was closed.
        """
        while self.status == Status.starting:
            await asyncio.sleep(0.01)
        for worker in list(self._created):
            with suppress(Exception):
                await worker
            with suppress(Exception):
                await worker.close()
        await self._close()  # type: ignore[no-untyped-call]  # distributed's


@dataclass(frozen=True)
class State:
    """What is known about a cluster at one moment.

    Parameters
    ----------
    alive : bool
        Whether work can be sent to it.
    text : str
        One readable line: its size and address, or why it is not alive.
    dashboard : str
        Address of Dask's own dashboard, or empty.
    """

    alive: bool
    text: str
    dashboard: str = ""


class Cluster:
    """A running local cluster and the client that belongs to it.

    Parameters
    ----------
    size : Size
        As returned by `fit_size`.
    modules : iterable of str
        What each worker imports while it has nothing else to do: scikit-learn takes a
        second, which the first search need not wait for.

    Raises
    ------
    ClusterError
        When it cannot be started; nothing stays behind.
    """

    def __init__(self, size: Size, modules: Iterable[str] = ()) -> None:
        self.size = size
        try:
            with dask.config.set(settings(size)):  # nannies keep a copy for later workers
                self._cluster: Any = _LocalCluster(
                    n_workers=size.workers,
                    threads_per_worker=size.threads,
                    memory_limit=size.memory,
                    host="127.0.0.1",
                    protocol="tls",
                    security=Security.temporary(),
                    dashboard_address="127.0.0.1:0",
                    worker_class=_Nanny,
                    silence_logs=logging.CRITICAL,
                )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ClusterError(
                f"The local cluster did not start: {error}. Try fewer workers: "
                "%scale up --workers 1"
            ) from error
        try:
            self.client = Client(self._cluster)
            for worker in self.client.nthreads():
                for module in modules:
                    name = f"import-{module}-{worker}"
                    future = self.client.submit(import_module, module, key=name, workers=worker)
                    fire_and_forget(future)
        except BaseException:
            self._cluster.close(timeout=5)
            raise

    def state(self) -> State:
        """Look at the cluster, without waiting for anything."""
        scheduler = self._cluster.scheduler
        if self._cluster.status != Status.running or scheduler.status != Status.running:
            return State(False, "its scheduler has stopped")
        if self.client.status != "running":
            return State(False, "the connection to its scheduler is closed")
        if not self._cluster.workers:
            return State(False, "all its workers are gone")
        present = len(scheduler.workers)
        text = f"{self.size} at {self._cluster.scheduler_address}"
        if present < self.size.workers:
            text += f" ({present} of {self.size.workers} workers are here)"
        return State(True, text, self._cluster.dashboard_link)

    def ready(self) -> State:
        """Wait until a worker is there, because nannies restart lost ones."""
        state = self.state()
        if state.alive and not self._cluster.scheduler.workers:
            try:
                self.client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                return State(False, f"no worker has come back for {PATIENCE:.0f} s")
        return state

    def close(self) -> None:
        """End the client, the workers and the scheduler; never raises."""
        # A stopped scheduler is asked to retire its workers all the same, and each
        # call waits for a connection.
        patience = "30s" if self.state().alive else "500ms"
        with dask.config.set({"distributed.comm.timeouts.connect": patience}):
            with suppress(Exception):
                self.client.close(timeout=5)
            with suppress(Exception):
                self._cluster.close(timeout=10)


def start(size: Size, modules: Iterable[str] = ()) -> Cluster:
    """Start the cluster of this process; see `Cluster` for the parameters.

    Raises
    ------
    ClusterError
        When one is running already or it cannot be started.
    """
    global _current
    with _lock:
        if _current is not None and _current.state().alive:
            raise ClusterError(
                f"A cluster is running already: {_current.size}. Close it first: %scale down"
            )
        close()
        _current = Cluster(size, modules)
        return _current


def current() -> Cluster | None:
    """Return the cluster of this process, dead or alive, or None."""
    return _current


def other() -> Client | None:
    """Return the running client that the user made current by themselves, or None."""
    try:
        client: Client = default_client()
    except ValueError:
        return None
    ours = _current is not None and client is _current.client
    return None if ours or client.status != "running" else client


def close() -> bool:
    """Close the cluster of this process; say whether there was one."""
    global _current
    with _lock:
        cluster, _current = _current, None
        if cluster is None:
            return False
        cluster.close()
        return True


atexit.register(close)
