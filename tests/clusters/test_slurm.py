"""Jobs of SLURM: what they wait for, what is refused, what they may be seen by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bed_slurm
import dask
import psutil
import pytest
from beds import Bed
from processes import close_clusters, wait_for, wait_until_gone

from jupyter_scale import clusters
from jupyter_scale.clusters import Adapt, Cluster, ClusterError, Wish, registry


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with bed_slurm.start(tmp_path_factory.mktemp("slurm")) as bed:
        yield bed


@pytest.fixture(autouse=True)
def ends(bed: Bed, runtime: Path) -> Iterator[None]:
    yield
    clusters.leave()
    close_clusters(str(runtime))
    bed_slurm.cancel()


def begin(bed: Bed, wish: Wish = Wish(1), *, table: Any = (), **kwargs: Any) -> Cluster:  # noqa: B008
    """Start a cluster of the bed's profile with other arguments."""
    factory = {**bed.profile["factory"]}
    factory["kwargs"] = {**factory["kwargs"], **kwargs}
    profile = {"factory": factory, "timeout": "60s", **dict(table)}
    with dask.config.set({**bed.settings, "jupyter-scale.profiles": {"jobs": profile}}):
        return clusters.start("jobs", wish)


def test_workers_have_one_thread_a_certificate_and_the_profile_s_variables(
    bed: Bed, runtime: Path
) -> None:
    config = {"distributed.worker.memory.target": 0.5}
    extra = {"environment": {"ANSWER": "it's 42"}, "config": config}
    cluster = begin(bed, table=extra)
    [found] = cluster.client.run(lambda: dict(os.environ)).values()
    assert (found["OMP_NUM_THREADS"], found["ANSWER"]) == ("1", "it's 42")
    [target] = cluster.client.run(dask.config.get, "distributed.worker.memory.target").values()
    assert target == 0.5
    [address] = cluster.client.nthreads()
    assert address.startswith("tls://127.0.0.1:")
    folders = [path for path in runtime.iterdir() if path.is_dir()]
    assert [path.stat().st_mode & 0o777 for path in folders] == [0o700]
    assert clusters.close()
    assert not list(runtime.iterdir())


def test_dashboards_are_seen_on_this_machine_only(bed: Bed) -> None:
    cluster = begin(bed)
    assert cluster.state().dashboard.startswith("http://127.0.0.1:")
    [pid] = cluster.client.run(os.getpid).values()
    worker = psutil.Process(pid)
    listening = {
        connection.laddr.ip
        for process in (worker, worker.parent())
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_it_says_what_jobs_wait_for(bed: Bed) -> None:
    cluster = begin(bed, cores=2)
    assert cluster.connection is not None
    registry.scale(cluster.connection, 3)
    wait_for(lambda: "(2 of 3 are here: " in cluster.state().text, 60)
    wait_for(lambda: "1 job pending: Resources" in cluster.state().text, 60)


@pytest.mark.long
def test_a_job_of_several_workers_is_one_job(bed: Bed) -> None:
    cluster = begin(bed, Wish(2), cores=2, processes=2)
    assert cluster.connection is not None
    wait_for(lambda: len(cluster.client.nthreads()) == 2)
    assert len(bed.left()) == 1
    registry.scale(cluster.connection, 3)
    wait_for(lambda: "4 workers" in cluster.state().text)
    wait_for(lambda: len(cluster.client.nthreads()) == 4)
    bed.kill(cluster)
    wait_for(lambda: len(cluster.client.nthreads()) == 2)
    wait_for(lambda: len(cluster.client.nthreads()) == 4, 60)
    registry.scale(cluster.connection, 2)
    wait_for(lambda: len(cluster.client.nthreads()) == 2)
    wait_for(lambda: len(bed.left()) == 1)


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"queue": "nowhere"}, "invalid partition specified: nowhere; Batch job submission failed"),
        ({"memory": "9999GiB"}, "(?i)memory"),
        (
            {"cores": 64},
            "sbatch: .*(More processors requested than permitted|configuration is not available)",
        ),
        (
            {"queue": "short", "walltime": "10:00:00"},
            "sbatch: .*[Rr]equested time limit is invalid",
        ),
        ({"queue": "down"}, "1 job pending: PartitionDown"),
        ({"python": "/nowhere/python"}, "ended before its worker came: .*/nowhere/python"),
        ({"cores": None}, r"profiles\.jobs\.factory\.kwargs: cores of a job is missing: write"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
    ids=["queue", "memory", "cores", "time", "down", "python", "nothing", "colour"],
)
def test_a_job_that_can_never_run_is_told_in_slurm_s_own_words(
    bed: Bed, runtime: Path, kwargs: dict[str, Any], says: str
) -> None:
    with pytest.raises(ClusterError, match=says) as caught:
        begin(bed, **kwargs)
    assert "\n" not in str(caught.value)
    wait_until_gone(bed.left)
    assert not list(runtime.iterdir())


def test_it_is_told_at_once_even_if_no_worker_is_wanted_yet(bed: Bed) -> None:
    with pytest.raises(ClusterError, match=r"(?i)invalid partition"):
        begin(bed, Wish(adapt=Adapt(0, 2)), queue="nowhere")


@pytest.mark.long
def test_a_size_that_is_refused_changes_nothing(bed: Bed) -> None:
    cluster = begin(bed)
    assert cluster.connection is not None
    bed_slurm.asked("scontrol", "update", "PartitionName=debug", "State=DRAIN")
    try:
        with pytest.raises(ClusterError, match="partition"):
            registry.scale(cluster.connection, 2)
    finally:
        bed_slurm.asked("scontrol", "update", "PartitionName=debug", "State=UP")
    assert cluster.state().text.startswith("1 worker ")
    assert registry.scale(cluster.connection, 2) == "2 workers"
    wait_for(lambda: len(cluster.client.nthreads()) == 2, 60)


def test_a_machine_without_slurm_is_told_as_that(bed: Bed, tmp_path: Path) -> None:
    said = "There is no sbatch on this machine: start Jupyter on"
    # over before the bed is put away, which needs SLURM's programs
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(ClusterError, match=said):
            begin(bed)


def test_a_killed_host_leaves_no_certificate(bed: Bed, runtime: Path) -> None:
    cluster = begin(bed)
    assert cluster.connection is not None
    psutil.Process(cluster.connection.host.pid).kill()
    wait_for(lambda: not cluster.state().alive)
    assert registry.connections() == []
    assert not [path for path in runtime.iterdir() if path.is_dir()]
    wait_until_gone(bed.left, 60)
