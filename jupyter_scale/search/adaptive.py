"""Optuna's samplers propose the candidates, scikit-learn evaluates them.

`OptunaSearchCV` is a search of scikit-learn's as its own halving searches are: all that it adds is
``_run_search``, which asks the study for candidates, has them evaluated and tells the study what
came out, round by round. So splits, ``cv_results_``, scoring and the refit are scikit-learn's code,
and inside `merged` each round is planned like any search, while what was fitted for one round stays
at hand for the next (see `cache`). Optuna is imported by the first fit.

Invariants: with one candidate a round, the trials are those of Optuna's own sequential loop over
``cross_val_score``; every trial that was asked for is told how it ended; all rounds see the same
folds.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar

import joblib
import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from jupyter_scale.search import internals
from jupyter_scale.search.identity import Unidentified, identify
from jupyter_scale.search.internals import BaseSearchCV

__all__ = ["OptunaSearchCV"]

_SEEDS = 2**31
_NON_FINITE = "One or more of the (test|train) scores are non-finite"


class OptunaSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn is untyped
    """A search whose candidates are proposed by a sampler of Optuna's.

    Parameters
    ----------
    estimator : estimator
        What the candidates configure.
    param_distributions : dict of str to distribution, or callable
        Per parameter one of Optuna's distributions, a list of choices of any kind, or a frozen
        ``scipy.stats`` ``uniform``, ``loguniform`` or ``randint``. Or a function from a trial to
        parameters, in Optuna's own style: ``lambda trial: {"C": trial.suggest_float("C", 0, 1)}``.
    n_trials : int
        How many candidates to ask for.
    timeout : float, optional
        Seconds after which no more candidates are asked for; a round that has begun is finished.
    batch_size : int, optional
        Candidates asked for at a time, and evaluated side by side. By default the number of threads
        of the cluster that the search is `merged` on, else 1. The sampler learns between rounds, so
        other sizes lead to other candidates.
    staged : dict of str to list, optional
        One parameter with its rising values, such as ``{"n_estimators": [25, 50, 100]}``. Each
        candidate is evaluated with one after the other, and the mean score is reported to the study
        as the intermediate value of that step; it ends when the study's pruner says so. Every stage
        is a fit of its own and a row of ``cv_results_``, any of which can be the best.
    sampler : optuna sampler, optional
        By default a ``TPESampler`` seeded by `random_state`. A copy of it is used.
    pruner : optuna pruner, optional
        For `staged`; by default Optuna's, a ``MedianPruner``.
    study : optuna study, optional
        Goes on with a study, which keeps its own sampler and pruner. It must maximise, as scores of
        scikit-learn do; its earlier trials teach the sampler and are not in ``cv_results_``.
    callbacks : list of callable, optional
        Called with the study and each finished trial; ``study.stop()`` in one ends the search.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in ``RandomizedSearchCV``. With several metrics, `refit` names the one to maximise.
    random_state : int, RandomState or None
        Seeds the default sampler.

    Attributes
    ----------
    study_ : optuna study
        All trials. A candidate without a finite score is a failed trial.
    cv_results_ : dict
        As ever; ``trial`` is the number of the trial. What a sampler proposes again is not
        evaluated again: the study is told the same score, and there is no other row.

    Raises
    ------
    ImportError
        By ``fit``, without Optuna.
    ValueError
        By ``fit``, for a distribution or study that cannot be used, or if every fit failed.

    Notes
    -----
    A splitter that shuffles without a seed is asked once: all candidates see the same folds.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from jupyter_scale import OptunaSearchCV, merged
    >>> search = OptunaSearchCV(
    ...     make_pipeline(StandardScaler(), LogisticRegression()),
    ...     {"logisticregression__C": loguniform(1e-3, 1e3)},
    ...     n_trials=6,
    ...     random_state=0,
    ... )
    >>> with merged():
    ...     _ = search.fit(*load_iris(return_X_y=True))
    >>> len(search.study_.trials), search.best_score_ > 0.9
    (6, np.True_)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSearchCV._parameter_constraints,
        "param_distributions": [dict, callable],
        "n_trials": [Interval(Integral, 1, None, closed="left")],
        "timeout": [Interval(Real, 0, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "staged": [dict, None],
        "sampler": "no_validation",
        "pruner": "no_validation",
        "study": "no_validation",
        "callbacks": [list, tuple, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Mapping[str, Any] | Callable[[Any], dict[str, Any]],
        *,
        n_trials: int = 10,
        timeout: float | None = None,
        batch_size: int | None = None,
        staged: Mapping[str, Sequence[Any]] | None = None,
        sampler: Any = None,
        pruner: Any = None,
        study: Any = None,
        callbacks: Sequence[Callable[[Any, Any], None]] | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        self.param_distributions = param_distributions
        self.n_trials = n_trials
        self.timeout = timeout
        self.batch_size = batch_size
        self.staged = staged
        self.sampler = sampler
        self.pruner = pruner
        self.study = study
        self.callbacks = callbacks
        self.random_state = random_state
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )

    def _run_search(self, evaluate_candidates: Callable[..., dict[str, Any]]) -> None:
        """Ask, evaluate, tell, until there are enough trials."""
        optuna = _optuna()
        space = _Space(self.param_distributions, optuna)
        stages = self._stages(space)
        self.study_ = self._study(optuna)
        driver = _Driver(self.study_, _Evaluator(self, evaluate_candidates), stages, optuna)
        size = self.batch_size or _threads()
        deadline = math.inf if self.timeout is None else time.monotonic() + self.timeout
        left = self.n_trials
        with _stoppable(self.study_) as stopped:
            while left and not stopped() and time.monotonic() < deadline:
                driver.round(space, min(size, left), self.callbacks or ())
                left -= min(size, left)
        driver.evaluator.finish()

    def _study(self, optuna: Any) -> Any:
        """Return the study to ask."""
        if self.study is not None:
            if self.study.directions != [optuna.study.StudyDirection.MAXIMIZE]:
                raise ValueError(
                    "the study must maximise one value, as a scorer of scikit-learn does: "
                    'make it with optuna.create_study(direction="maximize")'
                )
            return self.study
        sampler = copy.deepcopy(self.sampler)
        if sampler is None:
            sampler = optuna.samplers.TPESampler(seed=_seed(self.random_state))
        return optuna.create_study(sampler=sampler, pruner=self.pruner, direction="maximize")

    def _stages(self, space: _Space) -> list[dict[str, Any]]:
        """Return what each stage sets; one that sets nothing, where there are no stages."""
        if self.staged is None:
            return [{}]
        if len(self.staged) != 1:
            raise ValueError(f"staged={self.staged!r}: name one parameter")
        ((name, values),) = self.staged.items()
        if name in space.distributions:
            raise ValueError(f"{name} is staged, so leave it out of param_distributions")
        steps = list(values)
        rising = all(a < b for a, b in itertools.pairwise(steps))
        if not steps or not rising or not all(isinstance(step, Integral) for step in steps):
            raise ValueError(f"staged={self.staged!r}: give rising whole numbers")
        return [{name: step} for step in steps]


@contextmanager
def _stoppable(study: Any) -> Iterator[Callable[[], bool]]:
    """Let samplers and callbacks call ``study.stop()``, which Optuna has for its own loop only."""
    local = study._thread_local
    before, local.in_optimize_loop = local.in_optimize_loop, True
    study._stop_flag = False
    try:
        yield lambda: bool(study._stop_flag)
    finally:
        local.in_optimize_loop = before


class _Driver:
    """Asks a study for candidates and tells it how they did."""

    def __init__(
        self, study: Any, evaluator: _Evaluator, stages: list[dict[str, Any]], optuna: Any
    ) -> None:
        self.study = study
        self.evaluator = evaluator
        self.stages = stages
        self.state = optuna.trial.TrialState

    def round(self, space: _Space, size: int, callbacks: Iterable[Callable[..., None]]) -> None:
        """Evaluate so many candidates; whatever happens, no trial is left open."""
        trials: list[Any] = []
        try:
            parameters = []
            for _ in range(size):
                trials.append(self.study.ask(space.distributions))
                parameters.append(space.parameters(trials[-1]))
            self._run(list(zip(trials, parameters, strict=True)))
        except BaseException:
            for trial in trials:
                self.study.tell(trial, state=self.state.FAIL, skip_if_finished=True)
            raise
        done = self.study.get_trials(deepcopy=False)
        for callback in callbacks:
            for trial in trials:
                callback(self.study, done[trial.number])

    def _run(self, alive: list[tuple[Any, dict[str, Any]]]) -> None:
        for stage in self.stages:
            candidates = [{**parameters, **stage} for _, parameters in alive]
            scores = self.evaluator.scores(candidates, [trial.number for trial, _ in alive])
            alive = [
                candidate
                for candidate, score in zip(alive, scores, strict=True)
                if self._goes_on(candidate[0], score, stage)
            ]
            if not alive:
                break

    def _goes_on(self, trial: Any, score: float, stage: dict[str, Any]) -> bool:
        """Tell the study of a score; return whether the trial has a stage to come."""
        if not math.isfinite(score):
            self.study.tell(trial, state=self.state.FAIL)
            return False
        for step in stage.values():
            trial.report(score, int(step))
            if trial.should_prune():
                self.study.tell(trial, state=self.state.PRUNED)
                return False
        if stage is self.stages[-1]:
            self.study.tell(trial, score)
            return False
        return True


class _Evaluator:
    """Has scikit-learn evaluate candidates, each of them once."""

    def __init__(self, search: OptunaSearchCV, evaluate: Callable[..., dict[str, Any]]) -> None:
        self._search = search
        self._folds = _Folds(internals.splitter(search, evaluate))
        self._known: dict[Any, float] = {}
        self._all: list[dict[str, Any]] = []
        self._failure: ValueError | None = None
        self._evaluate = internals.substituted(
            evaluate,
            _warn_or_raise_about_fit_failures=self._failures,
            _insert_error_scores=self._error_scores,
        )

    def scores(self, candidates: list[dict[str, Any]], trials: list[int]) -> list[float]:
        """Return the mean test score of each candidate."""
        keys = [_key(candidate) for candidate in candidates]
        new: dict[Any, int] = {}
        for place, key in enumerate(keys):
            if key not in self._known:
                new.setdefault(key, place)
        if new:
            with warnings.catch_warnings():
                # of all candidates so far, and again in each round: `finish` says it once
                warnings.filterwarnings("ignore", _NON_FINITE, UserWarning)
                results = self._evaluate(
                    [candidates[place] for place in new.values()],
                    cv=self._folds,
                    more_results={"trial": [trials[place] for place in new.values()]},
                )
            scores = self._mean(results)[-len(new) :]
            self._known.update(zip(new, map(float, scores), strict=True))
        return [self._known[key] for key in keys]

    def finish(self) -> None:
        """Say what every search of scikit-learn's says at its end.

        Raises
        ------
        ValueError
            If all fits failed.
        """
        scores = list(self._known.values())
        if self._failure is not None and all(result["fit_error"] for result in self._all):
            raise self._failure
        if not np.isfinite(scores).all():
            warnings.warn(f"{_NON_FINITE.replace('(test|train)', 'test')}: {scores}", stacklevel=2)

    def _mean(self, results: dict[str, Any]) -> Any:
        refit = self._search.refit
        name = f"mean_test_{refit if isinstance(refit, str) else 'score'}"
        name = name if name in results else "mean_test_score"  # all have failed so far
        if name not in results:
            raise ValueError('there are several metrics: name the one to maximise, refit="..."')
        return results[name]

    def _failures(self, results: list[dict[str, Any]], error_score: Any) -> None:
        """Warn of a round whose fits all failed: others may do better."""
        self._all += results
        try:
            internals.fit_failures(results, error_score)
        except ValueError as error:
            self._failure = error
            warnings.warn(str(error), FitFailedWarning, stacklevel=2)

    def _error_scores(self, results: list[dict[str, Any]], error_score: Any) -> None:
        # only a fit that succeeds, perhaps in a later round, tells the names of the metrics
        internals.insert_error_scores(self._all, error_score)


class _Folds:
    """A splitter that splits once."""

    def __init__(self, cv: Any) -> None:
        self._cv = cv
        self._folds: list[Any] | None = None

    def split(self, *data: Any, **params: Any) -> list[Any]:
        if self._folds is None:
            self._folds = list(self._cv.split(*data, **params))
        return self._folds


class _Space:
    """What candidates are drawn from.

    Attributes
    ----------
    distributions : dict
        Optuna's. Choices that Optuna could not store, or tell apart, are known to it by a label.
    """

    def __init__(self, given: Any, optuna: Any) -> None:
        self._own = given if callable(given) else None
        self._labels: dict[str, dict[str, Any]] = {}
        self._optuna = optuna
        self.distributions = (
            {} if callable(given) else {n: self._distribution(n, d) for n, d in given.items()}
        )

    def parameters(self, trial: Any) -> dict[str, Any]:
        """Return the candidate of a trial."""
        if self._own is not None:
            return dict(self._own(trial))
        return {
            name: self._labels[name][trial.params[name]]
            if name in self._labels
            else trial.params[name]
            for name in self.distributions
        }

    def _distribution(self, name: str, given: Any) -> Any:
        kinds = self._optuna.distributions
        if isinstance(given, kinds.BaseDistribution):
            return given
        if isinstance(given, list | tuple | np.ndarray) and len(given):
            return kinds.CategoricalDistribution(self._choices(name, list(given)))
        kind = getattr(getattr(given, "dist", None), "name", None)
        low, high = given.support() if kind else (0, 0)
        if kind == "randint":
            return kinds.IntDistribution(int(low), int(high))
        if kind == "uniform":
            return kinds.FloatDistribution(float(low), float(high))
        if kind in ("loguniform", "reciprocal") and _location(given) == 0:
            return kinds.FloatDistribution(float(low), float(high), log=True)
        raise ValueError(
            f"param_distributions[{name!r}] is {given!r}: give one of optuna.distributions, a list "
            "of choices, or uniform, loguniform (without loc) or randint of scipy.stats"
        )

    def _choices(self, name: str, values: list[Any]) -> list[Any]:
        simple = all(value is None or type(value) in (bool, int, float, str) for value in values)
        if simple and len(set(values)) == len(values):
            return values
        labels = [repr(value) for value in values]
        if len(set(labels)) < len(labels):
            labels = [f"{place}: {label}" for place, label in enumerate(labels)]
        self._labels[name] = dict(zip(labels, values, strict=True))
        return labels


def _location(given: Any) -> float:
    """Return ``loc`` of a frozen distribution."""
    _, loc, _ = given.dist._parse_args(*given.args, **given.kwds)
    return float(loc)


def _key(candidate: dict[str, Any]) -> Any:
    """Return what two equal candidates have in common."""
    try:
        return identify(sorted(candidate.items()))
    except Unidentified:
        return object()


def _seed(random_state: Any) -> int | None:
    """Return a seed for Optuna: an int as it is."""
    if random_state is None or isinstance(random_state, Integral):
        return None if random_state is None else int(random_state)
    return int(check_random_state(random_state).randint(_SEEDS))


def _threads() -> int:
    """Return the threads of the cluster that this search is merged on, or 1."""
    backend, _ = joblib.parallel.get_active_backend()
    return int(getattr(backend, "threads", 1))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            'OptunaSearchCV needs Optuna: pip install "jupyter-scale[optuna]"', name="optuna"
        ) from error
    return optuna
