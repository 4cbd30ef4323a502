"""Optuna's candidates: the trials of its own loop, the results of scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from distributed import Client
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from jupyter_scale import OptunaSearchCV, merged

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)

X, y = make_classification(n_samples=80, n_features=6, random_state=0)
PIPE = Pipeline([("scale", StandardScaler()), ("best", SelectKBest()), ("clf", SVC())])
SPACE: dict[str, Any] = {
    "scale": [StandardScaler(), MinMaxScaler()],
    "best__k": stats.randint(1, 7),
    "clf__C": stats.loguniform(1e-3, 1e3),
    "clf__gamma": optuna.distributions.FloatDistribution(1e-3, 1.0, log=True),
}


def suggested(trial: Any) -> dict[str, Any]:
    """The same space in Optuna's words."""
    scalers = {repr(scaler): scaler for scaler in SPACE["scale"]}
    return {
        "scale": scalers[trial.suggest_categorical("scale", list(scalers))],
        "best__k": trial.suggest_int("best__k", 1, 6),
        "clf__C": trial.suggest_float("clf__C", 1e-3, 1e3, log=True),
        "clf__gamma": trial.suggest_float("clf__gamma", 1e-3, 1.0, log=True),
    }


def plain_study(n_trials: int = 20, **options: Any) -> Any:
    """Optuna alone."""

    def objective(trial: Any) -> float:
        model = clone(PIPE).set_params(**clone(suggested(trial), safe=False))
        return float(cross_val_score(model, X, y, cv=3).mean())

    sampler = optuna.samplers.TPESampler(seed=3, n_startup_trials=5)
    study = optuna.create_study(direction="maximize", sampler=sampler, **options)
    study.optimize(objective, n_trials=n_trials)
    return study


def search(space: Any = SPACE, **options: Any) -> OptunaSearchCV:
    sampler = optuna.samplers.TPESampler(seed=3, n_startup_trials=5)
    options = {"n_trials": 20, "batch_size": 1, "sampler": sampler, "cv": 3, **options}
    return OptunaSearchCV(PIPE, space, **options)


def facts(study: Any) -> list[Any]:
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in study.trials]


@pytest.mark.parametrize("space", [SPACE, suggested], ids=["distributions", "function"])
def test_the_trials_are_those_of_optunas_own_loop(where: Client | None, space: Any) -> None:
    with threadpool_limits(1):
        plain = plain_study(12)
        with merged(where):
            ours = search(space, n_trials=12).fit(X, y)
    assert facts(ours.study_) == facts(plain)
    assert ours.best_score_ == plain.best_value
    assert ours.scale_report.status == "done"


def test_without_merging_it_is_a_search_of_scikit_learn() -> None:
    with threadpool_limits(1):
        plain = plain_study(8)
        ours = search(n_trials=8, return_train_score=True).fit(X, y)
    assert facts(ours.study_) == facts(plain)
    results = ours.cv_results_
    assert list(results["trial"]) == list(range(8))
    np.testing.assert_array_equal(results["mean_test_score"], [t.value for t in plain.trials])
    assert {"mean_train_score", "param_best__k", "rank_test_score", "split2_test_score"} <= set(
        results
    )
    assert ours.best_params_ == results["params"][ours.best_index_]
    assert ours.predict(X).shape == y.shape
    again = GridSearchCV(PIPE, {k: [v] for k, v in ours.best_params_.items()}, cv=3).fit(X, y)
    assert again.best_score_ == ours.best_score_


def test_rounds_of_several_candidates(client: Client) -> None:
    with threadpool_limits(1):
        here = search(batch_size=4, n_trials=10).fit(X, y)
        with merged(client) as report:
            ours = search(batch_size=4, n_trials=10).fit(X, y)
            by_threads = search(batch_size=None, n_trials=3).fit(X, y)
    assert facts(ours.study_) == facts(here.study_)
    assert len(report.searches) == 2
    assert report.searches[0].n_cells == 30
    assert len(by_threads.study_.trials) == 3


def test_the_parameters_of_the_search_are_left_as_they_are() -> None:
    ours = search(n_trials=6)
    first = facts(ours.fit(X, y).study_)
    assert facts(clone(ours).fit(X, y).study_) == first
    assert facts(ours.fit(X, y).study_) == first
    seeded = [OptunaSearchCV(PIPE, SPACE, n_trials=4, random_state=0, cv=3) for _ in range(2)]
    assert facts(seeded[0].fit(X, y).study_) == facts(seeded[1].fit(X, y).study_)
    state = np.random.RandomState(0)
    drawn = [
        OptunaSearchCV(PIPE, SPACE, n_trials=2, random_state=state, cv=3).fit(X, y).best_params_
        for _ in range(2)
    ]
    assert drawn[0] != drawn[1]


def test_it_can_be_pickled_and_stands_in_other_tools() -> None:
    fitted = pickle.loads(pickle.dumps(search(n_trials=3).fit(X, y)))
    assert len(fitted.study_.trials) == 3
    np.testing.assert_array_equal(fitted.predict(X), search(n_trials=3).fit(X, y).predict(X))
    inner = search(n_trials=2)
    with merged():
        scores = cross_validate(make_pipeline(MinMaxScaler(), inner), X, y, cv=2)
        GridSearchCV(inner, {"n_trials": [1, 2]}, cv=2).fit(X, y)
    assert np.isfinite(scores["test_score"]).all()


# -- studies


def test_it_goes_on_with_a_study() -> None:
    plain = plain_study(8)
    study = plain_study(5)
    ours = search(study=study, n_trials=3).fit(X, y)
    assert ours.study_ is study
    assert facts(study) == facts(plain)
    assert list(ours.cv_results_["trial"]) == [5, 6, 7]


def test_a_study_that_minimises_is_refused() -> None:
    with pytest.raises(ValueError, match='create_study\\(direction="maximize"\\)'):
        search(study=optuna.create_study()).fit(X, y)


def test_callbacks_and_a_timeout_end_it() -> None:
    seen = []

    def third(study: Any, trial: Any) -> None:
        seen.append(trial.value)
        if trial.number == 2:
            study.stop()

    ours = search(callbacks=[third]).fit(X, y)
    assert seen == [trial.value for trial in ours.study_.trials]
    assert len(ours.cv_results_["params"]) == 3
    with pytest.raises(IndexError):  # as scikit-learn says that there were no candidates
        search(timeout=0.0).fit(X, y)


def test_equal_candidates_are_evaluated_once() -> None:
    ours = OptunaSearchCV(SVC(), {"C": [1, 1.0, True]}, n_trials=9, batch_size=3, cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)  # scikit-learn takes no True
        ours.fit(X, y)
    assert len(ours.study_.trials) == 9
    drawn = {trial.params["C"] for trial in ours.study_.trials}
    assert drawn <= {"1", "1.0", "True"}
    assert len(ours.cv_results_["params"]) == len(drawn)


# -- stages


RUNGS = [2, 5]


@pytest.mark.parametrize(
    "pruner",
    [
        optuna.pruners.MedianPruner(n_startup_trials=2),
        optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=2),
    ],
    ids=["median", "halving"],
)
def test_a_pruner_ends_candidates_between_stages(where: Client | None, pruner: Any) -> None:
    model = GradientBoostingClassifier(random_state=0)
    space = {"learning_rate": stats.loguniform(1e-3, 1.0), "max_depth": stats.randint(1, 4)}

    def objective(trial: Any) -> float:
        rate = trial.suggest_float("learning_rate", 1e-3, 1.0, log=True)
        depth = trial.suggest_int("max_depth", 1, 3)
        score = 0.0
        for rung in RUNGS:
            settings = {"learning_rate": rate, "max_depth": depth, "n_estimators": rung}
            score = cross_val_score(clone(model).set_params(**settings), X, y, cv=3).mean()
            trial.report(score, rung)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(score)

    sampler = optuna.samplers.TPESampler(seed=0)
    plain = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    plain.optimize(objective, n_trials=8)
    ours = OptunaSearchCV(
        model,
        space,
        n_trials=8,
        batch_size=1,
        staged={"n_estimators": RUNGS},
        pruner=pruner,
        random_state=0,
        cv=3,
    )
    with merged(where):
        ours.fit(X, y)
    assert facts(ours.study_) == facts(plain)
    pruned = [trial for trial in plain.trials if trial.state.name == "PRUNED"]
    assert pruned
    steps = sum(len(trial.intermediate_values) for trial in plain.trials)
    assert len(ours.cv_results_["params"]) == steps
    assert ours.best_score_ == max(max(t.intermediate_values.values()) for t in plain.trials)


# -- failures


class Picky(ClassifierMixin, BaseEstimator):
    """Fails for negative values."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def fit(self, X: Any, y: Any) -> Picky:
        if self.value < 0:
            raise ValueError("negative")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[0])


def both(model: Any, X: Any, y: Any) -> dict[str, float]:
    return {"right": float((model.predict(X) == y).mean()), "one": 1.0}


@pytest.mark.parametrize("options", [{}, {"scoring": both, "refit": "right"}])
def test_candidates_that_fail_are_failed_trials(
    where: Client | None, options: dict[str, Any]
) -> None:
    sampler = optuna.samplers.GridSampler({"value": [-2, -1, 0, 1]}, seed=2)
    ours = OptunaSearchCV(
        Picky(), {"value": [-2, -1, 0, 1]}, n_trials=4, sampler=sampler, batch_size=1, cv=3
    ).set_params(**options)
    with merged(where), warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        ours.fit(X, y)
    states = {trial.params["value"]: trial.state.name for trial in ours.study_.trials}
    assert states == {-2: "FAIL", -1: "FAIL", 0: "COMPLETE", 1: "COMPLETE"}
    assert len(ours.cv_results_["params"]) == 4
    assert ours.best_params_["value"] >= 0
    assert [w.category for w in log] == [FitFailedWarning, FitFailedWarning, UserWarning]


def test_all_that_fails_is_an_error() -> None:
    ours = OptunaSearchCV(Picky(), {"value": [-2, -1]}, n_trials=3, cv=2, batch_size=1)
    with pytest.raises(ValueError, match="fits failed"), pytest.warns(FitFailedWarning):
        ours.fit(X, y)
    raising = ours.set_params(error_score="raise")
    with pytest.raises(ValueError, match="negative"):
        raising.fit(X, y)
    assert [trial.state.name for trial in raising.study_.trials] == ["FAIL"]


def test_a_number_for_failures_is_a_score() -> None:
    ours = OptunaSearchCV(Picky(), {"value": [-1]}, n_trials=1, cv=2, error_score=0.25)
    with pytest.raises(ValueError, match="fits failed"), pytest.warns(FitFailedWarning):
        ours.fit(X, y)
    assert ours.study_.trials[0].value == 0.25


# -- small print


def test_a_splitter_without_a_seed_splits_once() -> None:
    seen: list[bytes] = []

    def look(model: Any, X: Any, y: Any) -> float:
        seen.append(X.tobytes())
        return 0.0

    values = [1.0, 2.0]
    ours = OptunaSearchCV(
        SVC(),
        {"C": values},
        n_trials=9,
        sampler=optuna.samplers.GridSampler({"C": values}),
        cv=KFold(3, shuffle=True),
        scoring=look,
        batch_size=1,
    ).fit(X, y)
    assert len(ours.study_.trials) == 2, "the sampler has ended it"
    assert seen[:3] == seen[3:]


def test_several_metrics() -> None:
    metrics = ["accuracy", "f1"]
    ours = search(scoring=metrics, refit="f1", n_trials=3).fit(X, y)
    values = [trial.value for trial in ours.study_.trials]
    assert values == list(ours.cv_results_["mean_test_f1"])
    with pytest.raises(ValueError, match="several metrics"):
        search(scoring=metrics, refit=False, n_trials=3).fit(X, y)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"param_distributions": {"clf__C": stats.norm(0, 1)}}, r"\['clf__C'\].*scipy.stats"),
        ({"param_distributions": {"clf__C": stats.loguniform(1, 2, loc=1)}}, "without loc"),
        ({"param_distributions": {"clf__C": []}}, "a list of choices"),
        ({"staged": {"clf__C": [1]}}, "leave it out of param_distributions"),
        ({"staged": {"best__k": [3, 2]}, "param_distributions": {}}, "rising whole numbers"),
        ({"staged": {}}, "name one parameter"),
        ({"n_trials": 0}, "'n_trials' parameter"),
    ],
)
def test_clear_errors(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        search().set_params(**options).fit(X, y)


def test_optuna_is_imported_by_the_first_fit_only() -> None:
    code = "import sys, jupyter_scale; sys.exit('optuna' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_optuna_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'pip install "jupyter-scale\[optuna\]"'):
        search().fit(X, y)
