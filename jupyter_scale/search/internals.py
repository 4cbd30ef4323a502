"""scikit-learn's and joblib's private names that the search leans on, in one place.

The search never reimplements scikit-learn: it recognises ``_fit_and_score``, runs that very
function, and answers from the plan what it would compute again. What is needed for that and is
not public stands here, so that a new release is judged by reading one module and running
``make test-matrix``; then it joins `RELEASES`, and `check_release` lets it through.
"""

from __future__ import annotations

import copy
import inspect
import re
import sys
import types
from collections.abc import Callable
from typing import Any

import sklearn

__all__ = [
    "CONTEXT",
    "RELEASES",
    "BaseSearchCV",
    "FallbackToBackend",
    "Interval",
    "Options",
    "Parallel",
    "ParallelBackendBase",
    "Pipeline",
    "SequentialBackend",
    "ThreadingBackend",
    "check_release",
    "cloned_by_search",
    "columns_of",
    "configured",
    "constraints",
    "cross_val_predict",
    "fit_and_score",
    "fit_failures",
    "has_callbacks",
    "in_rounds",
    "insert_error_scores",
    "is_boolean",
    "n_rows",
    "passes_score_on",
    "raise_dispatch_error",
    "responses",
    "safe_indexing",
    "safe_split",
    "score",
    "scores_itself",
    "searching",
    "sharable_pipeline",
    "splitter",
    "substituted",
    "unwrapped",
    "validate_parameters",
    "watched",
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
    from joblib.parallel import (
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
        ThreadingBackend,
    )
    from sklearn.base import clone
    from sklearn.metrics._scorer import _MultimetricScorer, _PassthroughScorer, _Scorer
    from sklearn.model_selection import _validation
    from sklearn.model_selection._search import BaseSearchCV, GridSearchCV, RandomizedSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.utils import _safe_indexing
    from sklearn.utils._param_validation import Hidden, Interval, Options, make_constraint
    from sklearn.utils.metaestimators import _safe_split
    from sklearn.utils.parallel import Parallel, _FuncWrapper
    from sklearn.utils.validation import _num_samples
except ImportError:
    check_release()
    raise

fit_and_score: Callable[..., dict[str, Any]] = _validation._fit_and_score
score: Callable[..., Any] = _validation._score
safe_split: Callable[..., tuple[Any, Any]] = _safe_split
safe_indexing: Callable[..., Any] = _safe_indexing
n_rows: Callable[[Any], int] = _num_samples
cross_val_predict: Callable[..., Any] = _validation.cross_val_predict
fit_failures: Callable[..., None] = _validation._warn_or_raise_about_fit_failures
insert_error_scores: Callable[..., None] = _validation._insert_error_scores


def constraints(estimator: Any) -> dict[str, list[Any]]:
    """Return what each parameter of an estimator may be, as its class declares it.

    Each entry is a list of constraints of ``sklearn.utils._param_validation``, of which a value
    must satisfy one: ``is_satisfied_by(value)`` tells, its text is for people.
    """
    declared = getattr(estimator, "_parameter_constraints", {})
    return {
        name: [make_constraint(one) for one in listed if not isinstance(one, Hidden)]
        for name, listed in declared.items()
        if isinstance(listed, list)
    }


def is_boolean(constraint: Any) -> bool:
    """Whether a constraint asks for True or False."""
    return type(constraint).__name__ == "_Booleans"


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


def raise_dispatch_error(parallel: Any) -> None:
    """Raise what went wrong while joblib took the calls from scikit-learn's generator.

    With ``pre_dispatch="all"`` joblib notes the error and never looks at it again.
    """
    if parallel._aborting:
        parallel._raise_error_fast()


def columns_of(transformer: Any, name: str) -> Any:
    """Return the columns that a ColumnTransformer, while it is fitted, selects for a part."""
    if name == transformer._remainder[0]:
        return transformer._remainder[2]
    names = [part for part, _, _ in transformer.transformers]
    return transformer._columns[names.index(name)]


def validate_parameters(estimator: Any) -> None:
    """Raise what ``fit`` raises for parameters out of their range."""
    validate = getattr(estimator, "_validate_params", None)
    if validate is not None:
        validate()


def scores_itself(scorer: Any) -> bool:
    """Tell whether a scorer asks the estimator's own ``score``."""
    return type(scorer) is _PassthroughScorer


def responses(scorer: Any) -> set[str] | None:
    """Return the methods of an estimator that a scorer may call; None if it may do anything.

    Those of ``make_scorer`` ask for what they name, and for nothing else.
    """
    if scores_itself(scorer):
        return {"score"}
    several = type(scorer) is _MultimetricScorer
    each = list(scorer._scorers.values()) if several else [scorer]
    if not all(type(one) is _Scorer for one in each):
        return None
    named = [one._response_method for one in each]
    return {name for names in named for name in ((names,) if isinstance(names, str) else names)}


def passes_score_on(estimator: Any) -> bool:
    """Tell whether ``score`` of a Pipeline is that of its last step on what it predicts from."""
    kind = type(estimator)
    return (
        isinstance(estimator, Pipeline)
        and not {"score", "predict"} & vars(estimator).keys()
        and inspect.getattr_static(kind, "score") is vars(Pipeline)["score"]
        and inspect.getattr_static(kind, "predict") is vars(Pipeline)["predict"]
    )


def watched(scorer: Any, look: Callable[[str], None]) -> Any:
    """Return a scorer of several metrics that shows the errors it catches; others as they are."""
    if not isinstance(scorer, _MultimetricScorer):
        return scorer

    class Watched(type(scorer)):  # type: ignore[misc]  # scikit-learn is untyped
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            scores = super().__call__(*args, **kwargs)
            for score in scores.values():
                if isinstance(score, str):
                    look(score)
            return scores

    copied = copy.copy(scorer)
    copied.__class__ = Watched
    return copied


_SEARCH = inspect.unwrap(BaseSearchCV.fit).__code__
CONTEXT = "_parent_callback_ctx"
"""The attribute by which scikit-learn tells an estimator of the callbacks that watch it."""


def searching(parallel: Any) -> tuple[Any, Any] | None:
    """Return (search, the estimator that it clones) of the search that runs this ``Parallel``."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is _SEARCH and frame.f_locals.get("parallel") is parallel:
            return frame.f_locals.get("self"), frame.f_locals.get("base_estimator")
        frame = frame.f_back
    return None


def in_rounds(search: Any) -> bool:
    """Tell whether a search evaluates candidates again and again, on the same folds."""
    if search is None or getattr(search, "resource", None) == "n_samples":
        return False
    return type(search)._run_search not in (
        GridSearchCV._run_search,
        RandomizedSearchCV._run_search,
    )


def splitter(search: Any, evaluate: Callable[..., Any]) -> Any:
    """Return what a search that is being fitted splits with; it gave `evaluate` to its rounds."""
    if hasattr(search, "_checked_cv_orig"):  # from scikit-learn 1.9 on
        return search._checked_cv_orig
    return inspect.getclosurevars(evaluate).nonlocals["cv_orig"]


def cloned_by_search() -> bool:
    """Tell whether the caller was called by ``clone``, and that by a search itself: its refit."""
    frame = sys._getframe(2)
    return (
        frame.f_code is clone.__code__
        and frame.f_back is not None
        and (frame.f_back.f_code is _SEARCH)
    )
