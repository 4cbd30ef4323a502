"""The way in: a joblib backend that receives scikit-learn's own calls.

scikit-learn runs every search through ``joblib.Parallel``. `merged` makes `MergedBackend` the
current backend; each ``Parallel`` of scikit-learn's is given an `Evaluation` of its own, which
takes all calls in (``pre_dispatch="all"``), and when joblib starts to wait for results
(``retrieval_context``) plans and runs them. Splits, ``cv_results_`` and the choice of the best
remain scikit-learn's code; its final fit is sent to the cluster (see `refit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import joblib

from jupyter_scale.search import internals, refit
from jupyter_scale.search.cache import Cache
from jupyter_scale.search.cell import run_inner
from jupyter_scale.search.internals import (
    FallbackToBackend,
    Parallel,
    ParallelBackendBase,
    SequentialBackend,
    fit_and_score,
    raise_dispatch_error,
    unwrapped,
)
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.report import Place, SearchReport

if TYPE_CHECKING:
    from jupyter_scale.search.session import Session

__all__ = ["Evaluation", "MergedBackend", "PlanOnly"]


class PlanOnly(BaseException):
    """Ends a search that was only to be planned; ``plan`` is its plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.plan = plan


class MergedBackend(ParallelBackendBase):  # type: ignore[misc]  # joblib is untyped
    """joblib's current backend inside `merged`: gives each ``Parallel`` the backend it needs."""

    supports_retrieve_callback = True
    default_n_jobs = 1

    def __init__(self, session: Session, nesting_level: int = 0) -> None:
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

    def __init__(self, session: Session, nesting_level: int | None) -> None:
        super().__init__(nesting_level=nesting_level)
        self._session = session
        self._search: Any = None
        self._addresses = session.addresses()
        self._planner = session.planner(self._addresses)
        self._batches: list[tuple[range, Callable[[list[Any]], None]]] = []
        self._inner: list[tuple[list[Any], Callable[[list[Any]], None]]] = []
        self._places: list[Place] = []
        self._candidates = 0
        self._report: SearchReport | None = None
        self._sent = session.sent()
        self._refits = False
        self._cache: Cache | None = None

    def configure(self, n_jobs: int = 1, parallel: Any = None, **kwargs: Any) -> int:
        """Ask joblib to dispatch everything before it waits."""
        self.parallel = parallel
        parallel.pre_dispatch = "all"
        search = internals.searching(parallel)
        self._search = None if search is None else search[0]
        if search is not None:
            fit = None if self._sent is None else self._refit
            self._refits = refit.expect(*search, fit)
        if internals.in_rounds(self._search):
            self._cache = self._session.cache()
        return self.effective_n_jobs(n_jobs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return more than 1, or joblib would run the calls itself."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        return 2

    def start_call(self) -> None:
        """Begin a new batch of calls."""
        self._planner = self._session.planner(self._addresses)
        self._planner.caller = self._search
        self._batches, self._inner = [], []
        # the rows of cv_results_ go on from one round of successive halving to the next
        self._candidates = max((place[0] + 1 for place in self._places), default=0)
        self._places = []

    def compute_batch_size(self) -> int:
        """Return how many calls joblib hands over at once; the plan knows no batches."""
        return 256

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Take calls in."""
        if self._session.inside and unwrapped(func.items[0][0])[0] is not fit_and_score:
            self._inner.append((func.items, callback))
            return None
        numbers = [self._planner.add(*item) for item in func.items]
        self._places += [self._place(*item) for item in zip(numbers, func.items, strict=True)]
        self._batches.append((range(numbers[0], numbers[-1] + 1), callback))
        return None

    def _place(self, number: int, item: Any) -> Place:
        arguments = item[2]
        candidate = (arguments.get("candidate_progress") or (0,))[0]
        fold = (arguments.get("split_progress") or (number,))[0]
        return self._candidates + candidate, fold, arguments.get("parameters")

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Run all calls; then joblib finds every result there."""
        raise_dispatch_error(self.parallel)
        for items, callback in self._inner:
            callback([run_inner(*item) for item in items])
        if self._batches:
            if self._session.plan_only:
                raise PlanOnly(self._planner.plan)
            # successive halving evaluates several times: its rounds share one report
            self._report = self._report or self._session.new_report(self._planner)
            try:
                results = self._session.run(
                    self._planner, self._report, self._sent, self._places, self._cache
                )
            except BaseException:
                self._refits = False
                raise
            for numbers, callback in self._batches:
                callback([results[number] for number in numbers])
        yield

    def _refit(self, estimator: Any, *data: Any, **params: Any) -> Any:
        """Fit the best estimator, after the last call."""
        assert self._sent is not None
        if self._report is None:
            return estimator.fit(*data, **params)
        try:
            return self._session.refit(self._report, self._sent, estimator, *data, **params)
        finally:
            self._sent.close()

    def terminate(self) -> None:
        """Keep the data on the workers for the refit, if there is one."""
        if self._cache is not None:
            self._cache.clear()
        if self._sent is not None and not self._refits:
            self._sent.close()

    def retrieve_result_callback(self, out: list[Any]) -> list[Any]:
        """Return the results of a batch as they are."""
        return out

    def get_nested_backend(self) -> tuple[ParallelBackendBase, None]:
        """Return a stand-in: tasks set their own (see `nested`)."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None
