"""Rounds of candidates: asked of a study of Optuna's, evaluated side by side, told how they did.

`Driver` speaks with the study: it asks for a round, and tells each trial's scores stage by stage
until the study's pruner has had enough. `Evaluator` speaks with scikit-learn, whose search was made
to evaluate all candidates at one time: here a round that fails as a whole ends nothing, and what is
said at the end of a search is said once, of all rounds.

Invariants: every trial that was asked for is told how it ended; equal candidates are evaluated
once; all rounds see the same folds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.exceptions import FitFailedWarning

from jupyter_scale.search import internals
from jupyter_scale.search.identity import Unidentified, identify
from jupyter_scale.search.space import Space

__all__ = ["Driver", "Evaluator", "stoppable"]

_NON_FINITE = "One or more of the (test|train) scores are non-finite"


@contextmanager
def stoppable(study: Any) -> Iterator[Callable[[], bool]]:
    """Let samplers and callbacks call ``study.stop()``, which Optuna has for its own loop only."""
    local = study._thread_local
    before, local.in_optimize_loop = local.in_optimize_loop, True
    study._stop_flag = False
    try:
        yield lambda: bool(study._stop_flag)
    finally:
        local.in_optimize_loop = before


class Driver:
    """Asks a study for candidates and tells it how they did.

    Parameters
    ----------
    study : optuna study
    evaluator : Evaluator
    stages : list of dict
        What each stage sets, in their order; a single empty one, where there are no stages.
    optuna : module
    """

    def __init__(
        self, study: Any, evaluator: Evaluator, stages: list[dict[str, Any]], optuna: Any
    ) -> None:
        self.study = study
        self.evaluator = evaluator
        self.stages = stages
        self.state = optuna.trial.TrialState

    def round(self, space: Space, size: int, callbacks: Iterable[Callable[..., None]]) -> None:
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


class Evaluator:
    """Has scikit-learn evaluate candidates, each of them once.

    Parameters
    ----------
    evaluate : callable
        The ``evaluate_candidates`` that scikit-learn hands to ``_run_search``.
    cv : splitter
    refit : bool or str
        The search's: with several metrics, the name of the one to maximise.
    """

    def __init__(self, evaluate: Callable[..., dict[str, Any]], *, cv: Any, refit: Any) -> None:
        self._refit = refit
        self._folds = _Folds(cv)
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
        name = f"mean_test_{self._refit if isinstance(self._refit, str) else 'score'}"
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


def _key(candidate: dict[str, Any]) -> Any:
    """Return what two equal candidates have in common."""
    try:
        return identify(sorted(candidate.items()))
    except Unidentified:
        return object()
