"""On a cluster: lost workers, candidates that end them, interrupts, errors, nested work."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from equality import assert_same_results
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from workers import started, two_workers

from jupyter_scale import SearchReport, merged

X, y = make_classification(n_samples=60, n_features=5, random_state=0)


class Noted(BaseEstimator, TransformerMixin):
    """Leaves a file in a folder when it is fitted, and waits for another one."""

    def __init__(self, folder: str = "", by: float = 1.0) -> None:
        self.folder = folder
        self.by = by

    def fit(self, X: Any, y: Any = None) -> Noted:
        self.fitted_ = True
        folder = Path(self.folder)
        (folder / f"fit-{os.getpid()}-{time.time_ns()}").touch()
        while (folder / "wait").exists():
            time.sleep(0.01)
        return self

    def transform(self, X: Any) -> Any:
        return X * self.by


@pytest.fixture
def fragile() -> Iterator[Client]:
    """A cluster of its own, whose workers may die."""
    with two_workers() as client:
        yield client


def when(condition: Callable[[], Any], act: Callable[[], None]) -> threading.Thread:
    """Act in another thread, as soon as a condition holds."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def search(folder: Path, **options: Any) -> GridSearchCV:
    return GridSearchCV(
        make_pipeline(Noted(str(folder)), StandardScaler(), SVC()),
        {"noted__by": [1.0, 2.0, 3.0], "svc__C": [0.1, 1.0, 10.0]},
        cv=4,
        **options,
    )


@pytest.mark.parametrize("victims", [1, 2])
def test_killed_workers_cost_nothing(fragile: Client, tmp_path: Path, victims: int) -> None:
    wait = tmp_path / "wait"
    plain = search(tmp_path).fit(X, y)
    for note in tmp_path.glob("fit-*"):
        note.unlink()
    wait.touch()
    pids = {int(pid) for pid in fragile.run(os.getpid).values()}

    def kill() -> None:
        for pid in sorted(pids)[:victims]:
            os.kill(pid, signal.SIGKILL)
        wait.unlink()

    thread = when(lambda: any(tmp_path.glob("fit-*")), kill)
    with merged(fragile):
        ours = search(tmp_path).fit(X, y)
    thread.join()
    assert_same_results(ours, plain)
    assert ours.scale_report.cells_done == 36


def test_an_interrupt_cancels_what_is_queued(client: Client, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    main = threading.main_thread().ident
    assert main is not None
    thread = when(
        lambda: any(tmp_path.glob("fit-*")), lambda: signal.pthread_kill(main, signal.SIGINT)
    )
    interrupted = search(tmp_path)
    try:
        with merged(client) as report, pytest.raises(KeyboardInterrupt):
            interrupted.fit(X, y)
    finally:
        wait.unlink()
        thread.join()
    assert report.searches[0].status == "interrupted"
    assert interrupted.scale_report is report.searches[0]
    begun = len(list(tmp_path.glob("fit-*")))
    assert begun < 12
    with merged(client):
        after = search(tmp_path).fit(X, y)
    assert_same_results(after, search(tmp_path).fit(X, y))


def test_the_context_is_left_after_an_error(client: Client) -> None:
    with pytest.raises(NotFittedError), merged(client):
        raise NotFittedError("mine")
    plain = GridSearchCV(SVC(), {"C": [1.0]}, cv=2).fit(X, y)
    assert not hasattr(plain, "scale_report")


def test_bad_arguments_are_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="choose one of all, seeded"), merged(merge="none"):
        pass
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster:
        closed = Client(cluster)
        closed.close()
        with pytest.raises(ValueError, match="the client is closed"), merged(closed):
            pass


class Needs(Exception):
    """An error that pickle cannot make again from its arguments."""

    def __init__(self, *, what: str) -> None:
        super().__init__(f"needs {what}")
        self.what = what


class Raises(ClassifierMixin, BaseEstimator):
    def fit(self, X: Any, y: Any) -> Raises:
        raise Needs(what="more")

    def predict(self, X: Any) -> Any:
        raise NotImplementedError


def test_an_error_comes_back_whole(client: Client) -> None:
    failing = GridSearchCV(Raises(), {}, cv=2, error_score="raise")
    with merged(client), pytest.raises(Needs, match="needs more") as caught:
        failing.fit(X, y)
    assert caught.value.what == "more"
    assert "in fit" in str(caught.value.__cause__), "the traceback of the worker is its cause"


class Notes:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.planned_cells = self.cells = self.fits = 0
        self.last: SearchReport | None = None

    def planned(self, plan: Any, report: Any) -> None:
        self.planned_cells += plan.n_cells

    def done(self, cells: int, fits: int) -> None:
        self.cells += cells
        self.fits += fits

    def finished(self, report: SearchReport) -> None:
        self.last = report


def test_a_recorder_follows(where: Client | None, tmp_path: Path) -> None:
    notes = Notes()
    with merged(where, recorder=notes):
        search(tmp_path).fit(X, y)
    assert (notes.planned_cells, notes.cells, notes.fits) == (36, 36, 60)
    assert notes.last is not None
    assert notes.last.fits_done == 60


def test_a_failing_recorder_does_not_fail_the_search(where: Client | None, tmp_path: Path) -> None:
    class Broken(Notes):
        def done(self, cells: int, fits: int) -> None:
            raise OSError("disk full")

    with merged(where, recorder=Broken()), pytest.warns(UserWarning, match="disk full"):
        ours = search(tmp_path).fit(X, y)
    assert ours.scale_report.status == "done"


def test_nothing_stays_on_the_workers(client: Client, tmp_path: Path) -> None:
    def held() -> int:
        return sum(len(keys) for keys in client.has_what().values())

    before = held()
    with merged(client):
        search(tmp_path).fit(X, y)
    deadline = time.monotonic() + 20
    while held() > before:
        assert time.monotonic() < deadline, client.has_what()
        time.sleep(0.05)


def test_a_worker_that_joins_late_takes_part(tmp_path: Path) -> None:
    with started(0) as (cluster, client):
        thread = threading.Timer(0.5, lambda: cluster.scale(1))
        thread.start()
        with merged(client):
            ours = search(tmp_path).fit(X, y)
        thread.join()
        assert_same_results(ours, search(tmp_path).fit(X, y))


def test_cloned_searches_and_pickled_reports(client: Client, tmp_path: Path) -> None:
    import pickle

    with merged(client):
        ours = search(tmp_path).fit(X, y)
    assert pickle.loads(pickle.dumps(ours)).scale_report.fits_done == 60
    assert not hasattr(clone(ours), "scale_report")
