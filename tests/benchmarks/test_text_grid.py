"""The benchmark runs, compares real scores, and fails when a promise is not kept."""

from __future__ import annotations

import json

import psutil
import pytest
import text_grid
from text_grid import DASK_ML, FLOOR, OURS, SKLEARN, Timing


def timings(ours: float, sklearn: float, dask_ml: float) -> dict[str, Timing]:
    scores = {"candidate": [0.5, 0.25]}
    return {
        OURS: Timing([ours, ours + 1, ours - 1], 90, scores),
        DASK_ML: Timing([dask_ml], None, scores),
        SKLEARN: Timing([sklearn], 180, scores),
        FLOOR: Timing([ours / 2], 90, scores),
    }


def test_a_small_run_measures_equal_scores(capsys: pytest.CaptureFixture[str]):
    assert text_grid.main(["--documents", "120", "--rounds", "1", "--refit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["timings"][OURS]["fits"] == found["timings"][FLOOR]["fits"] == 90
    assert found["timings"][SKLEARN]["fits"] == 180
    scores = found["timings"][OURS]["scores"]
    assert len(scores) == 12
    assert scores == found["timings"][SKLEARN]["scores"] == found["timings"][FLOOR]["scores"]
    assert {name: len(t["seconds"]) for name, t in found["timings"].items()} == dict.fromkeys(
        (OURS, DASK_ML, SKLEARN, FLOOR), 1
    )
    assert set(found["ratios"]) == {SKLEARN, DASK_ML}
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert all("resource_tracker" in command for command in commands), commands


def test_a_ratio_below_its_target_fails_the_check():
    assert text_grid.failures(timings(2.0, 8.1, 3.3), check=True) == []
    assert text_grid.failures(timings(2.0, 7.9, 3.1), check=True) == [
        "3.95 times faster than scikit-learn: 4.0 was promised",
        "1.55 times faster than dask-ml: 1.6 was promised",
    ]
    assert text_grid.failures(timings(2.0, 7.9, 3.1), check=False) == []


def test_scores_that_differ_in_one_bit_fail_without_a_check():
    measured = timings(2.0, 8.1, 3.3)
    measured[OURS].scores = {"candidate": [0.5, 0.25000000000000006]}
    assert text_grid.failures(measured, check=False) == [
        "jupyter-scale has other scores than scikit-learn"
    ]
    assert "differ" in text_grid.table(measured)


def test_the_table_shows_medians_and_ratios():
    header, ours, dask_ml, sklearn, floor = text_grid.table(timings(2.0, 8.1, 3.3)).splitlines()
    assert header.split() == ["median", "rounds", "ratio", "fits", "scores"]
    assert ours.split() == [
        "jupyter-scale",
        "2.00",
        "s",
        "2.00",
        "3.00",
        "1.00",
        "1.00",
        "90",
        "equal",
    ]
    assert dask_ml.split() == ["dask-ml", "3.30", "s", "3.30", "1.65", "equal"]
    assert sklearn.split() == ["scikit-learn", "8.10", "s", "8.10", "4.05", "180", "reference"]
    assert floor.split() == ["floor", "1.00", "s", "1.00", "0.50", "90", "equal"]
