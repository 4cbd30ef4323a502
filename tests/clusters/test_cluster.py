"""The cluster of a process: a real host, real workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client
from processes import family, host, wait_for, workers

from jupyter_scale import clusters
from jupyter_scale.clusters import Adapt, Cluster, ClusterError, Wish, profile, registry
from jupyter_scale.clusters.host import Ending, Host

SMALL = Wish(1, memory="1GiB")


def threads() -> tuple[int, list[int], str]:
    import numpy as np  # noqa: F401 - brings BLAS
    from threadpoolctl import threadpool_info

    pools = [pool["num_threads"] for pool in threadpool_info()]
    return os.getpid(), pools, os.environ.get("MALLOC_ARENA_MAX", "")


def present(cluster: Cluster) -> list[str]:
    return list(cluster.client.nthreads())


def test_it_leaves_the_environment_as_it_was_and_gives_workers_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    cluster = clusters.start("local", Wish(2, memory="1GiB"))
    assert dict(os.environ) == before
    found = cluster.client.run(threads)
    assert len(found) == 2
    assert all(set(counts) <= {1} and arenas == "1" for _, counts, arenas in found.values())


def test_it_listens_on_loopback_only_and_speaks_tls(cluster: Cluster) -> None:
    listening = [
        connection.laddr
        for process in [*family(host(cluster)), psutil.Process()]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert len(listening) >= 4, "scheduler, worker, nanny, host, dashboard"
    assert all(address.startswith("tls://127.0.0.1:") for address in present(cluster))
    assert cluster.state().dashboard.startswith("http://127.0.0.1:")


def test_dask_s_dashboard_comes_soon_after_the_first_worker(cluster: Cluster) -> None:
    def shown() -> bool:
        try:
            with urllib.request.urlopen(cluster.state().dashboard, timeout=10) as page:
                return b"Dask Diagnostic UI" in page.read()
        except urllib.error.HTTPError:
            return False

    wait_for(shown)


def test_no_port_runs_code_for_one_without_the_certificate(
    cluster: Cluster, tmp_path: Path
) -> None:
    connection = cluster.connection
    assert connection is not None
    for address in (connection.scheduler, connection.control, *present(cluster)):
        where, port = address.removeprefix("tls://").split(":")
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            handshake(where, int(port))
        with pytest.raises(OSError, match=r"connect|reset"):
            Client(f"tcp://{where}:{port}", timeout=1, set_as_default=False)


def handshake(where: str, port: int) -> None:
    """Greet as one that has no certificate; TLS 1.3 refuses it after the handshake only."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((where, port), 5) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        wrapped.settimeout(5)
        if not wrapped.recv(1):
            raise ConnectionResetError


def test_nobody_else_can_read_its_files(cluster: Cluster, runtime: Path) -> None:
    assert runtime.stat().st_mode & 0o777 == 0o700
    found = list(runtime.iterdir())
    assert {path.suffix for path in found} == {".json", ".log"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in found)


def test_its_client_is_the_default_of_plain_dask(cluster: Cluster) -> None:
    assert dask.delayed(os.getpid)().compute() != os.getpid()


def test_a_killed_worker_comes_back(cluster: Cluster) -> None:
    [worker] = workers(cluster)
    worker.kill()
    wait_for(lambda: not worker.is_running())
    assert cluster.ready().alive
    assert cluster.client.submit(os.getpid, pure=False).result() != worker.pid


def test_so_does_one_that_was_killed_as_soon_as_it_was_there(cluster: Cluster) -> None:
    assert cluster.connection is not None
    before = set(family(host(cluster)))
    registry.scale(cluster.connection, 2)
    deadline = time.monotonic() + 30
    while len(present(cluster)) < 2:  # without a pause: its nanny hears of it 50 ms later
        assert time.monotonic() < deadline
    for process in set(family(host(cluster))) - before:
        process.kill()
    wait_for(lambda: len(present(cluster)) == 1)
    wait_for(lambda: len(present(cluster)) == 2)
    registry.scale(cluster.connection, 1)
    wait_for(lambda: len(present(cluster)) == 1)


def imported(module: str) -> bool:
    return module in sys.modules


def test_workers_import_what_they_will_need() -> None:
    cluster = clusters.start("local", SMALL, modules=["sklearn.pipeline"])
    wait_for(lambda: all(cluster.client.run(imported, "sklearn.pipeline").values()))


# -- size


def test_it_is_scaled_and_adapts(cluster: Cluster) -> None:
    connection = cluster.connection
    assert connection is not None
    assert registry.scale(connection, 3) == "3 workers with 1 thread and 1.00 GiB each"
    wait_for(lambda: len(present(cluster)) == 3)
    registry.scale(connection, 1)
    wait_for(lambda: len(present(cluster)) == 1)
    assert registry.adapt(connection, Adapt(0, 2)).startswith("0 to 2 workers")
    wait_for(lambda: not present(cluster))
    assert cluster.ready().alive, "it has none because it has nothing to do"
    assert cluster.client.submit(os.getpid).result()
    wait_for(lambda: "0 to 2 workers" in cluster.state().text)


@pytest.mark.long
def test_a_number_ends_the_adapting(cluster: Cluster) -> None:
    connection = cluster.connection
    assert connection is not None
    registry.adapt(connection, Adapt(0, 1))
    wait_for(lambda: not present(cluster))
    registry.scale(connection, 2)
    wait_for(lambda: len(present(cluster)) == 2)
    # Dask looks once a second, and lets idle workers go at the third look.
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert len(present(cluster)) == 2
        time.sleep(0.2)


def test_a_number_that_it_cannot_have_changes_nothing(cluster: Cluster) -> None:
    connection = cluster.connection
    assert connection is not None
    for number, says in ((0, "at least 1 worker"), (10_000, "too many for the")):
        with pytest.raises(ClusterError, match=says):
            registry.scale(connection, number)
    assert len(present(cluster)) == 1
    assert "1 worker with" in cluster.state().text


# -- found by others

OTHER = """
import os
from jupyter_scale import clusters
cluster = clusters.use("{name}")
print(cluster.name, cluster.client.submit(os.getpid, pure=False).result())
"""


@pytest.mark.parametrize("by", ["id", "profile"])
def test_another_process_finds_it_and_leaves_it_running(cluster: Cluster, by: str) -> None:
    name = cluster.name if by == "id" else "local"
    done = subprocess.run(
        [sys.executable, "-c", OTHER.format(name=name)], capture_output=True, text=True, check=True
    )
    [worker] = workers(cluster)
    assert done.stdout.split() == [cluster.name, str(worker.pid)]
    assert cluster.ready().alive


def test_a_later_process_of_the_same_owner_takes_it_up(cluster: Cluster) -> None:
    clusters.leave()
    assert clusters.current() is None
    found = clusters.nearest()
    assert found is not None
    assert found.name == cluster.name
    assert found.ready().alive


def test_what_does_not_run_cannot_be_used() -> None:
    with pytest.raises(ClusterError, match="No cluster of the profile 'local' runs: %scale up"):
        clusters.use("local")
    with pytest.raises(ClusterError, match="There is no cluster 'nothing'"):
        clusters.use("nothing")
    with pytest.raises(ClusterError, match="is it running there"):
        clusters.use("tcp://127.0.0.1:9")


# -- end


def test_closing_ends_all_processes_and_leaves_no_file(cluster: Cluster, runtime: Path) -> None:
    processes = family(host(cluster))
    assert clusters.close()
    assert not clusters.close()
    assert clusters.current() is None
    psutil.wait_procs(processes, timeout=5)
    assert not any(process.is_running() for process in processes)
    assert not list(runtime.iterdir())


def test_a_killed_host_takes_the_workers_along_and_is_noticed(cluster: Cluster) -> None:
    processes = family(host(cluster))
    os.kill(host(cluster), signal.SIGKILL)
    _, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive
    state = cluster.ready()
    assert (state.alive, state.text) == (False, "its host process was killed")
    assert registry.connections() == []
    start = time.monotonic()
    clusters.leave()
    assert time.monotonic() - start < 15
    assert clusters.start("local", SMALL).ready().alive


OWNER = """
import os, sys
from jupyter_scale import clusters
cluster = clusters.start("local", clusters.Wish(1, memory="1GiB"))
print(cluster.connection.host.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None], ids=str)
def test_nothing_outlives_its_owner(end: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        try:
            assert owner.stdout is not None
            processes = family(int(owner.stdout.readline()))
            assert len(processes) >= 2
            if end is None:
                owner.communicate(timeout=30)
            else:
                owner.send_signal(end)
            owner.wait(30)
            _, alive = psutil.wait_procs(processes, timeout=15)
            assert not alive
            assert registry.connections() == []
        finally:
            owner.kill()


def test_a_cluster_with_nothing_to_do_closes(cluster: Cluster) -> None:
    clusters.close()
    local = {"factory": {"module": "distributed", "class": "LocalCluster"}, "idle-timeout": "2s"}
    with dask.config.set({"jupyter-scale.profiles.short": local}):
        cluster = clusters.start("short", SMALL)
        assert cluster.client.submit(os.getpid, pure=False).result()
        processes = family(host(cluster))
        _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive
    assert cluster.state().text == "it had nothing to do for 2 s"


def test_the_time_until_it_can_be_used_is_not_idle(runtime: Path) -> None:
    local = {"factory": {"module": "distributed", "class": "LocalCluster"}, "idle-timeout": "1.5s"}
    with dask.config.set({"jupyter-scale.profiles.short": local}):
        request = registry._request(profile("short"), SMALL, None, "")
    host = Host(request)
    asked: list[str] = []

    async def idle_for_an_hour(what: str) -> float:
        asked.append(what)
        return time.time() - 3600

    host._ask = idle_for_an_hour
    host._ready = time.time()
    asyncio.run(host._check_idle())
    assert asked == ["check_idle"]
    host._ready = time.time() - 10
    with pytest.raises(Ending, match=r"it had nothing to do for 1\.5 s"):
        asyncio.run(host._check_idle())


# -- a start that fails


def test_an_interrupted_start_leaves_nothing(runtime: Path) -> None:
    before = set(psutil.Process().children(recursive=True))

    def interrupt() -> None:
        wait_for(lambda: any(runtime.glob("*.json")))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        clusters.start("local", SMALL)
    thread.join()
    assert clusters.current() is None
    assert set(psutil.Process().children(recursive=True)) <= before
    assert not list(runtime.iterdir())


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ({"module": "distributed", "class": "NoCluster"}, "distributed has no 'NoCluster'"),
        ({"module": "dask_nowhere", "class": "Cluster"}, "needs pip install dask_nowhere"),
        (
            {"module": "distributed", "class": "LocalCluster", "kwargs": {"colour": "red"}},
            "unexpected keyword argument 'colour'",
        ),
        ({"module": "distributed", "class": "Client", "args": ["tcp://127.0.0.1:9"]}, "reachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_profile_that_cannot_start_says_why_in_one_line(
    factory: dict[str, object], says: str, runtime: Path
) -> None:
    odd = dask.config.set({"jupyter-scale.profiles": {"odd": {"factory": factory}}})
    with odd, pytest.raises(ClusterError, match=says) as caught:
        clusters.start("odd")
    assert "\n" not in str(caught.value)
    assert clusters.current() is None
    assert not list(runtime.glob("*"))


def test_a_start_that_takes_too_long_is_given_up(runtime: Path) -> None:
    local = {"factory": {"module": "distributed", "class": "LocalCluster"}, "timeout": "0.1s"}
    with (
        dask.config.set({"jupyter-scale.profiles.slow": local}),
        pytest.raises(ClusterError, match=r"no worker came within 0.1 s.*profiles\.slow\.timeout"),
    ):
        clusters.start("slow", SMALL)
    assert not list(runtime.glob("*"))
