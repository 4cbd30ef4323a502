"""Tasks find their data by name on the worker, or say what is missing there."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from distributed import Client
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from workers import two_workers

from jupyter_scale import Score, merged
from jupyter_scale.search import execute, worker
from jupyter_scale.search.holding import Holding, Missing, _known, find, hold
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.sending import Sent, Shared
from jupyter_scale.search.sharing import Parcel
from jupyter_scale.search.tasks import Outcome, Task

X, y = make_classification(n_samples=120, n_features=6, random_state=0)


def test_what_is_held_is_found_by_name() -> None:
    parcels = [Parcel(n) for n in range(3)]
    holding = hold(["one", "two"], parcels[:2])
    assert find(["one", "two", "three"], []) == dict(zip(["one", "two"], parcels, strict=False))
    brought = Holding({"three": parcels[2]})
    assert find(["three", "one"], [brought]) == {"three": parcels[2], "one": parcels[0]}
    del holding, brought, parcels
    gc.collect()
    assert find(["one", "two", "three"], []) == {}


def test_data_do_not_travel_with_their_holding() -> None:
    holding = Holding({"mine": Parcel(np.ones(100_000))})
    assert len(pickle.dumps(holding)) < 200
    assert pickle.loads(pickle.dumps(holding)).parcels == {}
    assert "mine" in find(["mine"], [])


@pytest.fixture
def shared(client: Client) -> Iterator[Shared]:
    sent = Sent(client)
    yield Shared(Plan(data=[X, y]), sent)
    sent.close()


def on_worker(client: Client, shared: Shared, *, given: Any = (), brought: Any = ()) -> Any:
    names = shared.names
    return client.submit(
        worker.run_on_worker, Task(), nullcontext, given, names, brought, "none", pure=False
    ).result()


def test_a_worker_says_what_it_lacks_and_is_sent_that_once(client: Client, shared: Shared) -> None:
    one = min(client.nthreads())
    missing = Missing(one, shared.names, ())
    first = shared.supply(missing)
    assert first is not None
    assert shared.supply(missing) is first, "it is on its way"
    first.result()
    held = client.run(find, shared.names, (), workers=[one])[one]
    assert set(held) == set(shared.names)
    again = shared.supply(Missing(one, shared.names[1:], ()))
    assert again is not first, "what has come, and is missing, was let go"
    living = client.nthreads()
    assert shared.forget(living) == set()
    assert shared.forget({}) >= {again}
    assert shared.supply(missing) not in (first, again)
    assert shared.supply(Missing(one, (), ())) is None
    everything = shared.everything()
    assert isinstance(on_worker(client, shared, brought=everything), Outcome)


def test_what_is_let_go_leaves_the_workers(client: Client, shared: Shared) -> None:
    for address in client.nthreads():
        coming = shared.supply(Missing(address, shared.names, ()))
        assert coming is not None
        coming.result()
    del coming
    assert all(map(len, client.run(known, shared.names).values()))
    shared.forget({})
    names = shared.names
    shared.futures.clear()
    shared._sent.close()
    del shared
    until = threading.Event()
    for _ in range(100):
        left = client.run(known, names)
        if not any(left.values()):
            break
        until.wait(0.05)
    assert not any(left.values())


def known(names: tuple[str, ...]) -> list[str]:
    gc.collect()
    return [name for name in names if name in _known]


def test_a_node_that_was_lost_is_asked_for(client: Client, shared: Shared) -> None:
    there = Outcome()
    lost = Missing("somewhere", ("data",), ())
    answer = on_worker(client, shared, given=[({}, there), ({}, lost)])
    assert isinstance(answer, Missing)
    assert answer.unmade == (1,)
    assert answer.worker in client.nthreads()


class Scaling(TransformerMixin, BaseEstimator):
    def __init__(self, setting: int = 0) -> None:
        self.setting = setting

    def fit(self, X: Any, y: Any = None) -> Scaling:
        return self

    def transform(self, X: Any) -> Any:
        return X * (1 + self.setting)


class WaitingScaling(Scaling):
    def fit(self, X: Any, y: Any = None) -> WaitingScaling:
        threading.Event().wait(0.3)
        return self


class WaitingSVC(SVC):
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> WaitingSVC:
        threading.Event().wait(0.15)
        super().fit(X, y)
        return self


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_lost_node_is_made_again_with_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Missing] = []
    supply = execute._Run._supply

    def heard(self: Any, piece: Any, missing: Missing) -> None:
        asked.append(missing)
        supply(self, piece, missing)

    monkeypatch.setattr(execute._Run, "_supply", heard)
    grid = {"wait__setting": range(6), "svc__C": np.logspace(-2, 2, 12)}

    def search(step: Scaling, final: SVC) -> GridSearchCV:
        return GridSearchCV(Pipeline([("wait", step), ("svc", final)]), grid, cv=2, refit=False)

    plain = search(Scaling(), SVC()).fit(X, y)
    ours = search(WaitingScaling(), WaitingSVC())
    killed: list[int] = []
    with two_workers() as client:

        def kill(score: Score) -> None:
            # the nodes go, and the workers that are to make them again have no data
            scores.append(score)
            if len(scores) in (20, 60):
                for victim in client.run(os.getpid, on_error="ignore").values():
                    killed.append(victim)
                    os.kill(victim, signal.SIGKILL)

        scores: list[Score] = []
        with merged(client, on_score=kill):
            ours.fit(X, y)
    assert len(killed) >= 3
    assert len(scores) == len({(s.candidate, s.fold) for s in scores}) == 144
    for split in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(ours.cv_results_[split], plain.cv_results_[split])
    assert any(missing.unmade for missing in asked)
