"""What tasks have found is told, or fetched where it is not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from distributed import Client, Future
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_scale import merged
from jupyter_scale.search import results
from jupyter_scale.search.results import LARGEST, Results, tell


def telling(found: Any, topic: str) -> Any:
    tell(topic, found)
    return found


def telling_elsewhere(found: Any, topic: str) -> Any:
    return telling(found, f"not {topic}")


def failing(topic: str) -> None:
    tell(topic, "told before it failed")
    raise ValueError("no")


def ended(found: Results) -> tuple[Future[Any], Any]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if batch := found.next(0.05):
            (pair,) = batch
            return pair
    raise TimeoutError


def submitted(found: Results, function: Any, *args: Any) -> Future[Any]:
    return found.submit(function, *args, key=f"telling-{time.monotonic_ns()}")


def test_an_outcome_comes_with_the_word_that_its_task_has_ended(client: Client) -> None:
    found = Results(client)
    future = submitted(found, telling, {"score": 0.5})
    found.add(future)
    assert ended(found) == (future, {"score": 0.5})
    assert results._told[client] == {}


def test_what_was_not_told_is_fetched(client: Client) -> None:
    found = Results(client)
    large = b"x" * (2 * LARGEST)
    for function, value in ((telling, large), (telling_elsewhere, "small")):
        future = submitted(found, function, value)
        found.add(future)
        assert ended(found) == (future, None)
        found.fetch(future)
        assert ended(found) == (future, value)


def test_a_task_that_fails_after_it_told_has_failed(client: Client) -> None:
    found = Results(client)
    future = submitted(found, failing)
    found.add(future)
    assert ended(found) == (future, None)
    assert isinstance(future.exception(), ValueError)


def test_two_ask_the_same_client(client: Client) -> None:
    first, second = Results(client), Results(client)
    futures = [submitted(each, telling, n) for n, each in enumerate((first, second))]
    for each, future in zip((first, second), futures, strict=True):
        each.add(future)
    assert ended(second) == (futures[1], 1)
    assert ended(first) == (futures[0], 0)


@pytest.mark.parametrize("largest", [LARGEST, 0])
def test_a_search_leaves_nothing_and_is_the_same_either_way(client: Client, largest: int) -> None:
    def limit(size: int) -> None:
        results.LARGEST = size

    client.run(limit, largest)
    try:
        X, y = make_classification(200, random_state=0)
        pipe = make_pipeline(StandardScaler(), LogisticRegression())
        search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, cv=3)
        with merged(client):
            search.fit(X, y)
    finally:
        client.run(limit, LARGEST)
    assert search.best_score_ == search.set_params(n_jobs=None).fit(X, y).best_score_
    assert results._told[client] == {}
