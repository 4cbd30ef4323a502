"""Every rule against fits of its own: all that predicts, transforms or scores, to the last bit."""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axis_cases import (
    CASES,
    DATA,
    SIZES,
    Case,
    Data,
    binary,
    classes,
    named,
    needs_rules,
    table,
    tree,
)
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    f_regression,
    mutual_info_classif,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    KFold,
    ParameterGrid,
    ShuffleSplit,
)
from sklearn.naive_bayes import (
    GaussianNB,
)
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
)
from sklearn.tree import (
    BaseDecisionTree,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeRegressor,
)
from threadpoolctl import threadpool_limits

from jupyter_scale.search import axes
from jupyter_scale.search.axes import Axis, NotExact, find

pytestmark = needs_rules


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    # with another number of threads BLAS adds up in another order
    with threadpool_limits(1):
        yield


# -- equality to the last bit


def assert_same(ours: Any, theirs: Any, path: str = "", seen: dict[int, Any] | None = None) -> None:
    """Compare values, types and memory layout of anything that an estimator may hold."""
    seen = {} if seen is None else seen
    if id(theirs) in seen or isinstance(theirs, np.random.RandomState | np.random.Generator):
        return  # the state in which a generator is left is not part of the promise
    assert type(ours) is type(theirs), path
    if isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype, path
        assert ours.shape == theirs.shape, path
        layout = ("C_CONTIGUOUS", "F_CONTIGUOUS")
        assert [ours.flags[f] for f in layout] == [theirs.flags[f] for f in layout], path
        if theirs.dtype.hasobject:
            for number, (a, b) in enumerate(zip(ours.ravel(), theirs.ravel(), strict=True)):
                assert_same(a, b, f"{path}[{number}]", seen)
        else:
            assert ours.tobytes() == theirs.tobytes(), path
    elif sparse.issparse(theirs):
        assert ours.shape == theirs.shape, path
        assert ours.has_sorted_indices == theirs.has_sorted_indices, path
        for name in ("data", "indices", "indptr"):
            assert_same(getattr(ours, name), getattr(theirs, name), f"{path}.{name}", seen)
    elif isinstance(theirs, pd.DataFrame):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        assert_same(ours.to_numpy(), theirs.to_numpy(), path, seen)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}[{key!r}]", seen)
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), path
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(a, b, f"{path}[{number}]", seen)
    elif isinstance(theirs, float | np.floating):
        assert ours == theirs or (np.isnan(ours) and np.isnan(theirs)), path
    elif callable(theirs) and not hasattr(theirs, "fit"):
        assert pickle.dumps(ours) == pickle.dumps(theirs), path
    elif hasattr(theirs, "__dict__"):
        seen[id(theirs)] = theirs
        assert sorted(learned(ours)) == sorted(learned(theirs)), path
        for name, value in learned(theirs).items():
            if f"{path}.{name}".endswith("_bin_mapper.random_state"):
                continue  # drawn, and not used for few rows
            assert_same(vars(ours)[name], value, f"{path}.{name}", seen)
    elif theirs is None or isinstance(theirs, str | int | np.integer | np.bool_ | np.dtype):
        assert ours == theirs, path
    else:  # an extension type, such as a tree
        assert_same(ours.__reduce_ex__(2)[1:3], theirs.__reduce_ex__(2)[1:3], path, seen)


PRIVATE = {"_stop_words_id", "_rng", "_random_seed", "_feature_subsample_rng", "_scorer"}
"""What only a second fit would read."""


def learned(estimator: Any) -> dict[str, Any]:
    private = PRIVATE
    if getattr(estimator, "loss", None) == "huber":
        private = private | {"_loss"}  # holds the delta of the last stage
    return {name: value for name, value in vars(estimator).items() if name not in private}


METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
    "apply",
    "staged_predict",
    "kneighbors",
)


def answers(estimator: Any, data: Data) -> dict[str, Any]:
    """Return what every method says of new rows, and an estimator's whole state."""
    if getattr(estimator, "n_jobs", None) is not None:
        estimator.set_params(n_jobs=None)  # threads add up their votes in any order
    found: dict[str, Any] = {}
    for name in METHODS:
        if hasattr(estimator, name):
            found[name] = outcome(getattr(estimator, name), data.new)
    found["staged_predict"] = listed(found.get("staged_predict"))
    if hasattr(estimator, "score"):
        y = () if data.new_y is None else (data.new_y,)
        found["score"] = outcome(estimator.score, data.new, *y)
    for name in ("get_feature_names_out", "get_support", "get_covariance", "get_precision"):
        if hasattr(estimator, name):
            found[name] = outcome(getattr(estimator, name))
    for name in ("feature_importances_", "n_iter_", "threshold_"):
        if hasattr(estimator, name):
            found[name] = getattr(estimator, name)
    return found


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """Return what a call returns, or says when it fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def listed(stages: Any) -> Any:
    return list(stages) if hasattr(stages, "__next__") else stages


# -- the suite


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("case", "data"),
    [
        # the first data of each case are enough for every commit
        pytest.param(case, name, id=f"{case} {name}", marks=[pytest.mark.long][: place > 0])
        for case in CASES
        for place, name in enumerate(case.data)
    ],
)
def test_one_fit_answers_as_fits_of_their_own_do(case: Case, data: str) -> None:
    given = DATA[data]()
    candidates = list(ParameterGrid(case.grid))
    axis, shared, output = fit_widest(case.estimator, candidates, given)
    before = pickle.dumps(shared)
    configured = [clone(case.estimator).set_params(**settings) for settings in candidates]
    all_derived = [axis.derive(shared, candidate) for candidate in configured]
    assert pickle.dumps(shared) == before
    for settings, candidate, derived in zip(candidates, configured, all_derived, strict=True):
        assert (derived is None) == case.alone(settings), settings
        if derived is None:
            continue
        assert derived is not candidate
        expected = fit(candidate, given)
        assert_same(derived, expected, f"{settings}")
        assert_same(answers(derived, given), answers(expected, given), f"{settings}")
        assert_same(derived.get_params(), expected.get_params(), f"parameters {settings}")
        if settings is candidates[0]:
            revived = pickle.loads(pickle.dumps(derived))
            assert_same(answers(revived, given), answers(expected, given), f"revived {settings}")
        if hasattr(candidate, "transform"):
            expected = clone(candidate).fit_transform(given.X, given.y, **given.fit)
            assert_same(output_of(axis, shared, derived, given, output), expected, f"{settings}")


def fit_widest(estimator: Any, candidates: list[Any], data: Data) -> tuple[Axis, Any, Any]:
    """Make the shared fit as an engine would, on a worker."""
    some = clone(estimator).set_params(**candidates[len(candidates) // 2])
    axis = find(some)
    assert axis is not None
    full = [
        {name: {**some.get_params(deep=False), **one}[name] for name in axis.parameters}
        for one in candidates
    ]
    widest = pickle.loads(pickle.dumps(axis.widest(some, full)))
    if hasattr(estimator, "transform"):
        return axis, widest, widest.fit_transform(data.X, data.y, **data.fit)
    return axis, widest.fit(data.X, data.y, **data.fit), None


def fit(estimator: Any, data: Data) -> Any:
    return clone(estimator).fit(data.X, data.y, **data.fit)


def output_of(axis: Axis, shared: Any, derived: Any, data: Data, widest: Any) -> Any:
    if axis.output is None:
        return derived.transform(data.X)
    return axis.output(shared, derived, data.X, widest)


# -- drawn at random: what nobody thought of


def _drawn(seed: int) -> tuple[Any, dict[str, list[Any]], Data]:
    random = np.random.RandomState(seed)
    rows, columns = random.randint(30, 120), random.randint(3, 25)
    X = random.randn(rows + 15, columns) * random.choice([1e-3, 1.0, 1e3], columns)
    y = X[:, 0] / X[:, 0].std() + random.randn(rows + 15)
    X = X.astype(random.choice([np.float32, np.float64]), order=random.choice(["C", "F"]))
    labels = np.digitize(y, [-0.5, 0.8])
    sizes = {"n_estimators": sorted(random.randint(1, 12, 3).tolist(), key=lambda _: random.rand())}
    draws = int(random.randint(1000))
    regression: list[tuple[Any, dict[str, list[Any]]]] = [
        (GradientBoostingRegressor(random_state=draws, subsample=random.uniform(0.3, 1)), sizes),
        (
            HistGradientBoostingRegressor(random_state=draws, max_features=random.uniform(0.2, 1)),
            {"max_iter": sizes["n_estimators"]},
        ),
        (
            RandomForestRegressor(random_state=draws, max_features=random.uniform(0.2, 1)),
            {**sizes, "ccp_alpha": [0.0, *random.exponential(0.1, 2)]},
        ),
        (DecisionTreeRegressor(random_state=draws), {"ccp_alpha": random.exponential(0.1, 4)}),
        (AdaBoostRegressor(random_state=draws), sizes),
        (KNeighborsRegressor(), {"n_neighbors": random.randint(1, rows // 2, 4)}),
        (
            Ridge(solver=random.choice(["auto", "svd"])),
            {"alpha": np.exp(random.uniform(-3, 9, 4))},
        ),
        (SelectKBest(f_regression), {"k": random.randint(0, columns + 1, 3)}),
    ]
    classification: list[tuple[Any, dict[str, list[Any]]]] = [
        (GradientBoostingClassifier(random_state=draws, max_features="sqrt"), sizes),
        (ExtraTreesClassifier(random_state=draws), {**sizes, "ccp_alpha": [0.03, 0.0]}),
        (BaggingClassifier(random_state=draws, max_samples=random.uniform(0.3, 1)), sizes),
        (AdaBoostClassifier(random_state=draws, learning_rate=random.uniform(0.1, 2)), sizes),
        (GaussianNB(), {"var_smoothing": np.exp(random.uniform(-20, 0, 3))}),
        (
            PCA(svd_solver=random.choice(["full", "auto"]), whiten=bool(random.randint(2))),
            {"n_components": [1, *random.uniform(0.1, 1, 3), min(rows, columns)]},
        ),
        (RFE(tree), {"n_features_to_select": random.randint(1, columns + 1, 3)}),
        (SelectFromModel(tree), {"threshold": random.uniform(0, 0.5, 3)}),
    ]
    regress = bool(seed % 2)
    estimator, grid = (regression if regress else classification)[seed // 2 % 8]
    target = y if regress else labels
    weights = {"sample_weight": random.rand(rows)} if hasattr(estimator, "predict") else {}
    if seed % 3 or isinstance(estimator, KNeighborsRegressor):
        weights = {}
    return estimator, grid, Data(X[:rows], target[:rows], X[rows:], target[rows:], weights)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.long][: seed > 15]) for seed in range(48)]
)
def test_drawn_at_random(seed: int) -> None:
    estimator, grid, data = _drawn(seed)
    candidates = list(ParameterGrid({name: list(values) for name, values in grid.items()}))
    axis, shared, output = fit_widest(estimator, candidates, data)
    for settings in candidates:
        candidate = clone(estimator).set_params(**settings)
        derived = axis.derive(shared, candidate)
        assert derived is not None
        expected = fit(candidate, data)
        assert_same(derived, expected, f"{settings}")
        assert_same(answers(derived, data), answers(expected, data), f"{settings}")
        if hasattr(candidate, "transform"):
            expected = clone(candidate).fit_transform(data.X, data.y, **data.fit)
            assert_same(output_of(axis, shared, derived, data, output), expected, f"{settings}")


# -- one fit, and no more


def test_the_shared_fit_grows_the_trees_of_the_largest_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grown: list[Any] = []
    grow = BaseDecisionTree._fit

    def counted(tree: Any, *args: Any, **options: Any) -> Any:
        grown.append(tree)
        return grow(tree, *args, **options)

    monkeypatch.setattr(BaseDecisionTree, "_fit", counted)
    data = binary()
    for estimator, stages in (
        (RandomForestClassifier(random_state=0), 9),
        (BaggingClassifier(random_state=0), 9),
        (IsolationForest(random_state=0), 9),
        (AdaBoostClassifier(random_state=0), 9),
        (GradientBoostingClassifier(random_state=0, max_depth=1), 9),
    ):
        grown.clear()
        axis, shared, _ = fit_widest(estimator, list(ParameterGrid(SIZES)), data)
        assert len(grown) == stages
        for size in SIZES["n_estimators"]:
            assert axis.derive(shared, clone(estimator).set_params(n_estimators=size)) is not None
        assert len(grown) == stages


def test_documents_are_read_once() -> None:
    read: list[str] = []

    def tokens(document: str) -> list[str]:
        read.append(document)
        return document.split()

    documents = ["one two", "two three", "three one one"]
    vectorizer = TfidfVectorizer(tokenizer=tokens, token_pattern=None)
    axis = find(vectorizer)
    assert axis is not None
    shared = axis.widest(vectorizer, [{"use_idf": True}, {"use_idf": False}])
    output = shared.fit_transform(documents)
    for use in (True, False):
        derived = axis.derive(shared, clone(vectorizer).set_params(use_idf=use))
        assert axis.output is not None
        axis.output(shared, derived, documents, output)
    assert read == documents


# -- where a rule does not apply


NOT: list[Any] = [
    RandomForestClassifier(),
    RandomForestClassifier(random_state=0, warm_start=True),
    RandomForestClassifier(random_state=0, oob_score=True),
    ExtraTreesRegressor(),
    DecisionTreeClassifier(),
    ExtraTreeRegressor(),
    BaggingRegressor(),
    BaggingRegressor(random_state=0, warm_start=True),
    BaggingRegressor(random_state=0, oob_score=True),
    IsolationForest(),
    IsolationForest(random_state=0, contamination=0.1),
    IsolationForest(random_state=0, warm_start=True),
    AdaBoostClassifier(),
    GradientBoostingClassifier(),
    GradientBoostingClassifier(random_state=0, warm_start=True),
    GradientBoostingClassifier(random_state=0, init=DecisionTreeClassifier()),
    HistGradientBoostingClassifier(max_features=0.5),
    HistGradientBoostingClassifier(early_stopping=True),
    HistGradientBoostingClassifier(random_state=0, warm_start=True),
    SelectKBest(mutual_info_classif),
    SelectKBest(lambda X, y: np.ones(X.shape[1])),
    SelectKBest(functools.partial(mutual_info_classif, n_neighbors=5)),
    SelectFromModel(LogisticRegression(), prefit=True),
    SelectFromModel(RandomForestClassifier()),
    RFE(DecisionTreeClassifier()),
    SequentialFeatureSelector(DecisionTreeClassifier()),
    SequentialFeatureSelector(LogisticRegression(), cv=KFold(shuffle=True)),
    SequentialFeatureSelector(LogisticRegression(), cv=ShuffleSplit()),
    PCA(svd_solver="randomized"),
    PCA(svd_solver="arpack"),
    PCA(copy=False),
    Ridge(solver="sag"),
    Ridge(solver="lsqr"),
    Ridge(positive=True),
    Ridge(copy_X=False),
    FixedThresholdClassifier(RandomForestClassifier()),
    VotingClassifier([("a", RandomForestClassifier())]),
    CountVectorizer(input="file"),
    LinearRegression(),
]


@pytest.mark.parametrize("estimator", NOT, ids=named)
def test_no_axis(estimator: Any) -> None:
    assert find(estimator) is None


def test_a_subclass_may_do_anything() -> None:
    class Forest(RandomForestClassifier):  # type: ignore[misc]
        pass

    assert find(Forest(random_state=0)) is None


def test_no_axis_with_an_untested_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(KNeighborsClassifier()) is not None
    monkeypatch.setattr(axes, "TESTED", ("0.1",))
    axes._own.cache_clear()
    try:
        assert find(KNeighborsClassifier()) is None
    finally:
        axes._own.cache_clear()


WITHOUT_GUARD: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (RandomForestClassifier(), {"n_estimators": 3}, {"n_estimators": 9}),
    (GradientBoostingClassifier(subsample=0.5), {"n_estimators": 3}, {"n_estimators": 9}),
    (
        HistGradientBoostingClassifier(max_features=0.3, max_leaf_nodes=4),
        {"max_iter": 3},
        {"max_iter": 9},
    ),
    (
        RandomForestClassifier(random_state=0, oob_score=True),
        {"n_estimators": 30},
        {"n_estimators": 40},
    ),
    (
        IsolationForest(random_state=0, contamination=0.2),
        {"n_estimators": 3},
        {"n_estimators": 9},
    ),
    (SelectKBest(mutual_info_classif), {"k": 2}, {"k": 5}),
    (PCA(svd_solver="randomized", random_state=0), {"n_components": 2}, {"n_components": 4}),
    (PCA(svd_solver="arpack", random_state=0), {"n_components": 2}, {"n_components": 4}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "one", "other"),
    WITHOUT_GUARD,
    ids=named,
)
def test_without_its_guard_the_rule_would_be_wrong(
    estimator: Any, one: dict[str, Any], other: dict[str, Any]
) -> None:
    X, y = classes(rows=300, columns=12)
    # mutual information breaks ties between equal numbers at random
    data = table(np.round(X) if isinstance(estimator, SelectKBest) else X, y, rows=200)
    axis = axes._own()[type(estimator)]
    assert not axis.applies(estimator)
    if isinstance(estimator, PCA):  # what its rule does of a full decomposition
        shared = clone(estimator).set_params(**other).fit(data.X)
        ours = shared.components_[: one["n_components"]]
        theirs = fit(clone(estimator).set_params(**one), data).components_
        assert not np.array_equal(ours, theirs)
        return
    shared = axis.widest(clone(estimator), [one, other]).fit(data.X, data.y)
    derived = axis.derive(shared, clone(estimator).set_params(**one))
    own = fit(clone(estimator).set_params(**one), data)
    with pytest.raises(AssertionError):
        assert_same(derived, own)


# -- where the data or one candidate rule it out


def test_many_rows_without_a_seed_are_refused_before_they_are_fitted() -> None:
    for boost, rows in (
        (HistGradientBoostingClassifier(), 10_001),
        (HistGradientBoostingRegressor(early_stopping=False), 200_001),
    ):
        X = np.zeros((rows, 1))
        axis = find(boost)
        assert axis is not None
        with pytest.raises(NotExact, match="random_state"):
            axis.widest(boost, [{"max_iter": 3}, {"max_iter": 2}]).fit(X, X[:, 0])


def _random(*shape: int) -> Any:
    return np.random.RandomState(0).rand(*shape)


def test_components_that_would_not_come_of_a_full_decomposition_are_refused() -> None:
    axis = find(PCA())
    assert axis is not None
    few = [{"n_components": 3}, {"n_components": 7}]
    with pytest.raises(NotExact):
        axis.widest(PCA(), few).fit(_random(600, 90))
    axis.widest(PCA(), [*few, {"n_components": 0.9}]).fit(_random(600, 90))
    with pytest.raises(NotExact):
        axis.widest(PCA(svd_solver="covariance_eigh"), few).fit(_random(20, 30))


def test_sparse_ridge_is_refused() -> None:
    axis = find(Ridge())
    assert axis is not None
    with pytest.raises(NotExact):
        axis.widest(Ridge(), [{"alpha": 1.0}]).fit(sparse.eye_array(5, format="csr"), range(5))


INVALID: list[tuple[Any, str, list[Any]]] = [
    (RandomForestClassifier(random_state=0), "n_estimators", [0, -3, "many", 2.5]),
    (GradientBoostingClassifier(random_state=0), "n_estimators", [0, None]),
    (HistGradientBoostingClassifier(), "max_iter", [0, "many"]),
    (AdaBoostClassifier(random_state=0), "n_estimators", [0]),
    (BaggingClassifier(random_state=0), "n_estimators", [0, "many"]),
    (DecisionTreeClassifier(random_state=0), "ccp_alpha", [-1.0, "x"]),
    (KNeighborsClassifier(), "n_neighbors", [0, 1.5]),
    (GaussianNB(), "var_smoothing", [-1.0]),
    (SelectKBest(), "k", [-1, "most"]),
    (SelectPercentile(), "percentile", [101]),
    (PCA(), "n_components", [-1, 1.5, "most"]),
    (RFE(tree), "n_features_to_select", [0, "few"]),
    (Ridge(), "alpha", [-1.0, "x"]),
    (SelectFromModel(tree), "max_features", [-1]),
    (VarianceThreshold(), "threshold", [-1.0]),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "name", "wrong"), INVALID, ids=named)
def test_an_invalid_candidate_is_left_to_scikit_learn(
    estimator: Any, name: str, wrong: list[Any]
) -> None:
    good = {"max_iter": 2, "n_estimators": 2, "ccp_alpha": 0.1, "n_components": 0.5}.get(name, 1)
    candidates = [{name: value} for value in (*wrong, good)]
    axis, shared, _ = fit_widest(estimator, candidates, binary())
    assert axis.derive(shared, clone(estimator).set_params(**{name: good})) is not None
    for value in wrong:
        assert axis.derive(shared, clone(estimator).set_params(**{name: value})) is None


# -- rules of other packages


class Foreign(BaseEstimator):  # type: ignore[misc]
    __module__ = "forestry.trees"


def registered(value: str, name: str = "forestry.trees.Foreign") -> Callable[..., Any]:
    entry = EntryPoint(name, value, axes.GROUP)

    def entry_points(*, group: str, name: str) -> list[EntryPoint]:
        return [entry] if (group, name) == (entry.group, entry.name) else []

    return entry_points


@pytest.fixture
def forgetful() -> Iterator[None]:
    axes._foreign.cache_clear()
    yield
    axes._foreign.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_a_package_registers_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "jupyter_scale.search.boosters:XGBOOST"
    rule = Axis("any", ("size",), lambda one: True, lambda one, settings: one, lambda a, b: a)
    monkeypatch.setattr("jupyter_scale.search.boosters.XGBOOST", rule)
    monkeypatch.setattr("importlib.metadata.entry_points", registered(value))
    assert find(Foreign()) is rule
    axes._foreign.cache_clear()
    monkeypatch.setattr("importlib.metadata.entry_points", registered(value, "forestry.Other"))
    assert find(Foreign()) is None


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("value", ["forestry.axes:NONE", "os:sep", "os:no_such_name"])
def test_a_broken_entry_point_warns_once(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", registered(value))
    with pytest.warns(UserWarning, match=r"axis of forestry\.trees\.Foreign is ignored"):
        assert find(Foreign()) is None
    assert find(Foreign()) is None
