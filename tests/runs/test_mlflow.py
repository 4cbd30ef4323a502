"""Runs on MLflow: with its real client always, on a real server, looked at in a browser, too."""

from __future__ import annotations

import csv
import re
import shutil
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import trackers
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from jupyter_scale import runs
from jupyter_scale.runs import MLflow, Origin, Record, RecordError
from jupyter_scale.runs.mlflow import configured
from jupyter_scale.search import merged

pytest.importorskip("mlflow", reason='pip install "jupyter-scale[mlflow]"')
# of what the tests themselves ask MLflow; what a user sees of it is `logged`
pytestmark = pytest.mark.filterwarnings("ignore")
X, y = load_iris(return_X_y=True, as_frame=True)
PIPE = Pipeline([("scale", StandardScaler()), ("tree", DecisionTreeClassifier(random_state=0))])
GRID: Any = {"tree__max_depth": [1, 2, 3], "tree__criterion": ["gini", "log_loss"]}
CELL = '%%scale --seed 3\nlogin(password="hunter2hunter2")\nsearch.fit(X, y)'


@pytest.fixture(autouse=True, scope="module")
def telemetry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


def fit(search: Any, cell: str = CELL) -> Any:
    record = Record(runs.opened(), Origin(cell, notebook="/home/ada/iris.ipynb"))
    with merged(record=record):
        search.fit(X, y)
    record.close()
    return search


def client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


def there(uri: str, experiment: str) -> tuple[Any, dict[int, Any]]:
    """The parent, and its children by number."""
    known = client(uri)
    found = known.get_experiment_by_name(experiment)
    every = known.search_runs([found.experiment_id])
    (parent,) = (one for one in every if one.data.tags["scale.kind"] == "search")
    children = [one for one in every if one is not parent]
    assert {one.data.tags["mlflow.parentRunId"] for one in children} == {parent.info.run_id}
    numbered = {int(one.data.tags["scale.candidate"]): one for one in children}
    assert len(numbered) == len(children)
    return parent, numbered


def check(uri: str, experiment: str, search: Any, folder: Path) -> str:
    """Compare what is on MLflow with what the search has found; return the parent's id."""
    import mlflow

    parent, children = there(uri, experiment)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_score"] == search.best_score_
    assert parent.data.params["best_tree__max_depth"] == str(search.best_params_["tree__max_depth"])
    tags = parent.data.tags
    assert tags["scale.run"] == search.scale_report.run
    assert tags["mlflow.source.name"] == "/home/ada/iris.ipynb"
    assert tags["scale.scikit-learn"].count(".") == 2
    (data,) = parent.inputs.dataset_inputs
    assert data.dataset.digest == tags["scale.data"]
    assert len(children) == len(search.cv_results_["params"])
    for number, child in children.items():
        assert child.info.status == "FINISHED"
        for name in ("mean_test_score", "std_test_score", "split1_test_score", "mean_fit_time"):
            assert child.data.metrics[name] == search.cv_results_[name][number]
        wanted = {name: repr(v) for name, v in search.cv_results_["params"][number].items()}
        assert child.data.params == wanted
    known = client(uri)
    paths = {one.path for one in known.list_artifacts(parent.info.run_id)}
    assert paths == {"cell.py", "environment.txt", "candidates.csv"} | ({"changes.diff"} & paths)
    cell = Path(known.download_artifacts(parent.info.run_id, "cell.py", folder)).read_text()
    assert cell == CELL.replace('"hunter2hunter2"', "[hidden]")
    (model,) = known.search_logged_models([parent.info.experiment_id])
    assert model.source_run_id == parent.info.run_id
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pyfunc.load_model(model.model_uri)
    finally:
        mlflow.set_tracking_uri(None)
    assert loaded.metadata.signature.inputs.input_names() == list(X.columns)
    assert np.array_equal(loaded.predict(X), search.predict(X))
    wanted = known.list_logged_model_artifacts(model.model_id)
    assert "requirements.txt" in {one.path for one in wanted}
    return str(parent.info.run_id)


def logged(to: MLflow, name: str = "last") -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return runs.log(name, to)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store without a server: the client writes into its file."""
    pytest.importorskip("alembic")
    pytest.importorskip("sqlalchemy")
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'runs.db'}"


def test_a_run_is_written_once(
    store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    search = fit(GridSearchCV(PIPE, GRID, cv=3))
    said = logged(MLflow(store))
    parent = check(store, "iris", search, tmp_path)
    assert said == (
        f"{search.scale_report.run} is on MLflow, experiment iris: run {parent} in {store}\n"
        "  6 candidates, with the model"
    )
    before = there(store, "iris")
    with runs.opened() as record:
        record.annotate(record.find("last"), note="the first", tags=["paper", "draft"])
    assert logged(MLflow(store)) == said
    assert check(store, "iris", search, tmp_path) == parent
    after = there(store, "iris")
    assert after[0].data.tags["mlflow.note.content"] == "the first"
    assert after[0].data.tags["scale.tags"] == "draft paper"
    assert {n: one.info.run_id for n, one in before[1].items()} == {
        n: one.info.run_id for n, one in after[1].items()
    }
    assert "View run" not in "".join(capfd.readouterr())


def test_what_was_broken_off_is_completed(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    search = fit(GridSearchCV(PIPE, GRID, cv=3))
    made: list[str] = []
    create = MlflowClient.create_run

    def breaks(self: Any, *args: Any, **options: Any) -> Any:
        if len(made) == 4:
            raise ConnectionError("the line is cut")
        made.append(options["run_name"])
        return create(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", breaks)
        with pytest.raises(RecordError, match=r"did not take \w+: the line is cut"):
            logged(MLflow(store, "cut"))
    parent, children = there(store, "cut")
    assert parent.info.status == "RUNNING"
    assert len(children) == 3
    logged(MLflow(store, "cut"))
    check(store, "cut", search, tmp_path)


@pytest.mark.long
def test_of_many_candidates_the_best_have_runs(store: str, tmp_path: Path) -> None:
    search = fit(GridSearchCV(PIPE, GRID, cv=3))
    assert "the best 2 of 6 candidates" in logged(MLflow(store, "many", most=2))
    parent, children = there(store, "many")
    assert set(children) <= set(np.flatnonzero(search.cv_results_["rank_test_score"] <= 2))
    table = client(store).download_artifacts(parent.info.run_id, "candidates.csv", str(tmp_path))
    rows = list(csv.DictReader(Path(table).read_text().splitlines()))
    assert int(rows[0]["candidate"]) == search.best_index_
    assert {float(row["mean_test_score"]) for row in rows} == set(
        search.cv_results_["mean_test_score"]
    )
    assert {row["param_tree__max_depth"] for row in rows} == {"1", "2", "3"}


def test_what_failed_has_failed_there(store: str) -> None:
    search = GridSearchCV(PIPE, {"tree__max_depth": [2, -1]}, cv=2)
    with pytest.warns(UserWarning, match="fits failed|non-finite"):
        fit(search)
    logged(MLflow(store, "failing"))
    _, children = there(store, "failing")
    assert [children[n].info.status for n in (0, 1)] == ["FINISHED", "FAILED"]
    assert "InvalidParameterError" in children[1].data.tags["scale.error"]
    assert "mean_test_score" not in children[1].data.metrics


def test_no_secret_goes_there_with_the_model(store: str) -> None:
    step = FunctionTransformer(np.asarray, kw_args={"like": None})
    search = fit(GridSearchCV(Pipeline([("to", step), *PIPE.steps]), GRID, cv=2))
    search.best_estimator_.set_params(to__kw_args={"password": "hunter2hunter2"})
    said = logged(MLflow(store, "secret"))
    assert said.endswith("without the model: what looks like a secret is among its parameters")
    parent, _ = there(store, "secret")
    assert not client(store).search_logged_models([parent.info.experiment_id])


@pytest.mark.long
def test_without_its_search_a_run_has_no_model(store: str) -> None:
    fit(GridSearchCV(PIPE, GRID, cv=2, refit=False))
    said = logged(MLflow(store, "no model"))
    assert "without a model (only the kernel that has the fitted search can write it)" in said


def test_a_deleted_experiment_is_named(store: str) -> None:
    fit(GridSearchCV(PIPE, GRID, cv=2))
    known = client(store)
    known.delete_experiment(known.create_experiment("gone"))
    with pytest.raises(RecordError, match=r"experiment gone was deleted .* restore it, or name"):
        logged(MLflow(store, "gone"))


def test_a_server_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    fit(GridSearchCV(PIPE, GRID, cv=2))
    monkeypatch.setattr("jupyter_scale.runs.mlflow.PATIENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://ada:hunter2@127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RecordError, match=r"no MLflow server answers at .*Timeout") as error:
            logged(MLflow(uri))
    assert "hunter2" not in str(error.value)


def test_the_setting_is_an_address_or_more() -> None:
    assert configured() is None
    with dask.config.set({"jupyter-scale.mlflow": "http://a"}):
        assert configured() == MLflow("http://a")
        assert configured("http://b", "x") == MLflow("http://b", "x")
    with dask.config.set({"jupyter-scale.mlflow": {"uri": "http://a", "experiment": "e"}}):
        assert configured() == MLflow("http://a", "e")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_real_server_shows_it_in_a_browser(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not here: apt-get install --no-install-recommends chromium")
    search = fit(GridSearchCV(PIPE, GRID, cv=3))
    with trackers.server(tmp_path) as uri:
        said = logged(MLflow(uri))
        parent = check(uri, "iris", search, tmp_path)
        assert logged(MLflow(uri)) == said
        assert check(uri, "iris", search, tmp_path) == parent
        address = re.search(r"http\S+", said)[0]
        assert address.endswith(parent)
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(90_000)
            page.goto(address)
            page.get_by_text("best_tree__max_depth").first.wait_for()
            page.get_by_text("mean_test_score").first.wait_for()
            page.get_by_role("link", name="max_depth=3").first.wait_for()  # a candidate
            page.screenshot(path=tmp_path / "run.png")
            page.get_by_text("Artifacts", exact=True).first.click()
            page.get_by_text("environment.txt").first.click()
            page.get_by_text("scikit-learn==").first.wait_for()
            page.screenshot(path=tmp_path / "environment.png")
            listed = browser.new_page(viewport={"width": 1400, "height": 1000})
            listed.goto(f"{address.rpartition('/')[0]}", timeout=90_000)
            listed.get_by_text("GridSearchCV(Pipeline)").first.wait_for(timeout=90_000)
            listed.get_by_text("7 matching runs").wait_for(timeout=90_000)
            listed.screenshot(path=tmp_path / "runs.png")
            browser.close()
