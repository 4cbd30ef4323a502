"""Code is what it does, in this kernel and in the next."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_scale.search.identity import forget_code, identify

HELPED = """
    SCALE = 2

    def helper(x):
        return x * SCALE

    class Step:
        '''A step.'''

        def __init__(self, a=1):
            self.a = a

        def fit(self, X):
            return helper(X)

        @property
        def double(self):
            return 2 * self.a

        @staticmethod
        def always():
            return 1
"""
CHANGES = (
    ("SCALE = 2", "SCALE = 3"),
    ("x * SCALE", "x + SCALE"),
    ("return helper(X)", "return helper(helper(X))"),
    ("a=1", "a=2"),
    ("2 * self.a", "3 * self.a"),
    ("return 1\n", "return 2\n"),
)


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    forget_code(lasting=True)
    yield
    forget_code()


def defined(source: str, name: str = "__main__") -> types.ModuleType:
    """Run a source as a notebook would."""
    module = types.ModuleType(name)
    exec(compile(textwrap.dedent(source), "<cell>", "exec"), vars(module))
    return module


def of(source: str) -> bytes:
    forget_code(lasting=True)
    return identify(defined(source).Step)


def test_the_same_code_is_the_same() -> None:
    assert of(HELPED) == of(HELPED)


def test_use_changes_no_code() -> None:
    module = defined(HELPED)
    before = identify(module.Step)
    sys.modules["somewhere"] = module
    try:
        module.Step.__module__ = "somewhere"
        pickle.dumps(module.Step())
    finally:
        del sys.modules["somewhere"]
    module.Step.__module__ = "__main__"
    module.Step(2).fit(3)
    forget_code(lasting=True)
    assert identify(module.Step) == before


def test_words_and_places_are_no_code() -> None:
    moved = "\n\n    unused = 1\n" + HELPED.replace("'''A step.'''", "'''Another text.'''")
    assert of(moved) == of(HELPED)
    told = [HELPED.replace("return helper(X)", f"'{text}'; return helper(X)") for text in "ab"]
    assert of(told[0]) == of(told[1])


def test_a_text_that_is_used_is_code() -> None:
    texts = [f"def f():\n    '{text}'\n    return '{text}'" for text in "ab"]
    assert identify(defined(texts[0]).f) != identify(defined(texts[1]).f)


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_what_was_edited_is_another(before: str, after: str) -> None:
    assert before in HELPED
    assert of(HELPED.replace(before, after)) != of(HELPED)


def test_functions_that_call_each_other_are_told_apart_by_either() -> None:
    source = """
        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        class Step:
            even, odd = staticmethod(even), staticmethod(odd)
    """
    assert of(source) == of(source)
    assert of(source.replace("n == 0", "n <= 0")) != of(source)
    forget_code(lasting=True)
    one, other = defined(source), defined(source.replace("n == 0", "n <= 0"))
    assert identify(one.even) != identify(other.even)
    # also of the one that was only met inside the other before
    assert identify(one.odd) != identify(other.odd)


def test_a_function_keeps_what_it_was_made_with() -> None:
    source = "def adds(n):\n    return lambda x: x + n"
    adds = defined(source).adds
    assert identify(adds(1)) == identify(adds(1))
    assert identify(adds(1)) != identify(adds(2))


def test_what_cannot_be_read_is_itself_in_this_kernel() -> None:
    source = """
        import threading
        LOCK = threading.Lock()

        class Step:
            def fit(self):
                with LOCK:
                    return 1
    """
    module = defined(source)
    first = identify(module.Step)
    forget_code(lasting=True)
    assert identify(module.Step) == first
    assert identify(defined(source).Step) != first


def test_a_wrapped_function_is_what_it_wraps() -> None:
    source = "import functools\n@functools.cache\ndef f(x):\n    return x + 1"
    one, same = defined(source).f, defined(source).f
    other = defined(source.replace("x + 1", "x + 2")).f
    assert identify([one]) == identify([same])
    assert identify([one]) != identify([other])


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from sklearn.preprocessing import FunctionTransformer
from beside import Step, helper
from jupyter_scale.search.identity import forget_code, identify

def here(X):
    return np.log1p(X) + helper(X)

forget_code(lasting=True)
values = [Step, FunctionTransformer(here), FunctionTransformer(np.log1p), {"a", "b"}, here]
print([identify(value).hex() for value in values])
"""


def test_another_process_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text(textwrap.dedent(HELPED))

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    first = run()
    assert run() == first
    edited = textwrap.dedent(HELPED.replace("SCALE = 2", "SCALE = 3"))
    (tmp_path / "beside.py").write_text(edited)
    again = run()
    before, after = eval(first), eval(again)
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, True, False]
