"""Carry out a plan: in this process, or on a Dask cluster.

On a cluster few tasks are under way at a time, so that memory and the scheduler's load follow the
cluster's width and not the grid. The data reach each worker once (see `sending`). A lost worker
costs its own tasks; a piece of work that keeps ending its workers is halved until the candidate is
found, which then gets ``error_score``. Whatever ends the search, what is queued is cancelled.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

from distributed import Client, Future, as_completed
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker
from sklearn.base import BaseEstimator

from jupyter_scale.search import tasks, worker
from jupyter_scale.search.mapping import Elsewhere
from jupyter_scale.search.plan import Call, Cell, Plan
from jupyter_scale.search.schedule import Piece, Schedule
from jupyter_scale.search.sending import Sent, bundled
from jupyter_scale.search.tasks import Bundle, CarriedError, Outcome, Task

__all__ = ["Cluster", "WorkerLost", "run_here"]


class Tally(Protocol):
    """Where outcomes go."""

    def add(self, outcome: Outcome) -> None:
        """Take what a task found."""


class WorkerLost(RuntimeError):
    """A candidate ended every worker that tried it."""


def run_here(plan: Plan, tally: Tally, *, nested: Callable[[], Any]) -> None:
    """Run a plan in this process, one piece of work after the other."""
    # without steps to share, the order of scikit-learn
    entries: list[Cell | Call] = [*plan.cells, *plan.calls]
    if plan.nodes:
        entries = Schedule(plan).entries
    task = _task(plan, entries)

    def progress(number: int, outcome: Outcome) -> None:
        tally.add(Outcome({number: outcome.results[number]}, {number: outcome.seconds[number]}))

    outcome = tasks.run(
        task,
        Bundle(tuple(plan.setups), tuple(plan.folds)),
        dict(enumerate(plan.data)),
        nested=nested,
        progress=progress,
        say=print,
    )
    outcome.results = {}  # told already, one by one
    tally.add(outcome)
    _finish(outcome)


class Cluster:
    """Runs plans on the workers of a Dask client.

    Parameters
    ----------
    client : distributed.Client
    nested : callable
        Gives the context in which workers run inner uses of joblib; sent to them.
    """

    def __init__(self, client: Client, *, nested: Callable[[], Any]) -> None:
        self.client = client
        self._nested = nested
        self._asked = 0.0
        self._threads = 0

    def __str__(self) -> str:
        workers = self.client.nthreads()
        threads = sum(workers.values())
        return (
            f"{len(workers)} worker{'s' * (len(workers) != 1)} "
            f"({threads} thread{'s' * (threads != 1)})"
        )

    @property
    def threads(self) -> int:
        """Threads of all workers now; 1 while there is none yet."""
        if time.monotonic() - self._asked > 1:
            self._threads = sum(self.client.nthreads().values())
            self._asked = time.monotonic()
        return max(1, self._threads)

    def run(
        self,
        plan: Plan,
        tally: Tally,
        sent: Sent,
        *,
        nested: Callable[[], Any] | None = None,
    ) -> None:
        """Run a plan to its end.

        Parameters
        ----------
        plan, tally
            What to run, and where its outcomes go.
        sent : Sent
            What the workers hold of the data already.
        nested : callable, optional
            In the place of this cluster's own.

        Raises
        ------
        Exception
            What a cell raised, with ``error_score="raise"``.
        """
        _Run(self, plan, tally, sent, nested or self._nested).run()


class _Run:
    """One plan on its way through a cluster."""

    def __init__(
        self, cluster: Cluster, plan: Plan, tally: Tally, sent: Sent, nested: Callable[[], Any]
    ) -> None:
        self.cluster = cluster
        self.client = cluster.client
        self.plan = plan
        self.tally = tally
        self.sent = sent
        self.nested = nested
        self.schedule = Schedule(plan)
        self.bundle, self.data = bundled(plan)
        self.made: dict[int, Future[Any]] = {}
        self.under_way: dict[Future[Any], Piece] = {}
        self.waiting = as_completed(with_results=True, raise_errors=False)
        self.losses = 0
        self.failures: list[Outcome] = []

    def run(self) -> None:
        shared = self._send()
        try:
            while not self.schedule.finished:
                if self.failures:
                    self._raise_first()
                else:
                    self._fill(shared)
                for future, result in self.waiting.next_batch():
                    piece = self.under_way.pop(future, None)
                    if piece is None:
                        continue
                    if future.status == "finished" and result.error is not None:
                        self.failures.append(result)
                    elif future.status == "finished":
                        self._collect(piece, result)
                    elif not self._recover(piece, future, result):
                        shared = self._send()
                        break
        finally:
            futures = [*self.under_way, *self.made.values()]
            if futures and self.client.status == "running":
                self.client.cancel(futures, reason="the search has ended", msg=None)

    def _raise_first(self) -> None:
        """Raise the error of the earliest call, once none before it is still under way."""
        first = min(self.failures, key=lambda outcome: outcome.failed)
        entries = self.schedule.entries
        before = any(
            entries[place].number < first.failed
            for piece in self.under_way.values()
            for place in range(piece.start, piece.stop)
        )
        if not before:
            _finish(first)

    def _send(self) -> list[Future[Any]]:
        """Give the workers what all tasks read."""
        return [self.sent.send(self.bundle), *map(self.sent.get, self.data)]

    def _fill(self, shared: list[Future[Any]]) -> None:
        """Keep every thread busy, and as little as possible queued."""
        threads = self.cluster.threads
        while len(self.under_way) < threads + (threads + 1) // 2:
            piece = self.schedule.next(threads=threads)
            if piece is None:
                return
            future = self._submit(piece, shared)
            self.under_way[future] = piece
            self.waiting.add(future)

    def _submit(self, piece: Piece, shared: list[Future[Any]]) -> Future[Any]:
        entries = self.schedule.entries[piece.start : piece.stop]
        given = None if piece.base is None else self.made[piece.base]
        if not piece.make:
            task = _task(self.plan, entries)
            return self._send_task(
                worker.run_on_worker, task, shared, given, f"score-{entries[0].label}"
            )
        node = piece.branch.node
        assert node is not None
        task = _task(self.plan, entries[:1], until=node)
        label = self.plan.nodes[node].label
        self.made[node] = self._send_task(
            worker.make_on_worker, task, shared, given, f"fit-{label}"
        )
        # what comes back is small; the node itself stays on its worker
        return self.client.submit(
            worker.outcome_of, self.made[node], key=_key(f"made-{label}"), pure=False
        )

    def _send_task(
        self,
        function: Callable[..., Any],
        task: Task,
        shared: list[Future[Any]],
        given: Future[Any] | None,
        name: str,
    ) -> Future[Any]:
        return self.client.submit(
            function, task, self.nested, given, *shared, key=_key(name), pure=False
        )

    def _collect(self, piece: Piece, outcome: Outcome) -> None:
        """Take what a task found."""
        self.tally.add(outcome)
        for number, seconds in outcome.made.items():
            self.schedule.durations.learn(self.plan.nodes[number].kind, seconds)
        numbers = {entry.number: entry for entry in self.schedule.entries[piece.start : piece.stop]}
        for number, seconds in outcome.seconds.items():
            self.schedule.durations.learn(numbers[number].kind, seconds)
        _finish(outcome)
        unneeded = self.schedule.made(piece) if piece.make else self.schedule.done(piece)
        self._drop(unneeded)

    def _drop(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            del self.made[node]

    def _recover(self, piece: Piece, future: Future[Any], result: Any) -> bool:
        """Deal with a task that was lost; False if the workers' data went with it."""
        error = result[1] if isinstance(result, tuple) else future.exception()
        if isinstance(error, KilledWorker):
            self._isolate(piece, error)
            return True
        elsewhere = isinstance(error, Elsewhere)
        if elsewhere or future.status == "cancelled" or isinstance(error, FutureCancelledError):
            self.losses += 1
            if self.losses > 10:
                raise WorkerLost(
                    "the cluster lost its data ten times; see its logs, then run the cell again"
                )
            if elsewhere:
                self.sent.elsewhere()
            self.sent.lost()
            self.schedule.again([piece, *self.under_way.values()])
            self.client.cancel([*self.under_way, *self.made.values()], msg=None)
            self.under_way.clear()
            self.made.clear()
            return False
        raise error

    def _isolate(self, piece: Piece, error: BaseException) -> None:
        """Find the candidate that ends its workers, and fail that one only."""
        if piece.stop - piece.start > 1 and not piece.make:
            self.schedule.halve(piece)
            return
        if piece.make:
            self.schedule.unmakable(piece)
            return
        entry = self.schedule.entries[piece.start]
        self.tally.add(_failed(entry, self.plan, error))
        self._drop(self.schedule.done(piece))


class _Failing(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Stands in for a candidate that cannot be fitted, so that scikit-learn scores the failure."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def fit(self, X: Any, y: Any = None, **params: Any) -> _Failing:
        raise self.error


def _failed(entry: Cell | Call, plan: Plan, error: BaseException) -> Outcome:
    """Return what scikit-learn makes of a cell that ended its workers."""
    lost = WorkerLost(
        f"{entry.label} ended every worker that tried it, most likely by running out of memory: "
        f"give the workers more, or leave the candidate out ({error})"
    )
    if isinstance(entry, Call):
        raise lost
    alone = replace(
        entry, parameters=None, path=(), alone=True, estimator=_Failing(lost), watched=None
    )
    outcome = tasks.run(
        Task(cells=(alone,)),
        Bundle(tuple(plan.setups), tuple(plan.folds)),
        dict(enumerate(plan.data)),
    )
    _finish(outcome)
    return outcome


def _task(plan: Plan, entries: list[Cell | Call], *, until: int | None = None) -> Task:
    cells = tuple(entry for entry in entries if isinstance(entry, Cell))
    calls = tuple(entry for entry in entries if isinstance(entry, Call))
    nodes = {number: plan.nodes[number] for cell in cells for number in cell.path}
    return Task(cells, calls, nodes, until)


def _finish(outcome: Outcome) -> None:
    """Show here what happened there: lines, warnings, and the error."""
    for line in outcome.lines:
        print(line)
    for entry in outcome.warned:
        warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    if isinstance(outcome.error, CarriedError):
        raise outcome.error.revive()
    if outcome.error is not None:
        raise outcome.error


def _key(name: str) -> str:
    slug = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")
    return f"{slug}-{uuid4().hex}"
