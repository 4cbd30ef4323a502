"""Carry out a plan: in this process, or on a Dask cluster.

On a cluster few tasks are under way at a time, so that memory and the scheduler's load follow the
cluster's width and not the grid. The data reach each worker once (see `sending`). A lost worker
costs its own tasks. A piece of work that is suspected of ending its workers is divided and tried
again with nothing else under way (a trial): what ends them then too is a candidate, which gets
``error_score``. Whatever ends the search, what is queued is cancelled.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

from distributed import Client, Future, as_completed
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker
from sklearn.base import BaseEstimator

from jupyter_scale.search import tasks, worker
from jupyter_scale.search.cache import Kept
from jupyter_scale.search.control import Control, SearchStopped
from jupyter_scale.search.mapping import Elsewhere
from jupyter_scale.search.plan import Call, Cell, Plan
from jupyter_scale.search.schedule import Piece, Schedule
from jupyter_scale.search.sending import Sent, bundled
from jupyter_scale.search.tasks import Bundle, CarriedError, Outcome, Task

__all__ = ["Cluster", "SchedulerLost", "WorkerLost", "run_here"]

PARTS = 16
"""Into so many parts a suspected piece is divided."""
TRIALS = 3
"""Trials in which a candidate takes the data with it, before it is one that does."""
LOSSES = 12
"""So often the data may be lost while nothing at all is done."""
MOMENT = 0.05  # seconds


class Tally(Protocol):
    """Where outcomes go."""

    def add(self, outcome: Outcome) -> None:
        """Take what a task found."""


class WorkerLost(RuntimeError):
    """A candidate ended every worker that tried it."""


class SchedulerLost(RuntimeError):
    """The cluster has gone in the middle of a search."""


def run_here(plan: Plan, tally: Tally, *, nested: Callable[[], Any], control: Control) -> None:
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
        stopped=control.wait,
        progress=progress,
        say=print,
    )
    outcome.results = {}  # told already, one by one
    tally.add(outcome)
    _finish(outcome)
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
            raise SchedulerLost(_LOST) from error


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
        self.bundle, self.data = bundled(plan)
        self.made: dict[int, Future[Any]] = {}
        self.under_way: dict[Future[Any], Piece] = {}
        self.waiting = as_completed(with_results=True, raise_errors=False)
        self.failures: list[Outcome] = []
        # what is suspected, how many pieces to try alone, and the one that is alone now
        self.trials: list[Piece] = []
        self.careful = 0
        self.trial: Piece | None = None
        self.suspected: Counter[tuple[int, int, int | None]] = Counter()
        self.losses = 0

    def run(self) -> None:
        shared = self._send()
        try:
            self._take()
            while not self.schedule.finished:
                if self.failures:
                    self._raise_first()
                elif not self.control.paused:
                    self._fill(shared)
                for future, result in self._completed():
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
                self.control.check()  # when what is done is collected
        finally:
            made = [future for future in self.made.values() if not self._holds(future)]
            futures = [*self.under_way, *made]
            if futures and self.client.status == "running":
                self.client.cancel(futures, reason="the search has ended", msg=None)

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
        changed = self.waiting.thread_condition
        with changed:
            if not self.waiting.has_ready():
                changed.wait(MOMENT)
        batch: list[tuple[Future[Any], Any]] = self.waiting.next_batch(block=False)
        return batch

    def _reconnected(self) -> None:
        """Wait until the client has found its scheduler again, or has given up."""
        while self.client.status == "connecting":
            time.sleep(MOMENT)
            self.control.check()
        if self.client.status != "running":
            raise SchedulerLost(_LOST)

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
        alone = bool(self.trials or self.careful)
        window = 1 if alone else threads + (threads + 1) // 2
        while len(self.under_way) < window:
            piece = self.trials.pop() if self.trials else self.schedule.next(threads=threads)
            if piece is None:
                return
            self.trial = piece if alone else None
            future = self._submit(piece, shared)
            self.under_way[future] = piece
            self.waiting.add(future)

    def _submit(self, piece: Piece, shared: list[Future[Any]]) -> Future[Any]:
        entries = self.schedule.entries[piece.start : piece.stop]
        given = [self.made[n] for n in (piece.base, *piece.needs) if n is not None]
        if piece.node is None:
            task = _task(self.plan, entries)
            return self._send_task(
                worker.run_on_worker, task, shared, given, f"score-{entries[0].label}"
            )
        task = _task(self.plan, entries[:1], until=piece.node)
        label = self.plan.nodes[piece.node].label
        self.made[piece.node] = self._send_task(
            worker.make_on_worker, task, shared, given, f"fit-{label}"
        )
        # what comes back is small; the node itself stays on its worker
        return self.client.submit(
            worker.outcome_of, self.made[piece.node], key=_key(f"made-{label}"), pure=False
        )

    def _send_task(
        self,
        function: Callable[..., Any],
        task: Task,
        shared: list[Future[Any]],
        given: list[Future[Any]],
        name: str,
    ) -> Future[Any]:
        return self.client.submit(
            function, task, self.nested, given, *shared, key=_key(name), pure=False
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
        _finish(outcome)
        if self.kept is not None and piece.node is not None and outcome.nbytes:
            seconds = sum(outcome.made.values())
            made = self.made[piece.node]
            self.kept.put(piece.node, made, seconds=seconds, nbytes=outcome.nbytes)
        unneeded = self.schedule.made(piece) if piece.make else self.schedule.done(piece)
        self._drop(unneeded)

    def _drop(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            del self.made[node]

    def _recover(self, piece: Piece, future: Future[Any], result: Any) -> bool:
        """Deal with a task that was lost; False if the workers' data went with it."""
        error = result[1] if isinstance(result, tuple) else future.exception()
        own = future if piece.node is None else self.made[piece.node]
        if isinstance(error, KilledWorker) and error.task in (future.key, own.key):
            self._isolate(piece, error)
            return True
        lost = future.status == "cancelled" or isinstance(error, FutureCancelledError)
        if not lost and not isinstance(error, KilledWorker | Elsewhere):
            raise error
        if self.client.status != "running":
            self._reconnected()
        if isinstance(error, Elsewhere):
            self.sent.elsewhere()
        self.losses += 1
        if self.losses > LOSSES:
            raise WorkerLost(
                f"the workers were lost {LOSSES} times and did nothing in between: see their "
                "logs, give them more memory, then run the cell again"
            )
        self._again(piece, error)
        return False

    def _again(self, piece: Piece, error: BaseException) -> None:
        """Give everything back: what the workers held is lost."""
        back = [piece]
        if piece is self.trial and not isinstance(error, Elsewhere):
            # nothing else was under way when the data went with their workers
            back = self._divided(piece)
            if len(back) == 1 and self._convicted(piece, times=TRIALS):
                self._fail(piece, error)
                back = []
        back += [*self.under_way.values(), *self.trials]
        self.schedule.again(back)
        self.careful, self.trial = len(back), None
        self.client.cancel([*self.under_way, *self.made.values()], msg=None)
        self.under_way.clear()
        self.made.clear()
        self.trials.clear()
        self.sent.lost()
        if self.kept is not None:
            self.kept.lost()

    def _isolate(self, piece: Piece, error: BaseException) -> None:
        """Find the candidate that ends its workers, and fail that one only.

        Many workers may be lost for other reasons: guilty is what ended them in a trial.
        """
        single = piece.make or piece.stop - piece.start == 1
        if piece is self.trial and single:
            self._fail(piece, error)
        else:
            self.trials += self._divided(piece)

    def _divided(self, piece: Piece) -> list[Piece]:
        """Return the parts of a suspected piece; a node to be made has none."""
        if piece.make:
            return [piece]
        size = -(-(piece.stop - piece.start) // PARTS)
        starts = range(piece.start, piece.stop, size)
        return [
            replace(
                piece,
                start=start,
                stop=min(start + size, piece.stop),
                seconds=piece.seconds / len(starts),
            )
            for start in starts
        ]

    def _convicted(self, piece: Piece, *, times: int) -> bool:
        suspect = (piece.start, piece.stop, piece.node)
        self.suspected[suspect] += 1
        return self.suspected[suspect] >= times

    def _cleared(self, piece: Piece) -> None:
        """Note that something was done: the workers live."""
        self.losses = 0
        if piece is self.trial:
            self.trial = None
            self.careful = max(0, self.careful - 1)

    def _fail(self, piece: Piece, error: BaseException) -> None:
        """Fail the candidates of a piece: if a node cannot be made, all those that need it."""
        self._cleared(piece)
        label = None
        if piece.node is not None:
            label = self.plan.nodes[piece.node].label
            del self.made[piece.node]
        if piece.branch is None:
            self.schedule.unmakable(piece)  # each that asks for it is tried by itself
            return
        for entry in self.schedule.entries[piece.start : piece.stop]:
            self.tally.add(_failed(entry, self.plan, error, label or entry.label))
        self._drop(self.schedule.done(piece))


class _Failing(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Stands in for a candidate that cannot be fitted, so that scikit-learn scores the failure."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def fit(self, X: Any, y: Any = None, **params: Any) -> _Failing:
        raise self.error


_LOST = (
    "the cluster does not answer any more: its scheduler has ended, or the network is gone. What "
    "was done is in the search's scale_report.scores. Start a cluster, then run the search again"
)


def _failed(entry: Cell | Call, plan: Plan, error: BaseException, label: str) -> Outcome:
    """Return what scikit-learn makes of a cell that ended its workers."""
    lost = WorkerLost(
        f"{label} ended every worker that tried it, most likely by running out of memory: "
        f"give the workers more, or leave the candidate out ({error})"
    )
    if isinstance(entry, Call):
        raise lost
    alone = replace(
        entry,
        parameters=None,
        path=(),
        needs=(),
        site=None,
        alone=True,
        estimator=_Failing(lost),
        watched=None,
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
    nodes = {number: plan.nodes[number] for cell in cells for number in plan.nodes_of(cell)}
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
