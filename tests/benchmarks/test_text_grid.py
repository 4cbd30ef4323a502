"""The benchmark runs, compares real scores, and fails when a promise is not kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType

import pytest
import side_by_side
import text_grid
from side_by_side import CACHED, DASK_ML, OURS, SKLEARN, Timing
from text_grid import FLOOR


def timings(ours: float, sklearn: float, dask_ml: float) -> dict[str, Timing]:
    scores = {"candidate": [0.5, 0.25]}
    return {
        OURS: Timing([ours, ours + 1, ours - 1], 90, scores),
        DASK_ML: Timing([dask_ml], None, scores),
        SKLEARN: Timing([sklearn], 180, scores),
        CACHED: Timing([sklearn], None, scores),
        FLOOR: Timing([ours / 2], 90, scores),
    }


@pytest.mark.long
def test_a_small_run_measures_equal_scores(
    capsys: pytest.CaptureFixture[str], on_cluster: Callable[[ModuleType], None]
):
    on_cluster(text_grid)
    assert text_grid.main(["--quick", "--workers", "2", "--refit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["values"]
    assert found[OURS]["fits"] == found[FLOOR]["fits"] == 90
    assert found[SKLEARN]["fits"] == 180
    scores = found[OURS]["scores"]
    assert len(scores) == 12
    for name in (SKLEARN, CACHED, FLOOR):
        assert scores == found[name]["scores"]
    assert {name: len(t["seconds"]) for name, t in found.items()} == dict.fromkeys(
        (OURS, DASK_ML, SKLEARN, CACHED, FLOOR), 1
    )


def test_a_ratio_below_its_target_fails_the_check():
    assert text_grid.judged(timings(2.0, 8.1, 3.3), "").failures(check=True) == []
    slow = text_grid.judged(timings(2.0, 7.9, 3.1), "")
    assert slow.failures(check=True) == [
        "text grid: times faster than scikit-learn: 3.95, not at least 4",
        "text grid: times faster than dask-ml: 1.55, not at least 1.6",
    ]
    assert slow.failures(check=False) == []


def test_scores_that_differ_in_one_bit_fail_without_a_check():
    measured = timings(2.0, 8.1, 3.3)
    measured[OURS].scores = {"candidate": [0.5, 0.25000000000000006]}
    result = text_grid.judged(measured, "")
    assert result.failures(check=False) == ["jupyter-scale has other scores than scikit-learn"]
    assert "differ" in str(result)


def test_the_table_shows_medians_and_ratios():
    rows = text_grid.judged(timings(2.0, 8.1, 3.3), "").rows
    header, ours, dask_ml, sklearn, cached, floor = map(
        str.split, side_by_side.table(rows).splitlines()
    )
    assert header == ["median", "rounds", "ratio", "fits", "scores"]
    assert ours[1:] == ["2.00", "s", "2.00", "3.00", "1.00", "1.00", "90", "equal"]
    assert dask_ml == ["dask-ml", "3.30", "s", "3.30", "1.65", "equal"]
    assert sklearn == ["scikit-learn", "8.10", "s", "8.10", "4.05", "180", "reference"]
    assert cached == ["with", "memory=", "8.10", "s", "8.10", "4.05", "equal"]
    assert floor == ["floor", "1.00", "s", "1.00", "0.50", "90", "equal"]
