"""Lost machines: many killed workers, candidates that end their workers, a dead scheduler."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, get_worker
from distributed.core import Status
from equality import assert_same_results
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from workers import two_workers

from jupyter_scale import Score, merged
from jupyter_scale.search import sending
from jupyter_scale.search.failing import SchedulerLost, WorkerLost

X, y = make_classification(n_samples=120, n_features=6, random_state=0)
KILLS = 50


class Fatal(ClassifierMixin, BaseEstimator):
    """Ends its process for one value of its parameter."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def fit(self, X: Any, y: Any) -> Fatal:
        if self.value == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[0])


class FatalStep(TransformerMixin, Fatal):
    def transform(self, X: Any) -> Any:
        return X


class Pausing(SVC):
    """Takes a moment, as a fit does that is killed in the middle."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Pausing:
        threading.Event().wait(0.02)
        super().fit(X, y)
        return self


def search() -> GridSearchCV:
    return GridSearchCV(
        make_pipeline(StandardScaler(), Pausing()),
        {"standardscaler__with_mean": [True, False], "pausing__C": np.logspace(-2, 2, 12)},
        cv=4,
    )


@pytest.fixture
def fragile() -> Iterator[Client]:
    """A cluster of its own, whose workers may die."""
    with two_workers() as client:
        yield client


@pytest.fixture(params=["graph", "file", pytest.param("wire", marks=pytest.mark.long)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let data reach the workers in each of the three ways."""
    if request.param != "graph":
        monkeypatch.setattr(sending, "IN_GRAPH", 100)
    if request.param == "wire":
        monkeypatch.setattr(sending.Sent, "_readable", lambda self, folder: False)
    way: str = request.param
    return way


def guards(dask_worker: Any) -> int:
    """Return the process of the worker that a nanny would replace."""
    process = dask_worker.process
    return process.pid if process and process.status == Status.running else 0


class Killer:
    """Kills one worker after the other, each by the number that it told itself.

    At a random moment after a few more scores, so that on a busy machine, where workers take
    long to start, something is done at all. A nanny gives up when its worker dies while it starts:
    only those are killed that it guards.
    """

    def __init__(self, client: Client, seed: int) -> None:
        self.killed: list[int] = []
        self.scores = threading.Semaphore(0)
        self.enough = threading.Event()
        self._client = client
        self._random = random.Random(seed)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self.enough.wait(self._random.uniform(0.0, 0.2)):
            for _ in range(self._random.randrange(5)):
                self.scores.acquire(timeout=5)
            found = self._client.run(os.getpid, on_error="ignore")
            guarded = self._client.run(guards, nanny=True, on_error="ignore")
            living = sorted({*found.values()} & {*guarded.values()} - {*self.killed})
            if living:
                self.killed.append(self._random.choice(living))
                os.kill(self.killed[-1], signal.SIGKILL)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_kills_change_no_score(fragile: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = search().fit(X, y)
    killed = rounds = 0
    with Killer(fragile, seed=5) as killer:
        while killed < KILLS:
            # in turn: data in the graph, and in a file
            monkeypatch.setattr(sending, "IN_GRAPH", (4 * 2**20, 100)[rounds % 2])
            told: list[Score] = []

            def tell(score: Score, told: list[Score] = told) -> None:
                told.append(score)
                killer.scores.release()

            ours = search()
            with merged(fragile, on_score=tell):
                ours.fit(X, y)
            assert_same_results(ours, plain)
            cells = [(score.candidate, score.fold) for score in told]
            assert len(cells) == len(set(cells)) == 96
            assert ours.scale_report.cells_done == 96
            np.testing.assert_array_equal(ours.predict(X), plain.predict(X))
            killed, rounds = len(killer.killed), rounds + 1
    assert len(set(killer.killed)) == len(killer.killed) >= KILLS


@pytest.mark.timeout(300)
def test_the_loss_of_all_workers_costs_nothing(fragile: Client, way: str) -> None:
    plain = search().fit(X, y)
    killed: list[int] = []

    def kill(score: Score) -> None:
        if not killed:
            killed.extend(fragile.run(os.getpid).values())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    ours = search()
    with merged(fragile, on_score=kill):
        ours.fit(X, y)
    assert len(killed) == 2
    assert_same_results(ours, plain)
    assert len(ours.scale_report.scores) == 96


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_candidate_that_ends_its_workers_fails_alone(fragile: Client, way: str) -> None:
    folds = [(np.arange(60), np.arange(60, 120))]
    fatal = GridSearchCV(Fatal(), {"value": range(6)}, cv=folds, refit=False)
    with merged(fragile), pytest.warns((FitFailedWarning, UserWarning)) as caught:
        fatal.fit(X, y)
    scores = fatal.cv_results_["mean_test_score"]
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3]
    assert any("Fatal ended every worker that tried it" in str(w.message) for w in caught)
    errors = {score.candidate: score.error for score in fatal.scale_report.scores}
    assert "give the workers more, or leave the candidate out" in str(errors[3])
    assert len([error for error in errors.values() if error]) == 1
    with merged(fragile):
        after = GridSearchCV(SVC(), {"C": [0.1, 1.0]}, cv=2).fit(X, y)
    assert after.scale_report.status == "done", "the cluster is usable"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_step_that_ends_its_workers_fails_what_needs_it(fragile: Client) -> None:
    folds = [(np.arange(60), np.arange(60, 120))]
    fatal = GridSearchCV(
        make_pipeline(FatalStep(), SVC()),
        {"fatalstep__value": [1, 3], "svc__C": np.logspace(-2, 2, 40)},
        cv=folds,
        refit=False,
    )
    with merged(fragile), pytest.warns((FitFailedWarning, UserWarning)) as caught:
        fatal.fit(X, y)
    failed = np.isnan(fatal.cv_results_["mean_test_score"])
    assert [p["fatalstep__value"] for p in np.array(fatal.cv_results_["params"])[failed]] == [
        3
    ] * 40
    assert failed.sum() == 40
    assert any("ended every worker that tried it" in str(w.message) for w in caught)


class FatalRows(FatalStep):
    def fit(self, X: Any, y: Any) -> FatalRows:
        if len(X) == 50:
            super().fit(X, y)
        return self


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_part_that_ends_its_workers_takes_none_of_those_with_it(fragile: Client) -> None:
    folds = [(np.arange(train), np.arange(60, 120)) for train in (60, 60, 50)]
    union = FeatureUnion([("fatal", FatalRows()), ("range", MinMaxScaler())])
    fatal = GridSearchCV(
        make_pipeline(union, SVC()),
        {
            "featureunion__fatal__value": [1, 3],
            "featureunion__range__feature_range": [(0, 1), (0, 2)],
        },
        cv=folds,
        refit=False,
    )
    with merged(fragile), pytest.warns((FitFailedWarning, UserWarning)) as caught:
        fatal.fit(X, y)
    results = fatal.cv_results_
    scores = np.array([results[f"split{fold}_test_score"] for fold in range(3)])
    values = [params["featureunion__fatal__value"] for params in results["params"]]
    expected = np.array([[False] * 4, [False] * 4, [value == 3 for value in values]])
    np.testing.assert_array_equal(np.isnan(scores), expected)
    assert any("ended every worker that tried it" in str(w.message) for w in caught)


class FatalRefit(Fatal):
    def fit(self, X: Any, y: Any) -> Fatal:
        if len(X) == 120:
            get_worker()  # nothing else is killed
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_refit_that_ends_its_workers_is_one_error(fragile: Client) -> None:
    fatal = GridSearchCV(FatalRefit(), {"value": [0]}, cv=2)
    with merged(fragile), pytest.raises(WorkerLost, match="the refit of FatalRefit ended every"):
        fatal.fit(X, y)
    assert fatal.scale_report.status == "failed"
    assert len(fatal.scale_report.scores) == 2


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore")
def test_code_that_the_cluster_lacks_is_one_error(tmp_path: Path) -> None:
    with scheduler_process(tmp_path, [p for p in sys.path if "tests" not in p]) as (_, file):
        client = Client(scheduler_file=file, timeout=60, set_as_default=False)
        try:
            client.wait_for_workers(1, timeout=120)
            with merged(client), pytest.raises(RuntimeError, match="deserializ"):
                search().fit(X, y)
        finally:
            client.close(timeout=5)


@contextmanager
def scheduler_process(
    folder: Path, path: list[str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler and a worker in processes of their own."""
    dask = [sys.executable, "-m", "dask"]
    file = folder / "scheduler.json"
    commands = (
        ["scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"],
        ["worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"],
    )
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            processes.append(
                subprocess.Popen(
                    [*dask, *command, "--scheduler-file", str(file)],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
                    start_new_session=True,
                )
            )
        deadline = time.monotonic() + 120
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield processes[0], str(file)
    finally:
        for process in processes:
            with_children(process)


def with_children(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore")  # the client's own, when it closes
def test_the_death_of_the_scheduler_is_one_error(tmp_path: Path) -> None:
    with scheduler_process(tmp_path, sys.path) as (scheduler, file):
        client = Client(scheduler_file=file, timeout=20, set_as_default=False)
        try:
            client.wait_for_workers(1, timeout=120)
            ours = search()

            def kill(score: Score) -> None:
                if len(ours.scale_report.scores) == 5:
                    scheduler.send_signal(signal.SIGKILL)

            with (
                merged(client, on_score=kill),
                pytest.raises(SchedulerLost, match=r"does not answer.*scale_report\.scores") as one,
            ):
                ours.fit(X, y)
        finally:
            client.close(timeout=5)
    assert re.search("run the search again", str(one.value))
    assert ours.scale_report.status == "failed"
    done = ours.scale_report.scores
    assert 5 <= len(done) < 96
    plain = search().fit(X, y)
    for score in done:
        expected = plain.cv_results_[f"split{score.fold}_test_score"][score.candidate]
        assert score.test_scores == expected, score.error
