"""Clusters of a dask-gateway: what its server refuses, and what it says."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bed_gateway
import dask
import pytest
from beds import Bed
from dask_gateway.client import ClusterStatus
from processes import free_port, interrupted, wait_for, wait_until_gone

from jupyter_scale import clusters
from jupyter_scale.clusters import Adapt, Cluster, ClusterError, Wish, registry
from jupyter_scale.clusters.gateway import GatewayCluster
from jupyter_scale.clusters.profiles import Factory, Profile

FACTORY = {"module": "dask_gateway", "class": "GatewayCluster"}
SLOW = 60


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with (
        bed_gateway.start(tmp_path_factory.mktemp("gateway")) as bed,
        dask.config.set(bed.settings),
    ):
        yield bed


def start(wish: Wish = Wish(1), more: dict[str, Any] | None = None, **kwargs: Any) -> Cluster:  # noqa: B008
    """Start a cluster of a profile with these arguments of the class, and more settings."""
    profile = {"factory": {**FACTORY, "kwargs": kwargs}, **(more or {})}
    with dask.config.set({"jupyter-scale.profiles": {"gw": profile}}):
        return clusters.start("gw", wish)


def refused(says: str, wish: Wish = Wish(1), **how: Any) -> None:  # noqa: B008
    with pytest.raises(ClusterError, match=says) as caught:
        start(wish, **how)
    assert "\n" not in str(caught.value)
    assert clusters.current() is None
    assert registry.connections() == []


# -- the way to it


def test_a_wrong_password_is_refused_in_one_line(bed: Bed) -> None:
    settings = {"gateway.auth.kwargs": {"username": bed_gateway.USER, "password": "wrong"}}
    with dask.config.set(settings):
        refused(r"does not let in the user 'alice' with this password \(401 .*: set gateway\.auth")


def test_a_gateway_that_cannot_be_reached_is_named() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    refused(rf"the gateway at {address} does not answer: .*reachable from here\?", address=address)


def test_an_address_is_needed() -> None:
    with dask.config.set({"gateway.address": None}):
        refused(r"No dask-gateway address .* said by gateway\.address .* in Dask's configuration")


def test_what_is_no_gateway_is_noticed(tmp_path: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            refused(f"What answers at {address} is no dask-gateway", address=address)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.long
@pytest.mark.slow
def test_a_scheduler_behind_another_address_is_not_waited_for(bed: Bed) -> None:
    impatient = {"config": {"distributed.comm.timeouts.connect": "1s"}}
    proxy = f"gateway://127.0.0.1:{free_port()}"
    refused(r"does not answer at .*gateway\.proxy-address", more=impatient, proxy_address=proxy)
    wait_until_gone(bed.left)


# -- options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"worker_core": 1}, r"no cluster option 'worker_core', did you mean worker_cores\? there"),
        ({"colour": "red"}, r"no cluster option 'colour'; there are worker_cores, worker_memory, "),
        ({"worker_cores": 8}, r"'worker_cores' cannot be that: worker_cores must be <= 2, got 8"),
        ({"worker_memory": "2GB"}, r"worker_memory must be a float, got '2GB'"),
        ({"cluster_options": {"worker_cores": 0}}, r"worker_cores must be >= 1, got 0"),
        ({"shutdown_on_close": False}, r"no cluster option 'shutdown_on_close'"),
        ({"more": {"image": "base:1"}}, r"no cluster option 'image'; there are"),
    ],
    ids=str,
)
def test_an_option_that_it_does_not_have_is_answered_with_those_it_has(
    bed: Bed, options: dict[str, Any], says: str
) -> None:
    refused(says, **options)
    assert not bed.left()


def test_options_and_environment_reach_the_workers(bed: Bed) -> None:
    cluster = start(more={"environment": {"COLOUR": "red"}}, cluster_options={"worker_cores": 2})
    assert list(cluster.client.nthreads().values()) == [2]
    assert list(cluster.client.run(os.getenv, "COLOUR").values()) == ["red"]


# -- size


@pytest.mark.long
@pytest.mark.slow
def test_more_workers_than_it_gives_are_refused_and_change_nothing(bed: Bed) -> None:
    most = bed_gateway.LIMIT
    says = f"{most + 1} workers are more than the gateway lets .* at most {most}"
    refused(says, Wish(most + 1))
    refused(says, Wish(adapt=Adapt(0, most + 1)))
    cluster = start(Wish(adapt=Adapt(0, most)))
    connection = cluster.connection
    assert connection is not None
    with pytest.raises(ClusterError, match=says):
        registry.scale(connection, most + 1)
    with pytest.raises(ClusterError, match="at least 1 worker"):
        registry.scale(connection, 0)
    assert cluster.state().text.startswith(f"0 to {most} workers")
    assert cluster.client.submit(sum, [1, 2]).result(timeout=SLOW) == 3, "it still adapts"


# -- what it waits for


def test_it_says_that_the_gateway_is_waited_for(bed: Bed) -> None:
    cluster = start(Wish(adapt=Adapt(0, 1)), worker="late")
    assert cluster.connection is not None
    registry.scale(cluster.connection, 1)
    says = "1 worker (0 of 1 are here: waiting for the gateway to start workers)"
    wait_for(lambda: says in cluster.state().text)


@pytest.mark.long
@pytest.mark.slow
def test_a_cluster_that_the_gateway_gives_up_is_said_to_be(bed: Bed) -> None:
    cluster = start(Wish(adapt=Adapt(0, 1)), worker="broken")
    assert cluster.connection is not None
    registry.scale(cluster.connection, 1)
    says = "the gateway has ended its cluster (failed): the gateway's logs"
    wait_for(lambda: says in cluster.state().text, SLOW)
    wait_until_gone(bed.left)


def test_how_a_cluster_ended_is_said_when_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = GatewayCluster(Profile("gw", Factory("dask_gateway", "GatewayCluster")), 1, None)
    status = ClusterStatus.STOPPING
    known = SimpleNamespace(get_cluster=lambda name: SimpleNamespace(status=status))
    monkeypatch.setattr(gateway, "_gateway", known)
    monkeypatch.setattr(gateway, "_name", "c1")
    assert gateway.words() == "the gateway is ending it"
    status = ClusterStatus.FAILED
    says = r"ended its cluster \(failed\): the gateway's logs of c1"
    with pytest.raises(ClusterError, match=says):
        gateway.words()


def test_a_scheduler_that_does_not_start_is_reported(bed: Bed) -> None:
    refused(r"the gateway.*(failed to start|has ended its cluster).*logs", scheduler="broken")
    wait_until_gone(bed.left)


def test_an_interrupted_start_leaves_nothing_at_the_gateway(bed: Bed, runtime: Path) -> None:
    waiting = "waiting for the gateway to start the scheduler"
    with interrupted(waiting), pytest.raises(KeyboardInterrupt):
        start(scheduler="late")
    wait_until_gone(bed.left)
    assert not list(runtime.iterdir())
