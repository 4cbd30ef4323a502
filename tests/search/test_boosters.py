"""The rules for XGBoost and LightGBM; each is skipped where the package is not installed."""

from __future__ import annotations

import pickle
import tomllib
from collections.abc import Iterable
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axis_cases import named
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from threadpoolctl import threadpool_limits

from jupyter_scale.search import axes
from jupyter_scale.search.axes import Axis, find

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ROUNDS = [7, 1, 30, 12]


def entry_points() -> list[EntryPoint]:
    table = tomllib.loads(PROJECT.read_text())["project"]["entry-points"][axes.GROUP]
    return [EntryPoint(name, value, axes.GROUP) for name, value in table.items()]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register what pyproject.toml says, whenever this package was installed."""

    installed = metadata.entry_points

    def named(*, group: str, **selected: str) -> Iterable[EntryPoint]:
        if group != axes.GROUP:  # another package asks
            return installed(group=group, **selected)
        return [entry for entry in entry_points() if entry.name == selected["name"]]

    axes._foreign.cache_clear()
    monkeypatch.setattr(metadata, "entry_points", named)


@pytest.mark.parametrize("entry", entry_points(), ids=lambda entry: entry.name)
def test_every_entry_point_leads_to_an_axis(entry: EntryPoint) -> None:
    assert isinstance(entry.load(), Axis)


def classes(count: int) -> tuple[Any, Any]:
    X, y = make_classification(
        260, 8, n_informative=5, n_classes=count, flip_y=0.2, random_state=count
    )
    return X, y


def values() -> tuple[Any, Any]:
    X, y = make_regression(260, 8, noise=20, random_state=1)
    return X, y


def table(data: tuple[Any, Any]) -> tuple[Any, Any]:
    return pd.DataFrame(data[0], columns=list("abcdefgh")), data[1]


DATA = {
    "binary": classes(2),
    "three": classes(3),
    "table": table(classes(2)),
    "values": values(),
    "float32": (values()[0].astype(np.float32), values()[1]),
}
TREES: list[tuple[str, dict[str, Any]]] = [
    ("binary", {}),
    ("binary", {"n_jobs": 2}),
    ("three", {}),
    ("three", {"subsample": 0.5, "colsample_bytree": 0.5, "random_state": 0}),
    ("table", {"random_state": 3, "subsample": 0.7}),
    ("values", {"max_depth": 3}),
    ("values", {"random_state": 5, "reg_lambda": 2.0}),
    ("float32", {}),
]
XGBOOST = [
    *TREES,
    ("values", {"tree_method": "exact", "num_parallel_tree": 2, "subsample": 0.5}),
    ("values", {"tree_method": "approx"}),
    ("values", {"objective": "reg:absoluteerror"}),
]
LIGHTGBM = [
    *TREES,
    ("three", {"subsample": 0.5, "subsample_freq": 3, "class_weight": "balanced"}),
    ("table", {"random_state": np.random.RandomState(3), "subsample": 0.7, "subsample_freq": 1}),
    ("values", {"objective": "l1"}),
    ("values", {"min_child_samples": 150}),  # ends early
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("data", "options"), XGBOOST, ids=named)
def test_xgboost(data: str, options: dict[str, Any], weighted: bool) -> None:
    xgboost = pytest.importorskip("xgboost")
    kind = xgboost.XGBClassifier if data in ("binary", "three", "table") else xgboost.XGBRegressor
    for derived, own, new in answered(kind(**{"n_jobs": 1, **options}), data, weighted):
        boosters = derived.get_booster(), own.get_booster()
        assert len({bytes(booster.save_raw("json")) for booster in boosters}) == 1
        assert len({booster.save_config() for booster in boosters}) == 1
        assert_same(derived, own, new)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("data", "options"), LIGHTGBM, ids=named)
def test_lightgbm(data: str, options: dict[str, Any], weighted: bool) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    classifier = data in ("binary", "three", "table")
    kind = lightgbm.LGBMClassifier if classifier else lightgbm.LGBMRegressor
    fixed = {"n_jobs": 1, "verbose": -1, "force_col_wise": True, "num_leaves": 5}
    for derived, own, new in answered(kind(**{**fixed, **options}), data, weighted):
        assert derived.booster_.model_to_string() == own.booster_.model_to_string()
        assert derived.booster_.params == own.booster_.params
        assert derived.n_estimators_ == own.n_estimators_
        assert derived.best_iteration_ == own.best_iteration_
        assert_same(derived, own, new)


def answered(estimator: Any, data: str, weighted: bool) -> Any:
    """Yield (derived, fitted by itself, new rows) of every candidate."""
    X, y = DATA[data]
    options = {"sample_weight": np.random.RandomState(0).rand(200)} if weighted else {}
    candidates = [clone(estimator).set_params(n_estimators=rounds) for rounds in ROUNDS]
    axis = find(candidates[0])
    assert axis is not None
    widest = axis.widest(candidates[0], [{"n_estimators": rounds} for rounds in ROUNDS])
    with threadpool_limits(1):
        shared = pickle.loads(pickle.dumps(widest)).fit(X[:200], y[:200], **options)
        before = pickle.dumps(shared)
        for candidate in candidates:
            derived = axis.derive(shared, candidate)
            assert type(derived) is type(candidate)
            yield derived, clone(candidate).fit(X[:200], y[:200], **options), X[200:]
            assert pickle.dumps(shared) == before


def assert_same(derived: Any, own: Any, new: Any) -> None:
    assert sorted(vars(derived)) == sorted(vars(own))
    ours, theirs = derived.get_params(), own.get_params()
    assert list(ours) == list(theirs)
    assert {name: str(value)[:20] for name, value in ours.items()} == {
        name: str(value)[:20] for name, value in theirs.items()
    }
    revived = pickle.loads(pickle.dumps(derived))
    for name in ("predict", "predict_proba", "apply"):
        if hasattr(own, name):
            expected = getattr(own, name)(new)
            for one in (derived, revived):
                found = getattr(one, name)(new)
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(derived.feature_importances_, own.feature_importances_)
    np.testing.assert_array_equal(getattr(derived, "classes_", 0), getattr(own, "classes_", 0))


def test_xgboost_does_not_apply() -> None:
    xgboost = pytest.importorskip("xgboost")
    for options in (
        {"booster": "dart"},
        {"booster": "gblinear"},
        {"early_stopping_rounds": 2},
        {"device": "cuda"},
        {"objective": lambda y, predicted: (predicted - y, np.ones(len(y)))},
        {"process_type": "update"},
        {"random_state": np.random.RandomState(0)},
    ):
        assert find(xgboost.XGBRegressor(**options)) is None
    assert find(xgboost.XGBRFRegressor()) is None


def test_the_rounds_of_dart_are_not_those_of_a_longer_boosting() -> None:
    xgboost = pytest.importorskip("xgboost")
    X, y = DATA["values"]
    dart = xgboost.XGBRegressor(booster="dart", rate_drop=0.5, n_jobs=1)
    longer = dart.set_params(n_estimators=20).fit(X, y).get_booster()[:10]
    own = clone(dart).set_params(n_estimators=10).fit(X, y).get_booster()
    assert longer.save_raw("json") != own.save_raw("json")


def test_lightgbm_does_not_apply() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    fixed = {"force_row_wise": True}
    assert find(lightgbm.LGBMRegressor(**fixed)) is not None
    for options in (
        {},
        {**fixed, "boosting_type": "dart"},
        {**fixed, "early_stopping_round": 3},
        {**fixed, "num_iterations": 3},
        {**fixed, "objective": lambda y, predicted: (predicted - y, np.ones(len(y)))},
    ):
        assert find(lightgbm.LGBMRegressor(**options)) is None


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_another_version_has_no_axis(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(package)
    kind = module.XGBRegressor if package == "xgboost" else module.LGBMRegressor
    options = {"force_col_wise": True} if package == "lightgbm" else {}
    assert find(kind(**options)) is not None
    monkeypatch.setattr(module, "__version__", "99.1.0")
    assert find(kind(**options)) is None


@pytest.mark.filterwarnings("ignore")
def test_a_candidate_that_is_no_number_of_rounds_is_fitted_by_itself() -> None:
    xgboost = pytest.importorskip("xgboost")
    X, y = DATA["values"]
    axis = find(xgboost.XGBRegressor())
    assert axis is not None
    settings = [{"n_estimators": value} for value in (3, None, 0, "many")]
    shared = axis.widest(xgboost.XGBRegressor(), settings).fit(X, y)
    assert shared.n_estimators == 3
    for value in (None, 0, "many", 4):
        assert axis.derive(shared, xgboost.XGBRegressor(n_estimators=value)) is None
