"""What makes two pieces of work the same.

``identify(value)`` is a digest of a parameter value, type-strict: 1, 1.0 and True differ, and so do
0.0 and -0.0. An estimator is its class and its parameters, as `sklearn.base.clone` sees it; a
class or a function that can be imported is its name, any other what it does (see `code`). What
cannot be identified raises `Unidentified` and is then not shared: identity is never guessed.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import ModuleType
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import FeatureUnion, Pipeline

from jupyter_scale.search import code

__all__ = [
    "Identified",
    "Unidentified",
    "decides_draws",
    "estimators",
    "forget_code",
    "identify",
    "identify_set",
    "is_estimator",
    "parameters",
    "plain",
    "unseeded",
    "writes_input",
]

_SIZE = 16


class Unidentified(Exception):
    """A value of which nothing tells whether another one is the same."""


@dataclass(frozen=True, slots=True)
class Identified:
    """Stands, within a value, for a part of it whose identity is known."""

    identity: bytes


def identify(value: Any) -> bytes:
    """Return the identity of a parameter value.

    Parameters
    ----------
    value : object
        An estimator, a parameter value, or any nesting of them.

    Returns
    -------
    bytes of length 16
        Equal for two values only if work done with one is work done with the other.

    Raises
    ------
    Unidentified
        When the value can neither be read nor pickled.

    Examples
    --------
    >>> identify(1) == identify(1), identify(1) == identify(1.0), identify(1) == identify(True)
    (True, False, False)
    """
    try:
        return _digest(value)
    except Unidentified:
        raise
    except Exception as error:
        name = type(value).__name__
        raise Unidentified(f"{name} cannot be identified ({error})") from error


def identify_set(estimator: Any, settings: Mapping[str, Any]) -> bytes | None:
    """Return the identity of an estimator as ``set_params(**settings)`` would leave it.

    None where that cannot be told from the parameters alone, as for a parameter of an inner
    estimator: then configure a clone and `identify` it.
    """
    known = parameters(estimator)
    if not (_cloned_by_parameters(estimator) and settings.keys() <= known.keys()):
        return None
    try:
        return _combined(_estimator(estimator, {**known, **settings}))
    except Unidentified:
        raise
    except Exception as error:
        raise Unidentified(f"{type(estimator).__name__} cannot be identified ({error})") from error


def parameters(estimator: Any) -> dict[str, Any]:
    """Return ``estimator.get_params(deep=False)``; scikit-learn's own looks at signatures anew."""
    kind = type(estimator)
    if not any(kind.get_params is shallow for shallow in _SHALLOW):
        own: dict[str, Any] = estimator.get_params(deep=False)
        return own
    if kind not in _met.names:
        _met.names[kind] = kind._get_param_names()
    return {name: getattr(estimator, name) for name in _met.names[kind]}


# which all read attributes by the names in the signature; the others go on to the parts if `deep`
_SHALLOW = [
    kind.get_params
    for kind in (BaseEstimator, ColumnTransformer, FeatureUnion, Pipeline, VotingClassifier)
]


@dataclass
class _Met(threading.local):
    """What was met during one plan."""

    lasting: bool = False
    """Whether identities are to hold in other processes, too."""
    names: dict[type, list[str]] = field(default_factory=dict)
    """Of the parameters of each class."""
    codes: dict[int, tuple[Any, bytes]] = field(default_factory=dict)
    """Identities of code; the object is held so that its id stays its own."""
    inside: dict[int, bytes] = field(default_factory=dict)
    """Of what the code that is being identified refers to, itself too."""


_met = _Met()


def is_estimator(value: Any) -> bool:
    """Tell whether `sklearn.base.clone` treats `value` as an estimator."""
    return hasattr(value, "get_params") and not isinstance(value, type)


def estimators(value: Any) -> Iterable[tuple[str, Any]]:
    """Yield (path, estimator) of an estimator and of all in its parameters, depth first."""
    if not is_estimator(value):
        return
    yield "", value
    for name, param in sorted(value.get_params(deep=True).items()):
        if is_estimator(param):
            yield name, param


def plain(name: str, value: Any) -> bool:
    """Tell whether setting a parameter bears on nothing but the parameter itself.

    It may bear on whether a seed is missing; `decides_draws` tells.
    """
    own = name.rpartition("__")[2].lower()
    return not is_estimator(value) and not own.startswith(
        ("copy", "inplace", "overwrite", "random_state")
    )


def decides_draws(name: str) -> bool:
    """Tell whether a parameter of this name can decide whether an estimator draws."""
    return name.rpartition("__")[2] in _DECIDING


def writes_input(estimator: Any) -> str | None:
    """Return what lets an estimator write into its input, such as a parameter ``copy=False``."""
    for _, part in estimators(estimator):
        if any(kind.__module__.partition(".")[0] in _TENSORS for kind in type(part).__mro__):
            return f"{type(part).__name__}, whose tensors are its input's memory"
        for name, value in parameters(part).items():
            off = isinstance(value, bool | np.bool_) and not value
            on = isinstance(value, bool | np.bool_) and bool(value)
            if (name.lower().startswith("copy") and off) or (
                name.lower().startswith(("inplace", "overwrite")) and on
            ):
                return f"{type(part).__name__}({name}={value})"
    return None


# torch makes writeable tensors even of what is read-only
_TENSORS = {"skorch"}


def unseeded(estimator: Any) -> list[str]:
    """Return the parameters (``random_state`` paths) of what draws without a seed."""
    if not is_estimator(estimator):
        return []
    paths = []
    for path, part in estimators(estimator):
        params = parameters(part)
        if "random_state" in params and params["random_state"] is None and _draws(part, params):
            paths.append(f"{path}__random_state".lstrip("_"))
    return paths


def _draws(estimator: Any, params: Mapping[str, Any]) -> bool:
    """Tell whether an estimator uses its ``random_state``; if in doubt, yes."""
    for name, drawing in _DRAWS.get(type(estimator).__name__, {}).items():
        return params.get(name) in drawing
    return True


# scikit-learn's estimators that draw for some values of a parameter only (their documentation of
# random_state says which)
_DRAWS: dict[str, dict[str, tuple[Any, ...]]] = {
    "ElasticNet": {"selection": ("random",)},
    "Lasso": {"selection": ("random",)},
    "LogisticRegression": {"solver": ("liblinear", "sag", "saga")},
    "NuSVC": {"probability": (True,)},
    "PCA": {"svd_solver": ("auto", "arpack", "randomized")},
    "Ridge": {"solver": ("sag", "saga")},
    "RidgeClassifier": {"solver": ("sag", "saga")},
    "SVC": {"probability": (True,)},
}
_DECIDING = {name for rule in _DRAWS.values() for name in rule}


def _digest(value: Any) -> bytes:
    return value.identity if type(value) is Identified else _combined(_parts(value))


def _combined(parts: Iterable[Any]) -> bytes:
    hasher = blake2b(digest_size=_SIZE)
    for part in parts:
        hasher.update(struct.pack("<q", len(part)))
        hasher.update(part)
    return hasher.digest()


def _parts(value: Any) -> Iterable[Any]:
    """Yield the byte strings that together determine `value`."""
    encode = _ENCODERS.get(type(value))
    if encode is not None:
        yield type(value).__name__.encode()
        yield from encode(value)
    elif isinstance(value, (type, *code.FUNCTIONS)):
        yield b"code"
        yield _code(value)
    elif is_estimator(value) and _cloned_by_parameters(value):
        yield from _estimator(value, parameters(value))
    elif isinstance(value, np.generic):
        yield b"scalar"
        yield value.dtype.str.encode()
        yield value.tobytes()
    elif sparse.issparse(value):
        yield b"sparse"
        yield _code(type(value))
        yield from _parts((*value.tocoo(copy=False).coords, value.data, value.shape))
    else:
        yield b"pickle"
        yield _pickle(value)


def _estimator(value: Any, params: Mapping[str, Any]) -> Iterable[Any]:
    yield b"estimator"
    yield _code(type(value))
    for name, param in sorted(params.items()):
        yield name.encode()
        yield _digest(param)
    # clone carries these two besides the parameters
    for name in ("_metadata_request", "_sklearn_output_config"):
        if hasattr(value, name):
            yield name.encode()
            yield _pickle(getattr(value, name))


def _cloned_by_parameters(value: Any) -> bool:
    own = getattr(type(value), "__sklearn_clone__", None)
    return own is None or own is BaseEstimator.__sklearn_clone__


def forget_code(*, lasting: bool = False) -> None:
    """Look at classes and functions anew: they may have been edited since the last plan.

    From now on identities hold in other processes too, if asked for: then the user's own modules
    are looked into, and not only the notebook.
    """
    _met.codes.clear()
    _met.names.clear()
    _met.lasting = lasting


def _code(value: Any) -> bytes:
    """Identify a class or a function, once during a plan."""
    if id(value) in _met.codes:
        return _met.codes[id(value)][1]
    if not _looked_into(value):
        identity = code.by_name(value)
    elif id(value) in _met.inside:
        return _met.inside[id(value)]
    else:
        outermost = not _met.inside
        _met.inside[id(value)] = b"itself" + str(value.__qualname__).encode()
        try:
            identity = _combined(code.by_content(value, _referred))
            _met.inside[id(value)] = identity
        finally:
            if outermost:
                _met.inside.clear()
        if not outermost:  # it may lack what refers to it in turn
            return identity
    _met.codes[id(value)] = (value, identity)
    return identity


def _looked_into(value: Any) -> bool:
    return code.is_own(value) and (_met.lasting or not code.is_named(value))


def _referred(value: Any) -> bytes:
    """Identify what code refers to; what cannot be is itself, in this process only."""
    if isinstance(value, ModuleType):
        return value.__name__.encode()
    try:
        return identify(value)
    except Unidentified:
        return b"object" + _PROCESS + str(id(value)).encode()


_PROCESS = os.urandom(_SIZE)


class _Pickler(pickle.Pickler):
    """Pickles the user's own code as what it does."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, ModuleType):
            return bytes, (value.__name__.encode(),)
        if isinstance(value, (type, *code.FUNCTIONS)):
            return (bytes, (_code(value),)) if _looked_into(value) else NotImplemented
        wrapped = getattr(value, "__wrapped__", None)
        if isinstance(wrapped, code.FUNCTIONS):  # else its name alone
            return bytes, (type(value).__qualname__.encode() + _code(wrapped),)
        return NotImplemented


def _pickle(value: Any) -> bytes:
    pickled = io.BytesIO()
    try:
        _Pickler(pickled, protocol=5).dump(value)
    except Exception as error:
        name = type(value).__name__
        raise Unidentified(f"{name} cannot be pickled ({error})") from error
    return pickled.getvalue()


def _array(value: np.ndarray[Any, Any]) -> Iterable[Any]:
    yield repr(value.dtype.descr if value.dtype.names else value.dtype.str).encode()
    yield repr(value.shape).encode()
    # the order of the elements in memory decides the order of summation
    yield repr(np.argsort([-abs(s) for s in value.strides], kind="stable").tolist()).encode()
    if value.dtype.hasobject:
        for item in value.ravel().tolist():
            yield _digest(item)
    else:
        yield value.tobytes()


def _sequence(value: Iterable[Any]) -> Iterable[bytes]:
    for item in value:
        yield _digest(item)


def _mapping(value: dict[Any, Any]) -> Iterable[bytes]:
    for key, item in value.items():
        yield _digest(key)
        yield _digest(item)


def _partial(value: functools.partial[Any]) -> Iterable[bytes]:
    return _sequence((value.func, value.args, value.keywords))


_ENCODERS: dict[type, Callable[[Any], Iterable[Any]]] = {
    type(None): lambda value: (),
    bool: lambda value: (b"1" if value else b"0",),
    int: lambda value: (b"%d" % value,),
    float: lambda value: (struct.pack("<d", value),),
    complex: lambda value: (struct.pack("<dd", value.real, value.imag),),
    str: lambda value: (value.encode("utf-8", "surrogatepass"),),
    bytes: lambda value: (value,),
    tuple: _sequence,
    list: _sequence,
    range: lambda value: (repr(value).encode(),),
    dict: _mapping,
    set: lambda value: sorted(_sequence(value)),
    frozenset: lambda value: sorted(_sequence(value)),
    slice: lambda value: _sequence((value.start, value.stop, value.step)),
    np.ndarray: _array,
    functools.partial: _partial,
}
