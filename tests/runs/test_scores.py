"""What is on record comes back to the last bit, and with its type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_scale.runs.scores import decoded, encoded

NUMBERS = st.one_of(
    st.floats(),
    st.integers(-(2**60), 2**60),
    st.booleans(),
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.integers(0, 2**31).map(np.int64),
)


@given(st.one_of(NUMBERS, st.dictionaries(st.text(), NUMBERS)), NUMBERS)
def test_numbers_come_back(test_scores: Any, time: Any) -> None:
    result = {"fit_error": None, "test_scores": test_scores, "n_test_samples": 3, "fit_time": time}
    text, same = encoded(result)
    assert same
    again = decoded(text)
    assert repr(again) == repr(result)
    assert list(again) == list(result)


@pytest.mark.parametrize(
    "more",
    [
        {"fit_error": "Traceback"},
        {"estimator": object()},
        {"parameters": {"a": 1}},
        {"test_scores": np.longdouble(0.5)},
        {"test_scores": {1: 0.5}},
    ],
)
def test_what_would_not_is_told(more: dict[str, Any]) -> None:
    text, same = encoded({"test_scores": 0.5, "fit_error": None, **more})
    assert not same
    assert "object" not in text
    assert decoded(text)["test_scores"] in (0.5, {"1": 0.5})
