"""A rank: what runs in a worker, from the rendezvous to the end of its process group.

torch's default process group belongs to the whole process, so a worker has one rank at a time.
Whatever ends the function, the group is destroyed, and the process's threads, seeds and
environment are as they were. Nothing is raised: an `Outcome` says what came of it, so that the
notebook can tell the rank that failed from those that waited for it in vain.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any

import cloudpickle
import numpy as np
from distributed import get_worker

from jupyter_scale.parallel import connections
from jupyter_scale.parallel.context import Context, Saved, Shard
from jupyter_scale.parallel.job import Job, News, Stopped
from jupyter_scale.parallel.placing import host_of, interface
from jupyter_scale.parallel.shards import Part
from jupyter_scale.search.draws import apart

__all__ = ["Order", "Outcome", "close", "load", "news", "open_store", "run", "stop"]

SOCKETS = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
NETWORK = (
    *("connection closed by peer", "timed out waiting", "connection reset", "broken pipe"),
    *("timed out after", "socket timeout", "wait timeout", "connection refused", "failed to recv"),
    *("nccl", "processgroup", "gloo connectfullmesh"),
)
"""What torch.distributed says when another rank is gone, or does not come; in lower case."""

CONNECT = 2.0  # seconds of an attempt to reach the store
LOOK = 0.05  # seconds between two looks who is there

_jobs: dict[str, Job] = {}
_stores: dict[str, Any] = {}
_one = threading.Lock()


@dataclass(frozen=True)
class Order:
    """What a rank is to do.

    Attributes
    ----------
    key : str
        Of this attempt, the same for all its ranks.
    rank, world_size : int
    process : int
        Where it is started; another one has taken its worker's place.
    host, port
        Where the store of the rendezvous is.
    backend, device : str
    function : bytes
        Pickled.
    seed, every, timeout
        As in `train`.
    saved : Saved or None
        Where to go on, for rank 0.
    n_rows : int
        Of all ranks.
    starts : tuple of int
        The number of the first row of each part of the data, for this rank.
    """

    key: str
    rank: int
    world_size: int
    process: int
    host: str
    port: int
    backend: str
    device: str
    function: bytes
    seed: int
    every: float
    timeout: float
    saved: Saved | None
    n_rows: int
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a rank.

    Attributes
    ----------
    rank : int
    value : bytes or None
        What the function returned, pickled.
    news : News or None
        What had not been asked for yet.
    error : str
        What it failed with, in a line; empty when it did not.
    cause : bytes or None
        The same as an exception, where it can travel.
    trace : str
        Where.
    kind : {"", "stopped", "network", "function", "busy", "replaced"}
    """

    rank: int
    value: bytes | None = None
    news: News | None = None
    error: str = ""
    cause: bytes | None = None
    trace: str = ""
    kind: str = ""


def load() -> None:
    """Import what a rank needs."""
    import_module("torch.distributed")


def open_store(key: str, host: str) -> int:
    """Open the store of a rendezvous, at one address only, and return its port."""
    dist: Any = import_module("torch.distributed")  # does not say that it exports its stores
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError:  # reached under an address that it does not have
        listening = socket.create_server(("", 0))
    port: int = listening.getsockname()[1]
    _stores[key] = dist.TCPStore(
        host,
        port,
        is_master=True,
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )
    return port


def close(key: str) -> None:
    """Close the store."""
    _stores.pop(key, None)


def news(key: str) -> News | None:
    """Return what a rank has said since; None where it has not started or has ended."""
    job = _jobs.get(key)
    return None if job is None else job.news()


def stop(key: str) -> bool:
    """End a rank; say whether it still ran.

    The store is closed with it, so that who waits there for a rank that is lost hears of it.
    """
    close(key)
    job = _jobs.get(key)
    if job is not None:
        job.stop()
    return job is not None


def run(order: Order, parts: Sequence[Part]) -> Outcome:
    """Be a rank."""
    if os.getpid() != order.process:
        why = "its worker was lost, and has come back under its address"
        return Outcome(order.rank, error=why, kind="replaced")
    ending = any(job.stopped for job in tuple(_jobs.values()))
    if not _one.acquire(timeout=order.timeout if ending else 0):
        why = "another training runs in this worker: wait for it, or choose other workers"
        return Outcome(order.rank, error=why, kind="busy")
    job = Job(order.rank, order.world_size, order.backend, order.device)
    _jobs[order.key] = job
    try:
        return _run(order, parts, job)
    finally:
        del _jobs[order.key]
        _one.release()


def _run(order: Order, parts: Sequence[Part], job: Job) -> Outcome:
    value = None
    try:
        function = cloudpickle.loads(order.function)
        shard = _shard(order, parts)
        with _as_it_was(order), _group(order, job):
            context = Context(job, shard, order.saved, seed=order.seed, every=order.every)
            del parts, shard
            try:
                job.enter(threading.get_ident())
                value = cloudpickle.dumps(function(context))
            finally:
                job.leave()
            _together()
    except Stopped as error:
        return Outcome(order.rank, news=job.news(), error=str(error), kind="stopped")
    except BaseException as error:
        return _failed(order.rank, error, job.news())
    return Outcome(order.rank, value, job.news())


def _failed(rank: int, error: BaseException, news: News) -> Outcome:
    said = " ".join(str(error).split())
    network = isinstance(error, RuntimeError) and any(word in said.lower() for word in NETWORK)
    trace, cause = _trace(error), None
    with suppress(Exception):
        pickled = cloudpickle.dumps(error.with_traceback(None))
        cloudpickle.loads(pickled)
        cause = pickled
    return Outcome(
        rank,
        news=news,
        error=f"{type(error).__name__}: {said}" if said else type(error).__name__,
        cause=cause,
        trace=trace,
        kind="network" if network else "function",
    )


def _trace(error: BaseException) -> str:
    """Return the traceback from the function on."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    ours = [n for n, line in enumerate(lines) if f'"{__file__}"' in line]
    after = [
        n for n in range(len(lines)) if ours and n > ours[-1] and lines[n].startswith("  File")
    ]
    return "\n".join(["Traceback:", *lines[after[0] :]] if after else lines)


def _shard(order: Order, parts: Sequence[Part]) -> Shard | None:
    if not parts:
        return None
    counts = [len(part.columns[0]) for part in parts]
    rows = [np.arange(start, start + n) for start, n in zip(order.starts, counts, strict=True)]
    columns = zip(*(part.columns for part in parts), strict=True)
    joined = tuple(arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in columns)
    return Shard(joined, np.concatenate(rows), order.n_rows, parts[0].alone)


@contextmanager
def _as_it_was(order: Order) -> Iterator[None]:
    """Leave threads, generators and the environment as they were."""
    import torch

    worker = get_worker()
    threads, drawn = torch.get_num_threads(), torch.get_rng_state()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    hook = sys.excepthook  # each process group puts one around it
    before = {name: os.environ.get(name) for name in SOCKETS}
    network = interface(host_of(worker.address))
    try:
        apart()
        torch.set_num_threads(worker.state.nthreads)
        torch.manual_seed(order.seed)
        random.seed(order.seed)
        np.random.seed(order.seed % 2**32)  # noqa: NPY002 - what a function may draw from
        if network is not None:
            os.environ.update(dict.fromkeys(SOCKETS, network))
        if order.device != "cpu":
            torch.cuda.set_device(order.device)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        sys.excepthook = hook
        torch.set_num_threads(threads)
        torch.set_rng_state(drawn)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _group(order: Order, job: Job) -> Iterator[None]:
    """Meet the other ranks, and part."""
    dist: Any = import_module("torch.distributed")
    patience = timedelta(seconds=order.timeout)
    store = dist.PrefixStore(order.key, _store(order, job))
    _meet(store, order, job)
    before = connections.listening()
    try:
        dist.init_process_group(
            order.backend,
            store=store,
            rank=order.rank,
            world_size=order.world_size,
            timeout=patience,
        )
    except BaseException:
        # torch counts a group that failed too (2.13), and looks for the next one's ranks under
        # that number, where none that has just started is
        import_module("torch.distributed.distributed_c10d")._world.group_count = 0
        raise
    try:
        with _ends(order, job, before):
            yield
    finally:
        # what still refers to a group keeps its connections, for which others wait
        gc.collect()
        dist.destroy_process_group()


@contextmanager
def _ends(order: Order, job: Job, before: set[connections.Address]) -> Iterator[None]:
    """Let the job end the connections with other ranks as long as the group lasts."""
    import torch.distributed as dist

    if order.backend == "gloo" and order.world_size > 1:
        ranks: list[Any] = [None] * order.world_size
        dist.all_gather_object(ranks, connections.listening() - before)
        job.ends = partial(connections.end, set().union(*ranks))
    try:
        yield
    finally:
        job.ends = None


def _store(order: Order, job: Job) -> Any:
    """Reach the store of the rendezvous, which is lost with its worker."""
    dist: Any = import_module("torch.distributed")
    deadline = time.monotonic() + order.timeout
    while True:
        job.check()
        left = deadline - time.monotonic()
        try:
            store = dist.TCPStore(
                order.host,
                order.port,
                is_master=False,
                timeout=timedelta(seconds=max(min(left, CONNECT), 0.1)),
            )
        except RuntimeError:
            if left < CONNECT:
                raise
        else:
            store.set_timeout(timedelta(seconds=order.timeout))
            return store


def _meet(store: Any, order: Order, job: Job) -> None:
    """Wait until all have started: a worker may have other work."""
    store.set(f"rank {order.rank}", "here")
    names = [f"rank {n}" for n in range(order.world_size)]
    deadline = time.monotonic() + order.timeout
    while not store.check(names):
        job.wait(LOOK)
        if time.monotonic() > deadline:
            late = [name for name in names if not store.check([name])]
            raise RuntimeError(
                f"{', '.join(late)} did not start: wait timeout after {order.timeout:.0f} s; "
                "its worker is busy with other work, or lost"
            )


def _together() -> None:
    """Wait until all are done, so that none takes the end of another one for a failure."""
    import torch.distributed as dist

    dist.barrier()
