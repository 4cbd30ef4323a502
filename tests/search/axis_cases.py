"""The candidates and the data on which the rules of `test_axes` are tried."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
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
    mutual_info_classif,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    StratifiedKFold,
)
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

from jupyter_scale.search import axes

RULES = ".".join(sklearn.__version__.split(".")[:2]) in axes.TESTED
needs_rules = pytest.mark.skipif(
    not RULES,
    reason="rules hold, and are used, on the releases in axes.TESTED only",
)

# -- the data


@dataclass(frozen=True)
class Data:
    X: Any
    y: Any
    new: Any
    new_y: Any = None
    fit: dict[str, Any] = field(default_factory=dict)


def table(X: Any, y: Any, weights: bool = False, rows: int = 90) -> Data:
    fit = {"sample_weight": np.random.RandomState(7).uniform(0.1, 2, rows)} if weights else {}
    return Data(X[:rows], None if y is None else y[:rows], X[rows:], y[rows:], fit)


def classes(classes: int = 2, rows: int = 130, columns: int = 8) -> tuple[Any, Any]:
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


def binary(**options: Any) -> Data:
    return table(*classes(), **options)


def names() -> Data:
    X, y = classes(3)
    return table(X, np.array(["ash", "elm", "oak"])[y])


def values(**options: Any) -> Data:
    return table(*make_regression(130, 8, n_informative=5, noise=20, random_state=3), **options)


def changed(data: Data, change: Callable[[Any], Any]) -> Data:
    return Data(change(data.X), data.y, change(data.new), data.new_y, data.fit)


def _fortran(X: Any) -> Any:
    return np.asfortranarray(X)


def _float32(X: Any) -> Any:
    return X.astype(np.float32)


def _frame(X: Any) -> Any:
    return pd.DataFrame(X, columns=[f"column{number}" for number in range(X.shape[1])])


def _categories(X: Any) -> Any:
    names = np.array(["ash", "elm", "oak"])[np.digitize(X[:, 0], [-1, 1])]
    return _frame(X).assign(column0=pd.Categorical(names, categories=["oak", "elm", "ash"]))


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
    "binary": binary,
    "weighted": lambda: binary(weights=True),
    "names": names,
    "fortran": lambda: changed(binary(), _fortran),
    "float32": lambda: changed(binary(), _float32),
    "frame": lambda: changed(binary(), _frame),
    "sparse": lambda: changed(binary(), _sparse),
    "categories": lambda: changed(binary(), _categories),
    "missing": lambda: changed(binary(), _missing),
    "counts": lambda: changed(binary(), _counts),
    "weighted counts": lambda: changed(binary(weights=True), _counts),
    "names counts": lambda: changed(names(), _counts),
    "sparse counts": lambda: changed(binary(), _sparse_counts),
    "bits": lambda: changed(binary(), _bits),
    "values": values,
    "weighted values": lambda: values(weights=True),
    "fortran values": lambda: changed(values(), _fortran),
    "float32 values": lambda: changed(values(), _float32),
    "frame values": lambda: changed(values(), _frame),
    "sparse values": lambda: changed(values(), _sparse),
    "two values": lambda: table(*make_regression(130, 8, n_targets=2, random_state=4)),
    "wide": lambda: table(*classes(2, 70, 60), rows=40),
    "wide values": lambda: table(*make_regression(60, 50, random_state=6), rows=40),
    "weighted wide values": lambda: table(
        *make_regression(60, 50, random_state=6), rows=40, weights=True
    ),
    "strided values": lambda: changed(values(), _strided),
    "tall": lambda: table(*classes(2, 400, 9), rows=370),
    "long": lambda: table(*classes(2, 720, 90), rows=600),
}

WORDS = ("ash birch cedar elm", "fir hazel larch Lime maple", "oak pine yew the of")


def texts() -> Data:
    random = np.random.RandomState(9)
    words = " ".join(WORDS).split()
    share = np.arange(1, 15) / np.arange(1, 15).sum()
    texts = np.array(
        [" ".join(random.choice(words, random.randint(3, 20), p=share)) for _ in range(50)]
    )
    return Data(texts[:35].tolist(), np.arange(35) % 2, texts[35:].tolist(), None)


DATA["texts"] = texts


def half(X: Any) -> int:
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
        return named(self.estimator)


def named(value: Any) -> str:
    """Return the text of a value on one line and without addresses."""
    return re.sub(r" at 0x\w+", "", " ".join(str(value).split()))


CLASSES = ("binary", "weighted", "names", "frame", "sparse")
VALUES = ("values", "weighted values", "frame values", "sparse values")
ORDERS = ("fortran", "float32")  # trees make both the same
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
        Case(HistGradientBoostingClassifier(**few), grid, ("names", "missing", "categories")),
        Case(HistGradientBoostingRegressor(**few), grid, ("weighted values", "frame values")),
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
        (KNeighborsClassifier, (*CLASSES, *ORDERS, "counts")),  # counts: many equal distances
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
    Case(
        SelectKBest(functools.partial(mutual_info_classif, random_state=0)),
        {"k": [1, 2]},
        ("counts",),
    ),
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
            {"threshold": [None, "median", "1.25*mean", -np.inf, 0.2], "max_features": [None]},
            {"max_features": [0, 3, 20]},
        ],
        ("frame", "weighted"),
    ),
    Case(
        SelectFromModel(linear),
        {"norm_order": [1, 2, np.inf], "threshold": [None, 0.3], "importance_getter": ["coef_"]},
        ("names",),
    ),
    Case(SelectFromModel(linear, max_features=half), {"threshold": [-np.inf, 0.1]}, ("binary",)),
    Case(
        SelectFromModel(linear),
        {"max_features": [half, None, 2]},
        ("binary",),
        alone=lambda settings: settings["max_features"] is half,
    ),
    Case(RFE(linear), {"n_features_to_select": [5, 1, 8, None, 0.4]}, ("float32", "sparse")),
    Case(
        RFE(tree, step=3),
        {"n_features_to_select": [2, 5, 8, 7, 4, 1]},
        ("binary",),
        alone=lambda settings: settings["n_features_to_select"] in (7, 4),
    ),
    Case(RFE(linear, step=0.4), {"n_features_to_select": [2, 5, 8]}, ("binary",)),
    Case(RFE(tree), {"n_features_to_select": [2, 7]}, ("frame", "weighted")),
    Case(RFE(LinearRegression()), {"n_features_to_select": [2, 7]}, ("values", "two values")),
    Case(
        RFE(ExtraTreeClassifier(random_state=STATE)),
        {"n_features_to_select": [6, 2, 0.01, 9]},
        ("binary",),
        alone=lambda settings: settings["n_features_to_select"] in (0.01, 9),
    ),
    Case(
        SequentialFeatureSelector(GaussianNB(), cv=2),
        {"n_features_to_select": [3, "auto", 0.3, 8]},
        ("binary",),
        alone=lambda settings: settings["n_features_to_select"] == 8,
    ),
    Case(
        SequentialFeatureSelector(GaussianNB(), cv=2, direction="backward", tol=0.1),
        {"n_features_to_select": [7, 6, "auto"]},
        ("binary",),
        alone=lambda settings: settings["n_features_to_select"] == "auto",
    ),
    Case(
        SequentialFeatureSelector(
            tree, cv=StratifiedKFold(2, shuffle=True, random_state=STATE), scoring="roc_auc"
        ),
        {"n_features_to_select": [1, 2]},
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
