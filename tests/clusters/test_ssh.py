"""Clusters of hosts that are reached by SSH: what is in the way, who can see what, lost hosts."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import bed_ssh
import dask
import psutil
import pytest
from bed_ssh import HOSTS, Machines
from distributed import Client
from processes import close_clusters, free_port, interrupted, wait_for, wait_until_gone

from jupyter_scale import clusters
from jupyter_scale.clusters import Adapt, Cluster, ClusterError, Wish, registry, remote
from jupyter_scale.clusters.backends import backend
from jupyter_scale.clusters.profiles import profile

SLOW = 60


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("ssh")
    with bed_ssh.machines(folder) as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        patch.delenv("JPY_PARENT_PID", raising=False)
        try:
            yield found
        finally:
            clusters.leave()
            close_clusters(str(folder / "runtime"))
            wait_until_gone(found.left, SLOW)


@pytest.fixture(autouse=True)
def runtime() -> None:
    """Not a directory for each test, as elsewhere: some share a cluster."""


@contextmanager
def configured(table: dict[str, Any]) -> Iterator[None]:
    with dask.config.set({"jupyter-scale.profiles": {"lab": table}}):
        yield


# -- what the profile says


@pytest.mark.parametrize(
    ("workers", "kwargs", "says"),
    [
        (1, {}, r"profiles\.lab\.factory\.kwargs: hosts: .* write, for example, hosts: \[node1, "),
        (1, {"hosts": ["a"]}, "hosts: the scheduler's and at least one for a worker are needed"),
        (1, {"hosts": "abc"}, "hosts: the scheduler's and at least one"),
        (3, {"hosts": ["a", "b", "c"]}, r"3 workers are more than the 2 .* on 2 hosts .*n_workers"),
        (
            1,
            {"hosts": ["a", "b"], "host": 1},
            "host: there is no such option, did you mean hosts",
        ),
        (
            1,
            {"hosts": ["a", "b"], "remote_python": ["x"]},
            "remote_python: 1 for 2 hosts: write one",
        ),
        (1, {"hosts": ["a", "b"], "worker_options": {"n_workers": 0}}, "n_workers .* 1 or more"),
    ],
    ids=["none", "one", "text", "many", "unknown", "each", "share"],
)
def test_a_wrong_profile_is_told_before_anything_starts(
    workers: int, kwargs: dict[str, Any], says: str
) -> None:
    factory = {"module": "dask.distributed", "class": "SSHCluster", "kwargs": kwargs}
    with configured({"factory": factory}):
        found = backend(profile("lab"), workers, None, None)
    with pytest.raises(ClusterError, match=says):
        found.factory()(**found.arguments())


def test_the_package_that_is_needed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[profile.__module__], "find_spec", lambda _: None)
    factory = {"module": "distributed", "class": "SSHCluster", "kwargs": {"hosts": ["a", "b"]}}
    with (
        configured({"factory": factory}),
        pytest.raises(ClusterError, match="pip install asyncssh"),
    ):
        clusters.start("lab")


# -- what is in the way


def refused(machines: Machines, says: str, **kwargs: Any) -> None:
    with configured(machines.profile(**kwargs)), pytest.raises(ClusterError, match=says) as caught:
        clusters.start("lab", Wish(1))
    assert "\n" not in str(caught.value)
    wait_until_gone(machines.left)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"known_hosts": "{folder}/none"}, "host key of 127.0.0.1:.* is not known here.* `ssh -p "),
        ({"client_keys": "{folder}/host"}, "does not let you in .*username, client_keys"),
        ({"client_keys": "{folder}/nothing"}, "connect_options: .*/nothing: No such file"),
        ({"port": 1}, r"127.0.0.1:1 cannot be reached: .*sshd run there, and is its port right"),
        ({"colour": "red"}, "connect_options of 127.0.0.1: .*colour"),
    ],
    ids=["stranger", "key", "file", "port", "option"],
)
def test_what_keeps_from_a_host_is_one_line(
    machines: Machines, option: dict[str, Any], says: str
) -> None:
    (machines.folder / "none").touch()
    text = {"folder": machines.folder}
    options = {k: v.format(**text) if isinstance(v, str) else v for k, v in option.items()}
    refused(machines, says, connect_options=options)


def test_a_name_that_nobody_knows(machines: Machines) -> None:
    refused(machines, "There is no host 'nowhere.invalid'", hosts=("nowhere.invalid", HOSTS[1]))


def test_a_worker_s_host_is_named_too(machines: Machines) -> None:
    refused(machines, "There is no host 'nowhere.invalid'", hosts=(HOSTS[0], "nowhere.invalid"))


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("/nowhere/python", "There is no /nowhere/python on 127.0.0.1: .* remote_python"),
        (f"{sys.executable} -S", "on 127.0.0.1 has no module 'dask': install there the packages"),
    ],
    ids=["absent", "bare"],
)
def test_an_interpreter_that_does_not_serve(machines: Machines, python: str, says: str) -> None:
    refused(machines, says, remote_python=python)


def test_a_scheduler_that_is_closed_off_from_here(machines: Machines) -> None:
    away = {"contact_address": f"tls://127.0.0.1:{free_port()}"}
    refused(machines, "its port does not answer at tls.* firewall", scheduler_options=away)


class Door(socketserver.ThreadingTCPServer):
    """A way to a port, that can be closed."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(("127.0.0.1", 0), Passage)


class Passage(socketserver.BaseRequestHandler):
    server: Door

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port)) as inner:
            back = threading.Thread(target=self.copy, args=(inner, self.request), daemon=True)
            back.start()
            self.copy(self.request, inner)
            back.join()

    @staticmethod
    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.mark.long
def test_a_scheduler_that_is_closed_off_from_a_worker_s_host(machines: Machines) -> None:
    with Door(free_port()) as door:
        listening = threading.Thread(target=door.serve_forever)
        listening.start()
        address = f"tls://127.0.0.1:{door.server_address[1]}"
        options = {"port": door.port, "contact_address": address}
        with configured(machines.profile(scheduler_options=options)):
            cluster = clusters.start("lab", Wish(adapt=Adapt(0, 1)))
        door.shutdown()
        door.socket.close()
        listening.join()
        assert cluster.connection is not None
        registry.scale(cluster.connection, 1)
        says = f"(0 of 1 are here: 127.0.0.2 does not reach the scheduler at {address}: is there a"
        wait_for(lambda: says in cluster.state().text)
        assert clusters.close()
        wait_until_gone(machines.left)


def test_an_interrupted_start_leaves_nothing(machines: Machines) -> None:
    waiting = "starting the scheduler on 127.0.0.1"
    with (
        configured(machines.profile()),
        interrupted(waiting),
        pytest.raises(KeyboardInterrupt),
    ):
        clusters.start("lab", Wish(1))
    wait_until_gone(machines.left)


# -- one cluster for what follows


@pytest.fixture
def cluster(machines: Machines) -> Cluster:
    more = {
        "environment": {"COLOUR": "it's red"},
        "config": {"distributed.worker.memory.target": 0.5},
    }
    with configured({**machines.profile(worker_options={"n_workers": 2}), **more}):
        found = clusters.current() or clusters.start("lab", Wish(2))
    found.client.wait_for_workers(2, timeout=SLOW)
    return found


def tells(cluster: Cluster, says: str) -> None:
    with suppress(AssertionError):
        wait_for(lambda: says in cluster.state().text, SLOW)
    assert says in cluster.state().text


def names(cluster: Cluster) -> set[str]:
    return {str(one["name"]) for one in cluster.client.scheduler_info(-1)["workers"].values()}


def test_the_profile_s_words_reach_its_workers(cluster: Cluster) -> None:
    for found in cluster.client.run(lambda: dict(os.environ)).values():
        assert (found["COLOUR"], found["OMP_NUM_THREADS"]) == ("it's red", "1")
    targets = cluster.client.run(dask.config.get, "distributed.worker.memory.target").values()
    assert list(targets) == [0.5, 0.5]
    assert cluster.client.run_on_scheduler(os.getenv, "COLOUR") == "it's red"


def test_without_the_certificate_nobody_gets_in(cluster: Cluster) -> None:
    assert cluster.address.startswith("tls://127.0.0.1:")
    assert all(worker.startswith("tls://127.0.0.") for worker in cluster.client.nthreads())
    plain = cluster.address.replace("tls:", "tcp:")
    with pytest.raises(OSError, match=plain):
        Client(plain, timeout=1)


def test_no_file_and_no_command_line_has_the_key(machines: Machines, cluster: Cluster) -> None:
    assert cluster.connection is not None
    assert cluster.connection.certificate is not None
    secret = cluster.connection.certificate["key"].split("\n")[1]
    folder = machines.folder / "tmp"
    made = list(folder.glob("*/*"))
    assert made
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    running = [*machines.processes(), psutil.Process(cluster.connection.host.pid)]
    for process in running:
        assert secret not in " ".join(process.cmdline())
        assert not [value for value in process.environ().values() if secret in value]


def test_dashboards_are_seen_on_their_machine_only(machines: Machines, cluster: Cluster) -> None:
    listening = {
        connection.laddr.ip
        for process in machines.processes()
        if "sshd" not in process.name()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == set(HOSTS)
    dashboard = cluster.state().dashboard
    assert dashboard.startswith("http://127.0.0.1:")
    health = dashboard.replace("/status", "/health")
    with urllib.request.urlopen(health, timeout=SLOW) as answer:
        assert answer.status == 200


def test_a_host_has_as_many_workers_as_are_asked_for(cluster: Cluster) -> None:
    assert cluster.connection is not None
    assert names(cluster) == {"127.0.0.2", "127.0.0.3"}
    registry.scale(cluster.connection, 3)
    wait_for(lambda: names(cluster) == {"127.0.0.2", "127.0.0.3", "127.0.0.2-2"}, SLOW)
    with pytest.raises(ClusterError, match="5 workers are more than the 4 "):
        registry.scale(cluster.connection, 5)
    with pytest.raises(ClusterError, match="at least 1 worker"):
        registry.scale(cluster.connection, 0)
    with pytest.raises(ClusterError, match="5 workers are more than the 4 "):
        registry.adapt(cluster.connection, Adapt(1, 5))
    registry.scale(cluster.connection, 2)
    wait_for(lambda: names(cluster) == {"127.0.0.2", "127.0.0.3"}, SLOW)
    wait_for(lambda: cluster.state().text.startswith("2 workers at"))


def test_what_a_worker_holds_is_kept_when_it_goes(cluster: Cluster) -> None:
    assert cluster.connection is not None
    [host] = [at for at in cluster.client.nthreads() if "127.0.0.3" in at]
    kept = cluster.client.submit(sum, [1, 2], workers=host)
    assert kept.result(timeout=SLOW) == 3
    registry.scale(cluster.connection, 1)
    wait_for(lambda: names(cluster) == {"127.0.0.2"}, SLOW)
    assert kept.status == "finished"
    registry.scale(cluster.connection, 2)
    wait_for(lambda: len(names(cluster)) == 2, SLOW)


@pytest.mark.slow
def test_a_lost_host_is_named_and_used_again_when_it_is_back(
    machines: Machines, cluster: Cluster
) -> None:
    before = names(cluster)
    machines.off("127.0.0.3")
    says = "(1 of 2 are here: 127.0.0.3 is lost: it is tried again"
    tells(cluster, says)
    assert cluster.client.submit(sum, [1, 2], pure=False).result(timeout=SLOW) == 3
    machines.on("127.0.0.3")
    wait_for(lambda: names(cluster) == before, SLOW)
    wait_for(lambda: cluster.state().text.startswith("2 workers at"))


def test_a_cluster_without_its_scheduler_s_host_ends(machines: Machines, cluster: Cluster) -> None:
    machines.off("127.0.0.1")
    says = "127.0.0.1 is lost, and the scheduler with it"
    tells(cluster, says)
    wait_until_gone(machines.left, SLOW)
    machines.on("127.0.0.1")


# -- the other side


def test_silence_is_the_end() -> None:
    reads, writes = os.pipe()
    os.write(writes, b"\n")
    remote.alive(reads, 0.01)  # returns, though the pipe is open
    os.close(writes)
    remote.alive(reads, 600)
    os.close(reads)


def test_what_is_stuck_ends_too(tmp_path: Path) -> None:
    code = Path(remote.__file__).read_text(encoding="utf-8")
    stuck = f"""{code.replace("GRACE = 8.0", "GRACE = 0.1")}
loop = asyncio.new_event_loop()  # that does not run
threading.Thread(target=_watch, args=(loop, asyncio.Event(), sys.argv[1], 9)).start()
threading.Event().wait()
"""
    (tmp_path / "scratch").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", stuck, tmp_path / "scratch"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(SLOW) == -signal.SIGKILL
    assert not list(tmp_path.iterdir())
