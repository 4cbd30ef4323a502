"""Identity never takes two different things for one, and finds equal ones where it can."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from jupyter_scale.search.identity import (
    Identified,
    Unidentified,
    decides_draws,
    identify,
    identify_set,
    plain,
    unseeded,
    writes_input,
)


def with_request() -> LogisticRegression:
    with config_context(enable_metadata_routing=True):
        return LogisticRegression().set_fit_request(sample_weight=True)


DISTINCT: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    0.0,
    -0.0,
    1.0,
    float("nan"),
    1j,
    "1",
    b"1",
    "",
    (),
    [],
    (1,),
    [1],
    (1, 2),
    ((1,), 2),
    {1},
    frozenset({1}),
    {},
    {"a": 1},
    {"a": 1.0},
    range(1),
    slice(1),
    np.float64(1),
    np.float32(1),
    np.int64(1),
    np.bool_(True),
    np.array([1]),
    np.array([1.0]),
    np.array([[1]]),
    np.array([1, 2], dtype=object),
    np.array(["a"]),
    np.arange(4).reshape(2, 2),
    np.asfortranarray(np.arange(4).reshape(2, 2)),
    np.array(["2020-01-01"], dtype="M8[D]"),
    sparse.csr_matrix(np.eye(2)),
    sparse.csc_matrix(np.eye(2)),
    sparse.csr_array(np.eye(2)),
    sparse.csr_matrix(2 * np.eye(2)),
    int,
    float,
    len,
    np.log1p,
    f_classif,
    functools.partial(f_classif, y=1),
    np.random.RandomState(0),
    np.random.RandomState(1),
    np.random.default_rng(0),
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_mean=0),
    StandardScaler().set_output(transform="pandas"),
    with_request(),
    LogisticRegression(),
    Ridge(1),
    Ridge(1.0),
    SelectKBest(f_classif),
    make_pipeline(StandardScaler(), Ridge()),
    make_pipeline(StandardScaler(), Ridge(2.0)),
]


def test_different_values_differ() -> None:
    identities = [identify(value) for value in DISTINCT]
    assert len(set(identities)) == len(DISTINCT)


def test_equal_values_are_equal() -> None:
    for make in (
        lambda: {"b": [1, (2.0, "x")], "a": None},
        lambda: float("nan"),
        lambda: np.arange(6.0).reshape(2, 3),
        lambda: {"x", "y", "z"},
        lambda: make_pipeline(PCA(random_state=np.random.RandomState(3)), Ridge()),
        lambda: FunctionTransformer(np.log1p),
    ):
        assert identify(make()) == identify(make())


def test_functions_are_their_code() -> None:
    one: Any = [lambda x: x + 1, lambda x: x + 2]
    assert identify(one[0]) != identify(one[1])
    assert identify(one[0]) == identify(one[0])

    def adds(n: int) -> Any:
        return lambda x: x + n

    assert identify(adds(1)) != identify(adds(2))


def test_what_cannot_be_pickled_is_not_identified() -> None:
    with pytest.raises(Unidentified, match="generator cannot be pickled"):
        identify(x for x in ())
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Unidentified):
        identify(loop)


def test_setting_a_parameter_is_having_it() -> None:
    assert identify_set(Ridge(), {"alpha": 3.0}) == identify(Ridge(alpha=3.0))
    assert identify_set(Ridge(), {"alpha": 1.0}) == identify(Ridge())
    assert identify_set(Ridge(), {"wrong": 1}) is None
    assert identify_set(make_pipeline(Ridge()), {"ridge__alpha": 1}) is None


class HoldsState(BaseEstimator):
    """Clones itself with more than its parameters."""

    def __init__(self, a: int = 0) -> None:
        self.a = a

    def __sklearn_clone__(self) -> HoldsState:
        return self


def test_an_estimator_that_clones_itself_is_its_whole_state() -> None:
    one, other = HoldsState(), HoldsState()
    assert identify(one) == identify(other)
    other.learned_ = 1
    assert identify(one) != identify(other)


def test_what_writes_and_what_has_no_seed() -> None:
    assert writes_input(StandardScaler()) is None
    assert writes_input(StandardScaler(copy=False)) == "StandardScaler(copy=False)"
    nested = make_pipeline(StandardScaler(), Ridge(copy_X=False))
    assert writes_input(nested) == "Ridge(copy_X=False)"
    assert unseeded(make_pipeline(PCA(), LogisticRegression(random_state=1))) == [
        "pca__random_state"
    ]
    assert unseeded(LogisticRegression()) == []
    assert unseeded(LogisticRegression(solver="saga")) == ["random_state"]
    assert unseeded("passthrough") == []


def test_an_identity_stands_for_what_it_identifies() -> None:
    known = Identified(identify(PCA(2)))
    assert identify([("a", known), ("b", None)]) == identify([("a", PCA(2)), ("b", None)])
    assert identify([("a", known)]) != identify([("a", PCA(3))])


def test_what_a_parameter_bears_on_is_told_by_its_last_name() -> None:
    assert plain("C", 1.0)
    assert plain("copy__C", 1.0)
    assert not any(plain(name, 1) for name in ("a__copy_X", "random_state", "a__random_state"))
    assert not plain("step", PCA())
    assert decides_draws("solver")
    assert decides_draws("a__b__svd_solver")
    assert not decides_draws("solver__C")
