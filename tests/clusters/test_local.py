import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from jupyter_scale import clusters
from jupyter_scale.clusters import Cluster, ClusterError, fit_size


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    clusters.close()


@pytest.fixture
def cluster() -> Cluster:
    return clusters.start(fit_size(1, memory="1GiB"))


def threads() -> tuple[int, list[int]]:
    import numpy as np  # noqa: F401 - brings BLAS
    from threadpoolctl import threadpool_info

    return os.getpid(), [pool["num_threads"] for pool in threadpool_info()]


def test_it_leaves_the_environment_as_it_was_also_after_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    cluster = clusters.start(fit_size(2, memory="1GiB"))
    assert dict(os.environ) == before
    first = cluster.client.run(threads)
    assert all(set(counts) <= {1} for _, counts in first.values())
    os.kill(next(iter(first.values()))[0], signal.SIGKILL)
    wait_for(lambda: not set(first) <= set(present(cluster)))
    wait_for(lambda: len(present(cluster)) == 2)
    wait_for(lambda: dict(os.environ) == before)


def present(cluster: Cluster) -> list[str]:
    workers: dict[str, object] = cluster.client.scheduler_info(n_workers=-1)["workers"]
    return list(workers)


def test_it_listens_on_loopback_only_and_speaks_tls(cluster: Cluster) -> None:
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}
    assert all(address.startswith("tls://127.0.0.1:") for address in present(cluster))
    assert cluster.state().dashboard.startswith("http://127.0.0.1:")


def test_its_client_is_the_default_of_plain_dask(cluster: Cluster) -> None:
    from dask import delayed

    assert delayed(os.getpid)().compute() != os.getpid()


def test_a_second_one_is_refused_and_the_first_stays(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="%scale down"):
        clusters.start(fit_size(1))
    assert clusters.current() is cluster
    assert cluster.state().alive


def test_closing_ends_the_workers(cluster: Cluster) -> None:
    workers = [psutil.Process(pid) for pid, _ in cluster.client.run(threads).values()]
    assert clusters.close()
    assert not clusters.close()
    assert clusters.current() is None
    assert not any(worker.is_running() for worker in workers)


def test_a_killed_worker_comes_back(cluster: Cluster) -> None:
    [(pid, _)] = cluster.client.run(threads).values()
    address = present(cluster)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: present(cluster) != address)
    assert cluster.ready().alive
    assert cluster.client.submit(os.getpid).result() != pid


def imported(module: str) -> bool:
    return module in sys.modules


def test_workers_import_what_they_will_need() -> None:
    cluster = clusters.start(fit_size(2, memory="1GiB"), ["sklearn.pipeline"])
    try:
        wait_for(lambda: all(cluster.client.run(imported, "sklearn.pipeline").values()))
    finally:
        clusters.close()


def test_a_stopped_scheduler_is_noticed_and_closed_quickly(cluster: Cluster) -> None:
    cluster._cluster.sync(cluster._cluster.scheduler.close)
    assert not cluster.state().alive
    assert "scheduler has stopped" in cluster.ready().text
    start = time.monotonic()
    again = clusters.start(fit_size(1, memory="1GiB"))
    assert time.monotonic() - start < 15
    assert again.state().alive


def test_lost_workers_are_noticed(cluster: Cluster) -> None:
    cluster._cluster.scale(0)
    wait_for(lambda: not cluster._cluster.workers)
    state = cluster.ready()
    assert not state.alive
    assert "all its workers are gone" in state.text


def test_an_interrupted_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = psutil.Process().children()
    monkeypatch.setattr("jupyter_scale.clusters.local.Client", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clusters.start(fit_size(1, memory="1GiB"))
    assert clusters.current() is None
    # multiprocessing's resource tracker is no worker; it stays as long as we do.
    new = [child for child in psutil.Process().children() if child not in before]
    commands = [" ".join(child.cmdline()) for child in new]
    assert all("resource_tracker" in command for command in commands)


SCRIPT = """
from jupyter_scale import clusters
if __name__ == "__main__":
    cluster = clusters.start(clusters.fit_size(2, memory="1GiB"))
    import os
    print(*cluster.client.run(os.getpid).values(), flush=True)
    input()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None], ids=str)
def test_no_worker_outlives_its_owner(end: signal.Signals | None, tmp_path: object) -> None:
    path = f"{tmp_path}/owner.py"
    with open(path, "w", encoding="utf-8") as file:
        file.write(SCRIPT)
    owner = subprocess.Popen(
        [sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        try:
            assert owner.stdout is not None
            workers = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
            assert len(workers) == 2
            if end is None:
                owner.communicate("\n", timeout=30)
            else:
                owner.send_signal(end)
            owner.wait(30)
            wait_for(lambda: not any(worker.is_running() for worker in workers), 10)
        finally:
            owner.kill()
