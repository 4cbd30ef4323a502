"""A search from a form: what a kernel has to search with, and the `%%scale` cell that does it.

The side panel asks, in the kernel of the notebook in front, and only when somebody presses a
button: `found` reads which estimators and data there are, with the types and ranges that
scikit-learn itself declares for each parameter; `proposed` checks what was filled in, counts what
the search would fit, and writes the cell. Nothing is fitted, and no variable is made or changed.
"""

from __future__ import annotations

import ast
import json
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jupyter_scale.search import PlanOnly, merged
from jupyter_scale.search.internals import BaseSearchCV, Interval, Options, constraints, is_boolean

__all__ = ["Parameter", "found", "proposed", "source"]

WIDEST = 60  # letters of a value
MOST = 1000  # parameters
NO_MATTER = frozenset(
    (
        *("cache_size", "copy", "copy_X", "memory", "n_jobs", "random_state", "verbose"),
        *("steps", "transform_input", "transformer_list", "transformers", "warm_start"),
    )
)
"""Parameters by which no search chooses."""
FOLDS = 5


@dataclass(frozen=True)
class Parameter:
    """One parameter of an estimator, as scikit-learn declares it.

    Attributes
    ----------
    name : str
        As in a grid, such as ``svc__C``.
    step : str
        What has it: ``svc: SVC``.
    value : str
        What it is now, as it is written in code.
    range : str
        What it may be, in words.
    suggested : list of str
        Values to try, as they are written in code.
    """

    name: str
    step: str
    value: str
    range: str
    suggested: list[str]


class Answer:
    """What a front end is answered: JSON."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"application/json": self.value, "text/plain": json.dumps(self.value)}


# -- what there is


def found(namespace: Mapping[str, Any] | None = None) -> Answer:
    """Return the estimators and the data of a notebook, for the form.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables; those of the running kernel by default.
    """
    variables = _variables(namespace)
    estimators = [
        {
            "name": name,
            "kind": type(value).__name__,
            "parameters": [asdict(parameter) for parameter in parameters(value)],
        }
        for name, value in variables.items()
        if _searchable(value)
    ]
    data = [{"name": name, "words": words} for name, words in _data(variables)]
    return Answer({"estimators": estimators, "data": data, "scorers": _scorers()})


def parameters(estimator: Any) -> list[Parameter]:
    """Return what can be searched over."""
    values = estimator.get_params(deep=True)
    listed = []
    for name in sorted(values):
        value = values[name]
        owner_name, owner, short = _owner(estimator, values, name)
        declared = constraints(owner).get(short)
        if declared is None or short in NO_MATTER or hasattr(value, "get_params"):
            continue
        kind = type(owner).__name__
        listed.append(
            Parameter(
                name,
                f"{owner_name}: {kind}" if owner_name else kind,
                _written(value),
                spoken(declared),
                [_written(each) for each in suggested(value, declared)],
            )
        )
    return listed[:MOST]


def _owner(estimator: Any, values: Mapping[str, Any], name: str) -> tuple[str, Any, str]:
    """Return the step that has a parameter, by name and itself, and what it calls that."""
    step, _, short = name.rpartition("__")
    return step, values[step] if step else estimator, short


def spoken(declared: Iterable[Any]) -> str:
    """Return in words what a value may be.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> [spoken(constraints(SVC())[name]) for name in ("shrinking", "gamma")]
    ['True or False', "'auto', 'scale' or a float in the range [0.0, inf)"]
    """
    words: list[str] = []
    for one in declared:
        if is_boolean(one):
            words += ["True", "False"]
        elif isinstance(one, Options):
            words += sorted(map(repr, one.options))
        else:
            words.append(str(one).replace("an instance of 'dict'", "a dict"))
    *most, last = words or ["anything"]
    return f"{', '.join(most)} or {last}" if most else last


def suggested(value: Any, declared: Sequence[Any]) -> list[Any]:
    """Return values to try around the present one, all of them allowed.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> suggested(1.0, constraints(SVC())["C"])
    [0.1, 1.0, 10.0]
    """
    if any(map(is_boolean, declared)):
        return [True, False]
    names = [each for one in declared if isinstance(one, Options) for each in one.options]
    names = [each for each in names if each != "precomputed"]  # which asks for other data
    if isinstance(value, str) or value is None:
        return sorted(names, key=str)
    for one in declared:
        if isinstance(one, Interval) and one.is_satisfied_by(value):
            around = _around(value, whole=one.type is numbers.Integral)
            return [each for each in around if one.is_satisfied_by(each)]
    return [value] if _written(value) else []


def _around(value: Any, *, whole: bool) -> list[Any]:
    if whole:
        return sorted({max(1, value // 2), value, value * 2}) if value > 0 else [value]
    if value == 0 or not math.isfinite(value):
        return [value]
    steps = [value / 10, value, value * 10] if value > 0 else [value]
    return [float(f"{each:.6g}") for each in steps]


def _searchable(value: Any) -> bool:
    if isinstance(value, type | BaseSearchCV):
        return False
    return all(hasattr(value, name) for name in ("fit", "get_params", "set_params"))


def _data(variables: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Return the names of what can be X or y, with how large they are."""
    for name, value in variables.items():
        kind = type(value)
        module = kind.__module__.partition(".")[0]
        shape = getattr(value, "shape", None)
        if module in ("numpy", "pandas", "polars", "scipy") and shape and not callable(shape):
            if len(shape) <= 2 and shape[0] > 1:
                yield name, f"{' x '.join(f'{size:,}' for size in shape)} {kind.__name__}"
        elif kind in (list, tuple) and len(value) > 1 and isinstance(value[0], str | int | float):
            yield name, f"{len(value):,} {type(value[0]).__name__} {kind.__name__}"


def _scorers() -> list[str]:
    from sklearn.metrics import get_scorer_names

    return list(get_scorer_names())


def _variables(namespace: Mapping[str, Any] | None) -> dict[str, Any]:
    if namespace is None:
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        hidden = shell.user_ns_hidden
        namespace = {k: v for k, v in shell.user_ns.items() if k not in hidden}
    return {name: value for name, value in namespace.items() if not name.startswith("_")}


def _written(value: Any) -> str:
    """Return a value as code that gives it again; empty where that is not sure."""
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value)
    try:
        same = len(text) <= WIDEST and ast.literal_eval(text) == value
    except (ValueError, SyntaxError):
        same = isinstance(value, float) and math.isnan(value)
    return text if same else ""


# -- what is to be searched


def proposed(asked: str | Mapping[str, Any], namespace: Mapping[str, Any] | None = None) -> Answer:
    """Return the cell of a filled-in form, and how large its search is.

    Parameters
    ----------
    asked : mapping, or JSON of one
        ``estimator``, ``X``, ``y`` (perhaps empty): names of variables; ``grid``: for each
        parameter its values as one would write them, separated by commas; ``cv``: number of folds;
        ``scoring``: a scorer's name, or empty.
    namespace : mapping, optional
        As for `found`.

    Returns
    -------
    Answer
        ``code``; ``cells``, ``fits``, ``fits_saved``; ``problems``: a line for each field that is
        wrong, by its name, and then no more than that.
    """
    wanted: Mapping[str, Any] = json.loads(asked) if isinstance(asked, str) else asked
    variables = _variables(namespace)
    problems = {
        field: f"there is no variable {wanted.get(field)!r}"
        for field in ("estimator", "X", "y")
        if wanted.get(field) not in variables and (field != "y" or wanted.get("y"))
    }
    if problems:
        return Answer({"problems": problems})
    estimator = variables[wanted["estimator"]]
    grid, problems = checked(estimator, wanted.get("grid", {}))
    cv, scoring = wanted.get("cv") or FOLDS, wanted.get("scoring") or None
    if not isinstance(cv, int) or cv < 2:
        problems["cv"] = "2 folds or more"
    if scoring is not None and scoring not in _scorers():
        problems["scoring"] = f"there is no scorer {scoring!r}"
    if not grid and not problems:
        problems["grid"] = "pick a parameter, and give it values"
    if problems:
        return Answer({"problems": problems})
    names = [wanted[field] for field in ("X", "y") if wanted.get(field)]
    size = sized(estimator, grid, cv, scoring, [variables[name] for name in names])
    if isinstance(size, str):
        return Answer({"problems": {"": size}})
    code = source(wanted["estimator"], grid, cv, scoring, names, free_name(variables))
    return Answer({"code": code, **size, "problems": {}})


def checked(estimator: Any, grid: Mapping[str, str]) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return the values of a grid, and what is wrong with some, by parameter."""
    values: dict[str, list[Any]] = {}
    problems: dict[str, str] = {}
    known = estimator.get_params(deep=True)
    for name, text in grid.items():
        if name not in known:
            problems[name] = "the estimator has no such parameter"
            continue
        try:
            given = ast.literal_eval(f"[{text}\n]")
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            problems[name] = f"{text!r} is not values separated by commas; words stand in quotes"
            continue
        _, owner, short = _owner(estimator, known, name)
        declared = constraints(owner).get(short)
        wrong = [v for v in given if declared and not any(d.is_satisfied_by(v) for d in declared)]
        if not given:
            problems[name] = "it has no values"
        elif wrong:
            must = spoken(declared or ())
            problems[name] = f"{', '.join(map(repr, wrong))}: it must be {must}"
        else:
            values[name] = given
    return values, problems


def sized(
    estimator: Any, grid: dict[str, list[Any]], cv: int, scoring: str | None, data: list[Any]
) -> dict[str, Any] | str:
    """Return how much a search would fit, or why it cannot be; nothing is fitted."""
    from sklearn.model_selection import GridSearchCV

    try:
        with merged(plan_only=True):
            GridSearchCV(estimator, grid, cv=cv, scoring=scoring).fit(*data)
    except PlanOnly as planned:
        plan = planned.plan
        return {
            "cells": plan.n_cells,
            "fits": plan.fits_distinct,
            "fits_saved": plan.fits_requested - plan.fits_distinct,
            "notes": [f"{step.label}: {step.distinct:,} fits" for step in plan.steps],
        }
    except Exception as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    raise AssertionError("a plan ends the search")


def source(
    estimator: str,
    grid: Mapping[str, Sequence[Any]],
    cv: int,
    scoring: str | None,
    data: Sequence[str],
    name: str = "search",
) -> str:
    """Return the cell that searches.

    Examples
    --------
    >>> print(source("svc", {"C": [1, 10]}, 5, "f1", ["X", "y"]))
    %%scale
    from sklearn.model_selection import GridSearchCV
    <BLANKLINE>
    search = GridSearchCV(
        svc,
        {
            "C": [1, 10],
        },
        cv=5,
        scoring="f1",
    )
    search.fit(X, y)
    """
    values = "".join(f'        "{key}": {list(given)!r},\n' for key, given in grid.items())
    metric = f'    scoring="{scoring}",\n' if scoring else ""
    return (
        "%%scale\nfrom sklearn.model_selection import GridSearchCV\n\n"
        f"{name} = GridSearchCV(\n    {estimator},\n    {{\n{values}    }},\n"
        f"    cv={cv},\n{metric})\n{name}.fit({', '.join(data)})"
    )


def free_name(taken: Mapping[str, Any]) -> str:
    """Return a name for the search that no variable has.

    Examples
    --------
    >>> free_name({"search": 1, "search_2": 1})
    'search_3'
    """
    number = 1
    while (name := "search" if number == 1 else f"search_{number}") in taken:
        number += 1
    return name
