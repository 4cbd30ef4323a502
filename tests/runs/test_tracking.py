"""What a tracking service is given, and what goes wrong there costs the search nothing."""

from __future__ import annotations

import gc
import re
import time
from pathlib import Path
from typing import Any

import dask
import pytest
from IPython.core.interactiveshell import InteractiveShell
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next one there
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.tree import DecisionTreeClassifier

from jupyter_scale import runs
from jupyter_scale.runs import Origin, Record, RecordError, Tracked
from jupyter_scale.search import merged
from jupyter_scale.search.fitted import fitted

X, y = load_iris(return_X_y=True, as_frame=True)
TREE = DecisionTreeClassifier(random_state=0)
SECRET = "hunter2hunter2"


def fit(search: Any, cell: str = "", **options: Any) -> Any:
    record = Record(runs.opened(), Origin(cell, notebook="/home/ada/iris.ipynb", options=options))
    with merged(record=record):
        search.fit(X, y)
    record.close()
    return search


def grid(**more: Any) -> Any:
    return GridSearchCV(TREE, {"max_depth": [1, 2, 3], "criterion": ["gini", "log_loss"]}, **more)


def test_a_run_is_told_as_cv_results_has_it() -> None:
    search = fit(grid(cv=4, return_train_score=True), "%%scale\nsearch.fit(X, y)", seed=3)
    found = runs.tracked("last")
    assert found.run.id == search.scale_report.run
    assert found.candidates[0].number == search.best_index_
    for one in found.candidates:
        row = {name: column[one.number] for name, column in search.cv_results_.items()}
        assert one.parameters == {name: repr(value) for name, value in row["params"].items()}
        left_out = re.compile("param|split._train")
        wanted = {name: value for name, value in row.items() if not left_out.match(name)}
        assert one.metrics == wanted
        assert found.run.started <= one.started <= one.ended <= time.time()
        assert one.name == f"criterion={row['params']['criterion']!r}, max_depth=" + str(
            row["params"]["max_depth"]
        )
    assert found.metrics["best_score"] == found.metrics["mean_test_score"] == search.best_score_
    assert found.metrics["cells_done"] == 24
    assert found.parameters == {
        **{f"best_{name}": repr(value) for name, value in search.best_params_.items()},
        "seed": "3",
    }
    assert found.tags["notebook"] == "/home/ada/iris.ipynb"
    assert found.tags["scikit-learn"].count(".") == 2
    assert found.tags["seed"] == "3"
    assert found.texts["cell.py"] == "%%scale\nsearch.fit(X, y)"
    assert "scikit-learn==" in found.texts["environment.txt"]
    assert found.model is not None
    assert found.model.estimator is search.best_estimator_
    assert list(found.model.rows.columns) == list(X.columns)
    assert len(found.model.rows) == 5


def test_several_metrics_keep_their_names() -> None:
    search = fit(grid(scoring=["accuracy", "f1_macro"], refit="f1_macro"))
    best = runs.tracked().candidates[0]
    assert best.metrics["mean_test_f1_macro"] == search.best_score_
    assert best.metrics["mean_test_accuracy"] == search.cv_results_["mean_test_accuracy"][
        search.best_index_
    ]  # fmt: skip


def test_the_best_of_successive_halving_is_the_last_round_s() -> None:
    search = fit(HalvingGridSearchCV(TREE, {"max_depth": [1, 2, 3, 4]}, random_state=0, cv=3))
    found = runs.tracked()
    assert found.metrics["mean_test_score"] == found.metrics["best_score"] == search.best_score_
    assert len(found.candidates) == len(search.cv_results_["params"])


def test_a_failed_candidate_says_why() -> None:
    bad = GridSearchCV(LogisticRegression(max_iter=2000), {"C": [1.0, -1.0]}, cv=2)
    with (
        pytest.warns(UserWarning, match="scores are non-finite"),
        pytest.warns(FitFailedWarning, match="2 fits failed"),
    ):
        fit(bad)
    good, failed = runs.tracked().candidates
    assert good.error == ""
    assert "InvalidParameterError" in failed.error
    assert "mean_test_score" not in failed.metrics


def test_a_model_is_there_as_long_as_its_search() -> None:
    search = fit(grid())
    run = search.scale_report.run
    assert fitted(run) is not None
    again = fit(search).scale_report.run
    assert fitted(run) is None
    assert fitted(again) is not None
    del search
    gc.collect()
    assert fitted(again) is None
    fit(kept := grid(refit=False))
    assert runs.tracked().model is None
    del kept


def test_nothing_secret_is_told() -> None:
    fit(grid(), f'%%scale\nlogin(password="{SECRET}")')
    with runs.opened() as store:
        store.annotate(store.find("last"), note=f'token="{SECRET}"', tags=["paper"])
    found = runs.tracked()
    assert found.tags["tags"] == "paper"
    assert SECRET not in repr(found)


@pytest.fixture
def search(shell: InteractiveShell) -> InteractiveShell:
    shell.user_ns.update(X=X, y=y, search=grid(), other=grid(cv=2))
    return shell


def test_each_search_of_a_cell_is_told(
    search: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Tracked] = []

    def tracker(one: Tracked) -> str:
        told.append(one)
        return f"told of {one.run.id}"

    with dask.config.set({"jupyter-scale.callbacks": [tracker]}):
        search.run_cell("%%scale --local\nsearch.fit(X, y); other.fit(X, y)").raise_error()
    assert [one.run.status for one in told] == ["done", "done"]
    ids = [search.user_ns[name].scale_report.run for name in ("search", "other")]
    assert [one.run.id for one in told] == ids
    assert all(one.model is not None for one in told)
    assert f"told of {ids[1]}" in capsys.readouterr().out


def test_what_goes_wrong_there_is_one_line(
    search: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def broken(one: Tracked) -> None:
        told.append(one.run.id)
        raise ValueError(f'no room for password="{SECRET}"\nand more')

    setting = {"jupyter-scale.callbacks": [broken, lambda one: told.append(one.name)]}
    with dask.config.set(setting):
        cell = "%%scale --local\nsearch.fit(X, y); other.fit(X, y)"
        search.run_cell(cell).raise_error()
    _, err = capsys.readouterr()
    (line,) = err.strip().splitlines()
    assert "broken did not take" in line
    assert "no room for password=[hidden] and more. %scale log" in line
    assert len(told) == 3  # the broken one is not asked again
    with runs.opened() as store:
        assert [run.status for run in store.runs()] == ["done", "done"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"callbacks": "nothing.there:f"}, "'nothing.there:f' cannot be imported"),
        ({"callbacks": ["math"]}, "'math': write module:name, or a function"),
        ({"callbacks": ["math:pi"]}, "'math:pi' is no function"),
        ({"mlflow": {"url": "x"}}, "write an address, or uri: and experiment:"),
        ({"mlflow": "http://127.0.0.1:9"}, "no MLflow server answers at http://127.0.0.1:9"),
    ],
)
def test_a_wrong_setting_is_one_line(
    search: InteractiveShell, capsys: pytest.CaptureFixture[str], setting: Any, words: str
) -> None:
    with dask.config.set({f"jupyter-scale.{name}": value for name, value in setting.items()}):
        search.run_cell("%%scale --local\nsearch.fit(X, y)").raise_error()
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert words in line
        search.run_cell("%scale log last")
        assert words in "".join(capsys.readouterr())
    assert search.user_ns["search"].best_score_ > 0.9


def test_a_callback_is_named_where_it_can_be_imported(
    search: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mytracking.py").write_text("told = []\ntake = told.append\n")
    monkeypatch.syspath_prepend(tmp_path)
    with dask.config.set({"jupyter-scale.callbacks": ["mytracking:take"]}):
        search.run_cell("%%scale --local\nsearch.fit(X, y)").raise_error()
    import mytracking

    assert [one.run.name for one in mytracking.told] == ["GridSearchCV(DecisionTreeClassifier)"]


def test_where_to_is_asked(search: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    search.run_cell("%%scale --local\nsearch.fit(X, y)").raise_error()
    search.run_cell("%scale log last")
    assert "Where to? Say --mlflow URI" in "".join(capsys.readouterr())
    with pytest.raises(RecordError, match="No run nonsense is on record"):
        runs.log("nonsense", lambda one: None)
