"""Distributions in other words: what Optuna is told of those that a search is given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from jupyter_scale.search.space import Space

optuna = pytest.importorskip("optuna")


def test_scipy_distributions_in_other_words() -> None:
    kinds = optuna.distributions
    space = Space(
        {
            "a": stats.uniform(2, 3),
            "b": stats.loguniform(0.1, 10),
            "c": stats.randint(1, 5),
            "d": [1, 2],
            "e": [(1, 1), (1, 2)],
            "f": np.array([1, 2]),
            "g": [LogisticRegression(), LogisticRegression()],
        },
        optuna,
    )
    assert space.distributions == {
        "a": kinds.FloatDistribution(2.0, 5.0),
        "b": kinds.FloatDistribution(0.1, 10.0, log=True),
        "c": kinds.IntDistribution(1, 4),
        "d": kinds.CategoricalDistribution([1, 2]),
        "e": kinds.CategoricalDistribution(["(1, 1)", "(1, 2)"]),
        "f": kinds.CategoricalDistribution(["np.int64(1)", "np.int64(2)"]),
        "g": kinds.CategoricalDistribution(["0: LogisticRegression()", "1: LogisticRegression()"]),
    }


def test_a_candidate_holds_the_values_that_were_given() -> None:
    models = [LogisticRegression(), LogisticRegression()]
    space = Space({"model": models, "C": stats.uniform(2, 3)}, optuna)
    label = space.distributions["model"].choices[1]
    found = space.parameters(SimpleNamespace(params={"model": label, "C": 2.5}))
    assert found["model"] is models[1]
    assert found["C"] == 2.5


def test_a_function_of_the_trial_is_left_to_itself() -> None:
    def given(trial: Any) -> dict[str, Any]:
        return {"C": trial.number}

    space = Space(given, optuna)
    assert space.distributions == {}
    assert space.parameters(SimpleNamespace(number=3)) == {"C": 3}
