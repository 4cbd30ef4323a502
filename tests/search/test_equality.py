"""Every kind of search gives scikit-learn's results to the last bit, here and on a cluster."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from axis_cases import RULES
from distributed import Client
from equality import assert_same_results
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # makes Halving* importable
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.feature_selection import RFECV, SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    LeaveOneOut,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from jupyter_scale import merged

X, y = make_classification(n_samples=90, n_features=8, random_state=0)
WORDS = ["red", "green", "blue", "fast", "slow", "data", "grid", "dask"]
RNG = np.random.RandomState(0)
TEXT = [" ".join(RNG.choice(WORDS, size=12)) for _ in range(90)]
SEEDED = {"random_state": 0}


def pipe(**options: Any) -> Pipeline:
    steps = [("scale", StandardScaler()), ("pca", PCA(**SEEDED)), ("clf", LogisticRegression())]
    return Pipeline(steps, **options)


GRID: dict[str, Any] = {
    "scale__with_mean": [True, False],
    "pca__n_components": [2, 4],
    "clf__C": [0.1, 1.0],
}


def check(search: Any, where: Client | None, *data: Any, **params: Any) -> tuple[Any, Any]:
    """Fit a search plain and merged; return both (merged first)."""
    plain = clone(search)
    theirs = copy.deepcopy(data)  # the refit of an in-place step writes into the user's own data
    with threadpool_limits(1):  # workers have one BLAS thread; two sum in another order
        with warnings.catch_warnings(record=True) as expected:
            warnings.simplefilter("always")
            plain.fit(*theirs, **params)
        ours = clone(search)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            with merged(where):
                ours.fit(*copy.deepcopy(data), **params)
    assert {w.category for w in seen} == {w.category for w in expected}
    assert_same_results(ours, plain)
    assert ours.scale_report.status == "done"
    assert ours.scale_report.cells_done == ours.scale_report.n_cells
    report = ours.scale_report
    if not any("writes into its input" in reason for reason in report.unshared):
        assert report.fits_done == report.fits_distinct
    return ours, plain


def test_pipeline(where: Client | None) -> None:
    ours, plain = check(GridSearchCV(pipe(), GRID, cv=3, return_train_score=True), where, X, y)
    assert [(s.label, s.requested, s.distinct) for s in ours.scale_report.steps] == [
        ("scale: StandardScaler", 24, 6),
        # one decomposition for both numbers of components, where rules are used
        ("pca: PCA", 24, 6 if RULES else 12),
        ("clf: LogisticRegression", 24, 24),
    ]
    # scikit-learn 1.7 fits a LogisticRegression through joblib: that of the refit is then a task on
    # the cluster, where the slice that PCA returns arrives as a contiguous array
    elsewhere = where is not None and sklearn.__version__.startswith("1.7.")
    np.testing.assert_allclose(
        ours.predict_proba(X), plain.predict_proba(X), rtol=1e-14 if elsewhere else 0
    )


def test_bare_estimator(where: Client | None) -> None:
    ours, _ = check(GridSearchCV(SVC(), {"C": [1, 1.0, 10], "kernel": ["rbf"]}, cv=3), where, X, y)
    assert ours.scale_report.fits_done == 9, "1 and 1.0 are not the same parameter"


def test_equal_candidates_are_fitted_once(where: Client | None) -> None:
    grids = [{"clf": [SVC(C=1.0), SVC(C=1.0)]}, {"clf": [SVC()], "clf__C": [1.0, 2.0]}]
    ours, _ = check(GridSearchCV(pipe(), grids, cv=3), where, X, y)
    by_label = {step.label: step.distinct for step in ours.scale_report.steps}
    assert by_label["clf: SVC"] == 6


@pytest.mark.parametrize("skip", [None, "passthrough"])
def test_skipped_and_replaced_steps(where: Client | None, skip: Any) -> None:
    grid = {"scale": [skip, StandardScaler(), MinMaxScaler()], "clf": [GaussianNB(), SVC()]}
    check(GridSearchCV(pipe(), grid, cv=3), where, X, y)


def test_steps_set_as_a_whole(where: Client | None) -> None:
    steps = [
        [("a", StandardScaler()), ("b", SVC())],
        [("a", StandardScaler()), ("b", GaussianNB())],
    ]
    check(GridSearchCV(pipe(), {"steps": steps}, cv=3), where, X, y)


def test_nested_pipelines(where: Client | None) -> None:
    inner = Pipeline([("scale", StandardScaler()), ("pca", PCA(**SEEDED))])
    last = Pipeline([("norm", Normalizer()), ("clf", LogisticRegression())])
    search = GridSearchCV(
        Pipeline([("prep", inner), ("model", last)]),
        {"prep__pca__n_components": [2, 3], "model__clf__C": [0.1, 1.0]},
        cv=3,
        return_train_score=True,
    )
    ours, _ = check(search, where, X, y)
    counts = {step.label: step.distinct for step in ours.scale_report.steps}
    assert counts["prep__scale: StandardScaler"] == 3
    assert counts["prep: Pipeline"] == 6
    assert counts["model__norm: Normalizer"] == 6


def test_feature_union_and_column_transformer(where: Client | None) -> None:
    union = FeatureUnion([("pca", PCA(n_components=2, **SEEDED)), ("kbest", SelectKBest(k=2))])
    columns = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [2, 3])])
    for transformer in (union, columns):
        search = GridSearchCV(
            make_pipeline(transformer, StandardScaler(), SVC()), {"svc__C": [1.0, 10.0]}, cv=3
        )
        ours, _ = check(search, where, X, y)
        assert ours.scale_report.fits_saved == 12, "the parts, the whole and the scaler"


@pytest.mark.parametrize(
    "cv",
    [
        3,
        RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
        ShuffleSplit(n_splits=3, random_state=1),
        TimeSeriesSplit(n_splits=3),
        [(np.arange(60), np.arange(60, 90)), (np.arange(30, 90), np.arange(30))],
    ],
)
def test_splitters(where: Client | None, cv: Any) -> None:
    check(GridSearchCV(pipe(), GRID, cv=cv), where, X, y)


def test_a_generator_of_splits_and_leave_one_out(where: Client | None) -> None:
    def splits() -> Any:
        return ((fold, test) for fold, test in ShuffleSplit(2, random_state=3).split(X))

    plain = GridSearchCV(pipe(), GRID, cv=splits()).fit(X, y)
    with merged(where):
        ours = GridSearchCV(pipe(), GRID, cv=splits()).fit(X, y)
    assert_same_results(ours, plain)
    check(
        GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, cv=LeaveOneOut()),
        where,
        X[:20],
        y[:20],
    )


def test_groups_and_sample_weight(where: Client | None) -> None:
    groups = np.arange(90) % 5
    weight = np.linspace(0.5, 2.0, 90)
    search = GridSearchCV(pipe(), GRID, cv=GroupKFold(3))
    check(search, where, X, y, groups=groups, clf__sample_weight=weight)


def test_metadata_routing(where: Client | None) -> None:
    weight = np.linspace(0.5, 2.0, 90)
    with config_context(enable_metadata_routing=True):
        routed = Pipeline(
            [
                ("scale", StandardScaler().set_fit_request(sample_weight=True)),
                ("clf", LogisticRegression().set_fit_request(sample_weight=True)),
            ]
        )
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        grid = {"scale__with_mean": [True, False], "clf__C": [0.1, 1.0]}
        ours, _ = check(
            GridSearchCV(routed, grid, cv=3, scoring=scorer), where, X, y, sample_weight=weight
        )
    assert ours.scale_report.fits_saved == 6


def looks_inside(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    """Score with what the steps say on the way."""
    scaled = estimator.named_steps["scale"].transform(X)
    reduced = estimator[:-1].transform(X)
    assert scaled.shape == X.shape
    return {
        "acc": float(np.mean(estimator.predict(X) == y)),
        "scaled": float(scaled.sum()),
        "reduced": float(np.abs(reduced).sum()),
        "mean": float(np.abs(estimator[0].scale_).sum()),
    }


def test_scorers(where: Client | None) -> None:
    for scoring, refit in [
        ("roc_auc", True),
        (["accuracy", "neg_log_loss"], "accuracy"),
        ({"a": "accuracy", "b": make_scorer(accuracy_score)}, "b"),
        (looks_inside, "acc"),
    ]:
        search = GridSearchCV(
            pipe(), GRID, cv=3, scoring=scoring, refit=refit, return_train_score=True
        )
        check(search, where, X, y)


class Picky(BaseEstimator, TransformerMixin):
    """Fails for one value of its parameter."""

    def __init__(self, limit: float = 0.0, stage: str = "fit") -> None:
        self.limit = limit
        self.stage = stage

    def fit(self, X: Any, y: Any = None) -> Picky:
        if self.limit > 1 and self.stage == "fit":
            raise ValueError(f"limit {self.limit} is too much")
        self.seen_ = len(X)
        return self

    def transform(self, X: Any) -> Any:
        if self.limit > 1 and self.stage == "transform" and len(X) < self.seen_:
            raise ValueError("cannot transform a test fold")
        return X * 1.0


@pytest.mark.parametrize("stage", ["fit", "transform"])
def test_failing_steps(where: Client | None, stage: str) -> None:
    failing = make_pipeline(Picky(stage=stage), SVC())
    grid = {"picky__limit": [0.5, 2.0], "svc__C": [1.0, 10.0]}
    for error_score in (np.nan, -1.0):
        check(GridSearchCV(failing, grid, cv=3, error_score=error_score), where, X, y)
    search = GridSearchCV(failing, grid, cv=3, error_score="raise")
    with merged(where), pytest.raises(ValueError, match=r"too much|test fold"):
        search.fit(X, y)
    assert search.scale_report.status == "failed"


def test_a_bad_parameter_is_scikit_learns_error(where: Client | None) -> None:
    search = GridSearchCV(pipe(), {"pca__wrong": [1]}, cv=3)
    with merged(where), pytest.raises(ValueError, match="Invalid parameter 'wrong'"):
        search.fit(X, y)


@pytest.mark.parametrize(
    "steps",
    [
        (StandardScaler(copy=False), PCA(**SEEDED), SVC()),
        (MinMaxScaler(copy=False), SVC()),
        (StandardScaler(), Normalizer(copy=False), SVC()),
        (FunctionTransformer(), StandardScaler(copy=False), SVC()),
        (StandardScaler(), PCA(copy=False, **SEEDED), SVC()),
    ],
)
def test_in_place_steps_corrupt_nothing(where: Client | None, steps: Any) -> None:
    search = GridSearchCV(
        make_pipeline(*steps),
        {"svc__C": [0.1, 1.0, 10.0]},
        cv=3,
        return_train_score=True,
        scoring=["accuracy", "roc_auc"],
        refit="accuracy",
    )
    check(search, where, X, y)


class Writes(BaseEstimator, TransformerMixin):
    """Writes into its input without saying so."""

    def __init__(self, by: float = 2.0) -> None:
        self.by = by

    def fit(self, X: Any, y: Any = None) -> Writes:
        self.mean_ = np.asarray(X).mean()
        return self

    def transform(self, X: Any) -> Any:
        if isinstance(X, pd.DataFrame):
            X["extra"] = X.iloc[:, 0] * self.by
        else:
            X *= self.by
        return X


class WritesWhenFitted(Writes):
    """Writes in ``fit``, so that what comes later sees it."""

    def fit(self, X: Any, y: Any = None) -> Writes:
        if isinstance(X, pd.DataFrame):
            X["extra"] = 1.0
        else:
            X += self.by
        return super().fit(X)

    def transform(self, X: Any) -> Any:
        return X * self.by


@pytest.mark.parametrize("kind", [Writes, WritesWhenFitted])
@pytest.mark.parametrize("position", [0, 1])
def test_steps_that_write_without_saying_so(where: Client | None, kind: Any, position: int) -> None:
    steps: list[Any] = [StandardScaler(), SVC()]
    steps.insert(position, kind())
    grid = {f"{kind.__name__.lower()}__by": [1.0, 3.0], "svc__C": [0.1, 1.0]}
    search = GridSearchCV(make_pipeline(*steps), grid, cv=3, return_train_score=True)
    plain = clone(search).fit(X.copy(), y)
    with merged(where):
        search.fit(X.copy(), y)
    assert_same_results(search, plain)


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_frames(where: Client | None, output: str) -> None:
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(8)])
    frame["kind"] = pd.Categorical(np.where(X[:, 0] > 0, "a", "b"))
    columns = ColumnTransformer([("num", StandardScaler(), [f"c{i}" for i in range(8)])])
    search = GridSearchCV(
        Pipeline([("cols", columns), ("pca", PCA(**SEEDED)), ("clf", SVC())]).set_output(
            transform=output
        ),
        {"pca__n_components": [2, 3], "clf__C": [1.0, 10.0]},
        cv=3,
        return_train_score=True,
    )
    ours, plain = check(search, where, frame, pd.Series(y, name="target"))
    assert list(ours.feature_names_in_) == list(plain.feature_names_in_)


def test_a_step_that_adds_columns_to_its_frame(where: Client | None) -> None:
    frame = pd.DataFrame(X)
    frame.columns = frame.columns.astype(str)
    for kind in (Writes, WritesWhenFitted):
        name = kind.__name__.lower()
        search = GridSearchCV(
            make_pipeline(kind(), StandardScaler(), SVC()),
            {f"{name}__by": [1.0, 3.0], "svc__C": [0.1, 1.0]},
            cv=3,
            return_train_score=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # feature names differ, in both
            plain = clone(search).fit(frame.copy(), y)
            with merged(where):
                search.fit(frame.copy(), y)
        assert_same_results(search, plain)


def test_sparse_lists_and_object_arrays(where: Client | None) -> None:
    counted = CountVectorizer().fit_transform(TEXT)
    for matrix in (counted, sparse.csc_array(counted), sparse.csr_array(counted)):
        check(
            GridSearchCV(
                make_pipeline(TfidfTransformer(), TruncatedSVD(2, **SEEDED), SVC()),
                {"tfidftransformer__norm": ["l1", "l2"], "svc__C": [0.1, 1.0]},
                cv=3,
            ),
            where,
            matrix,
            y,
        )
    text = Pipeline(
        [
            ("vect", CountVectorizer()),
            ("tfidf", TfidfTransformer()),
            ("clf", SGDClassifier(**SEEDED)),
        ]
    )
    grid = {
        "vect__ngram_range": [(1, 1), (1, 2)],
        "tfidf__norm": ["l1", "l2"],
        "clf__alpha": [1e-3, 1e-4],
    }
    for documents in (TEXT, np.array(TEXT, dtype=object), np.array(TEXT), pd.Series(TEXT)):
        ours, _ = check(GridSearchCV(text, grid, cv=3), where, documents, list(y))
        assert ours.scale_report.fits_saved == 30


def test_memory_layouts(where: Client | None) -> None:
    for data in (np.asfortranarray(X), X[:, ::2], X[::-1], X.astype(np.float32).T.copy().T):
        check(GridSearchCV(pipe(), GRID, cv=3), where, data, y)


def test_precomputed_kernels(where: Client | None) -> None:
    kernel = X @ X.T
    check(GridSearchCV(SVC(kernel="precomputed"), {"C": [0.1, 1.0]}, cv=3), where, kernel, y)
    check(
        GridSearchCV(SVC(), {"kernel": ["precomputed", "rbf"], "C": [0.1, 1.0]}, cv=3),
        where,
        kernel,
        y,
    )


def test_no_target_and_several_targets(where: Client | None) -> None:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), PCA(**SEEDED)), {"pca__n_components": [1, 2]}, cv=3
    )
    check(search, where, X)
    data, targets = make_regression(n_samples=60, n_features=5, n_targets=2, random_state=0)
    regression = make_pipeline(StandardScaler(), Ridge())
    check(GridSearchCV(regression, {"ridge__alpha": [0.1, 1.0]}, cv=3), where, data, targets)
    bare = GridSearchCV(LinearRegression(copy_X=False), {"fit_intercept": [True, False]}, cv=3)
    check(bare, where, data, targets)


def test_other_searches(where: Client | None) -> None:
    grid = {"pca__n_components": [2, 3, 4], "clf__C": [0.1, 1.0, 10.0]}
    check(RandomizedSearchCV(pipe(), grid, n_iter=6, cv=3, random_state=0), where, X, y)
    check(HalvingGridSearchCV(pipe(), grid, cv=3, random_state=0), where, X, y)
    ours, _ = check(HalvingRandomSearchCV(pipe(), grid, cv=3, random_state=0), where, X, y)
    assert ours.scale_report.n_cells == len(ours.cv_results_["params"]) * 3


def test_evaluations_that_are_not_searches(where: Client | None) -> None:
    forest = RandomForestClassifier(n_estimators=5, **SEEDED)

    def everything() -> list[Any]:
        scores = cross_validate(pipe(), X, y, cv=3, return_train_score=True, return_estimator=True)
        estimators = scores.pop("estimator")
        assert all(e.memory is None for e in estimators)
        assert all("transform" not in vars(step) for e in estimators for _, step in e.steps)
        return [
            scores["test_score"],
            scores["train_score"],
            [e.predict_proba(X) for e in estimators],
            cross_val_score(forest, X, y, cv=4),
            cross_val_predict(pipe(), X, y, cv=3, method="decision_function"),
            validation_curve(pipe(), X, y, param_name="clf__C", param_range=[0.1, 1.0], cv=3),
            learning_curve(pipe(), X, y, train_sizes=[0.5, 1.0], cv=3),
            learning_curve(
                SGDClassifier(**SEEDED),
                X,
                y,
                train_sizes=[20, 40],
                cv=3,
                exploit_incremental_learning=True,
            ),
            permutation_test_score(GaussianNB(), X, y, n_permutations=5, random_state=0),
            RFECV(LogisticRegression(), cv=3).fit(X, y).cv_results_,
        ]

    with threadpool_limits(1):
        expected = everything()
        with merged(where):
            seen = everything()
    np.testing.assert_equal(seen, expected)


def test_a_search_inside_cross_validation(where: Client | None) -> None:
    iris = load_iris(return_X_y=True)
    inner = GridSearchCV(pipe(), GRID, cv=2)
    with threadpool_limits(1):
        expected = cross_val_score(inner, *iris, cv=3)
        with merged(where):
            seen = cross_val_score(inner, *iris, cv=3)
    np.testing.assert_array_equal(seen, expected)


def test_warnings_of_the_fits_come_back(where: Client | None) -> None:
    from sklearn.exceptions import ConvergenceWarning

    search = GridSearchCV(LogisticRegression(max_iter=1), {"C": [0.1, 1.0]}, cv=2)
    with merged(where), pytest.warns(ConvergenceWarning):
        search.fit(X, y)
    strict = search.set_params(error_score="raise")
    with warnings.catch_warnings(), merged(where):
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            strict.fit(X, y)


def test_verbose_lines_come_back(where: Client | None, capsys: pytest.CaptureFixture[str]) -> None:
    search = GridSearchCV(pipe(), {"clf__C": [0.1, 1.0]}, cv=2, verbose=3)
    with merged(where):
        search.fit(X, y)
    assert capsys.readouterr().out.count("END") == 4


def test_other_joblib_work(where: Client | None) -> None:
    expected = RandomForestClassifier(n_estimators=8, **SEEDED).fit(X, y).predict_proba(X)
    with merged(where):
        forest = RandomForestClassifier(n_estimators=8, n_jobs=2, **SEEDED).fit(X, y)
    np.testing.assert_array_equal(forest.predict_proba(X), expected)
    import joblib

    with merged(where):
        assert joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(i, 2) for i in range(4)) == [
            0,
            1,
            4,
            9,
        ]


@pytest.mark.parametrize("merge", ["all", "seeded"])
def test_seed(where: Client | None, merge: str) -> None:
    unseeded = make_pipeline(PCA(n_components=3, svd_solver="randomized"), SGDClassifier())
    grid: dict[str, Any] = {"sgdclassifier__alpha": [1e-3, 1e-2]}
    seeded = {**grid, "pca__random_state": [7], "sgdclassifier__random_state": [7]}
    plain = GridSearchCV(unseeded, seeded, cv=3).fit(X, y)
    with merged(where, seed=7, merge=merge):
        ours = GridSearchCV(unseeded, grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(
        ours.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    assert ours.best_params_ == plain.best_params_
    np.testing.assert_array_equal(ours.decision_function(X), plain.decision_function(X))
    assert not ours.scale_report.unseeded


def test_unseeded_steps_are_named_and_can_be_left_unshared(where: Client | None) -> None:
    unseeded = make_pipeline(PCA(n_components=3, svd_solver="randomized"), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    with merged(where):
        ours = GridSearchCV(unseeded, grid, cv=3).fit(X, y)
    assert ours.scale_report.fits_saved == 3
    assert list(ours.scale_report.unseeded) == ["pca: PCA (random_state)"]
    with merged(where, merge="seeded"):
        ours = GridSearchCV(unseeded, grid, cv=3).fit(X, y)
    assert ours.scale_report.fits_saved == 0
    assert ours.scale_report.fits_done == 12
    assert "has no seed" in str(ours.scale_report)
