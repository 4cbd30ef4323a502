"""Candidates made of scores: the numbers of ``cv_results_``, also where a search was stopped."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from made_scores import grid, report_of, scores_of
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from jupyter_scale import SearchStopped, merged
from jupyter_scale.search.summary.ranking import ranked

X, y = make_classification(n_samples=60, n_features=5, random_state=0)


def fitted(search: Any) -> Any:
    with merged():
        return search.fit(X, y)


def check(search: Any) -> None:
    """Compare the DataFrame with ``cv_results_``, to the last bit."""
    results = search.cv_results_
    found = search.scale_report.results
    assert next(iter(found["params"])) == search.best_params_ or not search.refit
    ours = found.sort_index()
    assert list(ours.index) == list(range(len(results["params"])))
    for key, expected in results.items():
        if key.startswith("param_"):
            given = [p.get(key.removeprefix("param_")) for p in results["params"]]
            for mine, value in zip(ours[key], given, strict=True):
                absent = value is None and mine != mine
                assert absent or mine == value, key
        elif key == "params":
            assert list(ours[key]) == list(expected)
        elif key == "n_resources":
            continue
        else:
            np.testing.assert_array_equal(ours[key].to_numpy(), expected, err_msg=key)


def test_numbers_are_those_of_scikit_learn() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("model", SVC())])
    check(
        fitted(
            GridSearchCV(
                pipeline,
                {
                    "scale": [StandardScaler(), MinMaxScaler(), "passthrough", None],
                    "model__C": [1e-3, 1.0, 10.0],  # the first ties
                },
                cv=7,
                return_train_score=True,
            )
        )
    )


def test_grids_with_other_parameters() -> None:
    check(fitted(GridSearchCV(SVC(), [{"C": [1, 2]}, {"kernel": ["linear"]}, {"C": [1]}], cv=2)))
    check(fitted(RandomizedSearchCV(SVC(), {"C": [1.0, 2.0, 3.0]}, n_iter=2, random_state=0, cv=2)))


def test_several_metrics_are_ranked_by_the_one_that_chooses() -> None:
    search = GridSearchCV(
        SVC(), {"C": [1e-3, 0.1, 1.0]}, cv=3, scoring=["accuracy", "roc_auc"], refit="roc_auc"
    )
    check(fitted(search))
    frame = search.scale_report.results
    assert list(frame["rank_test_roc_auc"]) == sorted(frame["rank_test_roc_auc"])
    assert search.scale_report.ranking().score_name == "mean test roc_auc"


def test_failed_candidates_are_last() -> None:
    search = GridSearchCV(SVC(), {"C": [-1.0, 1.0, 2.0]}, cv=2)
    with pytest.warns((FitFailedWarning, UserWarning)):
        check(fitted(search))
    last = search.scale_report.results.iloc[-1]
    assert last["param_C"] == -1
    assert np.isnan(last["mean_test_score"])
    assert last["error"].startswith("InvalidParameterError: ")
    with pytest.warns((FitFailedWarning, UserWarning)):
        check(fitted(GridSearchCV(SVC(), {"C": [-1.0, 1.0]}, cv=2, error_score=-5)))


def test_all_nan() -> None:
    ranking = ranked(scores_of(grid(a=[1, 2]), lambda *_: float("nan")))
    assert list(ranking.main.ranks) == [1, 1]
    assert not ranking.scored.any()


def test_successive_halving_puts_its_last_round_first() -> None:
    search = HalvingGridSearchCV(
        KNeighborsClassifier(), {"n_neighbors": [1, 2, 3, 4, 5, 6]}, cv=2, factor=2, random_state=0
    )
    check(fitted(search))
    frame = search.scale_report.results
    assert search.n_iterations_ > 1
    assert list(frame["iter"]) == sorted(search.cv_results_["iter"], reverse=True)
    assert frame.index[0] == search.best_index_
    assert search.scale_report.rounds == [0, *np.cumsum(search.n_candidates_)[:-1]]


def test_a_stopped_search_has_what_is_done() -> None:
    search = GridSearchCV(SVC(), {"C": [0.1, 1.0, 2.0]}, cv=4)

    def stop(score: Any) -> None:
        if len(search.scale_report.scores) == 6:
            report.control.stop()

    with pytest.raises(SearchStopped), merged(on_score=stop) as report:
        search.fit(X, y)
    frame = report.results.sort_index()
    assert list(frame["folds"]) == [4, 2]
    half = [score.test_scores for score in report.scores[4:]]
    assert frame["mean_test_score"][1] == pytest.approx(np.mean(half))
    assert frame["std_test_score"][1] == pytest.approx(np.std(half))
    assert np.isnan(frame["split3_test_score"][1])
    assert "(2 of 4 folds)" in str(report)
    assert "(2 of 4 folds)" in report._repr_html_()


def test_the_order_of_scores_does_not_matter() -> None:
    scores = scores_of(grid(a=[3, 1, 2], b=["x", "y"]))
    expected = ranked(scores)
    found = ranked(scores[::-1])
    assert found.params == expected.params
    np.testing.assert_array_equal(found.order, expected.order)
    np.testing.assert_array_equal(found.main.splits, expected.main.splits)


def test_no_score_at_all() -> None:
    ranking = ranked([])
    assert len(ranking) == 0
    assert ranking.parameters == []
    assert len(report_of([]).results) == 0


def test_a_cross_validation_is_one_row() -> None:
    with merged() as report:
        found = cross_validate(SVC(), X, y, cv=4, scoring=["accuracy", "f1"])
    frame = report.results
    assert len(frame) == 1
    assert frame["mean_test_f1"].iloc[0] == np.average(found["test_f1"])
    assert not any(column.startswith("param_") for column in frame)


def test_a_validation_curve_is_a_row_per_value() -> None:
    with merged() as report:
        _, found = validation_curve(SVC(), X, y, param_name="C", param_range=[0.1, 1.0, 10.0], cv=3)
    frame = report.results.sort_values("param_C")
    assert list(frame["param_C"]) == [0.1, 1.0, 10.0]
    np.testing.assert_array_equal(frame["mean_test_score"], np.average(found, axis=1))
    np.testing.assert_array_equal(frame["split2_test_score"], found[:, 2])


def test_a_learning_curve_shows_each_fit() -> None:
    with merged() as report:
        learning_curve(SVC(), X, y, cv=2, train_sizes=[10, 20, 30])
    assert list(report.results["folds"]) == [6]
    assert "Score of each fit" in report._repr_html_()


def test_the_last_search_that_has_scores() -> None:
    with merged() as report:
        GridSearchCV(SVC(), {"C": [1.0, 2.0]}, cv=2).fit(X, y)
        GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0, 3.0]}, cv=2).fit(X, y)
    assert len(report.results) == 3
    report.searches.append(report_of([], "RFE"))
    assert len(report.results) == 3
    report.searches.clear()
    with pytest.raises(ValueError, match="no search ran"):
        _ = report.results


def test_a_report_can_be_pickled_with_its_search() -> None:
    search = fitted(
        GridSearchCV(
            Pipeline([("scale", StandardScaler()), ("model", SVC())]),
            {"model__C": [1.0, 2.0]},
            cv=2,
        )
    )
    found = pickle.loads(pickle.dumps(search)).scale_report
    assert found.tree == search.scale_report.tree
    assert found.tree is not None
    np.testing.assert_equal(found.results.to_dict(), search.scale_report.results.to_dict())
