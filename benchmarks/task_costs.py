"""Measure what a task costs beside its work: CPU time of the client, the scheduler, a worker.

Empty tasks go as the engine sends them: one by one, with the names of the data that the workers
hold, few under way. The scheduler has a process of its own here, or its time could not be told from
the client's.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psutil
from distributed import Client
from distributed.deploy.subprocess import SubprocessCluster
from simulated_parts import Costs

from jupyter_scale.search.holding import Missing
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.results import Results
from jupyter_scale.search.sending import Sent, Shared
from jupyter_scale.search.tasks import Task
from jupyter_scale.search.worker import run_on_worker

UNDER_WAY = 3


def measured(tasks: int = 2000, *, transfers: int = 20, megabytes: int = 50) -> Costs:
    """Return the default costs with those that can be measured here put in."""
    with _cluster() as (cluster, client):
        pids = [client.run_on_scheduler(os.getpid), *client.run(os.getpid).values()]
        shared = _held(client)
        _send(client, shared, tasks // 10 + 1)  # imports and connections
        before, here = _cpu(pids), time.process_time()
        _send(client, shared, tasks)
        client_cpu = time.process_time() - here
        scheduler, *workers = (now - then for now, then in zip(_cpu(pids), before, strict=True))
        each = Costs(
            scheduler_task=scheduler / tasks,
            client_task=client_cpu / tasks,
            worker_task=sum(workers) / tasks,
        )
        alone = _median([_seconds(lambda: _send(client, shared, 1)) for _ in range(transfers)])
        on_the_way = alone - each.scheduler_task - each.client_task - each.worker_task
        start = _seconds(lambda: _one_more(cluster, client))
        byte = _per_byte(client, transfers=transfers, size=megabytes * 10**6)
    return replace(each, latency=max(on_the_way / 4, 1e-4), byte=byte, worker_start=start)


@contextmanager
def _cluster() -> Iterator[tuple[Any, Client]]:
    with (
        SubprocessCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(1)
        yield cluster, client


def _cpu(pids: list[int]) -> list[float]:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return [float(each.user + each.system) for each in times]


def _held(client: Client) -> Shared:
    """Have every worker hold the data of a plan, as long as what is returned lives."""
    shared = Shared(Plan(data=[0, 1]), Sent(client))
    for address in client.nthreads():
        holding = shared.supply(Missing(address, shared.names, ()))
        assert holding is not None
        holding.result()
    return shared


def _send(client: Client, shared: Shared, tasks: int) -> None:
    """Run empty tasks, a few under way at a time."""
    results = Results(client)
    sent = done = 0
    while done < tasks:
        while sent < min(tasks, done + UNDER_WAY):
            arguments: Any = (Task(), nullcontext, [], shared.names, ())
            results.add(results.submit(run_on_worker, *arguments, key=f"empty-{uuid4().hex}"))
            sent += 1
        done += len(results.next(1.0))


def _per_byte(client: Client, *, transfers: int, size: int) -> float:
    """Return the seconds that a byte takes from one worker to another."""
    one, other = client.has_what()
    seconds = []
    for _ in range(transfers):
        data = client.submit(os.urandom, size, pure=False, workers=[one])
        data_there = client.submit(len, data, pure=False, workers=[one])
        data_there.result()
        started = time.perf_counter()
        client.submit(len, data, pure=False, workers=[other]).result()
        seconds.append(time.perf_counter() - started)
    return _median(seconds) / size


def _one_more(cluster: Any, client: Client) -> None:
    cluster.scale(2)
    client.wait_for_workers(2)


def _seconds(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _median(values: list[float]) -> float:
    return float(statistics.median(values))
