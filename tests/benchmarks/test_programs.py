"""Each benchmark at a tiny size: its counts add up, its scores are equal. Times mean nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boosting
import clusters
import export
import limit
import memory
import overhead
import pytest
import recipes
from distributed import Client
from side_by_side import DASK_ML, OURS, SKLEARN, Timing, merged
from sklearn.model_selection import GridSearchCV

from jupyter_scale.search.planner import Planner

pytestmark = pytest.mark.long

Use = Callable[[ModuleType], None]


def ran(module: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert module.main(["--quick", "--workers", "2", "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    return found


def test_boosting_counts_trees_where_they_grow(
    capsys: pytest.CaptureFixture[str], on_cluster: Use, client: Client
):
    on_cluster(boosting)
    grid = recipes.boosting(6, 100, choices=1).grid
    found = ran(boosting, capsys)["values"]
    families = len(grid["learning_rate"]) * len(grid["max_depth"]) * len(grid["max_features"]) * 5
    everything = families * sum(grid["n_estimators"])
    assert found["trees"][SKLEARN] == found["trees"][DASK_ML] == everything
    assert families * max(grid["n_estimators"]) <= found["trees"][OURS] <= everything
    assert families <= found[OURS]["fits"] <= families * 4 == found[SKLEARN]["fits"]
    assert found[OURS]["scores"] == found[SKLEARN]["scores"]
    assert not any(client.run(lambda: hasattr(boosting.DecisionTreeRegressor, "grown")).values())


def test_the_limit_is_the_same_plan_in_one_process(
    capsys: pytest.CaptureFixture[str], on_cluster: Use
):
    on_cluster(limit)
    found = ran(limit, capsys, "columns")
    assert set(found["values"]) == {"columns"}
    ours, serial = (found["values"]["columns"][name] for name in (OURS, limit.SERIAL))
    assert ours["fits"] == serial["fits"]
    assert ours["scores"] == serial["scores"]
    assert len(found["values"]["columns"][limit.CROWDED]["seconds"]) == 1


def test_an_unknown_grid_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        limit.main(["nothing"])
    assert "no grid nothing: choose of text, boosting, columns" in capsys.readouterr().err


def test_overhead_compares_a_fit_with_a_fit(capsys: pytest.CaptureFixture[str], on_cluster: Use):
    on_cluster(overhead)
    found = ran(overhead, capsys)
    assert found["values"][OURS]["fits"] == 200
    assert found["values"][SKLEARN]["fits"] == found["values"][DASK_ML]["fits"] == 100
    assert all(size > 0 for size in found["values"]["bytes"].values())
    assert any("dask-ml were measured on 20 candidates" in note for note in found["notes"])


def test_planned_calls_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[int, set[str]]] = []
    add = Planner.add

    def recorded(self: Planner, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        seen.append((len(args), set(kwargs)))
        return add(self, call, args, kwargs)

    monkeypatch.setattr(Planner, "add", recorded)
    search, X, y = recipes.boosting(2, 40), *_data()
    merged(GridSearchCV(search.estimator, {"max_depth": [1]}, cv=2), X, y, Timing(), None)
    planner, _ = overhead.planned(100)
    assert seen[0] == seen[-1]
    plan = planner.plan
    assert (len(plan.cells), plan.n_calls, plan.unshared) == (100, 100, {})
    assert plan.fits_distinct < plan.fits_requested == 300


def test_peak_memory_is_that_of_the_workers(capsys: pytest.CaptureFixture[str], on_cluster: Use):
    on_cluster(memory)
    found = ran(memory, capsys)
    assert [row[:2] for row in found["rows"][1:]] == [["2", "30"], ["4", "60"]]
    for peaks in found["values"]["peaks"].values():
        assert min(peaks) >= min(found["values"]["idle"])
    assert memory.most_resident() >= memory.resident() > 0


def _data() -> tuple[Any, Any]:
    data = recipes.boosting(2, 40)
    return data.X, data.y


def test_the_start_of_a_cluster_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert clusters.main(["--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [seconds] = found["values"]["local"]
    assert seconds > 0
    assert [claim["claim"] for claim in found["claims"]] == ["local: first worker"]


def test_an_export_is_verified_each_time(capsys: pytest.CaptureFixture[str]):
    found = ran(export, capsys)
    assert {claim["claim"] for claim in found["claims"]} == set(export.LIMITS)
    assert found["values"]["pinned"] > 5
