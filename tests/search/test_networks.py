"""Neural networks in merged searches: Keras by its own wrapper, PyTorch by skorch."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from equality import assert_same_results
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from workers import started

from jupyter_scale import merged
from jupyter_scale.clusters.preparation import prepare

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # of Keras itself
]
X, y = load_breast_cancer(return_X_y=True)
X, y = X[:160].astype(np.float32), y[:160]


@pytest.fixture(scope="module", autouse=True)
def _torch_for_keras() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as on the workers: sums of two threads differ
        yield
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    """Two workers that import Keras with PyTorch, because the notebook does."""
    with started(2) as (_, client):
        prepare(client, Path("nowhere"))
        assert set(client.run(os.environ.get, "KERAS_BACKEND").values()) == {"torch"}
        yield client


def keras_network(X: Any, y: Any, hidden: int = 4) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input(X.shape[1:]),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dense(y.shape[1], activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    return model


def keras_search() -> tuple[Any, dict[str, Any]]:
    pytest.importorskip("keras")
    from keras.wrappers import SKLearnClassifier

    pipeline = make_pipeline(StandardScaler(), SKLearnClassifier(keras_network))
    grid = {"sklearnclassifier__model_kwargs": [{"hidden": hidden} for hidden in (2, 6)]}
    options = {"epochs": 3, "batch_size": 32, "verbose": 0}
    named = {f"sklearnclassifier__{name}": value for name, value in options.items()}
    return GridSearchCV(pipeline, grid, cv=2), named


class Network(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch may be missing
    def __init__(self, hidden: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(30, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 2)
        )

    def forward(self, X: Any) -> Any:
        return self.layers(X)


def skorch_search() -> tuple[Any, dict[str, Any]]:
    skorch = pytest.importorskip("skorch")
    network = skorch.NeuralNetClassifier(
        Network,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=3,
        lr=0.1,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    )
    pipeline = make_pipeline(StandardScaler(), network)
    return GridSearchCV(pipeline, {"neuralnetclassifier__module__hidden": [2, 6]}, cv=2), {}


@pytest.mark.parametrize(
    ("make", "method"),
    [
        # three processes import Keras, which takes ten seconds
        pytest.param(keras_search, "decision_function", marks=pytest.mark.long),
        (skorch_search, "predict_proba"),
    ],
)
def test_networks_travel_there_and_back(make: Any, method: str, workers: Client) -> None:
    search, options = make()
    plain = clone(search).fit(X, y, **options)
    for client in (workers, workers, None):  # again: seeds make it the same
        ours = clone(search)
        with merged(client):
            ours.fit(X, y, **options)
        assert_same_results(ours, plain)
        report = ours.scale_report
        assert (report.cells_done, report.fits_saved) == (4, 2), str(report)
        expected = getattr(plain, method)(X)
        np.testing.assert_array_equal(getattr(ours, method)(X), expected)
    again = pickle.loads(pickle.dumps(ours.best_estimator_))
    np.testing.assert_array_equal(getattr(again, method)(X), expected)
    assert set(workers.run(torch.get_num_threads).values()) == {1}


@pytest.mark.long
def test_nobody_draws_between_the_draws_of_a_fit(workers: Client) -> None:
    """Dask samples what it sends about itself, a few times a second."""

    def drawn() -> Any:
        import random

        random.seed(0)
        state = random.getstate()
        threading.Event().wait(1.5)
        return random.getstate() == state

    with merged(workers):
        GridSearchCV(StandardScaler(), {"with_mean": [True]}, cv=2, scoring=_one).fit(X, y)
    found = workers.gather([workers.submit(drawn, workers=[w]) for w in workers.nthreads()])
    assert all(found)


def _one(*args: Any) -> float:
    return 1.0
