"""Scores one by one; pause, stop, and workers that come and go in mid-flight."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from equality import assert_same_results
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.svm import SVC
from workers import started

from jupyter_scale import Control, Score, SearchStopped, merged, stream

X, y = make_classification(n_samples=60, n_features=5, random_state=0)


class Slow(ClassifierMixin, BaseEstimator):
    """Notes in a folder that it is fitted, and waits while there is a file."""

    def __init__(self, folder: str = "", value: int = 0) -> None:
        self.folder = folder
        self.value = value

    def fit(self, X: Any, y: Any) -> Slow:
        folder = Path(self.folder)
        (folder / f"fit-{time.time_ns()}").touch()
        while (folder / "wait").exists():
            time.sleep(0.01)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[self.value % 2])


def search(folder: Path, values: int = 20, **options: Any) -> GridSearchCV:
    return GridSearchCV(Slow(str(folder)), {"value": range(values)}, cv=2, refit=False, **options)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def check(scores: list[Score], results: dict[str, Any]) -> None:
    """Compare scores with what scikit-learn made of them."""
    cells = {(score.candidate, score.fold): score for score in scores}
    assert len(cells) == len(scores)
    folds = 1 + max(fold for _, fold in cells)
    assert len(cells) == len(results["params"]) * folds
    for (candidate, fold), score in cells.items():
        assert score.parameters == results["params"][candidate]
        found = score.test_scores
        named = found if isinstance(found, dict) else {"score": found}
        for name, value in named.items():
            np.testing.assert_equal(value, results[f"split{fold}_test_{name}"][candidate])


def test_every_cell_is_told_once(where: Client | None) -> None:
    told: list[Score] = []
    mine = GridSearchCV(
        SVC(), [{"C": [0.1, 1.0]}, {"C": [1.0, 2.0]}], cv=3, return_train_score=True
    )
    with merged(where, on_score=told.append) as report:
        mine.fit(X, y)
    check(told, mine.cv_results_)
    assert mine.scale_report.scores == told == report.scores
    first = next(score for score in told if (score.candidate, score.fold) == (1, 2))
    copy = next(score for score in told if (score.candidate, score.fold) == (2, 2))
    assert copy.test_scores == first.test_scores, "an equal candidate is told as well"
    assert first.train_scores == mine.cv_results_["split2_train_score"][1]
    assert first.error is None
    assert mine.scale_report.seconds_left == 0
    assert bool(first.worker) == (where is not None)
    ends = [score.ended for score in told]
    assert ends == sorted(ends)
    assert 0 < ends[0] <= ends[-1] <= mine.scale_report.seconds + 1
    times = mine.scale_report.times
    assert list(times) == ["SVC"]
    assert sum(times.values()) == pytest.approx(mine.scale_report.seconds_spent)
    assert pickle.loads(pickle.dumps(mine)).scale_report.scores == told


def test_metrics_rounds_and_failures(where: Client | None) -> None:
    told: list[Score] = []
    with merged(where, on_score=told.append):
        two = GridSearchCV(
            SVC(), {"C": [0.1, 1.0]}, cv=2, scoring=["accuracy", "f1"], refit=False
        ).fit(X, y)
        check(told, two.cv_results_)
        assert two.scale_report.metric == ""
        del told[:]
        halving = HalvingGridSearchCV(SVC(), {"C": [0.1, 1.0, 2.0, 3.0]}, cv=2, random_state=0)
        check(told, halving.fit(X, y).cv_results_)
        assert halving.n_iterations_ > 1
        del told[:]
        found = cross_validate(SVC(), X, y, cv=4)
        assert {score.fold: score.test_scores for score in told} == dict(
            enumerate(found["test_score"])
        )
        del told[:]
        with pytest.warns((FitFailedWarning, UserWarning)):
            GridSearchCV(SVC(), {"C": [-1.0, 1.0]}, cv=2, refit=False).fit(X, y)
    errors = {score.candidate: score.error for score in told}
    assert "InvalidParameterError" in str(errors[0])
    assert "\n" not in str(errors[0])
    assert errors[1] is None


def test_a_failing_callback_does_not_fail_the_search(where: Client | None) -> None:
    def broken(score: Score) -> None:
        raise OSError("no paper")

    mine = GridSearchCV(SVC(), {"C": [0.1, 1.0]}, cv=2)
    with pytest.warns(UserWarning, match="tells no more scores.*no paper"):  # noqa: SIM117
        with merged(where, on_score=broken):
            mine.fit(X, y)
    assert len(mine.scale_report.scores) == 4


def test_a_loop_over_scores(where: Client | None) -> None:
    mine = GridSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}, cv=2)
    check(list(stream(mine, X, y, client=where)), mine.cv_results_)
    assert mine.best_params_
    with pytest.raises(ValueError, match="Found input variables with inconsistent"):
        list(stream(mine, X, y[:3], client=where))


def test_scores_come_while_the_search_runs(client: Client, tmp_path: Path) -> None:
    mine = search(tmp_path)
    for score in stream(mine, X, y, client=client):
        assert isinstance(score, Score)
        (tmp_path / "wait").touch()  # now it cannot end
        break
    (tmp_path / "wait").unlink()
    assert mine.scale_report.status == "stopped"
    assert not hasattr(mine, "cv_results_")
    assert 0 < len(mine.scale_report.scores) < 40


def test_stop_keeps_what_is_done(where: Client | None, tmp_path: Path) -> None:
    mine = search(tmp_path)

    def stop(score: Score) -> None:
        control.stop()

    control = Control()
    with (
        merged(where, on_score=stop, control=control) as report,
        pytest.raises(SearchStopped, match=r"scale_report\.scores"),
    ):
        mine.fit(X, y)
    assert report.control is control
    assert report.searches[0].status == mine.scale_report.status == "stopped"
    assert 0 < len(mine.scale_report.scores) < 40
    assert "stopped" in str(report)
    with merged(where, control=control):  # a stop ends one search
        after = search(tmp_path).fit(X, y)
    assert len(after.scale_report.scores) == 40


def test_stop_does_not_wait_for_a_long_fit(client: Client, tmp_path: Path) -> None:
    (tmp_path / "wait").touch()
    control = Control()

    def stop() -> None:
        until(lambda: any(tmp_path.glob("fit-*")))
        control.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        with merged(client, control=control), pytest.raises(SearchStopped):
            search(tmp_path).fit(X, y)
    finally:
        thread.join()
        (tmp_path / "wait").unlink()


def test_pause_and_resume(where: Client | None, tmp_path: Path) -> None:
    control, told = Control(), []

    def pause(score: Score) -> None:
        told.append(score)
        if len(told) == 1:
            control.pause()

    def resume() -> None:
        until(lambda: told)
        begun = -1
        # all that was handed out ends, and nothing is begun
        while begun != len(list(tmp_path.glob("fit-*"))):
            begun = len(list(tmp_path.glob("fit-*")))
            waiting.wait(0.5)
        seen.append(begun)
        control.resume()

    seen: list[int] = []
    waiting = threading.Event()
    thread = threading.Thread(target=resume)
    thread.start()
    mine = search(tmp_path, values=60)
    with merged(where, on_score=pause, control=control):
        mine.fit(X, y)
    thread.join()
    assert seen[0] < 120
    assert not control.paused
    check(told, mine.cv_results_)


def test_the_number_of_workers_changes_in_mid_flight(tmp_path: Path) -> None:
    with started(1) as (cluster, client):
        control, changes, places = Control(), [2, 1], set()

        def change(score: Score) -> None:
            if changes and len(mine.scale_report.scores) > 10:
                cluster.scale(changes.pop(0))
                if changes:
                    client.wait_for_workers(2)
            places.update(client.nthreads())

        mine = search(tmp_path, values=40)
        with merged(client, on_score=change, control=control):
            mine.fit(X, y)
    assert not changes
    assert len(places) == 2
    assert_same_results(mine, search(tmp_path, values=40).fit(X, y))
