"""The way in: a joblib backend that receives scikit-learn's own calls.

scikit-learn runs every search through ``joblib.Parallel``. `merged` makes `MergedBackend` the
current backend; each ``Parallel`` of scikit-learn's is given an `Evaluation` of its own, which
takes all calls in (``pre_dispatch="all"``), and when joblib starts to wait for results
(``retrieval_context``) plans and runs them. Splits, ``cv_results_``, the choice of the best and
the refit remain scikit-learn's code.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import joblib
from distributed import Client

from jupyter_scale.search.execute import Cluster, run_here
from jupyter_scale.search.internals import (
    FallbackToBackend,
    Parallel,
    ParallelBackendBase,
    SequentialBackend,
    check_release,
    raise_dispatch_error,
    search_of_this_call,
)
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.planner import Planner
from jupyter_scale.search.report import Recorder, Report, SearchReport, Tally

__all__ = ["PlanOnly", "merged"]

MERGE = ("all", "seeded")


class PlanOnly(BaseException):
    """Ends a search that was only to be planned; ``plan`` is its plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.plan = plan


@contextmanager
def merged(
    client: Client | None = None,
    *,
    seed: int | None = None,
    merge: str = "all",
    plan_only: bool = False,
    recorder: Recorder | None = None,
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

    Yields
    ------
    Report
        Filled as searches run; each search also gets its part as ``search.scale_report``.

    Raises
    ------
    ValueError
        If `merge` is none of the two, or `client` is closed.
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
    session = _Session(client, seed, merge == "seeded", plan_only, recorder, before)
    with joblib.parallel_config(backend=MergedBackend(session)):
        yield session.report


def nested() -> AbstractContextManager[Any]:
    """Return the context for what a cell runs: inner searches are merged too, in its own thread."""
    session = _Session(None, None, False, False, None, SequentialBackend(nesting_level=1))
    return _current(MergedBackend(session, nesting_level=1))


def _current(backend: MergedBackend) -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = joblib.parallel_config(backend=backend)
    return context


class _Session:
    """What the evaluations of a `merged` context have in common."""

    def __init__(
        self,
        client: Client | None,
        seed: int | None,
        seeded_only: bool,
        plan_only: bool,
        recorder: Recorder | None,
        before: ParallelBackendBase,
    ) -> None:
        self.client = client
        self.seed = seed
        self.seeded_only = seeded_only
        self.plan_only = plan_only
        self.before = before
        self.report = Report()
        self.recorder = _Guarded(recorder)
        self.cluster = None if client is None else Cluster(client, nested=nested)

    def planner(self) -> Planner:
        return Planner(seed=self.seed, seeded_only=self.seeded_only)

    def run(self, planner: Planner, report: SearchReport) -> dict[int, Any]:
        """Run what a planner has collected; return the results by call number."""
        plan = planner.plan
        report.plan(plan)
        tally = Tally(plan, report, self.recorder)
        start = time.perf_counter()
        report.status = "failed"
        try:
            self.recorder.planned(plan)
            # scikit-learn's callbacks report to the process that they were made in
            if self.cluster is None or any(cell.watched is not None for cell in plan.cells):
                run_here(plan, tally, nested=self._nested)
            else:
                self.cluster.run(plan, tally)
            report.status = "done"
        except KeyboardInterrupt:
            report.status = "interrupted"
            raise
        finally:
            report.seconds += time.perf_counter() - start
            self.recorder.finished(report)
        return {n: tally.results[plan.copies.get(n, n)] for n in range(plan.n_calls)}

    def _nested(self) -> AbstractContextManager[Any]:
        """In this process, inner uses of joblib other than searches run as they would anyway."""
        session = _Session(None, None, False, False, None, self.before)
        level = getattr(self.before, "nesting_level", 0) or 0
        return _current(MergedBackend(session, nesting_level=level))

    def new_report(self, planner: Planner) -> SearchReport:
        """Open the report of a search, and hang it on the search."""
        where = "this process" if self.cluster is None else str(self.cluster)
        report = SearchReport(planner.plan.name, where)
        self.report.searches.append(report)
        if planner.caller is not None:
            planner.caller.scale_report = report
        return report


class MergedBackend(ParallelBackendBase):  # type: ignore[misc]  # joblib is untyped
    """joblib's current backend inside `merged`: gives each ``Parallel`` the backend it needs."""

    supports_retrieve_callback = True
    default_n_jobs = 1

    def __init__(self, session: _Session, nesting_level: int = 0) -> None:
        super().__init__(nesting_level=nesting_level)
        self._session = session

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Answer estimators that ask how many jobs to divide their work into."""
        result: int = self._session.before.effective_n_jobs(1 if n_jobs is None else n_jobs)
        return result

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **kwargs: Any,
    ) -> int:
        """Give a search of scikit-learn's an `Evaluation`, and anything else what it had."""
        if isinstance(parallel, Parallel) and prefer is None and require is None:
            raise FallbackToBackend(Evaluation(self._session, self.nesting_level))
        raise FallbackToBackend(self._other())

    def _other(self) -> ParallelBackendBase:
        if self._session.client is None:
            return self._session.before
        factory = joblib.parallel.BACKENDS.get("dask")
        if factory is None:
            joblib.parallel.EXTERNAL_BACKENDS["dask"]()
            factory = joblib.parallel.BACKENDS["dask"]
        return factory(client=self._session.client)

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Never called: ``configure`` always hands over to another backend."""
        raise RuntimeError("MergedBackend hands every Parallel over to another backend")


class Evaluation(ParallelBackendBase):  # type: ignore[misc]  # joblib is untyped
    """Takes in all calls of one ``Parallel``, then runs them as a plan."""

    supports_retrieve_callback = True
    supports_sharedmem = False

    def __init__(self, session: _Session, nesting_level: int | None) -> None:
        super().__init__(nesting_level=nesting_level)
        self._session = session
        self._search: Any = None
        self._planner = session.planner()
        self._batches: list[tuple[range, Callable[[list[Any]], None]]] = []
        self._report: SearchReport | None = None

    def configure(self, n_jobs: int = 1, parallel: Any = None, **kwargs: Any) -> int:
        """Ask joblib to dispatch everything before it waits."""
        self.parallel = parallel
        self._search = search_of_this_call()
        parallel.pre_dispatch = "all"
        return self.effective_n_jobs(n_jobs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return more than 1, or joblib would run the calls itself."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        return 2

    def start_call(self) -> None:
        """Begin a new batch of calls."""
        self._planner = self._session.planner()
        self._planner.caller = self._search
        self._batches = []

    def compute_batch_size(self) -> int:
        """Return how many calls joblib hands over at once; the plan knows no batches."""
        return 256

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Take calls in."""
        numbers = [self._planner.add(*item) for item in func.items]
        self._batches.append((range(numbers[0], numbers[-1] + 1), callback))
        return None

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Run all calls; then joblib finds every result there."""
        raise_dispatch_error(self.parallel)
        if self._batches:
            if self._session.plan_only:
                raise PlanOnly(self._planner.plan)
            # successive halving evaluates several times: its rounds share one report
            self._report = self._report or self._session.new_report(self._planner)
            results = self._session.run(self._planner, self._report)
            for numbers, callback in self._batches:
                callback([results[number] for number in numbers])
        yield

    def retrieve_result_callback(self, out: list[Any]) -> list[Any]:
        """Return the results of a batch as they are."""
        return out

    def get_nested_backend(self) -> tuple[ParallelBackendBase, None]:
        """Return a stand-in: tasks set their own (see `nested`)."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None


class _Guarded:
    """A recorder whose errors do not reach the search."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder

    def _call(self, method: str, *args: Any) -> None:
        if self._recorder is None:
            return
        try:
            getattr(self._recorder, method)(*args)
        except Exception as error:
            self._recorder = None
            warnings.warn(f"the search goes on unrecorded: {error!r}", stacklevel=2)

    def planned(self, plan: Plan) -> None:
        self._call("planned", plan)

    def done(self, cells: int, fits: int) -> None:
        self._call("done", cells, fits)

    def finished(self, report: SearchReport) -> None:
        self._call("finished", report)
