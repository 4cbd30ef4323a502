"""Every kind of cluster does what `%scale` promises: one suite, a real service for each.

The tests of one bed share a cluster and run in their order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import dask
import pytest
import versions
from beds import BEDS, Bed
from processes import close_clusters, wait_for, wait_until_gone

from jupyter_scale import actions, clusters
from jupyter_scale.clusters import Adapt, Cluster, ClusterError, Wish, registry
from jupyter_scale.clusters.parity import Parity
from jupyter_scale.clusters.preparation import prepare
from jupyter_scale.command import VIEWS, parse
from jupyter_scale.view.observed import Observed
from jupyter_scale.view.panels import Head, text
from jupyter_scale.view.probe import Probe

SLOW = 60  # seconds that a worker may take to come or go


@pytest.fixture(scope="module", params=BEDS)
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp(request.param)
    runtime = str(folder / "runtime")
    with import_module(f"bed_{request.param}").start(folder) as bed:
        settings = {**bed.settings, "jupyter-scale.profiles": {"bed": bed.profile}}
        with pytest.MonkeyPatch.context() as patch, dask.config.set(settings):
            patch.setenv("JUPYTER_RUNTIME_DIR", runtime)
            patch.delenv("JPY_PARENT_PID", raising=False)
            try:
                yield bed
            finally:
                clusters.leave()
                close_clusters(runtime)


@pytest.fixture(autouse=True)
def runtime(bed: Bed) -> None:
    """Not a directory for each test, as elsewhere: a cluster is found by the next test."""


@pytest.fixture
def cluster(bed: Bed) -> Cluster:
    """The bed's cluster with one worker, started by the first test that asks for it."""
    found = clusters.current()
    if found is None:
        found = clusters.start("bed", Wish(1 if bed.hosted else None, memory=bed.memory))
        found.client.wait_for_workers(1, timeout=SLOW)  # nobody has waited for those of others
    return found


def present(cluster: Cluster) -> int:
    return len(cluster.client.nthreads())


def scaled(cluster: Cluster, workers: int) -> None:
    assert cluster.connection is not None
    registry.scale(cluster.connection, workers)
    wait_for(lambda: present(cluster) == workers, SLOW)


def test_it_starts_and_works(bed: Bed, cluster: Cluster) -> None:
    assert cluster.client.submit(sum, [1, 2]).result(timeout=SLOW) == 3
    assert present(cluster) == 1
    assert cluster.ready().alive
    wait_for(lambda: cluster.state().text.startswith("1 worker"))


def test_its_environment_is_checked(
    bed: Bed, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare(cluster.client, tmp_path) == ""
    versions.change(monkeypatch, numpy="1.0")
    with pytest.raises(ClusterError, match=r"on 1 worker, numpy [\d.]+ \(here 1\.0\).*--force"):
        Parity().check(cluster.client)


def test_it_can_be_watched(bed: Bed, cluster: Cluster) -> None:
    probe, observed = Probe(cluster.client), Observed()
    probe.open()
    try:
        assert cluster.client.submit(sum, [2, 3], pure=False).result(timeout=SLOW) == 5

        def seen() -> bool:
            observed.take(probe.read())
            return bool(observed.tasks)

        wait_for(seen)
        [worker] = observed.workers.values()
        nannies = [worker.address] if worker.nanny else []
        observed.log(probe.logs([worker.address], nannies))
    finally:
        probe.close()
    assert [task.step for task in observed.tasks] == ["sum"]
    assert "1 worker" in text(observed, VIEWS, Head(cluster.name))
    assert any("worker" in line.text.lower() for line in observed.lines)


OTHER = """
import dask
from jupyter_scale import clusters
dask.config.set({{"jupyter-scale.profiles": {{"bed": {profile!r}}}, **{settings!r}}})
cluster = clusters.use({name!r})
print(cluster.client.submit(sum, [3, 4]).result(timeout=30))
"""


def test_another_process_uses_it(bed: Bed, cluster: Cluster) -> None:
    code = OTHER.format(profile=bed.profile, settings=bed.settings, name=cluster.name)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=SLOW
    )
    assert done.stdout == "7\n", done.stderr
    assert cluster.ready().alive


def test_its_size_follows_what_is_asked_for(bed: Bed, cluster: Cluster) -> None:
    if not bed.hosted:
        assert cluster.connection is None
        return
    scaled(cluster, 2)
    scaled(cluster, 1)
    assert cluster.state().text.startswith("1 worker")


def test_a_lost_worker_is_replaced(bed: Bed, cluster: Cluster) -> None:
    if not bed.hosted:
        return  # whoever started the scheduler looks after its workers
    scaled(cluster, 2)
    before = set(cluster.client.nthreads())
    bed.kill(cluster)
    wait_for(lambda: set(cluster.client.nthreads()) != before, SLOW)
    if bed.unhealed:
        wait_for(lambda: bed.unhealed in cluster.state().text, SLOW)
    else:
        wait_for(lambda: present(cluster) == 2, SLOW)
    assert cluster.client.submit(sum, [1, 2], pure=False).result(timeout=SLOW) == 3


def test_it_grows_with_the_work_and_shrinks_again(bed: Bed, cluster: Cluster) -> None:
    connection = cluster.connection
    if connection is None:
        with pytest.raises(ClusterError, match="was not started here"):
            actions.adapt(parse("adapt 1 2"))
        return
    scaled(cluster, 1)
    registry.adapt(connection, Adapt(1, 2))
    work = cluster.client.map(time.sleep, [0.5] * 60, pure=False)
    wait_for(lambda: present(cluster) == 2, SLOW)
    assert cluster.client.gather(work[:10]) == [None] * 10
    del work
    wait_for(lambda: present(cluster) == 1, SLOW)


def test_closing_leaves_nothing_behind(bed: Bed, cluster: Cluster) -> None:
    connection = cluster.connection
    if connection is None:
        assert not clusters.close()
        assert clusters.use(cluster.address).ready().alive, "it is not ours to close"
        return
    assert clusters.close()
    assert registry.connections() == []
    wait_until_gone(bed.left, SLOW)


def test_a_killed_host_leaves_nothing_behind_either(bed: Bed) -> None:
    if not bed.hosted:
        return
    cluster = clusters.start("bed", Wish(1, memory=bed.memory))
    assert cluster.connection is not None
    os.kill(cluster.connection.host.pid, signal.SIGKILL)
    wait_for(lambda: not cluster.state().alive)
    clusters.leave()
    assert registry.connections() == []
    wait_until_gone(bed.left, 2 * SLOW)
