"""A local cluster is tuned to one machine, where the user has not said otherwise."""

from __future__ import annotations

import os

import dask
import pytest

from jupyter_scale import clusters
from jupyter_scale.clusters import Wish
from jupyter_scale.clusters.limits import Size
from jupyter_scale.clusters.tuning import (
    ENVIRONMENT,
    MOST_KEPT,
    PACKAGES,
    QUIET,
    settings,
    thresholds,
)

SIZE = Size(workers=1, threads=1, memory=2**30)
NAMES = ("target", "spill", "pause", "terminate")


def test_what_a_worker_keeps_follows_its_memory() -> None:
    kept = settings(SIZE)[ENVIRONMENT]
    assert kept["MALLOC_TRIM_THRESHOLD_"] == 2**27
    assert kept["OMP_NUM_THREADS"] == 1, "what Dask sets besides stays"
    large = settings(Size(workers=1, threads=4, memory=2**36))[ENVIRONMENT]
    assert large["MALLOC_TRIM_THRESHOLD_"] == MOST_KEPT
    assert large["MALLOC_ARENA_MAX"] == 4


@pytest.mark.parametrize("memory", [300, 600, 1000, 2000])
def test_a_small_worker_holds_data_beside_its_packages(memory: int) -> None:
    parts = thresholds(memory * 10**6)
    target, *others = (parts[f"distributed.worker.memory.{name}"] for name in NAMES)
    assert 0 < target < 0.6
    assert sorted(others) == others
    assert 0.7 < others[0] < others[-1] < 1
    packages = min(PACKAGES, 0.9 * memory * 10**6)
    assert others[1] * memory * 10**6 > packages, "it does not pause for them"


@pytest.mark.parametrize("key", [*QUIET, *thresholds(SIZE.memory), ENVIRONMENT])
def test_what_the_user_has_set_stays(key: str) -> None:
    mine = {"MINE": 1} if key == ENVIRONMENT else "3s"
    assert key in settings(SIZE)
    with dask.config.set({key: mine}):
        found = settings(SIZE)
    assert key not in found
    assert found.keys() == settings(SIZE).keys() - {key}


def test_the_workers_have_it_and_this_process_has_not() -> None:
    interval = "distributed.worker.profile.interval"
    before = dask.config.get(interval), dict(os.environ)
    cluster = clusters.start("local", Wish(1, memory="1GiB"))
    threshold = cluster.client.submit(os.getenv, "MALLOC_TRIM_THRESHOLD_").result()
    assert threshold == str(2**27)
    assert cluster.client.submit(dask.config.get, interval).result() == QUIET[interval]
    pause = "distributed.worker.memory.pause"
    assert cluster.client.submit(dask.config.get, pause).result() == thresholds(2**30)[pause]
    assert (dask.config.get(interval), dict(os.environ)) == before


@pytest.mark.parametrize(("mine", "theirs"), [("65536", str(2**27)), ("7", "7")])
def test_what_a_plain_cluster_left_behind_is_not_the_users_wish(
    mine: str, theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = dask.config.merge(*dask.config.defaults)
    assert dask.config.get(ENVIRONMENT, config=shipped)["MALLOC_TRIM_THRESHOLD_"] == 65536
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", mine)
    cluster = clusters.start("local", Wish(1, memory="1GiB"))
    assert cluster.client.submit(os.getenv, "MALLOC_TRIM_THRESHOLD_").result() == theirs
    assert os.environ["MALLOC_TRIM_THRESHOLD_"] == mine
