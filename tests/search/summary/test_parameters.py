"""How values of any kind are written and told apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_scores import EVIL, Broken, Evil
from sklearn.linear_model import LogisticRegression

from jupyter_scale.search.summary.parameters import ABSENT, Parameter, parameters_of, text_of


def one(values: list[Any]) -> Parameter:
    (found,) = parameters_of([{"a": value} for value in values])
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("None", "'None'"),
        ("1", "'1'"),
        ("", "''"),
        ("l2", "l2"),
        ("two\nlines", "two lines"),
        ("\x1b[31mred\x00", "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"),
        (True, "True"),
        (1, "1"),
        (1.0, "1"),
        (np.float64(1e-7), "1e-7"),
        (np.int64(3), "3"),
        ((1, 2), "(1, 2)"),
        (len, "len"),
        (dict, "dict"),
        (LogisticRegression(C=2), "LogisticRegression(C=2)"),
        (Evil(), EVIL),
        (Broken(), "<Broken>"),
    ],
)
def test_a_value_is_written_in_one_line(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_numbers_ascend_and_span_decades() -> None:
    found = one([10.0, 0.1, 1.0, 0.1])
    assert list(found.levels) == ["0.1", "1", "10"]
    assert list(found.codes) == [2, 0, 1, 0]
    assert found.log
    assert not one([1, 2, 50]).log
    assert not one([0.0, 1.0, 1000.0]).log
    assert list(one([1_000_000, 7]).levels) == ["7", "1000000"]


@pytest.mark.parametrize(
    "values", [[None, 5, 10], [True, False], [1.0, math.inf], [1, "auto"], [10**400, 1]]
)
def test_what_is_not_all_finite_numbers_is_in_the_order_of_its_use(values: list[Any]) -> None:
    found = one([*values, values[0]])
    assert found.numbers is None
    assert list(found.levels) == [text_of(value) for value in values]
    assert found.codes[-1] == 0


def test_a_parameter_that_some_candidates_do_not_set() -> None:
    a, b = parameters_of([{"a": 1.0}, {"b": "x"}, {"a": 2.0}, None])
    assert [a.text(n) for n in range(4)] == ["1", ABSENT, "2", ABSENT]
    assert [b.text(n) for n in range(4)] == [ABSENT, "x", ABSENT, ABSENT]


def test_functions_of_one_name_are_two_values() -> None:
    found = one([lambda x: x, lambda x: -x])
    assert list(found.levels) == ["<lambda>", "<lambda>"]
    assert list(found.codes) == [0, 1]
