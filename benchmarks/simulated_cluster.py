"""A Dask cluster as a discrete-event simulation: what a search costs beyond its own work.

Client and scheduler serve one message after the other; the scheduler picks the worker on which a
task would start soonest, as Dask's does, and moves queued tasks to idle workers once in a while;
workers fetch what a task starts from, run tasks by priority, and are lost and replaced. Everything
is decided by the numbers in `Costs` and one seed: the same simulation always gives the same result.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count
from math import inf
from typing import Any

import numpy as np
from simulated_parts import SPAN, Costs, Outcome, Server, Task, Worker
from simulated_work import Job, Policy, Work

from jupyter_scale.search.window import Window

STEAL_EVERY = 1.0  # seconds: distributed's work-stealing-interval
MOMENT = 0.05  # seconds after which the client looks again, if nothing came
ASK_THREADS = 1.0  # seconds: how long the client believes the number of threads


class Simulation:
    """One search on one cluster.

    Parameters
    ----------
    work : Work
    workers : int
    costs : Costs
    seed : int
        Of worker starts and losses.
    """

    def __init__(self, work: Work, workers: int, costs: Costs | None = None, seed: int = 0) -> None:
        self.work, self.costs = work, costs or Costs()
        self.policy = Policy(work)
        self.window = Window()
        self.random = random.Random(seed)
        self.now = 0.0
        self.scheduler, self.client = Server(), Server()
        self.workers: dict[int, Worker] = {}
        self.load = np.full(workers, np.inf)
        self.holders: dict[int, set[Worker]] = {}
        self.homeless: list[Task] = []
        self.arrived: list[Task] = []
        self.under_way = 0
        self.outcome = Outcome(
            workers, cells=[0] * len(work.plan.cells), nodes=[0] * len(work.plan.nodes)
        )
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order, self._numbers = count(), count()
        self._durations = {True: 0.5, False: 0.5}  # what Dask assumes of tasks it does not know
        self._threads, self._asked = 0, -ASK_THREADS
        self._turn = False
        self._copies = 0

    def run(self) -> Outcome:
        """Run to the end."""
        for place in range(self.outcome.workers):
            self._at(self._start_time(), self._join, place)
        self._at(STEAL_EVERY, self._steal)
        self._look()
        while not self.policy.finished:
            self.now, _, event, arguments = heapq.heappop(self._events)
            event(*arguments)
        outcome = self.outcome
        outcome.makespan = self.now
        outcome.scheduler = self.scheduler.busy / self.now
        outcome.scheduler_peak = max(self.scheduler.spans.values()) / min(SPAN, self.now)
        outcome.client = self.client.busy / self.now
        return outcome

    def _at(self, when: float, event: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (when, next(self._order), event, arguments))

    # -- the client

    def _look(self) -> None:
        self._wake()
        self._at(self.now + MOMENT, self._look)

    def _wake(self) -> None:
        if not self._turn:
            self._turn = True
            self._at(max(self.now, self.client.free), self._client_turn)

    def _client_turn(self) -> None:
        self._turn = False
        arrived, self.arrived = self.arrived, []
        for task in arrived:
            self._collect(task.job)
        most = self.window.size(threads=self._known_threads(), now=self.now)
        while self.under_way < most and not self.policy.finished:
            job = self.policy.next(self._threads or 1)
            if job is None:
                return
            self.under_way += 1
            sent = self.client.serve(self.now, self.costs.client_task)
            self._at(sent + self.costs.latency, self._submitted, Task(next(self._numbers), job))

    def _known_threads(self) -> int:
        if self.now - self._asked > ASK_THREADS:
            self._threads, self._asked = len(self.workers), self.now
        return max(1, self._threads)

    def _introduce(self, worker: Worker) -> None:
        """Send a worker the data."""
        come = 3 * self.costs.latency + self.costs.data_bytes * self.costs.byte
        worker.data_at = self._send(after=self.now) + come

    def _send(self, *, after: float) -> float:
        """Return when the scheduler has dealt with a task that the client sends."""
        self.outcome.tasks += 1
        sent = self.client.serve(after, self.costs.client_task)
        return self.scheduler.serve(sent + self.costs.latency, self.costs.scheduler_task)

    def _collect(self, job: Job) -> None:
        self.under_way -= 1
        self.outcome.useful += job.seconds
        for cell in job.cells:
            self.outcome.cells[cell] += 1
        for node in job.nodes:
            self.outcome.nodes[node] += 1
        for node in self.policy.done(job):
            for worker in self.holders.pop(node, ()):
                worker.held.discard(node)
                self._copies -= 1

    # -- the scheduler

    def _submitted(self, task: Task) -> None:
        self.outcome.tasks += 1
        done = self.scheduler.serve(self.now, self.costs.scheduler_task / 2)
        self._at(done, self._assign, task)

    def _assign(self, task: Task) -> None:
        if not self.workers:
            self.homeless.append(task)
            return
        worker = self._best(task)
        task.expected = self._durations[task.job.make is not None]
        self._enter(worker, task)
        holders = self.holders.get(task.needs) if task.needs is not None else None
        candidates = len(holders or self.workers)
        sent = self.scheduler.serve(self.now, candidates * self.costs.scheduler_worker)
        self._at(sent + self.costs.latency, self._received, worker, task)

    def _best(self, task: Task) -> Worker:
        holders = self.holders.get(task.needs, ()) if task.needs is not None else ()
        load = self.load
        if holders:
            away = self.costs.node_bytes * self.costs.byte
            load = load + away
            load[[worker.place for worker in holders]] -= away
        return self.workers[int(load.argmin())]

    def _finished(self, worker: Worker, task: Task) -> None:
        if not worker.alive:
            return  # the scheduler learned of the loss first
        done = self.scheduler.serve(self.now, self.costs.scheduler_task / 2)
        self._leave(worker, task)
        self._at(done + self.costs.latency, self._arrive, task)

    def _arrive(self, task: Task) -> None:
        self.arrived.append(task)
        self._wake()

    def _enter(self, worker: Worker, task: Task) -> None:
        worker.assigned.add(task)
        self.load[worker.place] += task.expected

    def _leave(self, worker: Worker, task: Task) -> None:
        worker.assigned.discard(task)
        self.load[worker.place] -= task.expected

    def _steal(self) -> None:
        """Move what is queued behind long tasks to workers that have nothing."""
        idle = [worker for worker in self.workers.values() if not worker.assigned]
        if idle:
            rich = [worker for worker in self.workers.values() if worker.ready]
            rich.sort(key=lambda worker: (self.load[worker.place], -worker.place))
            while idle and rich:
                victim = rich.pop()
                task = max(victim.ready)
                victim.ready.remove(task)
                heapq.heapify(victim.ready)
                self._leave(victim, task)
                self._move(task, idle.pop())
        self._at(self.now + STEAL_EVERY, self._steal)

    def _move(self, task: Task, worker: Worker) -> None:
        task.brought = False
        self._enter(worker, task)
        sent = self.scheduler.serve(self.now, self.costs.scheduler_task / 2)
        self._at(sent + 3 * self.costs.latency, self._received, worker, task)

    # -- workers

    def _start_time(self) -> float:
        return self.now + self.costs.worker_start * self.random.uniform(0.8, 1.2)

    def _join(self, place: int) -> None:
        worker = self.workers[place] = Worker(place)
        self.load[place] = 0.0
        if self.costs.losses_per_hour:
            lifetime = self.random.expovariate(self.costs.losses_per_hour / 3600)
            self._at(self.now + lifetime, self._lose, worker)
        waiting, self.homeless = self.homeless, []
        for task in waiting:
            self._assign(task)

    def _lose(self, worker: Worker) -> None:
        worker.alive = False
        del self.workers[worker.place]
        self.load[worker.place] = np.inf
        self.outcome.losses += 1
        if worker.running is not None:
            self.outcome.wasted += self.now - worker.started
        for node in worker.held:
            self.holders[node].discard(worker)
        self._copies -= len(worker.held)
        for task in sorted(worker.assigned):
            done = self.scheduler.serve(self.now, self.costs.scheduler_task)
            self._at(done, self._assign, task)
        self._at(self._start_time(), self._join, worker.place)

    def _received(self, worker: Worker, task: Task) -> None:
        """Fetch what the task starts from; other tasks run meanwhile."""
        if not worker.alive:
            return
        wait = 0.0
        if self.now < worker.data_at:
            if not task.brought:
                answered = self.now + self.costs.worker_task + self.costs.latency
                self._at(answered, self._missing, worker, task)
                return
            wait = worker.data_at - self.now
        node = task.needs
        if node is not None and node not in worker.held:
            wait += 2 * self.costs.latency
            if self.holders.get(node):
                wait += self.costs.node_bytes * self.costs.byte
            self._at(self.now + wait, self._fetched, worker, task)
        else:
            self._at(self.now + wait, self._ready, worker, task)

    def _missing(self, worker: Worker, task: Task) -> None:
        """Send a task to the same worker once more, with the data that it lacked."""
        if not worker.alive:
            return
        self._leave(worker, task)
        task.brought = True
        told = self.scheduler.serve(self.now, self.costs.scheduler_task / 2) + self.costs.latency
        if worker.data_at == inf:
            self._introduce(worker)
        self._at(self._send(after=told), self._supplied, worker, task)

    def _supplied(self, worker: Worker, task: Task) -> None:
        if not worker.alive:
            task.brought = False
            self._assign(task)
            return
        self._enter(worker, task)
        self._at(self.now + self.costs.latency, self._received, worker, task)

    def _fetched(self, worker: Worker, task: Task) -> None:
        if worker.alive and task.needs is not None and self.holders.get(task.needs):
            self._hold(worker, task.needs)
        self._ready(worker, task)

    def _ready(self, worker: Worker, task: Task) -> None:
        if worker.alive:
            heapq.heappush(worker.ready, task)
            self._run_next(worker)

    def _run_next(self, worker: Worker) -> None:
        if worker.running is not None or not worker.ready:
            return
        task = worker.running = heapq.heappop(worker.ready)
        worker.started = self.now
        seconds = self.costs.worker_task + self._make_again(worker, task) + task.job.seconds
        self._see(len(worker.held) + task.job.depth)
        self._at(self.now + seconds, self._ended, worker, task)

    def _make_again(self, worker: Worker, task: Task) -> float:
        """Return the seconds to make what was lost with its workers."""
        if task.needs is None or task.needs in worker.held:
            return 0.0
        lost = [node for node in self.policy.path(task.needs) if not self.holders.get(node)]
        seconds = float(self.work.nodes[lost].sum())
        self.outcome.wasted += seconds
        self._hold(worker, task.needs)
        return seconds

    def _ended(self, worker: Worker, task: Task) -> None:
        if not worker.alive:
            return
        worker.running = None
        making = task.job.make is not None
        took = self.now - worker.started
        self._durations[making] = (self._durations[making] + took) / 2
        if task.job.make is not None:
            self._hold(worker, task.job.make)
        self._at(self.now + self.costs.latency, self._finished, worker, task)
        self._run_next(worker)

    def _hold(self, worker: Worker, node: int) -> None:
        self._copies += node not in worker.held
        worker.held.add(node)
        self.holders.setdefault(node, set()).add(worker)
        self._see(len(worker.held))
        self.outcome.most_nodes_together = max(self.outcome.most_nodes_together, self._copies)

    def _see(self, nodes: int) -> None:
        self.outcome.most_nodes = max(self.outcome.most_nodes, nodes)
