"""Every rule against fits of its own: all that predicts, transforms or scores, to the last bit."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
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
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import (
    RFE,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    chi2,
    f_regression,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, ParameterGrid, StratifiedKFold
from sklearn.naive_bayes import (
    BernoulliNB,
    CategoricalNB,
    ComplementNB,
    GaussianNB,
    MultinomialNB,
)
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from threadpoolctl import threadpool_limits

from jupyter_scale.search.axes import Axis, find


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


# -- the data


@dataclass(frozen=True)
class Data:
    X: Any
    y: Any
    new: Any
    new_y: Any = None
    fit: dict[str, Any] = field(default_factory=dict)


def _table(X: Any, y: Any, weights: bool = False, rows: int = 90) -> Data:
    fit = {"sample_weight": np.random.RandomState(7).uniform(0.1, 2, rows)} if weights else {}
    return Data(X[:rows], None if y is None else y[:rows], X[rows:], y[rows:], fit)


def _classes(classes: int = 2, rows: int = 130, columns: int = 8) -> tuple[Any, Any]:
    X, y = make_classification(
        rows,
        columns,
        n_informative=5,
        n_redundant=2,
        n_classes=classes,
        flip_y=0.2,
        random_state=classes,
    )
    return X, y


def _binary(**options: Any) -> Data:
    return _table(*_classes(), **options)


def _names() -> Data:
    X, y = _classes(3)
    return _table(X, np.array(["ash", "elm", "oak"])[y])


def _values(**options: Any) -> Data:
    return _table(*make_regression(130, 8, n_informative=5, noise=20, random_state=3), **options)


def _with(data: Data, change: Callable[[Any], Any]) -> Data:
    return Data(change(data.X), data.y, change(data.new), data.new_y, data.fit)


def _fortran(X: Any) -> Any:
    return np.asfortranarray(X)


def _float32(X: Any) -> Any:
    return X.astype(np.float32)


def _frame(X: Any) -> Any:
    return pd.DataFrame(X, columns=[f"column{number}" for number in range(X.shape[1])])


def _sparse(X: Any) -> Any:
    return sparse.csr_matrix(np.where(np.abs(X) > 0.6, X, 0))


def _counts(X: Any) -> Any:
    return np.floor(np.abs(X) * 2)


def _sparse_counts(X: Any) -> Any:
    return sparse.csr_array(_counts(X))


def _bits(X: Any) -> Any:
    return (X > 0).astype(int)


def _strided(X: Any) -> Any:
    return np.repeat(X, 2, axis=1)[:, ::2]


def _missing(X: Any) -> Any:
    X = X.copy()
    X[::7, 1] = np.nan
    return X


DATA: dict[str, Callable[[], Data]] = {
    "binary": _binary,
    "weighted": lambda: _binary(weights=True),
    "names": _names,
    "fortran": lambda: _with(_binary(), _fortran),
    "float32": lambda: _with(_binary(), _float32),
    "frame": lambda: _with(_binary(), _frame),
    "sparse": lambda: _with(_binary(), _sparse),
    "missing": lambda: _with(_binary(), _missing),
    "counts": lambda: _with(_binary(), _counts),
    "weighted counts": lambda: _with(_binary(weights=True), _counts),
    "names counts": lambda: _with(_names(), _counts),
    "sparse counts": lambda: _with(_binary(), _sparse_counts),
    "bits": lambda: _with(_binary(), _bits),
    "values": _values,
    "weighted values": lambda: _values(weights=True),
    "fortran values": lambda: _with(_values(), _fortran),
    "float32 values": lambda: _with(_values(), _float32),
    "frame values": lambda: _with(_values(), _frame),
    "sparse values": lambda: _with(_values(), _sparse),
    "two values": lambda: _table(*make_regression(130, 8, n_targets=2, random_state=4)),
    "wide": lambda: _table(*_classes(2, 70, 60), rows=40),
    "wide values": lambda: _table(*make_regression(60, 50, random_state=6), rows=40),
    "weighted wide values": lambda: _table(
        *make_regression(60, 50, random_state=6), rows=40, weights=True
    ),
    "strided values": lambda: _with(_values(), _strided),
    "tall": lambda: _table(*_classes(2, 400, 9), rows=370),
    "long": lambda: _table(*_classes(2, 720, 90), rows=600),
}

WORDS = ("ash birch cedar elm", "fir hazel larch Lime maple", "oak pine yew the of")


def _texts() -> Data:
    random = np.random.RandomState(9)
    words = " ".join(WORDS).split()
    share = np.arange(1, 15) / np.arange(1, 15).sum()
    texts = np.array(
        [" ".join(random.choice(words, random.randint(3, 20), p=share)) for _ in range(50)]
    )
    return Data(texts[:35].tolist(), np.arange(35) % 2, texts[35:].tolist(), None)


DATA["texts"] = _texts


def _half(X: Any) -> int:
    return int(X.shape[1] // 2)


# -- the cases


@dataclass(frozen=True)
class Case:
    """Candidates of an estimator; those of which `alone` is true need a fit of their own."""

    estimator: Any
    grid: dict[str, list[Any]] | list[dict[str, list[Any]]]
    data: tuple[str, ...]
    alone: Callable[[dict[str, Any]], bool] = lambda settings: False

    def __str__(self) -> str:
        chosen = str(self.estimator).split()
        return " ".join(chosen)


CLASSES = ("binary", "weighted", "names", "fortran", "float32", "frame", "sparse")
VALUES = (
    "values",
    "weighted values",
    "fortran values",
    "float32 values",
    "frame values",
    "sparse values",
)
SIZES = {"n_estimators": [4, 1, 9]}
STATE = np.random.RandomState(5)

CASES = [
    Case(GradientBoostingClassifier(random_state=0, max_depth=2), SIZES, CLASSES),
    Case(GradientBoostingRegressor(random_state=0, max_depth=2), SIZES, VALUES),
    Case(
        GradientBoostingClassifier(random_state=STATE, subsample=0.6, max_features=0.5),
        SIZES,
        ("binary", "names"),
    ),
    Case(
        GradientBoostingRegressor(random_state=1, subsample=0.5, loss="huber"), SIZES, ("values",)
    ),
    Case(
        GradientBoostingClassifier(random_state=0, n_iter_no_change=2, tol=0.05, subsample=0.7),
        {"n_estimators": [2, 60, 9, 5]},
        ("binary", "weighted"),
    ),
    Case(
        GradientBoostingRegressor(random_state=STATE, n_iter_no_change=3, tol=20.0),
        {"n_estimators": [2, 60, 9, 5]},
        ("values",),
    ),
    Case(
        GradientBoostingClassifier(
            random_state=0, init=DecisionTreeClassifier(max_depth=1, random_state=3)
        ),
        SIZES,
        ("binary",),
    ),
    Case(GradientBoostingRegressor(random_state=0, init="zero"), SIZES, ("values",)),
]
for options in (
    {"random_state": 0},
    {"random_state": STATE, "max_features": 0.5},
    {"random_state": 0, "early_stopping": True, "tol": 0.1, "n_iter_no_change": 2},
    {"random_state": 0, "early_stopping": True, "scoring": None, "n_iter_no_change": 3},
    {"early_stopping": False},
    {},
):
    few = {"min_samples_leaf": 3, "max_leaf_nodes": 5, **options}
    grid = {"max_iter": [5, 1, 30, 9]}
    CASES += [
        Case(HistGradientBoostingClassifier(**few), grid, ("binary", "names", "missing")),
        Case(HistGradientBoostingRegressor(**few), grid, ("values", "weighted values", "frame")),
    ]
for kind in (RandomForestClassifier, ExtraTreesClassifier):
    grid = {"n_estimators": [3, 1, 7], "ccp_alpha": [0.02, 0.0]}
    CASES += [
        Case(kind(random_state=0), grid, CLASSES),
        Case(kind(random_state=STATE, bootstrap=True, max_samples=0.5), SIZES, ("names",)),
        Case(kind(random_state=0, class_weight="balanced_subsample"), grid, ("weighted",)),
        Case(kind(random_state=0, ccp_alpha=0.02, n_jobs=2), SIZES, ("binary",)),
    ]
for kind in (RandomForestRegressor, ExtraTreesRegressor):
    grid = {"n_estimators": [3, 1, 7], "ccp_alpha": [20.0, 0.0]}
    CASES += [
        Case(kind(random_state=0, max_depth=5), grid, (*VALUES, "two values")),
        Case(kind(random_state=STATE, max_features=0.4), grid, ("values",)),
    ]
for kind in (DecisionTreeClassifier, ExtraTreeClassifier):
    grid = {"ccp_alpha": [0.01, 0.0, 0.03, 0.5]}
    CASES += [
        Case(kind(random_state=0), grid, CLASSES),
        Case(kind(random_state=STATE, max_leaf_nodes=9), grid, ("binary",)),
        Case(kind(random_state=0), {"ccp_alpha": [0.01]}, ("binary",)),
    ]
for kind in (DecisionTreeRegressor, ExtraTreeRegressor):
    CASES.append(
        Case(kind(random_state=0), {"ccp_alpha": [20.0, 0.0, 2e3]}, (*VALUES, "two values"))
    )
CASES += [
    Case(BaggingClassifier(random_state=0), SIZES, CLASSES),
    Case(
        BaggingClassifier(LogisticRegression(), random_state=STATE, max_features=0.5, n_jobs=1),
        SIZES,
        ("names",),
    ),
    Case(
        BaggingRegressor(KNeighborsRegressor(), random_state=0, bootstrap=False, max_samples=0.5),
        SIZES,
        ("values",),
    ),
    Case(BaggingRegressor(random_state=0, bootstrap_features=True), SIZES, VALUES),
    Case(IsolationForest(random_state=0), SIZES, ("binary", "weighted", "frame", "sparse")),
    Case(IsolationForest(random_state=0, max_features=0.5, max_samples=20), SIZES, ("binary",)),
    Case(AdaBoostClassifier(random_state=0), SIZES, CLASSES),
    # ends early: a tree of full depth makes no error
    Case(AdaBoostClassifier(DecisionTreeClassifier(), random_state=0), SIZES, ("binary",)),
    Case(
        AdaBoostClassifier(DecisionTreeClassifier(max_features=2, max_depth=1), random_state=STATE),
        {"n_estimators": [20, 3, 50]},
        ("names",),
    ),
    Case(AdaBoostRegressor(random_state=0), SIZES, VALUES),
    Case(AdaBoostRegressor(LinearRegression(), random_state=STATE), SIZES, ("values",)),
]
NEIGHBOURS = {"n_neighbors": [5, 1, 30, 44], "weights": ["uniform", "distance"]}
MANY = {"n_neighbors": [45, 3, 90], "weights": ["uniform", "distance"]}
for algorithm in ("auto", "ball_tree", "brute"):
    for kind, data in (
        (KNeighborsClassifier, (*CLASSES, "counts")),  # counts: many equal distances
        (KNeighborsRegressor, (*VALUES, "two values")),
    ):
        plain = tuple(name for name in data if "weighted" not in name)
        few = tuple(name for name in plain if "sparse" not in name or algorithm != "ball_tree")
        CASES.append(Case(kind(algorithm=algorithm), NEIGHBOURS, few))
CASES += [
    Case(
        KNeighborsClassifier(),
        MANY,
        ("binary",),
        alone=lambda settings: settings["n_neighbors"] >= 45,
    ),
    Case(KNeighborsClassifier(), {"n_neighbors": [45, 90]}, ("binary",)),
    Case(KNeighborsClassifier(), MANY, ("wide",)),
    Case(KNeighborsRegressor(p=1, metric_params=None), NEIGHBOURS, ("values",)),
    Case(
        RadiusNeighborsClassifier(outlier_label="most_frequent"),
        {"radius": [3.0, 1.0, 6.0], "weights": ["distance", "uniform"]},
        ("binary", "names"),
    ),
    Case(RadiusNeighborsRegressor(), {"radius": [1.0, 0.5, 4.0]}, ("values",)),
]
ALPHAS = {"alpha": [1.0, 0.0, 1e-12, 0.3], "fit_prior": [True, False]}
COUNTS = ("counts", "weighted counts", "names counts", "sparse counts")
PRIORS = [{"alpha": [0.5, 2.0]}, {"class_prior": [[0.3, 0.7], None]}, {"force_alpha": [False]}]
CASES += [Case(kind(), ALPHAS, COUNTS) for kind in (MultinomialNB, ComplementNB, BernoulliNB)]
CASES += [
    Case(MultinomialNB(), PRIORS, ("counts",)),
    Case(
        MultinomialNB(),
        {"alpha": [[1.0] * 8, [1.0] * 5]},
        ("counts",),
        alone=lambda settings: len(settings["alpha"]) == 5,
    ),
    Case(ComplementNB(), {"norm": [True, False], "alpha": [1, 0.1]}, COUNTS),
    Case(CategoricalNB(), ALPHAS, ("bits",)),
    Case(
        GaussianNB(),
        {"var_smoothing": [1e-9, *np.logspace(0, -9, 4), 0.0]},
        ("binary", "weighted", "names", "float32", "fortran", "frame"),
    ),
    Case(GaussianNB(priors=[0.2, 0.8]), {"var_smoothing": [1e-9, 0.5]}, ("binary",)),
    Case(
        FixedThresholdClassifier(LogisticRegression()),
        [
            {"threshold": ["auto", 0.3, 0.9]},
            {"response_method": ["decision_function"], "threshold": [-1.0, 0.5]},
            {"pos_label": [0]},
        ],
        ("binary", "frame"),
    ),
    Case(
        VotingClassifier(
            [
                ("a", LogisticRegression()),
                ("b", GaussianNB()),
                ("c", DecisionTreeClassifier(random_state=0)),
            ]
        ),
        {
            "weights": [None, [1, 2, 3], [0.5, 0, 1]],
            "voting": ["hard", "soft"],
            "flatten_transform": [False],
        },
        ("binary", "names", "frame"),
    ),
    Case(
        VotingRegressor([("a", LinearRegression()), ("b", DecisionTreeRegressor(random_state=0))]),
        {"weights": [None, [1, 2], [1, 2, 3]]},
        ("values", "weighted values"),
        alone=lambda settings: settings["weights"] == [1, 2, 3],
    ),
]
TABLES = ("binary", "names", "fortran", "float32", "frame", "sparse")
CASES += [
    Case(
        SelectKBest(),
        {"k": [3, 0, "all", 8, 9]},
        TABLES,
        alone=lambda settings: settings["k"] == 9,
    ),
    Case(SelectKBest(chi2), {"k": [1, 2]}, ("counts", "sparse counts")),
    Case(SelectKBest(f_regression), {"k": [1, 2]}, ("values",)),
    Case(SelectPercentile(), {"percentile": [10, 0, 100, 55.5]}, TABLES),
    Case(SelectFpr(), {"alpha": [0.05, 0, 1, 1e-4]}, ("binary", "frame", "sparse")),
    Case(SelectFdr(), {"alpha": [0.05, 0, 1, 1e-4]}, ("binary",)),
    Case(SelectFwe(), {"alpha": [0.05, 0, 1, 1e-4]}, ("binary",)),
    Case(
        GenericUnivariateSelect(),
        [{"mode": ["k_best"], "param": [3, 20]}, {"mode": ["percentile", "fpr"], "param": [0.9]}],
        ("binary",),
        alone=lambda settings: settings["param"] == 20,
    ),
    Case(
        VarianceThreshold(),
        {"threshold": [1.2, 0.5, 1e9]},
        ("binary", "frame", "sparse", "missing"),
        alone=lambda settings: settings["threshold"] == 1e9,
    ),
    Case(
        VarianceThreshold(),
        {"threshold": [0.0, 0.7]},
        ("binary",),
        alone=lambda settings: settings["threshold"] == 0.0,
    ),
]
DENSE = ("binary", "fortran", "float32", "frame", "tall", "long")
COMPONENTS = {"n_components": [3, 1, 8, 0.5, 0.99, None, 0]}
for options in (
    {"svd_solver": "full"},
    {"svd_solver": "covariance_eigh"},
    {"svd_solver": "full", "whiten": True},
    {"svd_solver": "covariance_eigh", "whiten": True},
):
    wide = ("wide",) if options["svd_solver"] == "full" else ()
    CASES.append(Case(PCA(**options), COMPONENTS, (*DENSE, *wide)))
CASES += [
    Case(PCA(svd_solver="covariance_eigh"), COMPONENTS, ("sparse",)),
    Case(PCA(), COMPONENTS, ("binary", "fortran", "tall", "wide")),
    Case(
        PCA(random_state=0),
        COMPONENTS,
        ("long",),
        alone=lambda settings: settings["n_components"] in (1, 3, 8),
    ),
    Case(PCA(svd_solver="full"), {"n_components": ["mle", 2]}, ("binary", "tall", "float32")),
    Case(
        PCA(svd_solver="full"),
        {"n_components": ["mle", 50, 2]},
        ("wide",),
        alone=lambda settings: settings["n_components"] != 2,
    ),
    Case(PCA(svd_solver="full").set_output(transform="pandas"), COMPONENTS, ("frame", "wide")),
    Case(
        PCA(svd_solver="covariance_eigh").set_output(transform="pandas"),
        COMPONENTS,
        ("frame",),
    ),
]

linear = LogisticRegression()
tree = DecisionTreeClassifier(random_state=0, max_depth=4)
CASES += [
    Case(
        SelectFromModel(RandomForestClassifier(random_state=0, n_estimators=5)),
        [
            {"threshold": [None, "median", "1.25*mean", -np.inf, 0.2], "max_features": [None, 3]},
            {"max_features": [0, 20]},
        ],
        ("binary", "frame", "sparse", "weighted"),
    ),
    Case(
        SelectFromModel(linear),
        {"norm_order": [1, 2, np.inf], "threshold": [None, 0.3], "importance_getter": ["coef_"]},
        ("names",),
    ),
    Case(SelectFromModel(linear, max_features=_half), {"threshold": [-np.inf, 0.1]}, ("binary",)),
    Case(
        SelectFromModel(linear),
        {"max_features": [_half, None, 2]},
        ("binary",),
        alone=lambda settings: settings["max_features"] is _half,
    ),
    Case(RFE(linear), {"n_features_to_select": [5, 1, 8, None, 0.4]}, TABLES),
    Case(RFE(tree), {"n_features_to_select": [2, 7]}, ("binary", "weighted")),
    Case(RFE(LinearRegression()), {"n_features_to_select": [2, 7]}, ("values", "two values")),
    Case(
        RFE(ExtraTreeClassifier(random_state=STATE)),
        {"n_features_to_select": [6, 2, 0.01, 9]},
        ("binary",),
        alone=lambda settings: settings["n_features_to_select"] in (0.01, 9),
    ),
    Case(
        SequentialFeatureSelector(GaussianNB(), cv=2),
        {"n_features_to_select": [3, 1, "auto", 0.7, 8]},
        ("binary", "frame"),
        alone=lambda settings: settings["n_features_to_select"] == 8,
    ),
    Case(
        SequentialFeatureSelector(GaussianNB(), cv=2, direction="backward", tol=0.1),
        {"n_features_to_select": [6, 7, "auto"]},
        ("binary",),
        alone=lambda settings: settings["n_features_to_select"] == "auto",
    ),
    Case(
        SequentialFeatureSelector(
            tree, cv=StratifiedKFold(2, shuffle=True, random_state=STATE), scoring="roc_auc"
        ),
        {"n_features_to_select": [1, 3]},
        ("binary",),
    ),
    Case(
        LinearDiscriminantAnalysis(),
        {"n_components": [2, None, 1, 3]},
        ("names",),
        alone=lambda settings: settings["n_components"] == 3,
    ),
    Case(
        LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
        {"n_components": [2, None, 1]},
        ("names",),
    ),
]
CHOICES = [
    {"min_df": [1, 3, 0.2], "max_df": [1.0, 0.6], "max_features": [None, 5]},
    {"binary": [True, False], "max_df": [30]},
    {"max_df": [2], "min_df": [3]},  # an error
]


def _no_words(settings: dict[str, Any]) -> bool:
    return bool(settings.get("max_df") == 2)


CASES += [
    Case(CountVectorizer(), CHOICES, ("texts",), alone=_no_words),
    Case(
        CountVectorizer(ngram_range=(1, 2), stop_words=["the", "of"], dtype=np.float32),
        CHOICES,
        ("texts",),
        alone=_no_words,
    ),
    Case(CountVectorizer(vocabulary=["oak", "elm"]), {"binary": [True, False]}, ("texts",)),
    Case(TfidfVectorizer(analyzer="char"), CHOICES, ("texts",), alone=_no_words),
    Case(
        TfidfVectorizer(),
        {
            "norm": ["l1", "l2", None],
            "use_idf": [True, False],
            "smooth_idf": [True, False],
            "sublinear_tf": [True, False],
        },
        ("texts",),
    ),
]
PENALTIES = {"alpha": [1.0, 0.01, 0, 1000, np.float32(0.1)]}
for solver in ("auto", "cholesky", "svd"):
    for intercept in (True, False):
        options = {"solver": solver, "fit_intercept": intercept}
        CASES += [
            Case(
                Ridge(**options),
                PENALTIES,
                (
                    "values",
                    "weighted values",
                    "fortran values",
                    "float32 values",
                    "frame values",
                    "two values",
                    "wide values",
                    "weighted wide values",
                    "strided values",
                ),
            ),
            Case(
                RidgeClassifier(**options),
                {"alpha": [1.0, 1e-3, 1000]},
                ("binary", "weighted", "names", "float32", "wide"),
            ),
        ]
CASES += [
    Case(RidgeClassifier(class_weight="balanced"), {"alpha": [1, 0.1]}, ("binary", "weighted")),
    Case(
        RidgeClassifier(),
        {"alpha": [0, 2]},  # of redundant columns
        ("binary",),
        alone=lambda settings: settings["alpha"] == 0,
    ),
    Case(
        Ridge(),
        {"alpha": [[1.0, 2.0], 3]},
        ("two values",),
        alone=lambda settings: isinstance(settings["alpha"], list),
    ),
]

# -- the suite


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("case", "data"),
    [pytest.param(case, name, id=f"{case} {name}") for case in CASES for name in case.data],
)
def test_one_fit_answers_as_fits_of_their_own_do(case: Case, data: str) -> None:
    given = DATA[data]()
    candidates = list(ParameterGrid(case.grid))
    axis, shared, output = fit_widest(case.estimator, candidates, given)
    before = pickle.dumps(shared)
    for settings in candidates:
        candidate = clone(case.estimator).set_params(**settings)
        derived = axis.derive(shared, candidate)
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
    assert_unchanged(shared, before)


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


def assert_unchanged(shared: Any, before: bytes) -> None:
    if not hasattr(shared, "_tree"):  # a neighbour tree counts its queries
        assert pickle.dumps(shared) == before
