"""The callbacks of docs/tracking.md run as they are written, against stand-ins for the services."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from jupyter_scale import runs
from jupyter_scale.runs import Record
from jupyter_scale.search import merged

PAGE = Path(__file__).parents[2] / "docs" / "tracking.md"
# the parameters of wandb 0.31's init and neptune 1.14's init_run
WANDB = [
    "entity",
    "project",
    "dir",
    "id",
    "name",
    "notes",
    "tags",
    "config",
    "config_exclude_keys",
    "config_include_keys",
    "allow_val_change",
    "group",
    "job_type",
    "mode",
    "force",
    "reinit",
    "resume",
    "resume_from",
    "fork_from",
    "save_code",
    "tensorboard",
    "sync_tensorboard",
    "monitor_gym",
    "settings",
    "anonymous",
]
NEPTUNE = [
    "with_id",
    "project",
    "api_token",
    "custom_run_id",
    "mode",
    "name",
    "description",
    "tags",
    "source_files",
    "capture_stdout",
    "capture_stderr",
    "capture_hardware_metrics",
    "fail_on_exception",
    "monitoring_namespace",
    "flush_period",
    "proxies",
    "capture_traceback",
    "git_ref",
    "dependencies",
    "async_lag_callback",
    "async_lag_threshold",
    "async_no_progress_callback",
    "async_no_progress_threshold",
]


class Run:
    """What was said of one run, by either service's words."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.fields, self.ended = options, {}, False
        self.summary: dict[str, Any] = {}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __setitem__(self, name: str, value: Any) -> None:
        self.fields[name] = dict(value)

    def __getitem__(self, name: str) -> set[str]:
        found: set[str] = self.fields.setdefault(name, set())
        return found

    def stop(self) -> None:
        assert not self.ended
        self.ended = True


def stand_in(known: list[str], made: list[Run]) -> Any:
    def init(**options: Any) -> Run:
        assert set(options) <= set(known)
        assert all(one.ended for one in made)  # one at a time
        made.append(Run(options))
        return made[-1]

    return init


def written(service: str, init: str, made: list[Run], patch: pytest.MonkeyPatch) -> Any:
    """Return the page's function for a service, whose package is a stand-in."""
    module: Any = types.ModuleType(service)
    setattr(module, init, stand_in(WANDB if service == "wandb" else NEPTUNE, made))
    patch.setitem(sys.modules, service, module)
    codes = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (one for one in codes if f"import {service}" in one)
    names: dict[str, Any] = {}
    exec(code, names)
    return names[f"to_{service}"]


@pytest.fixture
def search() -> Any:
    X, y = load_iris(return_X_y=True)
    tree = DecisionTreeClassifier(random_state=0)
    found = GridSearchCV(tree, {"max_depth": [1, 2]}, cv=2)
    record = Record(runs.opened())
    with merged(record=record):
        found.fit(X, y)
    record.close()
    with runs.opened() as store:
        store.annotate(store.find("last"), note="a note", tags=["paper"])
    return found


def test_weights_and_biases(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Run] = []
    runs.log("last", written("wandb", "init", made, monkeypatch))
    parent, *children = made
    name = search.scale_report.run
    assert {run.options["group"] for run in made} == {name}
    assert parent.options["id"] == name
    assert parent.options["config"]["best_max_depth"] == "2"
    assert parent.options["config"]["scikit-learn"].count(".") == 2
    assert (parent.options["notes"], parent.options["tags"]) == ("a note", ["paper"])
    assert parent.summary["best_score"] == search.best_score_
    assert [child.options["id"] for child in children] == [f"{name}-1", f"{name}-0"]
    assert children[0].options["config"] == {"max_depth": "2"}
    assert [child.summary["mean_test_score"] for child in children] == sorted(
        search.cv_results_["mean_test_score"], reverse=True
    )
    assert all(run.ended for run in made)


def test_neptune(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Run] = []
    runs.log("last", written("neptune", "init_run", made, monkeypatch))
    parent, *children = made
    name = search.scale_report.run
    assert parent.options["custom_run_id"] == name
    assert [run.fields["sys/group_tags"] for run in made] == [{name}] * 3
    assert parent.fields["metrics"]["best_score"] == search.best_score_
    assert parent.fields["scale"]["scikit-learn"].count(".") == 2
    assert children[0].fields["parameters"] == {"max_depth": "2"}
    assert children[0].fields["metrics"]["mean_test_score"] == search.best_score_
    assert all(run.ended for run in made)
