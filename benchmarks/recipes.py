"""The searches that are measured: plain scikit-learn, one and the same in every benchmark."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "notebooks"))
from corpus import load

Grid = dict[str, list[Any]]

FOLDS = StratifiedKFold(5)
TEXT_PIPELINE = Pipeline(
    [
        ("counts", CountVectorizer()),
        ("tfidf", TfidfTransformer()),
        ("model", SGDClassifier(random_state=0)),
    ]
)
TEXT_GRID: Grid = {
    "counts__ngram_range": [(1, 2), (1, 3)],
    "tfidf__norm": ["l1", "l2"],
    "model__alpha": [1e-3, 1e-4, 1e-5],
}


@dataclass(frozen=True)
class Recipe:
    """A grid over an estimator, and data to search it on."""

    name: str
    about: str
    estimator: Any
    grid: Grid
    X: Any
    y: Any

    def search(self, **options: Any) -> GridSearchCV:
        """Return the search on `FOLDS`, without its refit unless `options` say so."""
        return GridSearchCV(self.estimator, self.grid, cv=FOLDS, **{"refit": False, **options})

    @property
    def fits(self) -> int:
        """Fits of a search that shares nothing: of each step, where there are several."""
        steps = len(getattr(self.estimator, "steps", [self.estimator]))
        return int(len(ParameterGrid(self.grid)) * FOLDS.get_n_splits() * steps)


def text(documents: int = 2000, labels: int = 2) -> Recipe:
    """Return the notebook's grid: words and their weights prepared for a linear model.

    The documents are docstrings, whatever the network: two runs are comparable only on the
    same text.
    """
    found, answers, about = load(-(-documents // labels), labels, source="docstrings")
    return Recipe("text", about, TEXT_PIPELINE, TEXT_GRID, found, answers)


def boosting(trees: int = 300, rows: int = 1000, choices: int = 2) -> Recipe:
    """Return the recipe for gradient boosting of Prettenhofer's talk, made smaller.

    Its grid tries up to 3,000 trees with several depths, rates and shares of the columns; here
    `trees` are the most, and the other three have so many `choices`.
    """
    X, y = make_classification(rows, 20, n_informative=10, random_state=0)
    grid: Grid = {
        "n_estimators": [max(1, trees * part // 6) for part in (1, 2, 4, 6)],
        "learning_rate": [0.1, 0.02][:choices],
        "max_depth": [4, 2][:choices],
        "max_features": [0.3, 1.0][:choices],
    }
    about = f"up to {trees} trees on {rows} rows of 20 columns"
    return Recipe("boosting", about, GradientBoostingClassifier(random_state=0), grid, X, y)


def columns(rows: int = 20_000, choices: int = 2) -> Recipe:
    """Return a grid over the branches of a ColumnTransformer on a table of mixed columns."""
    X, y = _mixed(rows)
    numbers = [name for name in X if name.startswith("number")]
    skewed = [name for name in X if name.startswith("skewed")]
    words = [name for name in X if name.startswith("word")]
    branches = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), SplineTransformer()), numbers),
            ("skewed", QuantileTransformer(n_quantiles=200, random_state=0), skewed),
            ("words", OneHotEncoder(handle_unknown="infrequent_if_exist"), words),
        ]
    )
    estimator = Pipeline(
        [
            ("columns", branches),
            ("scale", StandardScaler(with_mean=False)),
            ("svd", TruncatedSVD(10, random_state=0)),
            ("model", LogisticRegression(max_iter=50, tol=1e-3)),
        ]
    )
    grid: Grid = {
        "columns__numbers__splinetransformer__n_knots": [5, 10],
        "columns__skewed__output_distribution": ["uniform", "normal"][:choices],
        "columns__words__min_frequency": [1, 20][:choices],
        "model__C": [0.1, 1.0, 10.0],
    }
    return Recipe("columns", f"{rows} rows of 16 columns", estimator, grid, X, y)


def _mixed(rows: int) -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(0)
    numbers = random.normal(size=(rows, 8))
    y = (numbers[:, :4].sum(axis=1) + random.normal(size=rows) > 0).astype(int)
    table = {f"number{i}": column for i, column in enumerate(numbers.T)}
    table["number0"] = np.where(random.random(rows) < 0.1, np.nan, table["number0"])
    table |= {f"skewed{i}": np.exp(random.normal(size=rows) + y) for i in range(4)}
    frame = pd.DataFrame(table)
    for i, kinds in enumerate((3, 10, 30, 100)):
        frame[f"word{i}"] = [f"w{n}" for n in (random.integers(kinds, size=rows) + y) % kinds]
    return frame, y


class SleepingStep(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """A transformer of a known duration that passes its data on."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def fit(self, X: Any, y: Any = None) -> SleepingStep:
        """Sleep."""
        time.sleep(self.seconds)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        """Return the data as they are."""
        return X


class SleepingModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """A final step of a known duration."""

    def __init__(self, seconds: float = 0.0, setting: int = 0) -> None:
        self.seconds = seconds
        self.setting = setting

    def fit(self, X: Any, y: Any) -> SleepingModel:
        """Sleep."""
        time.sleep(self.seconds)
        self.classes_ = np.unique(y)
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return a number that tells the settings apart."""
        return float(self.setting)


class Trivial(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """A final step that does nothing."""

    def __init__(self, constant: float = 0.0) -> None:
        self.constant = constant

    def fit(self, X: Any, y: Any) -> Trivial:
        """Learn nothing."""
        self.n_features_in_ = X.shape[1]
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the setting, which tells the candidates apart."""
        return self.constant
