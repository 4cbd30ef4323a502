"""An untested scikit-learn is refused in one line; the search behind a joblib call is found."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import joblib
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # makes Halving* importable
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB

from jupyter_scale import merged
from jupyter_scale.search.internals import RELEASES, SequentialBackend, search_of_this_call

ROOT = Path(__file__).parents[2]
GRID = {"var_smoothing": [1e-9, 1e-3]}


@pytest.mark.parametrize("version", ["0.24.2", "1.6.1", "1.10.0", "1.10.dev0", "2.0.0rc1", "?"])
def test_an_untested_release_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(sklearn, "__version__", version)
    with pytest.raises(ImportError) as caught, merged():
        pytest.fail("the search began")
    text = str(caught.value)
    assert text.count("\n") == 0
    assert f"this is {version}" in text
    assert "scikit-learn 1.7, 1.8 and 1.9" in text
    assert 'pip install "scikit-learn>=1.7,<1.10"' in text


@pytest.mark.parametrize("version", ["1.7.0", "1.8.dev0", "1.9.0rc1", "1.9.1"])
def test_a_tested_release_is_not(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(sklearn, "__version__", version)
    with merged():
        pass


def test_what_is_required_is_what_was_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [required] = [text for text in project["dependencies"] if text.startswith("scikit-learn")]
    (first, last) = (RELEASES[0], RELEASES[-1])
    assert required == f"scikit-learn>={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"
    pinned = re.search(r"^scikit-learn==(\d+)\.(\d+)", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned
    assert (int(pinned[1]), int(pinned[2])) == last


class Asks(SequentialBackend):
    """Asks whose ``Parallel`` it is configured for."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = []

    def configure(self, *args: Any, **kwargs: Any) -> Any:
        self.answers.append(search_of_this_call())
        return super().configure(*args, **kwargs)


class MySearch(GridSearchCV):
    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        return super().fit(X, y, **params)


class Validates(ClassifierMixin, BaseEstimator):
    """Cross-validates within its fit."""

    def __init__(self, var_smoothing: float = 1e-9) -> None:
        self.var_smoothing = var_smoothing

    def fit(self, X: Any, y: Any) -> Validates:
        cross_val_score(GaussianNB(var_smoothing=self.var_smoothing), X, y, cv=2)
        self.classes_ = [0, 1, 2]
        return self

    def predict(self, X: Any) -> Any:
        return [0] * len(X)


@pytest.mark.parametrize("kind", [GridSearchCV, HalvingGridSearchCV, MySearch])
def test_the_search_of_a_call_is_found(kind: Any) -> None:
    search = kind(GaussianNB(), GRID, cv=3)
    with joblib.parallel_config(backend=Asks()) as config:
        search.fit(*load_iris(return_X_y=True))
    assert config["backend"].answers == [search]


def test_work_inside_a_search_is_not_taken_for_it() -> None:
    search = GridSearchCV(Validates(), GRID, cv=2, refit=False)
    with joblib.parallel_config(backend=Asks()) as config:
        search.fit(*load_iris(return_X_y=True))
        cross_val_score(GaussianNB(), *load_iris(return_X_y=True), cv=2)
    assert config["backend"].answers[0] is search
    assert config["backend"].answers[1:] == [None] * (len(config["backend"].answers) - 1)
    assert len(config["backend"].answers) > 1
