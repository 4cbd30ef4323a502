"""The final fit: on the cluster, and its estimator as scikit-learn would have made it."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from distributed import Client
from equality import assert_same_results
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from jupyter_scale import SearchReport, merged

X, y = make_classification(n_samples=80, n_features=6, random_state=0)


def halves(X: Any) -> Any:
    return X / 2


class Place(ClassifierMixin, BaseEstimator):
    """Knows where it was fitted, under which configuration, and what it drew."""

    def __init__(self, by: float = 1.0, error: str = "", warn: bool = False) -> None:
        self.by = by
        self.error = error
        self.warn = warn

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Place:
        self.process_ = os.getpid()
        self.writeable_ = bool(X.flags.writeable)
        self.working_memory_ = sklearn.get_config()["working_memory"]
        self.drawn_ = np.random.random()  # noqa: NPY002 - as an estimator without a seed
        self.weights_ = None if sample_weight is None else np.asarray(sample_weight).copy()
        self.seen_ = X
        if len(X) == 80:
            if self.warn:
                warnings.warn("rather odd", UserWarning, stacklevel=1)
            if self.error == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.error:
                raise KeyError(self.error)
        return self

    def predict(self, X: Any) -> Any:
        return (X[:, 0] * self.by > 0).astype(int)


def accuracy(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    return {"right": float((estimator.predict(X) == y).mean()), "one": 1.0}


def cheapest(results: dict[str, Any]) -> int:
    return int(np.argmin(results["mean_test_score"]))


SEARCHES: dict[str, Callable[[], Any]] = {
    "pipeline": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1.0, 10.0]}, cv=3
    ),
    "alone": lambda: GridSearchCV(
        LogisticRegression(random_state=np.random.RandomState(3), solver="saga", max_iter=5000),
        {"C": [0.1, 1.0]},
        cv=3,
    ),
    "forest": lambda: GridSearchCV(
        RandomForestClassifier(n_estimators=5, random_state=0, n_jobs=2),
        {"max_depth": [1, 3]},
        cv=3,
    ),
    "randomized": lambda: RandomizedSearchCV(
        SVC(), {"C": [0.1, 1.0, 10.0]}, cv=3, n_iter=2, random_state=0
    ),
    "halving": lambda: HalvingGridSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}, cv=3, random_state=0),
    "callable": lambda: GridSearchCV(SVC(), {"C": [1e-3, 1.0]}, cv=3, refit=cheapest),
    "multimetric": lambda: GridSearchCV(
        SVC(), {"C": [0.1, 1.0]}, cv=3, scoring=["accuracy", "f1"], refit="f1"
    ),
    "own-scorer": lambda: GridSearchCV(
        SVC(), {"C": [0.1, 1.0]}, cv=3, scoring=accuracy, refit="right"
    ),
    "function": lambda: GridSearchCV(
        make_pipeline(FunctionTransformer(halves), SVC()), {"svc__C": [0.1, 1.0]}, cv=3
    ),
    "estimator-in-the-grid": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {"svc": [SVC(C=0.1), KNeighborsClassifier()]},
        cv=3,
    ),
    "in-place": lambda: GridSearchCV(
        make_pipeline(StandardScaler(copy=False), SVC()), {"svc__C": [0.1, 1.0]}, cv=3
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_the_estimator_is_the_one_of_scikit_learn(client: Client, name: str) -> None:
    plain = SEARCHES[name]().fit(X.copy(), y)
    ours = SEARCHES[name]()
    with merged(client):
        ours.fit(X, y)
    assert_same_results(ours, plain)
    assert "refit in" in ours.scale_report.refit
    best, theirs = ours.best_estimator_, plain.best_estimator_
    assert vars(best).keys() == vars(theirs).keys()
    assert type(best) is type(theirs)
    for estimator in (best, theirs):
        if hasattr(estimator, "n_jobs"):
            estimator.set_params(n_jobs=None)  # threads add probabilities up in any order
    for method in ("predict", "decision_function", "predict_proba"):
        if hasattr(theirs, method):
            answer = getattr(best, method)(X.copy())
            np.testing.assert_array_equal(answer, getattr(theirs, method)(X.copy()))
    assert inspect.signature(best.fit) == inspect.signature(theirs.fit)
    assert ours.refit_time_ > 0
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.predict(X.copy()), plain.predict(X.copy()))
    assert "fit" not in vars(clone(best))
    assert "__sklearn_clone__" not in vars(ours.estimator)
    best.fit(X.copy(), y)  # in the kernel, as anybody would


def test_it_is_fitted_on_a_worker_as_in_the_kernel(client: Client) -> None:
    weights = np.linspace(0.0, 1.0, 80)
    mine = GridSearchCV(Place(), {"by": [1.0, -1.0]}, cv=2)
    np.random.seed(7)  # noqa: NPY002 - what users do
    with sklearn.config_context(working_memory=17), merged(client):
        mine.fit(X, y, sample_weight=weights)
    after = np.random.random()  # noqa: NPY002
    best = mine.best_estimator_
    assert best.process_ in set(client.run(os.getpid).values())
    assert best.working_memory_ == 17
    assert not best.writeable_
    np.testing.assert_array_equal(best.weights_, weights)
    assert best.seen_ is X, "a fitted estimator that holds X holds the kernel's"
    np.random.seed(7)  # noqa: NPY002
    assert [best.drawn_, after] == list(np.random.random(2))  # noqa: NPY002
    assert "on worker tcp://" in str(mine.scale_report)


def test_without_refit_nothing_is_fitted(client: Client) -> None:
    mine = GridSearchCV(SVC(), {"C": [1.0]}, cv=2, refit=False)
    with merged(client):
        mine.fit(X, y)
    assert not hasattr(mine, "best_estimator_")
    assert mine.scale_report.refit == ""


def test_fitted_arrays_can_be_written(client: Client) -> None:
    mine = GridSearchCV(SGDClassifier(random_state=0), {"alpha": [1e-3]}, cv=2)
    with merged(client):
        mine.fit(X, y)
    mine.best_estimator_.partial_fit(X, y)


def test_errors_and_warnings_of_the_refit_come_back(client: Client) -> None:
    failing = GridSearchCV(Place(error="not this"), {}, cv=2)
    with merged(client) as report, pytest.raises(KeyError, match="not this") as caught:
        failing.fit(X, y)
    assert "in fit" in str(caught.value.__cause__)
    assert report.searches[0].status == "failed"
    with merged(client), pytest.warns(UserWarning, match="rather odd"):
        GridSearchCV(Place(warn=True), {}, cv=2).fit(X, y)


class Held(Place):
    """Cannot be pickled once it is fitted."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Held:
        super().fit(X, y)
        self.lock_ = threading.Lock()
        return self


class Itself(Place):
    """A clone is the object itself."""

    def __sklearn_clone__(self) -> Itself:
        return self


@pytest.mark.parametrize("kind", [Held, Itself])
def test_what_cannot_travel_is_fitted_here(client: Client, kind: type[Place]) -> None:
    mine = GridSearchCV(kind(), {}, cv=2)
    with merged(client):
        mine.fit(X, y)
    assert mine.best_estimator_.process_ == os.getpid()
    assert mine.scale_report.refit == ""
    assert mine.scale_report.status == "done"
    assert "__sklearn_clone__" not in vars(mine.estimator)


def test_in_this_process_nothing_changes() -> None:
    mine = GridSearchCV(Place(), {}, cv=2)
    with merged():
        mine.fit(X, y)
    assert mine.best_estimator_.process_ == os.getpid()
    assert mine.best_estimator_.seen_ is X


class Waiting(Place):
    """Leaves a file in a folder in its last fit, and waits for another to go."""

    def __init__(self, folder: str = "") -> None:
        super().__init__()
        self.folder = folder

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Waiting:
        super().fit(X, y)
        if len(X) == 80:
            Path(self.folder, "begun").touch()
            while Path(self.folder, "wait").exists():
                time.sleep(0.01)
        return self


class Told:
    """A recorder."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def planned(self, plan: Any, report: Any) -> None:
        self.heard.append("planned")

    def done(self, cells: int, fits: int) -> None:
        pass

    def finished(self, report: SearchReport) -> None:
        self.heard.append(report.status)

    def refitting(self, report: SearchReport) -> None:
        self.heard.append(f"{report.status}!")


def test_an_interrupt_ends_the_refit(client: Client, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    told = Told()
    mine = GridSearchCV(Waiting(str(tmp_path)), {}, cv=2)
    try:
        with merged(client, recorder=told), pytest.raises(KeyboardInterrupt):
            mine.fit(X, y)
    finally:
        wait.unlink()
        thread.join()
    assert told.heard == ["planned", "done", "refitting!", "interrupted"]
