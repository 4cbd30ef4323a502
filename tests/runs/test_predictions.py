"""Another metric of what is on record is scored, not fitted, and comes out as a fit would."""

from __future__ import annotations

import sqlite3
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import sklearn
from distributed import Client
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import Ridge, SGDClassifier
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from jupyter_scale.runs import Record, RecordError, Store, room
from jupyter_scale.search import merged

IRIS = load_iris(return_X_y=True)
TWO = IRIS[0][:100], IRIS[1][:100]
# every tenth label is another one, so that no score is 1
NOISY = TWO[0][:, :2], np.where(np.arange(100) % 10 == 3, 1 - TWO[1], TWO[1])
DIABETES = load_diabetes(return_X_y=True)
PIPE = Pipeline([("scale", StandardScaler()), ("model", LinearDiscriminantAnalysis("lsqr"))])
GRID: Any = {"model__shrinkage": [0.1, 0.9]}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # no repository is looked through for changes
    return tmp_path / "runs.sqlite"


def fit(
    search: Any, data: Any, path: Path, *, client: Client | None = None, keep: bool = False
) -> Any:
    """Fit a search on record; return its report."""
    record = Record(Store(path), None, client, room=2**20 if keep else 0)
    try:
        with merged(client, record=record):
            search.fit(*data)
    finally:
        record.close()
    return search.scale_report


def kept(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM predictions").fetchone()
    connection.close()
    return int(count)


def assert_same(search: Any, data: Any) -> None:
    """Compare with scikit-learn alone, to the last bit; times aside."""
    plain = clone(search).fit(*data)
    assert list(search.cv_results_) == list(plain.cv_results_)
    for name, column in plain.cv_results_.items():
        if "time" not in name and name != "params":
            np.testing.assert_array_equal(search.cv_results_[name], column, err_msg=name)
            assert search.cv_results_[name].dtype == column.dtype
    assert search.best_params_ == plain.best_params_


def assert_scored(
    estimator: Any, grid: Any, data: Any, path: Path, scoring: Any, first: Any = None
) -> None:
    """Assert that all cells of a search are scored from what an earlier one has kept."""
    fit(GridSearchCV(estimator, grid, cv=3, scoring=first, refit=False), data, path, keep=True)
    refit = "f1" if isinstance(scoring, dict) else True
    search = GridSearchCV(estimator, grid, cv=3, scoring=scoring, refit=refit)
    report = fit(search, data, path)
    assert report.fits_done == 0
    assert report.cells_rescored == report.cells_known == report.n_cells > 0
    assert_same(search, data)


SEVERAL = {"f1": "f1", "auc": "roc_auc", "beta": make_scorer(fbeta_score, beta=2)}


@pytest.mark.parametrize("scoring", ["roc_auc", "f1_macro", "neg_log_loss", SEVERAL])
def test_classifiers(path: Path, scoring: Any) -> None:
    assert_scored(PIPE, GRID, NOISY, path, scoring)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2", "neg_mean_absolute_error"])
def test_regressors(path: Path, scoring: str) -> None:
    assert_scored(Ridge(), {"alpha": [0.1, 1.0]}, DIABETES, path, scoring)


@pytest.mark.parametrize(
    ("estimator", "grid", "data", "scoring", "first"),
    [
        (PIPE, GRID, NOISY, None, "roc_auc"),
        (Ridge(), {"alpha": [0.1]}, DIABETES, None, "neg_mean_absolute_error"),
        (PIPE, GRID, IRIS, "roc_auc_ovr", None),
        (LinearSVC(), {"C": [0.1, 1.0]}, NOISY, "average_precision", None),
        (KNeighborsClassifier(), {"n_neighbors": [3, 9]}, NOISY, "neg_brier_score", "f1"),
        (SVC(kernel="precomputed"), {"C": [1, 9]}, (rbf_kernel(NOISY[0]), NOISY[1]), "f1", None),
        (PIPE, GRID, (NOISY[0], np.array(["no", "yes"])[NOISY[1]]), "f1_macro", None),
        (PIPE, GRID, (NOISY[0], np.array(["no", "yes"], object)[NOISY[1]]), "roc_auc", None),
    ],
)
def test_kinds(path: Path, estimator: Any, grid: Any, data: Any, scoring: Any, first: Any) -> None:
    if isinstance(estimator, LinearSVC):
        estimator.set_params(random_state=0)
    assert_scored(estimator, grid, data, path, scoring, first)


def test_training_scores_need_their_own(path: Path) -> None:
    def search(scoring: Any, train: bool) -> Any:
        return GridSearchCV(PIPE, GRID, cv=3, scoring=scoring, return_train_score=train)

    fit(search(None, False), NOISY, path, keep=True)
    assert fit(search("f1", True), NOISY, path, keep=True).cells_known == 0
    again = search("roc_auc", True)
    assert fit(again, NOISY, path).cells_rescored == 6
    assert_same(again, NOISY)
    assert fit(search("precision", False), NOISY, path).cells_rescored == 6


def test_times_are_those_on_record_and_what_is_scored_is_on_record(path: Path) -> None:
    first = GridSearchCV(PIPE, GRID, cv=3)
    fit(first, NOISY, path, keep=True)
    for rescored in (6, 0):
        search = GridSearchCV(PIPE, GRID, cv=3, scoring="f1")
        report = fit(search, NOISY, path)
        assert (report.cells_known, report.cells_rescored) == (6, rescored)
        told = "6 of them by another metric: scored from predictions that were kept"
        assert (told in str(report)) == (rescored > 0)
        for name in ("mean_fit_time", "std_score_time"):
            assert np.array_equal(first.cv_results_[name], search.cv_results_[name])


def test_only_the_missing_are_fitted(path: Path) -> None:
    fit(GridSearchCV(PIPE, GRID, cv=3), NOISY, path, keep=True)
    search = GridSearchCV(PIPE, {"model__shrinkage": [0.1, 0.5, 0.9]}, cv=3, scoring="roc_auc")
    report = fit(search, NOISY, path)
    assert (report.cells_rescored, report.n_cells) == (6, 9)
    assert report.fits_done > 0
    assert_same(search, NOISY)


def test_without_the_wish_nothing_is_kept_or_asked(path: Path) -> None:
    fit(GridSearchCV(PIPE, GRID, cv=3), NOISY, path)
    assert kept(path) == 0
    assert fit(GridSearchCV(PIPE, GRID, cv=3, scoring="f1"), NOISY, path).cells_known == 0


def test_a_cell_that_failed_fails_again(path: Path) -> None:
    grid: Any = {"model__shrinkage": [-1.0, 0.1]}
    with pytest.warns(Warning, match="3 fits failed"):
        fit(GridSearchCV(PIPE, grid, cv=3, error_score=-9.0), NOISY, path, keep=True)
    assert kept(path) == 3
    search = GridSearchCV(PIPE, grid, cv=3, scoring="roc_auc", error_score=-7.0)
    with pytest.warns(Warning, match="3 fits failed"):
        assert fit(search, NOISY, path).cells_rescored == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(search, NOISY)


def test_a_metric_that_warns_warns(path: Path) -> None:
    def search(scoring: Any) -> Any:
        return GridSearchCV(dummy, {"strategy": ["prior"]}, cv=3, scoring=scoring)

    dummy = DummyClassifier(random_state=0)
    unequal = np.zeros((30, 1)), np.arange(30) % 3 // 2
    fit(search("accuracy"), unequal, path, keep=True)
    with pytest.warns(UndefinedMetricWarning):
        assert fit(search("precision"), unequal, path).cells_rescored == 3


class Own(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Scores itself in a way of its own."""

    def __init__(self, by: int = 0) -> None:
        self.by = by

    def fit(self, X: Any, y: Any) -> Own:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[(np.asarray(X)[:, 0] > 5.0 + self.by).astype(int)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return 0.25


class Drawing(Own):
    """Predicts otherwise each time."""

    def fit(self, X: Any, y: Any) -> Drawing:
        self.draw_ = np.random.default_rng(self.by)
        super().fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[self.draw_.integers(2, size=len(X))]


class Writing(Own):
    """Writes into the rows that it predicts from."""

    def predict(self, X: Any) -> Any:
        X -= 0.4
        return super().predict(X)


class Legacy(Own):
    """Draws from the generator of all."""

    def predict(self, X: Any) -> Any:
        np.random.random()  # noqa: NPY002
        return super().predict(X)


def asked(estimator: Any, X: Any, y: Any) -> float:
    return float(estimator.predict(X)[0] == 0)


@pytest.mark.parametrize(
    ("estimator", "first", "second", "known"),
    [
        (Own(), "f1", "accuracy", 6),
        (Own(), "f1", None, 0),  # its own score
        (Own(), None, "f1", 0),
        (Own(), "f1", asked, 0),  # no scorer of scikit-learn's
        (Own(), asked, "f1", 0),
        (Drawing(), "f1", "accuracy", 0),
        (Writing(), "f1", "accuracy", 6),
        (Legacy(), "f1", "accuracy", 6),
    ],
)
def test_what_cannot_be_told_is_fitted(
    path: Path, estimator: Any, first: Any, second: Any, known: int
) -> None:
    def search(scoring: Any) -> Any:
        return GridSearchCV(estimator, {"by": [0, 1]}, cv=3, scoring=scoring)

    keeping = search(first)
    fit(keeping, NOISY, path, keep=True)
    assert_same(keeping, NOISY)
    other = search(second)
    assert fit(other, NOISY, path).cells_rescored == known
    assert_same(other, NOISY)


def test_keeping_draws_nothing(path: Path) -> None:
    def state_after(keep: bool) -> Any:
        np.random.seed(0)  # noqa: NPY002
        record = Record(Store(path), fresh=True, room=2**20 if keep else 0)
        with merged(record=record):
            GridSearchCV(Legacy(), {"by": [0]}, cv=3, refit=False, scoring="f1").fit(*NOISY)
        record.close()
        return np.random.random()  # noqa: NPY002

    assert state_after(keep=True) == state_after(keep=False)
    assert kept(path) == 3


def test_what_draws_without_a_seed_is_not_kept(path: Path) -> None:
    fit(GridSearchCV(SGDClassifier(), {"alpha": [1e-3]}, cv=3), NOISY, path, keep=True)
    assert kept(path) == 0
    seeded = SGDClassifier(random_state=0)
    fit(GridSearchCV(seeded, {"alpha": [1e-3]}, cv=3), NOISY, path, keep=True)
    assert kept(path) == 3


def test_other_fits_are_others(path: Path) -> None:
    def search(scoring: Any = "f1", cv: int = 3, tol: float = 1e-4) -> Any:
        return GridSearchCV(PIPE, {**GRID, "model__tol": [tol]}, cv=cv, scoring=scoring)

    fit(search(None), NOISY, path, keep=True)
    assert fit(search(cv=4), NOISY, path).cells_known == 0
    assert fit(search(tol=1e-3), NOISY, path).cells_known == 0
    assert fit(search(), (NOISY[0] + 1, NOISY[1]), path).cells_known == 0
    assert fit(search(), (NOISY[0], NOISY[1][::-1].copy()), path).cells_known == 0
    assert fit(search(), NOISY, path).cells_rescored == 6


def test_cross_validate(path: Path) -> None:
    def run(scoring: Any, keep: bool) -> Any:
        record = Record(Store(path), room=2**20 if keep else 0)
        with merged(record=record) as report:
            scores = cross_validate(PIPE, *NOISY, scoring=scoring, cv=3)
        record.close()
        return scores, report.searches[0]

    run(None, True)
    scores, report = run(["f1", "roc_auc"], False)
    assert report.cells_rescored == 3
    plain = cross_validate(PIPE, *NOISY, scoring=["f1", "roc_auc"], cv=3)
    for name in ("test_f1", "test_roc_auc"):
        np.testing.assert_array_equal(scores[name], plain[name])


def test_weights_of_a_metric_are_those_of_its_rows(path: Path) -> None:
    def search(scorer: Any) -> Any:
        model = GaussianNB().set_fit_request(sample_weight=False)
        return GridSearchCV(model, {"var_smoothing": [1e-9, 1.0]}, cv=3, scoring=scorer)

    weights = np.random.default_rng(0).uniform(size=len(NOISY[0]))
    with sklearn.config_context(enable_metadata_routing=True):
        fit(search("accuracy"), NOISY, path, keep=True)
        scorer = make_scorer(fbeta_score, beta=2).set_score_request(sample_weight=True)
        ours, plain = search(scorer), search(scorer)
        record = Record(Store(path))
        with merged(record=record):
            ours.fit(*NOISY, sample_weight=weights)
        record.close()
        plain.fit(*NOISY, sample_weight=weights)
    assert ours.scale_report.cells_rescored == 6
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(ours.cv_results_[name], plain.cv_results_[name])


def test_a_run_keeps_no_more_than_there_is_room_for(path: Path) -> None:
    record = Record(Store(path), room=2500)
    told = pytest.warns(UserWarning, match=r"kept up to 2\.44 kiB, .* jupyter-scale\.predictions")
    with told, merged(record=record):
        GridSearchCV(PIPE, GRID, cv=3, refit=False).fit(*NOISY)
    record.close()
    assert 0 < kept(path) < 6
    search = GridSearchCV(PIPE, GRID, cv=3, scoring="f1")
    assert 0 < fit(search, NOISY, path).cells_rescored < 6
    assert_same(search, NOISY)


def test_damaged_predictions_are_fitted_again(path: Path) -> None:
    fit(GridSearchCV(PIPE, GRID, cv=3), NOISY, path, keep=True)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE predictions SET body = substr(body, 1, 100) WHERE rowid > 2")
    connection.close()
    search = GridSearchCV(PIPE, GRID, cv=3, scoring="f1")
    assert fit(search, NOISY, path).cells_rescored == 2
    assert_same(search, NOISY)


def test_they_go_with_their_run_and_the_disk_has_their_room(path: Path) -> None:
    fit(GridSearchCV(PIPE, GRID, cv=3), NOISY, path, keep=True)
    with Store(path) as store:
        run = store.find("last")
        with store._changing() as connection:  # as much as a large search would keep
            connection.execute("UPDATE predictions SET body = randomblob(1000000)")
        before = path.stat().st_size
        store.remove([run])
        assert not store.predicts
    assert path.stat().st_size < before / 10


def test_the_room_is_what_is_set() -> None:
    assert (room(), room(wanted=True)) == (0, 256 * 2**20)
    for setting, size in ((True, 256 * 2**20), (False, 0), ("1 GiB", 2**30), (2000, 2000)):
        with dask.config.set({"jupyter-scale.predictions": setting}):
            assert room() == size
    for wrong in ("much", -1, ["1 GiB"]):
        with (
            dask.config.set({"jupyter-scale.predictions": wrong}),
            pytest.raises(RecordError, match="write true, false or a size like 1 GiB"),
        ):
            room(wanted=True)


@pytest.mark.long
def test_on_a_cluster(path: Path) -> None:
    def search(scoring: Any) -> Any:
        return GridSearchCV(PIPE, GRID, cv=3, scoring=scoring)

    with Client(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        first = search(None)
        fit(first, NOISY, path, client=client, keep=True)
        assert_same(first, NOISY)
        assert kept(path) == 6
        other = search("neg_log_loss")
        assert fit(other, NOISY, path, client=client).cells_rescored == 6
        assert_same(other, NOISY)
