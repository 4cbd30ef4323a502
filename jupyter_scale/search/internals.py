"""scikit-learn's and joblib's private names that the search leans on, in one place.

The search never reimplements scikit-learn: it recognises ``_fit_and_score``, runs that very
function, and answers from the plan what it would compute again. What is needed for that and is
not public stands here, so that a new release is judged by reading one module and running
``make test-matrix``; then it joins `RELEASES`, and `check_release` lets it through.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable
from typing import Any

import sklearn

__all__ = [
    "RELEASES",
    "BaseSearchCV",
    "FallbackToBackend",
    "Parallel",
    "ParallelBackendBase",
    "Pipeline",
    "SequentialBackend",
    "check_release",
    "configured",
    "fit_and_score",
    "has_callbacks",
    "raise_dispatch_error",
    "safe_split",
    "score",
    "search_of_this_call",
    "sharable_pipeline",
    "substituted",
    "unwrapped",
]

RELEASES = ((1, 7), (1, 8), (1, 9))
"""Releases of scikit-learn whose own tests pass with every search merged."""


def _unsupported() -> ImportError:
    *most, last = (f"{major}.{minor}" for major, minor in RELEASES)
    (major, minor), below = RELEASES[-1], most[0]
    return ImportError(
        f"searches run merged on scikit-learn {', '.join(most)} and {last}, and this is "
        f'{sklearn.__version__}: pip install "scikit-learn>={below},<{major}.{minor + 1}", '
        "or a newer jupyter-scale",
        name="sklearn",
    )


def check_release() -> None:
    """Refuse a release of scikit-learn that nothing was tested on.

    Raises
    ------
    ImportError
        In one line, with the releases that work.
    """
    found = re.match(r"(\d+)\.(\d+)", sklearn.__version__)
    if found is None or (int(found[1]), int(found[2])) not in RELEASES:
        raise _unsupported()


try:
    from joblib.parallel import FallbackToBackend, ParallelBackendBase, SequentialBackend
    from sklearn.model_selection import _validation
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.utils.metaestimators import _safe_split
    from sklearn.utils.parallel import Parallel, _FuncWrapper
except ImportError:
    check_release()
    raise

fit_and_score: Callable[..., dict[str, Any]] = _validation._fit_and_score
score: Callable[..., Any] = _validation._score
safe_split: Callable[..., tuple[Any, Any]] = _safe_split


def substituted(function: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """Return `function` reading `names` where it would read its module's globals.

    The code that runs is scikit-learn's own; its module is left as it is, so nothing else in the
    process sees the substitution.
    """
    assert isinstance(function, types.FunctionType)
    copy = types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def unwrapped(call: Any) -> tuple[Any, dict[str, Any], list[Any]]:
    """Return (function, scikit-learn configuration, warning filters) of a joblib call."""
    if isinstance(call, _FuncWrapper):
        return call.function, getattr(call, "config", {}), getattr(call, "warning_filters", [])
    return call, {}, []


def configured(
    function: Callable[..., Any], config: dict[str, Any], warning_filters: list[Any]
) -> Callable[..., Any]:
    """Return `function` running under that scikit-learn configuration and warning filters."""
    if not config or not warning_filters:
        return function
    wrapper: Callable[..., Any] = _FuncWrapper(function).with_config_and_warning_filters(
        config, warning_filters
    )
    return wrapper


def sharable_pipeline(estimator: Any) -> bool:
    """Tell whether `estimator` fits its steps as scikit-learn's own Pipeline does."""
    return isinstance(estimator, Pipeline) and type(estimator)._fit is Pipeline._fit


def has_callbacks(estimator: Any, context: Any) -> bool:
    """Tell whether scikit-learn's callbacks watch the fits of `estimator`."""
    if getattr(context, "_callbacks", None) or hasattr(estimator, "_skl_callbacks"):
        return True
    if not hasattr(estimator, "get_params"):
        return False
    return any(hasattr(value, "_skl_callbacks") for value in estimator.get_params().values())


_fit_of_a_search = inspect.unwrap(BaseSearchCV.fit).__code__


def search_of_this_call() -> Any:
    """Return the search whose ``Parallel`` joblib is configuring a backend for, or None.

    scikit-learn 1.9 says in each call whose it is (``caller``). Before, the frame that uses the
    ``Parallel`` tells: it is ``BaseSearchCV.fit``, also of a subclass that calls it. Frames further
    out are not asked: there a search may be fitting an estimator that uses joblib itself.
    """
    frame = inspect.currentframe()
    while frame is not None and not _of_joblib(frame):
        frame = frame.f_back
    while frame is not None and _of_joblib(frame):
        frame = frame.f_back
    if frame is not None and frame.f_code is _fit_of_a_search:
        return frame.f_locals["self"]
    return None


def _of_joblib(frame: types.FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module.startswith("joblib.") or module == "sklearn.utils.parallel"


def raise_dispatch_error(parallel: Any) -> None:
    """Raise what went wrong while joblib took the calls from scikit-learn's generator.

    With ``pre_dispatch="all"`` joblib notes the error and never looks at it again.
    """
    if parallel._aborting:
        parallel._raise_error_fast()
