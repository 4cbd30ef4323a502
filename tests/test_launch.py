"""A search from a form: what is found, what is refused, and that its cell does what it says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from jupyter_scale import SearchReport, merged
from jupyter_scale.launch import checked, found, parameters, proposed

X, y = load_iris(return_X_y=True)


@pytest.fixture
def notebook() -> dict[str, Any]:
    return {
        "pipe": make_pipeline(StandardScaler(), SVC()),
        "kind": SVC,
        "search": GridSearchCV(SVC(), {}),
        "X": X,
        "y": y,
        "frame": pd.DataFrame(X),
        "words": ["a", "b", "c"],
        "number": 3,
        "_hidden": X,
        "cube": np.zeros((2, 2, 2)),
    }


def ask(notebook: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {"estimator": "pipe", "X": "X", "y": "y", "grid": {"svc__C": "0.1, 1"}, "cv": 3}
    return proposed(json.dumps({**asked, **more}), notebook).value


def test_estimators_and_data_are_found_and_nothing_else(notebook: dict[str, Any]) -> None:
    answer = found(notebook).value
    assert [(one["name"], one["kind"]) for one in answer["estimators"]] == [("pipe", "Pipeline")]
    assert {one["name"]: one["words"] for one in answer["data"]} == {
        "X": "150 x 4 ndarray",
        "y": "150 ndarray",
        "frame": "150 x 4 DataFrame",
        "words": "3 str list",
    }
    assert "accuracy" in answer["scorers"]
    assert json.loads(json.dumps(answer)) == answer


def test_ranges_are_scikit_learn_s_own(notebook: dict[str, Any]) -> None:
    listed = {one.name: one for one in parameters(notebook["pipe"])}
    assert listed["svc__C"].range == "a float in the range (0.0, inf]"
    assert listed["svc__C"].suggested == ["0.1", "1.0", "10.0"]
    assert listed["svc__C"].step == "svc: SVC"
    assert listed["standardscaler__with_mean"].suggested == ["True", "False"]
    assert "'rbf'" in listed["svc__kernel"].suggested
    assert not {"memory", "steps", "verbose", "svc", "svc__verbose", "svc__cache_size"} & set(
        listed
    )


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(),
        SGDClassifier(),
        LogisticRegression(),
        RandomForestClassifier(),
        HistGradientBoostingClassifier(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_is_suggested_is_allowed(estimator: Any) -> None:
    grid = {one.name: ", ".join(one.suggested) for one in parameters(estimator) if one.suggested}
    assert len(grid) > 5
    values, problems = checked(estimator, grid)
    assert problems == {}
    assert values.keys() == grid.keys()


def test_the_cell_does_what_the_plan_says(notebook: dict[str, Any]) -> None:
    answer = ask(notebook, grid={"svc__C": "0.1, 1, 10", "standardscaler__with_std": "True, False"})
    assert (answer["cells"], answer["fits"], answer["fits_saved"]) == (18, 24, 12)
    assert answer["notes"] == ["standardscaler: StandardScaler: 6 fits", "svc: SVC: 18 fits"]
    first, code = answer["code"].split("\n", 1)
    assert first == "%%scale"
    namespace = dict(notebook)
    with merged() as report:
        exec(code, namespace)
    searched: SearchReport = report.searches[0]
    assert searched.cells_done == 18
    assert searched.fits_saved == 12
    assert namespace["search"] is notebook["search"], "what was there is left alone"
    assert namespace["search_2"].best_score_ > 0.9


def test_nothing_is_fitted_and_no_variable_is_made(notebook: dict[str, Any]) -> None:
    before = dict(notebook)
    ask(notebook)
    assert notebook == before
    assert not hasattr(notebook["pipe"][-1], "support_")


@pytest.mark.parametrize(
    ("more", "field", "says"),
    [
        ({"estimator": "nothing"}, "estimator", "there is no variable 'nothing'"),
        ({"X": "Z"}, "X", "there is no variable 'Z'"),
        ({"y": "Z"}, "y", "there is no variable 'Z'"),
        ({"grid": {}}, "grid", "pick a parameter"),
        ({"grid": {"svc__C": "-1, 2"}}, "svc__C", "-1: it must be a float in the range (0.0, inf]"),
        ({"grid": {"svc__C": ""}}, "svc__C", "it has no values"),
        ({"grid": {"svc__kernel": "rbf"}}, "svc__kernel", "words stand in quotes"),
        ({"grid": {"svc__kernel": "__import__('os')"}}, "svc__kernel", "separated by commas"),
        ({"grid": {"svc__D": "1"}}, "svc__D", "no such parameter"),
        ({"cv": 1}, "cv", "2 folds or more"),
        ({"scoring": "beauty"}, "scoring", "there is no scorer 'beauty'"),
        ({"X": "words"}, "", "inconsistent numbers of samples"),
    ],
)
def test_what_is_wrong_is_said_by_its_field(
    notebook: dict[str, Any], more: dict[str, Any], field: str, says: str
) -> None:
    answer = ask(notebook, **more)
    assert answer.keys() == {"problems"}
    assert says in answer["problems"][field]


def test_data_without_a_target_are_enough_where_the_estimator_needs_none() -> None:
    from sklearn.cluster import KMeans

    notebook = {"pipe": KMeans(random_state=0), "X": X}
    answer = ask(notebook, y="", grid={"n_clusters": "2, 3"})
    assert answer["code"].endswith("search.fit(X)")


def test_the_answer_is_json_for_a_front_end(notebook: dict[str, Any]) -> None:
    bundle = found(notebook)._repr_mimebundle_()
    assert json.loads(bundle["text/plain"]) == bundle["application/json"]
