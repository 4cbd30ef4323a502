"""Carry out a plan: in this process, or on a Dask cluster.

On a cluster few tasks are under way at a time, so that memory and the scheduler's load follow the
cluster's width and not the grid. The data reach each worker once (see `sending`). A lost worker
costs its own tasks. A piece of work that is suspected of ending its workers is divided and tried
again with nothing else under way (see `trials`). What then ends them too is a candidate that fails
with ``error_score``. Whatever ends the search, what is queued is cancelled.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from jupyter_scale.search import tasks, worker
from jupyter_scale.search.cache import Kept
from jupyter_scale.search.control import Control, SearchStopped
from jupyter_scale.search.failing import (
    LOST,
    Removal,
    SchedulerLost,
    WorkerLost,
    failed,
    finish,
    removals,
)
from jupyter_scale.search.holding import Missing
from jupyter_scale.search.mapping import Elsewhere
from jupyter_scale.search.plan import Call, Cell, Plan
from jupyter_scale.search.results import Results
from jupyter_scale.search.schedule import Piece, Schedule
from jupyter_scale.search.sending import Sent, Shared
from jupyter_scale.search.tasks import Bundle, Outcome, Task
from jupyter_scale.search.trials import Trials
from jupyter_scale.search.waiting import Waiting
from jupyter_scale.search.window import Window

__all__ = ["Cluster", "SchedulerLost", "WorkerLost", "run_here"]

LOSSES = 12
"""So often the data may be lost while nothing at all is done."""
MOMENT = 0.05  # seconds
ALONE = 60  # seconds without a worker


class Tally(Protocol):
    """Where outcomes go."""

    def add(self, outcome: Outcome) -> None:
        """Take what a task found."""

    def tick(self) -> None:
        """Learn that nothing has come for a moment."""


def run_here(plan: Plan, tally: Tally, *, nested: Callable[[], Any], control: Control) -> None:
    """Run a plan in this process, one piece of work after the other."""
    # without steps to share, the order of scikit-learn
    entries: list[Cell | Call] = [*plan.cells, *plan.calls]
    if plan.nodes:
        entries = Schedule(plan).entries
    task = _task(plan, entries)

    def progress(number: int, outcome: Outcome) -> None:
        kept = {number: outcome.kept.pop(number)} if number in outcome.kept else {}
        seconds = {number: outcome.seconds[number]}
        tally.add(Outcome({number: outcome.results[number]}, seconds, kept=kept))

    outcome = tasks.run(
        task,
        Bundle(tuple(plan.setups), tuple(plan.folds)),
        dict(enumerate(plan.data)),
        nested=nested,
        stopped=control.wait,
        progress=progress,
        say=print,
    )
    outcome.results = {}  # told already, one by one
    tally.add(outcome)
    finish(outcome)
    control.check()


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
        self._seen = time.monotonic()
        self._workers: Mapping[str, int] = {}

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
            self._workers = self.client.nthreads()
            self._asked = time.monotonic()
            if self._workers:
                self._seen = self._asked
            elif self._asked - self._seen > ALONE:
                self._seen = math.inf  # said once
                warnings.warn(
                    f"the cluster has had no worker for {ALONE} s: the search waits for one",
                    stacklevel=2,
                )
        return max(1, sum(self._workers.values()))

    @property
    def workers(self) -> Mapping[str, int]:
        """Addresses of the workers and their threads; another object when asked for anew."""
        return self._workers

    def run(
        self,
        plan: Plan,
        tally: Tally,
        sent: Sent,
        control: Control,
        *,
        nested: Callable[[], Any] | None = None,
        kept: Kept | None = None,
    ) -> None:
        """Run a plan to its end.

        Parameters
        ----------
        plan, tally
            What to run, and where its outcomes go.
        sent : Sent
            What the workers hold of the data already.
        control : Control
            Pauses or stops the run.
        nested : callable, optional
            In the place of this cluster's own.
        kept : Kept, optional
            What earlier plans have left on the workers, and what this one is to leave.

        Raises
        ------
        Exception
            What a cell raised, with ``error_score="raise"``.
        SearchStopped
            By `control`.
        SchedulerLost
            When the cluster does not answer any more.
        """
        run = _Run(self, plan, tally, sent, control, nested or self._nested, kept)
        try:
            run.run()
        except Exception as error:
            if isinstance(error, SearchStopped) or self.client.status == "running":
                raise
            raise SchedulerLost(LOST) from error


class _Run:
    """One plan on its way through a cluster."""

    def __init__(
        self,
        cluster: Cluster,
        plan: Plan,
        tally: Tally,
        sent: Sent,
        control: Control,
        nested: Callable[[], Any],
        kept: Kept | None,
    ) -> None:
        self.cluster = cluster
        self.client = cluster.client
        self.plan = plan
        self.tally = tally
        self.sent = sent
        self.control = control
        self.nested = nested
        self.kept = kept
        self.schedule = Schedule(plan, keep=() if kept is None else kept.numbers)
        self.window = Window()
        self.shared = Shared(plan, sent)
        self.made: dict[int, Future[Any]] = {}
        self.under_way: dict[Future[Any], Piece] = {}
        self.results = Results(self.client)
        self.waiting = Waiting(self.shared, self.results)
        self.failures: list[Outcome] = []
        self.trials = Trials(partial(_removals, self.client))
        self.losses = 0

    def run(self) -> None:
        try:
            self._take()
            while not self.schedule.finished:
                if self.failures:
                    self._raise_first()
                elif not self.control.paused:
                    self._fill()
                for future, result in self._completed():
                    piece = self.under_way.pop(future, None)
                    if piece is None:
                        self._arrived(future)
                    elif isinstance(result, Missing):
                        self._supply(piece, result)
                    elif isinstance(result, Outcome) and result.error is not None:
                        self.failures.append(result)
                    elif isinstance(result, Outcome):
                        self._collect(piece, result)
                    elif result is None and future.status not in ("error", "cancelled"):
                        self._fetch(piece, future)
                    elif not self._recover(piece, future, result):
                        self.shared.send()
                        break
                self.tally.tick()
                self.control.check()  # when what is done is collected
        finally:
            self.results.forget()
            made = [future for future in self.made.values() if not self._holds(future)]
            futures = [*self.under_way, *made]
            if futures and self.client.status == "running":
                self.client.cancel(futures, reason="the search has ended", msg=None)
            # whoever still knows this run, as a traceback does, holds nothing on the workers
            self.under_way.clear()
            self.waiting.clear()
            self.made.clear()
            if self.kept is not None:
                self.kept.found.clear()

    def _take(self) -> None:
        """Take over what earlier plans have made."""
        if self.kept is None:
            return
        for number, chain in self.kept.found.items():
            numbers = self.kept.numbered(number)
            self.made[number] = self.client.submit(
                worker.renumber, chain.value, numbers, key=_key("kept"), pure=False
            )
        self._drop(self.schedule.have(list(self.made)))

    def _holds(self, future: Future[Any]) -> bool:
        return self.kept is not None and self.kept.holds(future)

    def _completed(self) -> list[tuple[Future[Any], Any]]:
        """Return what has ended, perhaps nothing, within a moment."""
        if self.client.status != "running":
            self._reconnected()
        return self.results.next(MOMENT)

    def _reconnected(self) -> None:
        """Wait until the client has found its scheduler again, or has given up."""
        while self.client.status == "connecting":
            time.sleep(MOMENT)
            self.control.check()
        if self.client.status != "running":
            raise SchedulerLost(LOST)

    def _raise_first(self) -> None:
        """Raise the error of the earliest call, once none before it is still under way."""
        first = min(self.failures, key=lambda outcome: outcome.failed)
        entries = self.schedule.entries
        before = any(
            entries[place].number < first.failed
            for piece in self._out
            for place in range(piece.start, piece.stop)
        )
        if not before:
            finish(first)

    def _fill(self) -> None:
        """Keep every thread busy, and as little as possible queued."""
        threads = self.cluster.threads
        for future in self.shared.forget(self.cluster.workers):
            self._arrived(future)
        alone = bool(self.trials)
        most = 1 if alone else self.window.size(threads=threads, now=time.monotonic())

        def following() -> Piece | None:
            return self.schedule.next(threads=threads)

        while len(self.under_way) + len(self.waiting) < most:
            piece = self.trials.next(following) if alone else following()
            if piece is None:
                return
            self._submit(piece, self.shared.everything() if alone else ())

    def _submit(self, piece: Piece, brought: Sequence[Future[Any]] = ()) -> None:
        """Send a piece to a worker, with what it brings there."""
        entries = self.schedule.entries[piece.start : piece.stop]
        given = [self.made[number] for number in piece.given]
        if piece.makes:
            future = self._make(piece.makes, given, brought)
        else:
            task = _task(self.plan, entries)
            name = f"score-{entries[0].label}{_place(entries)}"
            future = self._send(worker.run_on_worker, task, given, brought, name)
        self.under_way[future] = piece
        self.results.add(future)

    def _fetch(self, piece: Piece, future: Future[Any]) -> None:
        """Ask for what a task has found and not told."""
        if piece.makes:  # the nodes themselves stay on their worker
            key = _key(f"made-{self._label(piece.makes)}")
            future = self.client.submit(worker.outcome_of, future, key=key, pure=False)
        self.under_way[future] = piece
        self.results.fetch(future)

    def _make(
        self,
        makes: Mapping[int, int],
        given: Sequence[Future[Any]],
        brought: Sequence[Future[Any]],
    ) -> Future[Any]:
        """Have nodes made, each on the way of the entry at a place."""
        entries = [self.schedule.entries[place] for place in makes.values()]
        task = _task(self.plan, entries, until=tuple(makes))
        node = self.plan.nodes[list(makes)[-1]]
        fold = "" if node.role == "whole" else f"-f{node.fold}"  # that one is for all of them
        name = f"fit-{node.label}{fold}"
        future = self._send(worker.make_on_worker, task, given, brought, name)
        self.made.update(dict.fromkeys(makes, future))
        return future

    def _supply(self, piece: Piece, missing: Missing) -> None:
        """Send a piece once more to the worker where something was missing, with that."""
        for place in missing.unmade:
            number = piece.given[place]
            if self.made[number].status != "pending":  # or another piece has seen to it
                self._make({number: self._place(number, piece)}, (), self.shared.everything())
        if self.waiting.often(piece):
            self._submit(piece, self.shared.everything())
        elif not self.waiting.add(piece, missing):
            self._submit(piece)

    def _label(self, makes: Mapping[int, int]) -> str:
        """Return the step of the last of some nodes: those before it may be on its way."""
        return self.plan.nodes[list(makes)[-1]].label

    def _place(self, number: int, piece: Piece) -> int:
        """Return the place of an entry of a piece that needs a node."""
        place: int
        for place in (*range(piece.start, piece.stop), *piece.makes.values()):
            entry = self.schedule.entries[place]
            if isinstance(entry, Cell) and number in self.plan.nodes_of(entry):
                return place
        raise LookupError(f"no entry of the piece needs node {number}")

    def _arrived(self, future: Future[Any]) -> None:
        """Send the pieces that have waited for some data, which are there or never will be."""
        for piece in self.waiting.arrived(future):
            self._submit(piece)

    @property
    def _out(self) -> list[Piece]:
        """The pieces that are under way, or wait for their data."""
        return [*self.under_way.values(), *self.waiting.pieces]

    def _send(
        self,
        function: Callable[..., Any],
        task: Task,
        given: Sequence[Future[Any]],
        brought: Sequence[Future[Any]],
        name: str,
    ) -> Future[Any]:
        return self.results.submit(
            function, task, self.nested, given, self.shared.names, brought, key=_key(name)
        )

    def _collect(self, piece: Piece, outcome: Outcome) -> None:
        """Take what a task found."""
        self._cleared(piece)
        self.tally.add(outcome)
        for number, seconds in outcome.made.items():
            self.schedule.durations.learn(self.plan.nodes[number].kind, seconds)
        numbers = {entry.number: entry for entry in self.schedule.entries[piece.start : piece.stop]}
        for number, seconds in outcome.seconds.items():
            self.schedule.durations.learn(numbers[number].kind, seconds)
        finish(outcome)
        if self.kept is not None and piece.branch is not None and outcome.nbytes:
            seconds = sum(outcome.made.values())
            for node in piece.makes:
                self.kept.put(node, self.made[node], seconds=seconds, nbytes=outcome.nbytes)
        unneeded = self.schedule.made(piece) if piece.makes else self.schedule.done(piece)
        self._drop(unneeded)

    def _drop(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            del self.made[node]

    def _recover(self, piece: Piece, future: Future[Any], result: Any) -> bool:
        """Deal with a task that was lost; False if the workers' data went with it."""
        error = result[1] if isinstance(result, tuple) else future.exception() or result
        own = self.made[next(iter(piece.makes))].key if piece.makes else future.key
        if isinstance(error, KilledWorker) and error.task in (future.key, own):
            self._isolate(piece, error, own)
            return True
        lost = future.status == "cancelled" or isinstance(error, FutureCancelledError)
        if not lost and not isinstance(error, KilledWorker | Elsewhere):
            raise error
        if self.client.status != "running":
            self._reconnected()
        for data in self.shared.futures.values():
            refused = data.exception() if data.status == "error" else None
            if refused is not None and not isinstance(refused, KilledWorker):
                raise refused  # the cluster cannot read what it was sent, and never will
        if isinstance(error, Elsewhere):
            self.sent.elsewhere()
        self.losses += 1
        if self.losses > LOSSES and self.trials.harmless:
            raise RuntimeError(
                "the cluster drops what it is sent, though it lost no worker: most likely it "
                "cannot be deserialized there. Its scheduler's log says why; install the packages "
                "of this environment on the cluster, or import your own code from one of them"
            )
        if self.losses > LOSSES:
            raise WorkerLost(
                f"the workers were lost {LOSSES} times and did nothing in between: see their "
                "logs, give them more memory, then run the cell again"
            )
        self._again(piece, error, own)
        return False

    def _again(self, piece: Piece, error: BaseException | None, key: Any) -> None:
        """Give everything back: what the workers held is lost."""
        back = [piece]
        if self.trials.tries(piece) and not isinstance(error, Elsewhere):
            # nothing else was under way when the data went with their workers
            back = self.schedule.divided(piece)
            lost = isinstance(error, KilledWorker) or not self.trials.harmless
            if len(back) == 1 and lost and self.trials.convicted(piece, key):
                self._fail(piece, error)
                back = []
        back += self._out
        back += self.trials.again(careful=len(back))
        self.schedule.again(back)
        self.client.cancel([*self.under_way, *self.made.values()], msg=None)
        self.under_way.clear()
        self.waiting.clear()
        self.made.clear()
        self.results.forget()
        self.sent.lost()
        if self.kept is not None:
            self.kept.lost()

    def _isolate(self, piece: Piece, error: BaseException, key: Any) -> None:
        """Find the candidate that ends its workers, and fail that one only."""
        parts = self.schedule.divided(piece)
        if self.trials.tries(piece) and len(parts) == 1 and self.trials.convicted(piece, key):
            self._fail(piece, error)
        else:
            self.trials.suspect(parts)

    def _cleared(self, piece: Piece) -> None:
        """Note that something was done: the workers live."""
        self.losses = 0
        self.waiting.cleared(piece)
        self.trials.cleared(piece)

    def _fail(self, piece: Piece, error: BaseException | None) -> None:
        """Fail the candidates of a piece: if a node cannot be made, all those that need it."""
        self._cleared(piece)
        label = self._label(piece.makes) if piece.makes else None
        self._drop(piece.makes)
        if piece.branch is None:
            self.schedule.unmakable(piece)  # each that asks for it is tried by itself
            return
        for entry in self.schedule.entries[piece.start : piece.stop]:
            self.tally.add(failed(entry, self.plan, error, label or entry.label))
        self._drop(self.schedule.done(piece))


def _removals(client: Client) -> list[Removal]:
    """Return the losses of workers; none where the scheduler does not tell."""
    try:
        found: list[Removal] = client.run_on_scheduler(removals)
    except Exception:
        return []
    return found


def _task(plan: Plan, entries: list[Cell | Call], *, until: tuple[int, ...] = ()) -> Task:
    cells = tuple(entry for entry in entries if isinstance(entry, Cell))
    calls = tuple(entry for entry in entries if isinstance(entry, Call))
    nodes = {number: plan.nodes[number] for cell in cells for number in plan.nodes_of(cell)}
    return Task(cells, calls, nodes, until)


def _place(entries: Sequence[Cell | Call]) -> str:
    """Return, for a key, which candidate on which fold a piece begins with, and its cells.

    Dask groups keys by their words before the first that has a digit: by the step.
    """
    first = entries[0]
    if not isinstance(first, Cell):
        return ""
    candidate = first.progress.get("candidate_progress")
    of = f"-c{candidate[0]}" if candidate else ""
    more = f"-x{len(entries)}" if len(entries) > 1 else ""
    return f"{of}-f{first.fold}{more}"


def _key(name: str) -> str:
    """Return a key for a task that is not like any before it."""
    slug = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")
    return f"{slug}-{uuid4().hex}"
