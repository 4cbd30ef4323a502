"""A cell that is on record is not fitted again, and the search comes out as if it was."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next one there
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RepeatedKFold,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_scale.runs import Record, Store, first_difference
from jupyter_scale.search import Control, Score, SearchStopped, merged

X, y = load_iris(return_X_y=True)
X, y = X[:100], y[:100]
PIPE = Pipeline(
    [
        ("scale", StandardScaler()),
        ("pca", PCA(random_state=0)),
        ("svc", LogisticRegression(max_iter=1000)),
    ]
)
GRID: Any = {"pca__n_components": [1, 2, 3], "svc__C": [0.1, 1.0, 10.0]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def fit(search: Any, path: Path, client: Client | None = None, **options: Any) -> Any:
    """Fit a search on record; return its report."""
    record = Record(Store(path), None, client, **options)
    try:
        with merged(client, record=record):
            search.fit(X, y)
    finally:
        record.close()
    return search.scale_report


def grid(parameters: Any = GRID, estimator: Any = PIPE, **more: Any) -> Any:
    return GridSearchCV(estimator, parameters, cv=3, **more)


def assert_equal(one: Any, other: Any) -> None:
    """Compare what two searches found, to the last bit; times aside."""
    assert one.best_params_ == other.best_params_
    for name, column in one.cv_results_.items():
        if "time" not in name and name != "params":
            assert np.array_equal(column, other.cv_results_[name]), name
            assert column.dtype == other.cv_results_[name].dtype


def test_the_same_search_is_known(path: Path) -> None:
    first, again, plain = grid(), grid(), grid().fit(X, y)
    report = fit(first, path)
    assert (report.cells_known, report.cells_done) == (0, 27)
    report = fit(again, path)
    assert (report.cells_known, report.cells_done, report.fits_done) == (27, 27, 0)
    assert_equal(first, plain)
    assert_equal(again, plain)
    for name in ("mean_fit_time", "std_score_time"):
        assert np.array_equal(first.cv_results_[name], again.cv_results_[name])
    with Store(path) as store:
        later, before = store.runs()
        assert (before.status, before.cells, before.cells_done, before.fits_done) == (
            "done",
            27,
            27,
            report.fits_requested - before.fits_saved,
        )
        assert before.best == first.best_score_
        assert before.parameters == {k: repr(v) for k, v in first.best_params_.items()}
        assert before.data == later.data != ""
        assert "scikit-learn==" in store.text(before.environment)
        assert len(store.cells(before)) == 27
        assert first_difference(store, before, later) == ""
        assert later.cells_known == 27
        known = [cell.known for cell in store.cells(later)]
        assert known == [True] * 27


def test_a_grid_grows_by_its_new_candidates(path: Path) -> None:
    fit(grid(), path)
    more = {"pca__n_components": [1, 2, 3, 4], "svc__C": [0.1, 1.0, 10.0, 100.0]}
    grown = grid(more)
    report = fit(grown, path)
    assert report.cells_done == 48
    assert report.cells_done - report.cells_known == 7 * 3
    svc = next(step for step in report.steps if step.label.startswith("svc"))
    assert svc.done == 7 * 3
    assert_equal(grown, grid(more).fit(X, y))


def test_more_folds_of_the_same_split_are_new_folds_only(path: Path) -> None:
    def repeated(n: int) -> Any:
        folds = RepeatedKFold(n_splits=2, n_repeats=n, random_state=0)
        return GridSearchCV(PIPE, GRID, cv=folds)

    fit(repeated(1), path)
    search = repeated(3)
    assert fit(search, path).cells_known == 9 * 2
    assert_equal(search, repeated(3).fit(X, y))


@pytest.mark.parametrize(
    "other",
    [
        lambda: grid(scoring="balanced_accuracy"),
        lambda: grid(return_train_score=True),
        lambda: GridSearchCV(PIPE, GRID, cv=4),
        lambda: grid(estimator=Pipeline([*PIPE.steps[:2], ("svc", LogisticRegression(tol=1e-3))])),
        lambda: grid({**GRID, "svc__C": [1]}),
    ],
)
def test_another_search_is_another(path: Path, other: Any) -> None:
    fit(grid(), path)
    search = other()
    assert fit(search, path).cells_known == 0
    assert_equal(search, other().fit(X, y))


def test_other_data_are_others(path: Path) -> None:
    global y
    fit(grid(), path)
    before = y
    y = y.copy()
    y[0] = 1
    try:
        assert fit(grid(), path).cells_known == 0
    finally:
        y = before
    assert fit(grid(), path).cells_known == 27


SOURCE = """
class Shift(TransformerMixin, BaseEstimator):
    def __init__(self, by=1):
        self.by = by

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X + self.by + OFFSET
"""


def shift(source: str, offset: int = 0) -> Any:
    """Define a transformer as a notebook does."""
    known: dict[str, Any] = {
        "__name__": "__main__",
        "BaseEstimator": BaseEstimator,
        "TransformerMixin": TransformerMixin,
        "OFFSET": offset,
    }
    exec(source, known)
    return Pipeline([("shift", known["Shift"]()), ("svc", LogisticRegression(max_iter=1000))])


def test_edited_code_is_noticed(path: Path) -> None:
    parameters = {"svc__C": [0.1, 1.0]}
    assert fit(grid(parameters, shift(SOURCE)), path).cells_known == 0
    assert fit(grid(parameters, shift(SOURCE)), path).cells_known == 6
    edited = SOURCE.replace("X + self.by", "X - self.by")
    assert fit(grid(parameters, shift(edited)), path).cells_known == 0
    assert fit(grid(parameters, shift(SOURCE, offset=1)), path).cells_known == 0
    assert fit(grid(parameters, shift(SOURCE)), path).cells_known == 6


def test_a_parameter_that_the_grid_sets_is_not_asked_for(path: Path) -> None:
    fit(grid(), path)
    other = Pipeline([*PIPE.steps[:2], ("svc", LogisticRegression(max_iter=1000, C=77.0))])
    assert fit(grid(estimator=other), path).cells_known == 27


def test_what_draws_without_a_seed_draws_again_but_when_resumed(path: Path) -> None:
    parameters = {"alpha": [1e-4, 1e-3]}
    first = fit(grid(parameters, SGDClassifier()), path)
    assert first.unseeded
    assert fit(grid(parameters, SGDClassifier()), path).cells_known == 0
    with Store(path) as store:
        run = store.find(first.run)
    assert fit(grid(parameters, SGDClassifier()), path, resumed=run).cells_known == 6
    seeded = SGDClassifier(random_state=0)
    assert fit(grid(parameters, seeded), path).cells_known == 0
    assert fit(grid(parameters, seeded), path).cells_known == 6
    assert fit(grid(parameters, seeded), path, fresh=True).cells_known == 0


def test_a_stopped_search_goes_on_on_another_cluster(
    path: Path, client: Client, tmp_path: Path
) -> None:
    control, record = Control(), Record(Store(path))
    told: list[Score] = []

    def stop(score: Score) -> None:
        told.append(score)
        if len(told) == 10:
            control.stop()

    search = grid()
    with pytest.raises(SearchStopped), merged(record=record, on_score=stop, control=control):
        search.fit(X, y)
    record.close()
    with Store(path) as store:
        (run,) = store.runs()
        assert run.status == "stopped"
        assert len(store.cells(run)) == run.cells_done == len(told) >= 10
    resumed = grid()
    report = fit(resumed, path, client, resumed=run)
    assert report.cells_known == len(told)
    assert report.cells_done == 27
    assert_equal(resumed, grid().fit(X, y))
    with Store(path) as store:
        assert store.runs()[0].sizes[0][1:] == [2, 2]


def test_successive_halving_is_known_round_by_round(path: Path) -> None:
    def halving() -> Any:
        return HalvingGridSearchCV(PIPE, GRID, cv=3, random_state=0, min_resources=30)

    first, again = halving(), halving()
    report = fit(first, path)
    assert len(report.rounds) > 1
    assert fit(again, path).cells_known == report.cells_done
    assert_equal(again, first)


def test_scores_that_are_more_than_scores_are_not_known(path: Path) -> None:
    for _ in range(2):
        record = Record(Store(path))
        with merged(record=record) as report:
            found = cross_validate(PIPE, X, y, cv=3, return_estimator=True)
        record.close()
        assert report.searches[0].cells_known == 0
        assert len(found["estimator"]) == 3


def test_failures_are_named_and_tried_again(path: Path) -> None:
    search = grid({"svc__C": [-1.0, 1.0]}, error_score=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(search, path)
        report = fit(search, path)
    assert report.cells_known == 3
    with Store(path) as store:
        run = store.runs()[0]
        assert sum(run.failures.values()) == 3
        assert all("'C' parameter of LogisticRegression" in text for text in run.failures)
        failed = [cell for cell in store.cells(run) if cell.error]
        assert [cell.address for cell in failed] == [None] * 3


def test_a_record_that_cannot_be_written_costs_no_search(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    search = grid()
    with pytest.warns(UserWarning, match="unrecorded: .* cannot be written") as told:
        fit(search, tmp_path / "file" / "runs.sqlite")
    assert len([one for one in told if "unrecorded" in str(one.message)]) == 1
    assert_equal(search, grid().fit(X, y))


def test_a_disk_that_fills_costs_no_search(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_scale.runs import store as module

    prepare = module._prepare

    def small(connection: Any, path: Path) -> None:
        prepare(connection, path)
        connection.execute("PRAGMA max_page_count = 16")

    monkeypatch.setattr(module, "_prepare", small)
    search = grid({**GRID, "svc__C": list(np.geomspace(0.1, 10, 20))})
    with pytest.warns(UserWarning, match="unrecorded: no space is left for"):
        fit(search, path)
    assert search.scale_report.cells_done == 180
    monkeypatch.undo()
    with Store(path) as store:
        assert store.runs()[0].id == search.scale_report.run


def test_two_searches_of_a_cell_are_two_runs(path: Path) -> None:
    record = Record(Store(path))
    with merged(record=record) as report:
        grid().fit(X, y)
        grid({"svc__C": [1.0]}).fit(X, y)
    record.close()
    assert [run.id for run in record.runs] == [search.run for search in report.searches]
    with Store(path) as store:
        assert [run.cells for run in reversed(store.runs())] == [27, 3]


def test_searches_in_threads_are_runs_of_their_own(path: Path) -> None:
    record = Record(Store(path))
    ready = threading.Barrier(2)
    searches = [grid(), grid({"svc__C": [0.5, 2.0]})]

    def search(one: Any) -> None:
        with merged(record=record):
            ready.wait()
            one.fit(X, y)

    threads = [threading.Thread(target=search, args=[one]) for one in searches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record.close()
    with Store(path) as store:
        for one, cells in zip(searches, (27, 6), strict=True):
            run = store.find(one.scale_report.run)
            assert len(store.cells(run)) == run.cells == cells
    assert fit(grid(), path).cells_known == 27


# -- kernels that are killed


def searches(path: Path, pipe: int, seed: int) -> None:
    """Fit one search after the other, and say of each which it was, until killed."""
    draw = np.random.default_rng(seed)
    while True:
        alphas = sorted(draw.uniform(1e-5, 1e-3, 5))
        search = GridSearchCV(SGDClassifier(random_state=0), {"alpha": alphas}, cv=3)
        run = fit(search, path).run
        os.write(pipe, f"{run}\n".encode())


def kill_some(path: Path, number: int, seed: int) -> None:
    """Kill kernels at any moment, and look at what they leave."""
    draw = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        for one in range(number):
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                try:
                    searches(path, writer, seed + one)
                finally:
                    os._exit(1)
            os.close(writer)
            time.sleep(draw.uniform(0.0, 0.8))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            with os.fdopen(reader) as told:
                done = told.read().split()
            look(path, done)


def look(path: Path, done: list[str]) -> None:
    """Check that what was said to be done is there, and nothing is torn."""
    if not path.exists():
        assert not done
        return
    with Store(path) as store:
        for name in done:
            run = store.find(name)
            assert run.status == "done"
            assert len(store.cells(run)) == run.cells_done == 15
        for run in store.runs(most=3):
            assert not run.alive
            assert len(store.cells(run)) == run.cells_done or run.status == "lost"
        with store._changing() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_killed_kernels_leave_what_they_said(path: Path) -> None:
    kill_some(path, 15, seed=1)
    with Store(path) as store:
        found = {run.status for run in store.runs()}
    assert "lost" in found
    assert found <= {"done", "lost"}  # none is done where the machine has other work


@pytest.mark.long
def test_a_hundred_killed_kernels_leave_what_they_said(path: Path) -> None:
    kill_some(path, 100, seed=1000)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as made:
        yield made
