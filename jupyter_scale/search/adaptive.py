"""Optuna's samplers propose the candidates, scikit-learn evaluates them.

`OptunaSearchCV` is a search of scikit-learn's as its own halving searches are: all that it adds is
``_run_search``, which draws candidates from a `space`, has them evaluated and tells the study what
came out, round by round (`rounds`). So splits, ``cv_results_``, scoring and the refit are
scikit-learn's code, and inside `merged` each round is planned like any search, while what was
fitted for one round stays at hand for the next (see `cache`). Optuna is imported by the first fit.

Invariants: with one candidate a round, the trials are those of Optuna's own sequential loop over
``cross_val_score``; every trial that was asked for is told how it ended; all rounds see the same
folds.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import joblib
import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from jupyter_scale.search import internals
from jupyter_scale.search.internals import BaseSearchCV
from jupyter_scale.search.rounds import Driver, Evaluator, stoppable
from jupyter_scale.search.space import Space

__all__ = ["OptunaSearchCV"]

_SEEDS = 2**31


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
        space = Space(self.param_distributions, optuna)
        stages = self._stages(space)
        self.study_ = self._study(optuna)
        cv = internals.splitter(self, evaluate_candidates)
        evaluator = Evaluator(evaluate_candidates, cv=cv, refit=self.refit)
        driver = Driver(self.study_, evaluator, stages, optuna)
        size = self.batch_size or _threads()
        deadline = math.inf if self.timeout is None else time.monotonic() + self.timeout
        left = self.n_trials
        with stoppable(self.study_) as stopped:
            while left and not stopped() and time.monotonic() < deadline:
                driver.round(space, min(size, left), self.callbacks or ())
                left -= min(size, left)
        evaluator.finish()

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

    def _stages(self, space: Space) -> list[dict[str, Any]]:
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
