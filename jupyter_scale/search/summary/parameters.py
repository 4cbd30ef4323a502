"""The values of a search's parameters: how each is written, ordered and placed on an axis.

A value can be anything: a number, a string, None, an estimator, a function. Nothing here relies on
more than its ``repr``, and an error in that is not the search's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT", "Parameter", "parameters_of", "printable", "short", "short_names", "text_of"]

ABSENT = "\N{EN DASH}"
"""Stands for a parameter that a candidate does not set."""
DECADES = 100
"""Positive numbers that span this factor are shown on a logarithmic axis."""
_NOTHING = object()


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """One parameter of all candidates.

    Attributes
    ----------
    name : str
        As in ``param_grid``.
    levels : sequence of str
        The distinct values: numbers ascending, else in the order of their first use.
    codes : ndarray of int
        By candidate, which level it has.
    numbers : ndarray or None
        By candidate, nan where absent; None unless all values are finite numbers.
    log : bool
        Whether the numbers span decades.
    """

    name: str
    levels: Sequence[str]
    codes: NDArray[np.int_]
    numbers: NDArray[np.float64] | None = None
    log: bool = False

    def text(self, candidate: int) -> str:
        return self.levels[int(self.codes[candidate])]


class _Numbers(Sequence[str]):
    """The texts of numbers, each made when it is asked for: a random search has thousands."""

    def __init__(self, values: NDArray[np.float64], whole: bool) -> None:
        self._values = values
        self._whole = whole

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[n] for n in range(len(self))[place]]
        value = float(self._values[place])
        if math.isnan(value):
            return ABSENT
        return number(int(value) if self._whole else value)


def parameters_of(params: Sequence[dict[str, Any] | None]) -> list[Parameter]:
    """Return the parameters of candidates, by name in the order of their first use."""
    names = dict.fromkeys(name for each in params for name in each or ())
    return [
        _parameter(name, [(each or {}).get(name, _NOTHING) for each in params]) for name in names
    ]


def _parameter(name: str, values: list[Any]) -> Parameter:
    numbers = _numbers(values)
    if numbers is not None:
        # nan, where the parameter is absent, sorts last
        found, codes = np.unique(numbers, return_inverse=True)
        whole = all(
            isinstance(value, int | np.integer) for value in values if value is not _NOTHING
        )
        levels = _Numbers(found, whole)
        low, high = np.nanmin(numbers), np.nanmax(numbers)
        return Parameter(name, levels, codes, numbers, bool(low > 0 and high / low >= DECADES))
    # a grid holds few objects, and a repr can be long to make
    known: dict[int, Any] = {}
    levels_of: dict[Any, int] = {}
    texts: list[str] = []
    codes = np.empty(len(values), int)
    for place, value in enumerate(values):
        if id(value) not in known:
            # two functions may have one name
            named = callable(value) and hasattr(value, "__name__")
            known[id(value)] = (text_of(value), id(value) if named else 0)
        key = known[id(value)]
        if key not in levels_of:
            levels_of[key] = len(texts)
            texts.append(key[0])
        codes[place] = levels_of[key]
    return Parameter(name, texts, codes)


def _numbers(values: list[Any]) -> NDArray[np.float64] | None:
    kinds = {type(value) for value in values if value is not _NOTHING}
    if not kinds or not all(
        issubclass(kind, Real) and not issubclass(kind, bool) for kind in kinds
    ):
        return None
    absent = np.fromiter((value is _NOTHING for value in values), bool, len(values))
    try:
        numbers = np.array([np.nan if value is _NOTHING else float(value) for value in values])
    except OverflowError:
        return None
    return numbers if np.isfinite(numbers[~absent]).all() else None


def number(value: float) -> str:
    """Return a number in few characters.

    Examples
    --------
    >>> number(1e-05), number(0.1234567), number(3000), number(123456789)
    ('1e-5', '0.123457', '3000', '123456789')
    """
    if isinstance(value, int | np.integer):
        return str(value)
    return f"{value:.6g}".replace("e-0", "e-").replace("e+0", "e")


def text_of(value: Any) -> str:
    """Return a value in one line, as a person would write it.

    Examples
    --------
    >>> text_of(1e-3), text_of("l2"), text_of("None"), text_of(None), text_of((1, 2)), text_of(len)
    ('0.001', 'l2', "'None'", 'None', '(1, 2)', 'len')
    """
    try:
        return printable(_written(value))
    except Exception:  # the repr of a class of the user's
        return f"<{printable(type(value).__name__)}>"


def _written(value: Any) -> str:
    if value is _NOTHING:
        return ABSENT
    if isinstance(value, str):
        return repr(str(value)) if _ambiguous(value) else " ".join(value.split())
    if isinstance(value, float | np.floating):
        return number(float(value))
    if isinstance(value, np.generic):
        return str(value)
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    return " ".join(repr(value).split())


def printable(text: str) -> str:
    r"""Return a text that any screen and any markup can hold, whatever was in it.

    Examples
    --------
    >>> printable("red: \x1b[31m")
    'red: �[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _ambiguous(text: str) -> bool:
    """Tell whether a string would be taken for another value."""
    if text in ("None", "True", "False", ABSENT) or not text.strip():
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def short(text: str, length: int) -> str:
    """Return a text that is not longer than this.

    Examples
    --------
    >>> short("StandardScaler()", 8)
    'Standar…'
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return each parameter's name without its steps, where that is enough to tell them apart.

    Examples
    --------
    >>> short_names(["vect__ngram_range", "clf__alpha", "tfidf__norm", "a__norm"])
    {'vect__ngram_range': 'ngram_range', 'clf__alpha': 'alpha', \
'tfidf__norm': 'tfidf__norm', 'a__norm': 'a__norm'}
    """
    lasts = [name.rpartition("__")[2] for name in names]
    return {
        name: last if lasts.count(last) == 1 else name
        for name, last in zip(names, lasts, strict=True)
    }
