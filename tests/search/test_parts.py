"""Parts of meta-estimators: fitted once each, to any depth, with scikit-learn's own results."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axis_cases import needs_rules
from distributed import Client
from equality import assert_same_results
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.feature_selection import SelectFromModel, SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    KFold,
    ShuffleSplit,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from jupyter_scale import SearchReport, merged
from jupyter_scale.search import execute, rowwise, session, tasks
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.sharing import Parcel
from jupyter_scale.search.store import Made
from jupyter_scale.search.worker import Nodes

X, y = make_classification(n_samples=90, n_features=8, random_state=0)
X = np.ascontiguousarray(X)
FRAME = pd.DataFrame(X[:, :4], columns=list("abcd")).assign(
    color=np.where(X[:, 4] > 0, "red", "blue"), size=np.where(X[:, 5] > 0, "s", "l")
)


def check(search: GridSearchCV, where: Client | None, data: Any = X, target: Any = y) -> Any:
    """Fit a search plain and merged; return distinct fits by the step's name."""
    plain = clone(search)
    with threadpool_limits(1):
        plain.fit(copy.deepcopy(data), target)
        with merged(where):
            search.fit(data, target)
    assert_same_results(search, plain)
    report: SearchReport = search.scale_report
    assert report.fits_done == report.fits_distinct
    assert not report.unshared
    return {step.label.partition(":")[0]: step.distinct for step in report.steps}


@contextmanager
def failing() -> Iterator[None]:
    """Expect four fits to fail, and nothing else."""
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        yield
    assert [str(w.message).split()[:3] for w in log] == [
        ["4", "fits", "failed"],
        ["One", "or", "more"],
    ]


def union(**options: Any) -> FeatureUnion:
    parts = [("norm", MinMaxScaler()), ("tree", make_pipeline(StandardScaler(), PCA(2, **FULL)))]
    return FeatureUnion(parts, **options)


FULL: dict[str, Any] = {"svd_solver": "full"}


@needs_rules
def test_branches_of_a_union(where: Client | None) -> None:
    pipe = Pipeline([("union", union(transformer_weights={"norm": 2})), ("clf", GaussianNB())])
    grid = {
        "union__norm__feature_range": [(0, 1), (0, 2)],
        "union__tree__standardscaler__with_std": [True, False],
        "union__tree__pca__whiten": [True, False],
        "clf__var_smoothing": [1e-9, 1e-3],
    }
    fits = check(GridSearchCV(pipe, grid, cv=3, return_train_score=True), where)
    assert fits == {
        "union__norm": 6,
        "union__tree__standardscaler": 6,
        "union__tree": 12,
        "union": 24,
        "clf": 24,  # the smoothing is an axis
    }


def test_branches_of_a_column_transformer(where: Client | None) -> None:
    numbers = make_pipeline(StandardScaler(), MinMaxScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include=float)),
            ("words", OneHotEncoder(), ["color"]),
        ],
        remainder=OneHotEncoder(sparse_output=False),
    )
    pipe = Pipeline([("columns", columns), ("clf", LogisticRegression())])
    grid = {
        "columns__numbers__standardscaler__with_mean": [True, False],
        "columns__numbers__minmaxscaler__feature_range": [(0, 1), (0, 2)],
        "columns__words__drop": [None, "first"],
        "clf__C": [0.1, 1.0],
    }
    fits = check(GridSearchCV(pipe, grid, cv=3, return_train_score=True), where, FRAME)
    assert fits == {
        "columns__numbers__standardscaler": 6,
        "columns__numbers": 12,
        "columns__words": 6,
        "columns__remainder": 3,
        "columns": 24,
        "clf": 48,
    }


def test_a_made_node_carries_nothing_of_the_run_that_made_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans: list[Plan] = []

    def noted(plan: Plan, *args: Any, **options: Any) -> None:
        plans.append(plan)
        execute.run_here(plan, *args, **options)

    monkeypatch.setattr(session, "run_here", noted)
    part = make_pipeline(StandardScaler(), MinMaxScaler())
    inner = ColumnTransformer([("u", FeatureUnion([("in", part)]), ["a"]), ("i", part, ["b"])])
    columns = ColumnTransformer(
        [("numbers", inner, ["a", "b"]), ("words", OneHotEncoder(), ["size"])]
    )
    pipe = Pipeline([("columns", columns), ("pca", PCA(2)), ("clf", GaussianNB())])
    check(GridSearchCV(pipe, {"clf__var_smoothing": [1e-9, 1e-3]}, cv=3), None, FRAME)
    plan = plans[0]
    bundle = tasks.Bundle(tuple(plan.setups), tuple(plan.folds))
    looked_at = 0
    cell = plan.cells[0]
    for number in plan.nodes_of(cell):
        nodes = {n: plan.nodes[n] for n in plan.nodes_of(cell)}
        task = tasks.Task((cell,), (), nodes, until=(number,))
        made, _ = tasks.make(task, bundle, dict(enumerate(plan.data)))
        looked_at += made[number].transformer is not None
        assert b"jupyter_scale.search.answers" not in pickle.dumps(made)
    assert looked_at >= 4


def test_a_pipeline_of_one_step(where: Client | None) -> None:
    grid = {"gaussiannb__var_smoothing": [1e-9, 1e-3]}
    check(GridSearchCV(make_pipeline(GaussianNB()), grid, cv=3), where)
    grid = {"steps": [[("one", GaussianNB())], [("two", LogisticRegression())]]}
    check(GridSearchCV(Pipeline([("any", GaussianNB())]), grid, cv=3), where)


def test_columns_without_names_and_pandas_output(where: Client | None) -> None:
    columns = ColumnTransformer(
        [("slice", StandardScaler(), slice(0, 3)), ("mask", MinMaxScaler(), [False] * 7 + [True])],
        remainder="passthrough",
        transformer_weights={"slice": 0.5},
    ).set_output(transform="pandas")
    grid = {"columntransformer__slice__with_std": [True, False], "logisticregression__C": [1, 2]}
    fits = check(GridSearchCV(make_pipeline(columns, LogisticRegression()), grid, cv=3), where)
    assert fits["columntransformer__mask"] == 3
    assert fits["columntransformer__slice"] == 6


def test_a_union_in_columns_in_a_union(where: Client | None) -> None:
    inner = ColumnTransformer([("u", union(), [0, 1, 2]), ("m", MaxAbsScaler(), [3, 4])])
    outer = FeatureUnion([("columns", inner), ("scale", StandardScaler())])
    pipe = Pipeline([("first", MinMaxScaler()), ("outer", outer), ("clf", LogisticRegression())])
    grid = {
        "outer__columns__u__norm__feature_range": [(0, 1), (0, 3)],
        "outer__scale__with_std": [True, False],
        "clf__C": [0.1, 1.0],
    }
    fits = check(GridSearchCV(pipe, grid, cv=3, return_train_score=True), where)
    assert fits == {
        "first": 3,
        "outer__columns__u__norm": 6,
        "outer__columns__u__tree__standardscaler": 3,
        "outer__columns__u__tree": 3,
        "outer__columns__u": 6,
        "outer__columns__m": 3,
        "outer__columns": 6,
        "outer__scale": 6,
        "outer": 12,
        "clf": 24,
    }


MEMBERS = [
    ("tree", DecisionTreeClassifier(random_state=0)),
    ("bayes", make_pipeline(StandardScaler(), GaussianNB())),
]


@pytest.mark.parametrize("stays", [False, True])
def test_nodes_travel_with_their_arrays_or_not_at_all(stays: bool) -> None:
    rows = np.arange(5000.0)
    node = Made(transformer=threading.Lock() if stays else StandardScaler(), train=Parcel(rows))
    buffers: list[Any] = []
    pickled = pickle.dumps((Nodes({3: node}), 1), protocol=5, buffer_callback=buffers.append)
    found, one = pickle.loads(pickled, buffers=buffers)
    assert (type(found), one) == (Nodes, 1)
    if stays:
        assert found == {}
    else:
        assert len(buffers) == 1, "they are not copied"
        assert found[3].train.value.tolist() == rows.tolist()


class Guarded(MinMaxScaler):
    """Holds, once it is fitted, what cannot be pickled."""

    def fit(self, X: Any, y: Any = None) -> Guarded:
        self.lock_ = threading.Lock()
        return super().fit(X)


@pytest.mark.long
def test_a_step_that_cannot_travel_is_fitted_where_it_is_needed(client: Client) -> None:
    grid = {"logisticregression__C": np.logspace(-3, 3, 120)}
    one = ShuffleSplit(1, random_state=0)  # so that both workers need one and the same step
    search = GridSearchCV(make_pipeline(Guarded(), LogisticRegression()), grid, cv=one, refit=False)
    plain = clone(search).fit(X, y)
    with threadpool_limits(1), merged(client):
        search.fit(X, y)
    assert_same_results(search, plain)
    report: SearchReport = search.scale_report
    assert report.cells_done == 120


@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_members_of_a_vote(where: Client | None, voting: str) -> None:
    grid = {
        "weights": [None, (1, 2)],
        "tree__max_depth": [1, 2, 3],
        "bayes__standardscaler__with_std": [True, False],
    }
    vote = VotingClassifier(MEMBERS, voting=voting)
    words = np.where(y, "yes", "no")  # a classifier of votes encodes its targets
    fits = check(GridSearchCV(vote, grid, cv=3, return_train_score=True), where, X, words)
    assert fits == {
        "tree": 9,
        "bayes__standardscaler": 6,
        "bayes": 6,
        "VotingClassifier": 36,
    }


def test_members_of_a_stack_and_their_cross_validation(where: Client | None) -> None:
    Counted.fits = 0
    members = [("counted", Counted()), *MEMBERS]
    stack = StackingClassifier(members, final_estimator=LogisticRegression(), cv=4)
    grid = {
        "stack__final_estimator__C": [0.1, 1.0],
        "stack__tree__max_depth": [1, 2],
        "stack__passthrough": [True, False],
    }
    pipe = Pipeline([("scale", StandardScaler()), ("stack", stack)])
    search = GridSearchCV(pipe, grid, cv=3, refit=False)
    plain = clone(search).fit(X, y)
    asked, Counted.fits = Counted.fits, 0
    with merged(where):
        search.fit(X, y)
    assert_same_results(search, plain)
    assert asked == 3 * 8 * 5
    if where is None:
        assert Counted.fits == 3 * 5, "once on the fold and once on each inner one"
    fits = {step.label.partition(":")[0]: step.done for step in search.scale_report.steps}
    assert (fits["stack__counted"], fits["stack__tree"], fits["stack__bayes"]) == (3, 6, 3)


def test_inner_folds_drawn_anew_are_not_shared() -> None:
    cv = KFold(3, shuffle=True)
    stack = StackingClassifier(MEMBERS, final_estimator=LogisticRegression(), cv=cv)
    with merged():
        search = GridSearchCV(stack, {"final_estimator__C": [0.1, 1.0]}, cv=2).fit(X, y)
    assert [step.label for step in search.scale_report.steps] == ["StackingClassifier"]


RECORDED: dict[str, tuple[Any, dict[str, Any], int]] = {
    "selection": (
        make_pipeline(
            SelectFromModel(RandomForestClassifier(5, random_state=0)), LogisticRegression()
        ),
        {
            "selectfrommodel__threshold": ["mean", "median"],
            "selectfrommodel__estimator__max_depth": [1, 3],
            "logisticregression__C": [1.0, 2.0],
        },
        6,
    ),
    "threshold": (
        FixedThresholdClassifier(LogisticRegression()),
        {"threshold": [0.1, 0.5, 0.9], "estimator__C": [1.0, 2.0]},
        6,
    ),
    "calibration": (
        CalibratedClassifierCV(LinearSVC(), cv=3),
        {"method": ["sigmoid", "isotonic"], "estimator__C": [1.0, 2.0]},
        6,
    ),
    "calibration on all": (
        CalibratedClassifierCV(LinearSVC(), cv=3, ensemble=False),
        {"method": ["sigmoid", "isotonic"], "estimator__C": [1.0, 2.0]},
        6,
    ),
    "tuned": (
        TunedThresholdClassifierCV(LogisticRegression(), cv=3),
        {"thresholds": [10, 20], "estimator__C": [1.0, 2.0]},
        6,
    ),
    "target": (
        TransformedTargetRegressor(Ridge(solver="lsqr"), transformer=StandardScaler()),
        {"check_inverse": [True, False], "regressor__alpha": [1.0, 2.0]},
        6,
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_inner_fits_are_shared_when_only_the_outer_varies(where: Client | None, name: str) -> None:
    estimator, grid, inner = RECORDED[name]
    fits = check(GridSearchCV(estimator, grid, cv=3, return_train_score=True), where)
    assert min(fits.values()) == inner
    assert next(iter(fits.values())) == inner


class Counted(GaussianNB):  # type: ignore[misc]
    """Counts its fits."""

    fits = 0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        Counted.fits += 1
        return super().fit(X, y, sample_weight)


def test_inner_fits_are_really_left_out() -> None:
    for method in ("sigmoid", "isotonic"), ("sigmoid",):
        Counted.fits = 0
        with merged():
            search = GridSearchCV(
                CalibratedClassifierCV(Counted(), cv=3), {"method": method}, cv=2, refit=False
            )
            search.fit(X, y)
        assert Counted.fits == 6


def test_the_estimator_that_comes_back_shows_no_trace(where: Client | None) -> None:
    columns = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", PCA(1, **FULL), [2, 3, 4])])
    vote = VotingClassifier([*MEMBERS, ("boost", GradientBoostingClassifier(random_state=0))])
    pipe = make_pipeline(Normalizer(), columns, vote)
    with threadpool_limits(1):
        plain = cross_validate(pipe, X, y, return_estimator=True, cv=3)
        with merged(where):
            ours = cross_validate(pipe, X, y, return_estimator=True, cv=3)
    for mine, theirs in zip(ours["estimator"], plain["estimator"], strict=True):
        assert b"jupyter_scale" not in pickle.dumps(mine)
        assert repr(clone(mine)) == repr(clone(theirs))
        np.testing.assert_array_equal(mine.predict(X), theirs.predict(X))
        assert not any(callable(value) for value in vars(mine[-1]).values())


def test_a_part_that_fails_fails_its_candidates_only(where: Client | None) -> None:
    pipe = Pipeline([("union", union()), ("clf", GaussianNB())])
    grid = {"union__norm__feature_range": [(0, 1), (1, 0)], "clf__var_smoothing": [1e-9, 1e-3]}
    search = GridSearchCV(pipe, grid, cv=2)
    plain = clone(search)
    with failing():
        plain.fit(X, y)
    with failing(), merged(where):
        search.fit(X, y)
    assert_same_results(search, plain)


@pytest.mark.long
def test_nothing_piles_up_from_cell_to_cell() -> None:
    """As many candidates as Python allows calls inside calls: each asks the members anew."""
    weights = [(1 + i / 1000, 1) for i in range(1100)]
    vote = VotingClassifier([("a", GaussianNB()), ("b", Deep(var_smoothing=1e-3))], voting="soft")
    search = GridSearchCV(vote, {"weights": weights, "a__var_smoothing": [1e-9]}, cv=2)
    with merged():
        search.fit(X, y)
    assert search.scale_report.fits_saved > 4000
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class Deep(GaussianNB):  # type: ignore[misc]
    """Not known to have an axis."""


def test_a_scorer_that_copies_and_pickles(where: Client | None) -> None:
    pipe = make_pipeline(StandardScaler(), VotingClassifier(MEMBERS))
    check(
        GridSearchCV(pipe, {"votingclassifier__weights": [None, (1, 2)]}, cv=2, scoring=copies),
        where,
    )


def copies(model: Any, X: Any, y: Any) -> float:
    assert model[-1].estimators_[1].memory is None
    twins = [model, copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)]
    scores = {twin.score(X, y) for twin in twins}
    assert len(scores) == 1
    assert len(pickle.dumps(model)) < 100_000
    return scores.pop()


def test_a_scorer_that_looks_inside(where: Client | None) -> None:
    columns = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [2, 3])])
    pipe = make_pipeline(columns, VotingClassifier(MEMBERS))

    grid = {"columntransformer__a__with_std": [True, False], "votingclassifier__weights": [None]}
    check(GridSearchCV(pipe, grid, cv=2, scoring=looks_inside, return_train_score=True), where)


def looks_inside(model: Any, X: Any, y: Any) -> float:
    inside = model[0].named_transformers_["a"]
    again = clone(model).fit(X, y)
    new = float(again.predict(X[:20] + 0.1).sum())
    return float(inside.transform(X[:, :2] * 2).sum() + model.predict(X).sum() + new)


# -- steps that treat each row by itself


@rowwise
def doubled(values: Any) -> Any:
    return np.asarray(values) * 2


def test_rows_are_transformed_once_for_all_folds(where: Client | None) -> None:
    grid = {
        "normalizer__norm": ["l1", "l2"],
        "standardscaler__with_std": [True, False],
        "logisticregression__C": [1.0, 2.0],
    }
    pipe = make_pipeline(
        FunctionTransformer(np.log1p),
        FunctionTransformer(doubled),
        Normalizer(),
        StandardScaler(),
        LogisticRegression(),
    )
    search = GridSearchCV(pipe, grid, cv=5, return_train_score=True)
    fits = check(search, where, np.abs(X))
    assert fits == {
        "functiontransformer-1": 1,
        "functiontransformer-2": 1,
        "normalizer": 2,
        "standardscaler": 20,
        "logisticregression": 40,
    }


def test_hashed_texts(where: Client | None) -> None:
    rng = np.random.RandomState(0)
    texts = [" ".join(rng.choice(["a1", "b2", "c3", "d4"], 9)) for _ in range(60)]
    pipe = make_pipeline(HashingVectorizer(n_features=64), TfidfTransformer(), LogisticRegression())
    grid = {
        "hashingvectorizer__ngram_range": [(1, 1), (1, 2)],
        "tfidftransformer__norm": ["l1", "l2"],
    }
    fits = check(GridSearchCV(pipe, grid, cv=3), where, texts, np.arange(60) % 2)
    assert fits["hashingvectorizer"] == 2


@pytest.mark.parametrize(
    "function",
    [lambda values: values - np.mean(values), np.add],
    ids=["not declared", "of two arguments"],
)
def test_what_is_not_known_to_go_by_row_is_done_per_fold(function: Any) -> None:
    from jupyter_scale.search.meta import works_by_row

    assert not works_by_row(FunctionTransformer(function))


def test_layouts_that_depend_on_the_rows_are_done_per_fold(where: Client | None) -> None:
    pipe = make_pipeline(Normalizer(), LogisticRegression())
    search = GridSearchCV(pipe, {"logisticregression__C": [1.0, 2.0]}, cv=3)
    assert check(search, where, np.asfortranarray(X))["normalizer"] == 3


# -- axes inside


@needs_rules
def test_one_decomposition_serves_all_numbers_of_components(where: Client | None) -> None:
    parts = [("pca", PCA(**FULL)), ("best", SelectKBest())]
    pipe = Pipeline([("union", FeatureUnion(parts)), ("clf", LogisticRegression())])
    grid = {"union__pca__n_components": [1, 2, 3], "union__best__k": [1, 2], "clf__C": [1.0, 2.0]}
    fits = check(GridSearchCV(pipe, grid, cv=3, return_train_score=True), where)
    assert fits == {"union__pca": 3, "union__best": 3, "union": 18, "clf": 36}


@needs_rules
def test_what_is_derived_has_the_training_rows_before_its_family(client: Client) -> None:
    pipe = make_pipeline(StandardScaler(), SelectKBest(), LogisticRegression())
    grid = {
        "standardscaler__with_std": [True, False],
        "selectkbest__k": [1, 2, 3, 4],
        "logisticregression__C": [0.1, 1.0, 2.0],
    }
    search = GridSearchCV(pipe, grid, cv=3, error_score="raise", return_train_score=True)
    fits = check(search, client)
    assert fits == {"standardscaler": 6, "selectkbest": 6, "logisticregression": 72}


@needs_rules
def test_one_boosting_serves_all_numbers_of_trees(where: Client | None) -> None:
    pipe = make_pipeline(PCA(**FULL), GradientBoostingClassifier(random_state=0))
    grid = {
        "pca__n_components": [2, 4],
        "gradientboostingclassifier__n_estimators": [1, 5, 9],
        "gradientboostingclassifier__max_depth": [1, 2],
    }
    fits = check(GridSearchCV(pipe, grid, cv=3, return_train_score=True), where)
    assert fits == {"pca": 3, "gradientboostingclassifier": 12}


def test_a_setting_that_cannot_be_fitted_fails_alone(where: Client | None) -> None:
    boosting = GradientBoostingClassifier(random_state=0)
    search = GridSearchCV(boosting, {"n_estimators": [3, -1, 6, "many"]}, cv=2)
    plain = clone(search)
    with failing():
        plain.fit(X, y)
    with failing(), merged(where):
        search.fit(X, y)
    assert_same_results(search, plain)


def test_a_family_without_a_rule_for_the_data_is_fitted_one_by_one(where: Client | None) -> None:
    """More columns than rows: `covariance_eigh` drops what another candidate needs."""
    wide = np.random.RandomState(0).rand(20, 40)
    pipe = make_pipeline(PCA(svd_solver="covariance_eigh"), LogisticRegression())
    search = GridSearchCV(pipe, {"pca__n_components": [2, 3]}, cv=2)
    plain = clone(search)
    target = np.arange(20) % 2
    with threadpool_limits(1):
        plain.fit(wide, target)
        with merged(where):
            search.fit(wide, target)
    assert_same_results(search, plain)
    report = search.scale_report
    done = {step.label.partition(":")[0]: step.done for step in report.steps}
    assert done["pca"] == 4


class Meddler(BaseEstimator, TransformerMixin):
    """Writes into what it is given."""

    def fit(self, X: Any, y: Any = None) -> Meddler:
        X *= 2
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return X + 1


def test_a_part_that_writes_into_its_input_is_run_alone(where: Client | None) -> None:
    pipe = make_pipeline(FeatureUnion([("m", Meddler()), ("s", StandardScaler())]), GaussianNB())
    search = GridSearchCV(pipe, {"gaussiannb__var_smoothing": [1e-9, 1e-3]}, cv=2, refit=False)
    plain = clone(search).fit(X.copy(), y)
    with merged(where):
        search.fit(X.copy(), y)
    assert_same_results(search, plain)
    assert any("writes into its input" in reason for reason in search.scale_report.unshared)
