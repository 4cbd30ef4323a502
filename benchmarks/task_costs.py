"""Measure what a task costs beside its work: CPU time of the client, the scheduler, a worker.

Tasks go as the engine sends them: one by one, each with a few futures to read, few under way. The
scheduler has a process of its own here, or its time could not be told from the client's; it does
not find the modules in this folder, so what is called are functions of Python's.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psutil
from distributed import Client, as_completed
from distributed.deploy.subprocess import SubprocessCluster
from simulated_parts import Costs

SHARED = 3  # what each task of the engine reads: folds and setups, X, y


def measured(tasks: int = 2000, *, transfers: int = 20, megabytes: int = 50) -> Costs:
    """Return the default costs with those that can be measured here put in."""
    with _cluster() as (cluster, client):
        pids = [client.run_on_scheduler(os.getpid), *client.run(os.getpid).values()]
        shared = [client.submit(int, n, pure=False) for n in range(SHARED)]
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


def _send(client: Client, shared: list[Any], tasks: int) -> None:
    """Run empty tasks, three under way at a time."""
    waiting = as_completed()
    sent = 0
    while sent < tasks or waiting.count():
        while sent < tasks and waiting.count() < 3:
            waiting.add(client.submit(max, sent, -1, *shared, pure=False))
            sent += 1
        next(waiting).result()


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
