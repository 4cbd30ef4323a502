"""A `merged` context: its cluster, its reports, and who is told.

The `Session` runs what the joblib backend has taken in (see `backend`).
"""

from __future__ import annotations

import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import joblib
from dask.utils import parse_bytes
from distributed import Client
from distributed.system import MEMORY_LIMIT

from jupyter_scale.search import internals, refit
from jupyter_scale.search.address import Addresses
from jupyter_scale.search.backend import MergedBackend
from jupyter_scale.search.cache import Cache
from jupyter_scale.search.control import Control, SearchStopped
from jupyter_scale.search.execute import Cluster, run_here
from jupyter_scale.search.failing import finish
from jupyter_scale.search.fitted import hold
from jupyter_scale.search.internals import (
    ParallelBackendBase,
    SequentialBackend,
    ThreadingBackend,
    check_release,
)
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.planner import Planner
from jupyter_scale.search.report import (
    Place,
    Record,
    Recorder,
    Report,
    Score,
    SearchReport,
    Tally,
)
from jupyter_scale.search.sending import Sent
from jupyter_scale.search.tasks import Outcome, distinct

__all__ = ["Session", "merged"]

MERGE = ("all", "seeded")


@contextmanager
def merged(
    client: Client | None = None,
    *,
    seed: int | None = None,
    merge: str = "all",
    plan_only: bool = False,
    recorder: Recorder | None = None,
    record: Record | None = None,
    on_score: Callable[[Score], None] | None = None,
    control: Control | None = None,
    cache: str | float | None = None,
) -> Iterator[Report]:
    """Run scikit-learn's searches with every shared piece of work done once.

    Parameters
    ----------
    client : distributed.Client, optional
        The cluster to run on. Without one, the same plan runs in this process.
    seed : int, optional
        Seeds every step that has none, as if the grid held ``step__random_state: [seed]``.
    merge : {"all", "seeded"}
        Whether steps that draw without a seed are shared like any other, or not at all.
    plan_only : bool
        Fit nothing: the first search raises `PlanOnly` with its plan.
    recorder : Recorder, optional
        Follows the searches, as a progress bar does.
    record : Record, optional
        Keeps finished cells, and answers those that it knows from earlier searches.
    on_score : callable, optional
        Called with each finished cell, a `Score`, in the order of completion; see also `stream`.
    control : Control, optional
        Pauses, resumes and stops the searches, from any thread; else ``report.control`` does.
    cache : str or float, optional
        How much of the workers' memory a search that goes round by round (`OptunaSearchCV`,
        successive halving) may fill with fitted steps for its next round: ``"2 GiB"``, or a
        fraction of all they have; a fifth by default. They go when the search ends.

    Yields
    ------
    Report
        Filled as searches run; each search also gets its part as ``search.scale_report``.

    Raises
    ------
    ValueError
        If `merge` is none of the two, `client` is closed, or `cache` is no size.
    SearchStopped
        By a search that `control` has stopped.
    ImportError
        If this release of scikit-learn is none of those that were tested.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> search = GridSearchCV(
    ...     make_pipeline(StandardScaler(), LogisticRegression()),
    ...     {"logisticregression__C": [0.1, 1.0, 10.0]},
    ... )
    >>> with merged() as report:
    ...     _ = search.fit(*load_iris(return_X_y=True))
    >>> search.scale_report.fits_done, search.scale_report.fits_saved
    (20, 10)
    """
    check_release()
    if merge not in MERGE:
        raise ValueError(f"merge={merge!r}: choose one of {', '.join(MERGE)}")
    if client is not None and client.status != "running":
        raise ValueError(f"the client is {client.status}: connect to a running cluster first")
    before, _ = joblib.parallel.get_active_backend()
    session = Session(
        client,
        before,
        seed=seed,
        seeded_only=merge == "seeded",
        plan_only=plan_only,
        told=_Guarded(recorder, on_score, record),
        control=control,
        cache=FRACTION if cache is None else cache,
    )
    try:
        with joblib.parallel_config(backend=MergedBackend(session)):
            yield session.report
    finally:
        session.close()


def nested() -> AbstractContextManager[Any]:
    """Return the context for what a cell runs: inner searches are merged too, in its own thread."""
    session = Session(None, SequentialBackend(nesting_level=1), inside=True)
    return _current(MergedBackend(session, nesting_level=1))


def nested_in_refit() -> AbstractContextManager[Any]:
    """Return the context for the final fit: it is alone, so ``n_jobs`` counts on its worker."""
    session = Session(None, ThreadingBackend(nesting_level=0))
    return _current(MergedBackend(session))


def _current(backend: MergedBackend) -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = joblib.parallel_config(backend=backend)
    return context


class Session:
    """What the evaluations of a `merged` context have in common."""

    def __init__(
        self,
        client: Client | None,
        before: ParallelBackendBase,
        *,
        seed: int | None = None,
        seeded_only: bool = False,
        plan_only: bool = False,
        told: _Guarded | None = None,
        control: Control | None = None,
        inside: bool = False,
        cache: str | float = 0.0,
    ) -> None:
        self.client = client
        self._room = _room(cache)
        self.seed = seed
        self.seeded_only = seeded_only
        self.plan_only = plan_only
        self.before = before
        self.inside = inside
        """Whether a cell is running, whose parts may share (`run_inner`)."""
        self.control = control or Control()
        self.report = Report(control=self.control)
        self.recorder = told or _Guarded()
        self.cluster = None if client is None else Cluster(client, nested=nested)
        self._sent: weakref.WeakSet[Sent] = weakref.WeakSet()

    def addresses(self) -> Addresses | None:
        """Return what tells where the cells of an evaluation are on record."""
        return Addresses() if self.recorder.records else None

    def planner(self, addresses: Addresses | None = None) -> Planner:
        keep, some = self.recorder.predictions()
        return Planner(
            seed=self.seed,
            seeded_only=self.seeded_only,
            addresses=addresses,
            known=self.recorder.known,
            keep=keep,
            kept=self.recorder.predicted if some else None,
        )

    def sent(self) -> Sent | None:
        """Return what is to hold the data of one fit on the workers."""
        if self.client is None:
            return None
        sent = Sent(self.client)
        self._sent.add(sent)
        return sent

    def cache(self) -> Cache | None:
        """Return what is to keep fitted steps from one round of a search to the next."""
        if self.client is None:
            return None
        room = self._room
        if isinstance(room, float):
            room = int(room * _memory(self.client))
        return Cache(room) if room else None

    def close(self) -> None:
        """Leave no data on the workers, whatever became of the fits."""
        for sent in list(self._sent):
            sent.close()

    def run(
        self,
        planner: Planner,
        report: SearchReport,
        sent: Sent | None,
        places: Sequence[Place],
        cache: Cache | None = None,
    ) -> dict[int, Any]:
        """Run what a planner has collected; return the results by call number."""
        plan = planner.plan
        kept = None if cache is None else cache.of(plan)
        report.plan(plan)
        tally = Tally(plan, report, self.recorder, places)
        start = time.perf_counter()
        with self._following(report):
            try:
                self.recorder.planned(plan, report)
                if plan.known:
                    tally.recall()
                    finish(Outcome(warned=distinct(plan.warned)))
                # scikit-learn's callbacks report to the process that they were made in
                watched = any(cell.watched is not None for cell in plan.cells)
                if not plan.cells and not plan.calls:
                    pass  # all was on record
                elif self.cluster is None or sent is None or watched:
                    run_here(plan, tally, nested=self._nested, control=self.control)
                else:
                    self.cluster.run(plan, tally, sent, self.control, kept=kept)
            finally:
                report.seconds += time.perf_counter() - start
        return {n: tally.results[plan.copies.get(n, n)] for n in range(plan.n_calls)}

    def refit(
        self, report: SearchReport, sent: Sent, estimator: Any, *data: Any, **params: Any
    ) -> Any:
        """Fit the best estimator of a search on the cluster; return it."""
        plan = None
        if not internals.has_callbacks(estimator, vars(estimator).get(internals.CONTEXT)):
            plan = refit.planned(estimator, data, params)
        if plan is None or self.cluster is None:
            return estimator.fit(*data, **params)
        results = refit.Results(lambda: self.recorder.done(0, 0))
        with self._following(report):
            report.status = "refitting"
            self.recorder.refitting(report)
            self.cluster.run(plan, results, sent, self.control, nested=nested_in_refit)
            fitted = results.fitted
            if refit.adopt(estimator, fitted, data, params):
                report.refit = f"refit in {fitted.seconds:.1f} s on worker {fitted.worker}"
            else:
                estimator.fit(*data, **params)
        return estimator

    @contextmanager
    def _following(self, report: SearchReport) -> Iterator[None]:
        """Say in the report, and to the recorder, how it ended."""
        try:
            yield
            report.status = "done"
        except KeyboardInterrupt:
            report.status = "interrupted"
            raise
        except SearchStopped:
            report.status = "stopped"
            raise
        except BaseException:
            report.status = "failed"
            raise
        finally:
            self.recorder.finished(report)

    def _nested(self) -> AbstractContextManager[Any]:
        """In this process, inner uses of joblib other than searches run as they would anyway."""
        session = Session(None, self.before, inside=True)
        level = getattr(self.before, "nesting_level", 0) or 0
        return _current(MergedBackend(session, nesting_level=level))

    def new_report(self, planner: Planner) -> SearchReport:
        """Open the report of a search, and hang it on the search."""
        where = "this process" if self.cluster is None else str(self.cluster)
        refit = getattr(planner.caller, "refit", None)
        metric = refit if isinstance(refit, str) else ""
        report = SearchReport(planner.plan.name, where, metric=metric)
        self.report.searches.append(report)
        if planner.caller is not None:
            planner.caller.scale_report = report
            if self.recorder.records and planner.plan.setups:
                hold(planner.caller, planner.plan.data[planner.plan.setups[0].X])
        return report


FRACTION = 0.2
"""Of the workers' memory, for fitted steps that the next round of a search may need."""


def _room(cache: str | float) -> int | float:
    """Return bytes (an int), or a fraction of the memory (a float)."""
    share = isinstance(cache, int | float) and cache <= 1
    room = float(cache) if share else parse_bytes(cache)
    if room < 0:
        raise ValueError(f'cache={cache!r}: give a size such as "2 GiB", or a fraction such as 0.2')
    return room


def _memory(client: Client) -> int:
    """Return the bytes of memory that the workers may use together."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return sum(info["memory_limit"] or MEMORY_LIMIT for info in workers)


class _Guarded:
    """Those who are told of a search; their errors do not reach it."""

    def __init__(
        self,
        recorder: Recorder | None = None,
        on_score: Callable[[Score], None] | None = None,
        record: Record | None = None,
    ) -> None:
        self._recorder = recorder
        self._record = record
        self._on_score = on_score

    @property
    def records(self) -> bool:
        """Whether cells are kept."""
        return self._record is not None

    def _call(self, method: str, *args: Any) -> None:
        if self._recorder is not None and hasattr(self._recorder, method):
            try:
                getattr(self._recorder, method)(*args)
            except Exception as error:
                self._recorder = None
                warnings.warn(f"the search goes on without its display: {error!r}", stacklevel=2)
        self._keep(method, *args)

    def _keep(self, method: str, *args: Any) -> Any:
        if self._record is None or not hasattr(self._record, method):
            return None
        try:
            return getattr(self._record, method)(*args)
        except Exception as error:
            self._record = None
            warnings.warn(f"the search goes on unrecorded: {error}", stacklevel=2)
        return None

    def known(self, address: bytes, seeded: bool) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._keep("known", address, seeded)
        return found

    def predictions(self) -> tuple[bool, bool]:
        found: tuple[bool, bool] | None = self._keep("predictions")
        return found or (False, False)

    def predicted(self, address: bytes) -> bytes | None:
        found: bytes | None = self._keep("predicted", address)
        return found

    def keep(self, report: SearchReport, address: bytes, body: bytes) -> None:
        self._keep("keep", report, address, body)

    def cell(
        self, report: SearchReport, score: Score, address: bytes | None, result: dict[str, Any]
    ) -> None:
        self._keep("cell", report, score, address, result)
        if self._on_score is None:
            return
        try:
            self._on_score(score)
        except Exception as error:
            self._on_score = None
            warnings.warn(f"the search goes on, but tells no more scores: {error!r}", stacklevel=2)

    def planned(self, plan: Plan, report: SearchReport) -> None:
        self._call("planned", plan, report)

    def done(self, cells: int, fits: int) -> None:
        self._call("done", cells, fits)

    def finished(self, report: SearchReport) -> None:
        self._call("finished", report)

    def refitting(self, report: SearchReport) -> None:
        self._call("refitting", report)
