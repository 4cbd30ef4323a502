"""The final fit of a search, on the cluster.

scikit-learn's search fits its best estimator itself: ``clone(base_estimator).set_params(...)`` and
then ``.fit(X, y)``. `expect` puts an answer to that ``clone`` on the base estimator, which is the
search's own; the clone that is made for the refit (and only that one) has a ``fit`` of its own,
which fits on a worker and takes over what was fitted. No trace is left on it, and no class is
changed. Whatever is out of the ordinary is fitted in the kernel, by scikit-learn, as ever.

The fit sees what it would see in the kernel: the data, scikit-learn's configuration, the
filters of warnings, and the state of the global generators. Where a fitted estimator holds X
itself, the one that comes back holds the kernel's X.
"""

from __future__ import annotations

import io
import pickle
import random
import time
import types
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
from distributed import get_worker
from sklearn import get_config
from sklearn.base import BaseEstimator, clone

from jupyter_scale.search import internals
from jupyter_scale.search.identity import writes_input
from jupyter_scale.search.plan import Call, Plan, Ref
from jupyter_scale.search.sharing import Parcel, denied, freeze, private, view
from jupyter_scale.search.tasks import Outcome

__all__ = ["Fitted", "Results", "adopt", "expect", "planned"]

Fit = Callable[..., Any]
"""Fits an estimator somewhere: called with the estimator, X (and y), and fit parameters."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What comes back: the state of the estimator, or why it could not travel."""

    state: bytes | None
    generators: tuple[Any, ...]
    seconds: float
    worker: str


class Results:
    """Takes the one outcome of a refit.

    Parameters
    ----------
    tick : callable
        Called from time to time until it is there.
    """

    fitted: Fitted

    def __init__(self, tick: Callable[[], None]) -> None:
        self.tick = tick

    def add(self, outcome: Outcome) -> None:
        """Take what the task found."""
        for result in outcome.results.values():
            self.fitted = result


# -- in the kernel: the way in


def expect(search: Any, estimator: Any, fit: Fit | None) -> bool:
    """Have the refit of a search done by `fit`; False if it stays scikit-learn's own.

    All candidates of the search are told apart by their parameters, so they need not have a clone
    each: one stands for all (cloning a Pipeline takes longer than planning it).

    Parameters
    ----------
    search : BaseSearchCV
        Which is being fitted.
    estimator : estimator
        The search's own clone of its estimator, from which it will clone the best one.
    fit : callable or None
        Called in the place of ``estimator.fit``.
    """
    kind: Any = type(estimator)
    own = getattr(kind, "__sklearn_clone__", None)
    if (
        estimator is search.estimator
        or not hasattr(estimator, "__dict__")
        or own not in (None, BaseEstimator.__sklearn_clone__)
        or internals.has_callbacks(search, None)
        or internals.has_callbacks(estimator, None)
        or (kind.__reduce__, kind.__reduce_ex__) != (object.__reduce__, object.__reduce_ex__)
    ):
        return False
    refits = fit if search.refit else None
    vars(estimator)["__sklearn_clone__"] = _Clone(estimator, refits)
    return refits is not None


class _Clone:
    """Answers ``clone`` of the base estimator."""

    def __init__(self, estimator: Any, fit: Fit | None) -> None:
        self._estimator = estimator
        self._fit = fit
        self._candidate: Any = None

    def __call__(self) -> Any:
        if not internals.cloned_by_search():
            if self._candidate is None:
                self._candidate = self._clone()
            return self._candidate
        copied = self._clone()
        del vars(self._estimator)["__sklearn_clone__"]
        if self._fit is not None:
            vars(copied)["fit"] = _Fit(copied, self._fit)
        return copied

    def _clone(self) -> Any:
        attributes = vars(self._estimator)
        del attributes["__sklearn_clone__"]
        try:
            return clone(self._estimator)
        finally:
            attributes["__sklearn_clone__"] = self


class _Fit:
    """``fit`` of the best estimator."""

    def __init__(self, estimator: Any, fit: Fit) -> None:
        self.__wrapped__ = estimator.fit
        self._estimator = estimator
        self._fit = fit

    def __call__(self, *data: Any, **params: Any) -> Any:
        vars(self._estimator).pop("fit", None)
        return self._fit(self._estimator, *data, **params)


# -- the trip


def planned(estimator: Any, data: tuple[Any, ...], params: Mapping[str, Any]) -> Plan | None:
    """Return the plan whose one call fits `estimator`; None if that cannot travel."""
    attributes = vars(estimator)
    context = _context(estimator)
    attributes.pop(internals.CONTEXT, None)
    try:
        payload = _packed(estimator, {})
    except Exception:
        return None
    finally:
        attributes.update(context)
    label = f"the refit of {type(estimator).__name__}"
    names = {name: Ref(len(data) + 1 + place) for place, name in enumerate(params)}
    call = Call(
        number=0,
        kind=0,
        function=_fit,
        args=(Ref(0), _generators(), *(Ref(place + 1) for place in range(len(data)))),
        kwargs=dict(names),
        config=get_config(),
        warning_filters=list(warnings.filters),
        label=label,
    )
    values = [payload, *data, *params.values()]
    return Plan(name=label, n_calls=1, calls=[call], data=values, kinds=[label])


def adopt(estimator: Any, fitted: Fitted, data: tuple[Any, ...], params: Mapping[str, Any]) -> bool:
    """Give `estimator` the state that was fitted elsewhere; False if that did not travel."""
    if fitted.state is None:
        return False
    known = {**_functions(estimator), **_named(data, params), "self": estimator}
    before, context = dict(vars(estimator)), _context(estimator)
    try:
        state = _unpacked(fitted.state, known)
        vars(estimator).clear()
        if hasattr(type(estimator), "__setstate__"):
            estimator.__setstate__(state)
        else:
            vars(estimator).update(state)
    except Exception:
        vars(estimator).clear()
        vars(estimator).update(before)
        return False
    vars(estimator).update(context)
    _set_generators(fitted.generators)
    return True


def _context(estimator: Any) -> dict[str, Any]:
    """Return the attribute that tells of callbacks; scikit-learn sets it from 1.9 on."""
    attributes = vars(estimator)
    return {name: attributes[name] for name in (internals.CONTEXT,) if name in attributes}


# -- on the worker


def _fit(payload: bytes, generators: tuple[Any, ...], /, *data: Any, **params: Any) -> Fitted:
    """Fit the estimator, on data that may be shared; on a copy if it has to write into them."""
    mine = _generators()
    start = time.perf_counter()
    try:
        try:
            fitted = _fitted(payload, generators, data, params, alone=False)
        except Exception as error:
            if not denied(error):
                raise
            fitted = _fitted(payload, generators, data, params, alone=True)
        after = _generators()
    finally:
        _set_generators(mine)
    return Fitted(fitted, after, time.perf_counter() - start, get_worker().address)


def _fitted(
    payload: bytes,
    generators: tuple[Any, ...],
    data: tuple[Any, ...],
    params: Mapping[str, Any],
    *,
    alone: bool,
) -> bytes | None:
    estimator = _unpacked(payload, {})
    functions = _functions(estimator)
    alone = alone or writes_input(estimator) is not None

    def given(value: Any) -> Any:
        return private(value) if alone else view(freeze(value))

    mine = tuple(map(given, data))
    own = {name: given(value) for name, value in params.items()}
    _set_generators(generators)
    estimator.fit(*mine, **own)
    # what was written into is no longer what the kernel has
    known = {**functions, **({} if alone else _named(mine, own)), "self": estimator}
    try:
        state = estimator.__getstate__()
        return _packed(state, known) if isinstance(state, dict) else None
    except Exception:
        return None


# -- pickles that name what the other side has


def _functions(estimator: Any) -> dict[str, Any]:
    """Return the functions among the parameters: they come back as the very same objects."""
    return {
        f"parameter {name}": value
        for name, value in estimator.get_params(deep=True).items()
        if isinstance(value, types.FunctionType)
    }


def _named(data: tuple[Any, ...], params: Mapping[str, Any]) -> dict[str, Any]:
    values = {f"data {place}": value for place, value in enumerate(data)}
    values |= {f"fit parameter {name}": value for name, value in params.items()}
    return {name: value for name, value in values.items() if _held(value)}


def _held(value: Any) -> bool:
    return not (value is None or isinstance(value, str | bytes | int | float))


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
    """Keeps the memory layout of arrays, and names what the other side has."""

    def __init__(self, file: io.BytesIO, known: Mapping[str, Any]) -> None:
        super().__init__(file, protocol=5)
        self._names = {id(value): name for name, value in known.items()}

    def persistent_id(self, obj: Any) -> str | None:
        return self._names.get(id(obj))

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is np.ndarray:
            flags = obj.flags
            if obj.size and not (flags.c_contiguous or flags.f_contiguous):
                return _value, (Parcel(obj),)
        return super().reducer_override(obj)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, known: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._known = known

    def persistent_load(self, name: str) -> Any:
        return self._known[name]


def _value(parcel: Parcel) -> Any:
    return parcel.value


def _packed(value: Any, known: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    _Pickler(file, known).dump(value)
    return file.getvalue()


def _unpacked(pickled: bytes, known: Mapping[str, Any]) -> Any:
    return _Unpickler(io.BytesIO(pickled), known).load()


def _generators() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state()  # noqa: NPY002 - estimators draw from these


def _set_generators(states: tuple[Any, ...]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002 - as above
