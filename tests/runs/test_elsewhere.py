"""Runs in other programs: files, and Optuna's dashboard."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from processes import free_port, wait_for
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from jupyter_scale import runs
from jupyter_scale.runs import Record, RecordError
from jupyter_scale.search import merged


@pytest.fixture
def search() -> Any:
    """A search on record."""
    X, y = load_iris(return_X_y=True)
    steps = [("pca", PCA(random_state=0)), ("svc", LogisticRegression(max_iter=2000))]
    grid = {
        "pca__n_components": [1, 2],
        "svc__C": [0.01, np.float64(1.5)],
        "svc__class_weight": [None, "balanced"],
    }
    found = GridSearchCV(Pipeline(steps), grid, cv=2)
    record = Record(runs.opened())
    with merged(record=record):
        found.fit(X, y)
    record.close()
    return found


@pytest.mark.parametrize("name", ["cells.csv", "cells.parquet"])
def test_cells_are_written_to_a_file(search: Any, tmp_path: Path, name: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    runs.save(tmp_path / name)
    path = tmp_path / name
    read = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    assert len(read) == 16
    assert set(read["run"]) == {search.scale_report.run}
    means = read.groupby("candidate")["test_score"].mean()
    # releases of pandas sum in other orders
    np.testing.assert_allclose(means, search.cv_results_["mean_test_score"], rtol=1e-14)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"ends in .parquet or .csv"):
        runs.save(tmp_path / "cells.xlsx")


def test_a_run_is_a_study(search: Any) -> None:
    study = runs.study("last")
    assert study.study_name == search.scale_report.run
    assert study.best_value == search.best_score_
    assert study.best_trial.user_attrs["candidate"] == search.best_index_
    best = {name: str(value) for name, value in search.best_params_.items()}
    found = {name: str(value).strip("'") for name, value in study.best_params.items()}
    assert found == best
    kinds = {name: type(one).__name__ for name, one in study.trials[0].distributions.items()}
    assert kinds == {
        "pca__n_components": "IntDistribution",
        "svc__C": "FloatDistribution",
        "svc__class_weight": "CategoricalDistribution",
    }
    with pytest.raises(RecordError, match="No run nonsense is on record"):
        runs.study("nonsense")


@pytest.mark.long
def test_optuna_s_dashboard_shows_it(search: Any, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'runs.db'}"
    runs.study("last", storage)
    with pytest.raises(RecordError, match=r"has a study .* already"):
        runs.study("last", storage)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["-c", "from optuna_dashboard._cli import main; main()", storage]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
        )
    try:

        def studies() -> list[dict[str, Any]]:
            with suppress(OSError), urllib.request.urlopen(f"{address}/api/studies") as answer:
                found: list[dict[str, Any]] = json.load(answer)["study_summaries"]
                return found
            return []

        wait_for(lambda: bool(studies()), 60)
        (known,) = studies()
        assert known["study_name"] == search.scale_report.run
        with urllib.request.urlopen(f"{address}/api/studies/{known['study_id']}") as answer:
            trials = json.load(answer)["trials"]
        assert sorted(trial["values"][0] for trial in trials) == sorted(
            search.cv_results_["mean_test_score"]
        )
    finally:
        server.terminate()
        server.wait(20)
