"""Modules beside the notebook, and threads, on real workers."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from processes import free_port, wait_for, wait_for_port

from jupyter_scale import clusters
from jupyter_scale.clusters import Cluster, ClusterError, preparation, registry
from jupyter_scale.clusters.modules import MOST, found
from jupyter_scale.clusters.preparation import prepare


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A notebook's folder with a module and a package, both imported here."""
    folder = tmp_path / "notebooks"
    (folder / "lib").mkdir(parents=True)
    (folder / "helper_of_notebook.py").write_text("def answer():\n    return 1\n")
    (folder / "lib" / "__init__.py").write_text("from lib.inner import word\n")
    (folder / "lib" / "inner.py").write_text("def word():\n    return 'first'\n")
    monkeypatch.syspath_prepend(str(folder))
    for name in ("helper_of_notebook", "lib"):
        importlib.import_module(name)
    yield folder
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("helper_of_notebook", "lib")
    ]:
        del sys.modules[name]


def by_name(module: str, function: str) -> Any:
    return getattr(importlib.import_module(module), function)()


def asked(client: Client, module: str, function: str) -> set[Any]:
    return set(client.run(by_name, module, function).values())


def test_only_imported_sources_of_the_folder_are_sent(folder: Path) -> None:
    (folder / "never_imported.py").write_text("")
    assert set(found(folder)) == {"helper_of_notebook.py", "lib/__init__.py", "lib/inner.py"}
    (folder / "empty").mkdir()
    assert found(folder / "empty") == {}


def test_what_is_too_large_is_refused(folder: Path) -> None:
    (folder / "lib" / "data.py").write_bytes(b"#" * (MOST + 1))
    with pytest.raises(ClusterError, match="20 MiB, too much to be sent"):
        found(folder)


def test_workers_import_them_and_again_when_they_change(folder: Path, cluster: Cluster) -> None:
    client = cluster.client
    assert prepare(client, folder) == ""
    assert asked(client, "helper_of_notebook", "answer") == {1}
    assert asked(client, "lib", "word") == {"first"}
    (folder / "helper_of_notebook.py").write_text("def answer():\n    return 2\n")
    (folder / "lib" / "inner.py").write_text("def word():\n    return 'second'\n")
    prepare(client, folder)
    assert asked(client, "helper_of_notebook", "answer") == {2}
    assert asked(client, "lib", "word") == {"second"}


def test_a_worker_that_comes_later_has_them(folder: Path, cluster: Cluster) -> None:
    prepare(cluster.client, folder)
    assert cluster.connection is not None
    registry.scale(cluster.connection, 2)
    wait_for(lambda: len(cluster.client.nthreads()) == 2)
    assert asked(cluster.client, "lib", "word") == {"first"}
    assert prepare(cluster.client, folder) == ""


def test_a_worker_that_is_lost_meanwhile_is_no_obstacle(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
        Client(local) as client,
    ):
        (lost, pid), _ = client.run(os.getpid).items()
        register = client.register_plugin

        def losing(plugin: Any) -> Any:
            monkeypatch.setattr(client, "register_plugin", register)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: lost not in client.nthreads())
            raise OSError("Connection refused")

        monkeypatch.setattr(client, "register_plugin", losing)
        assert prepare(client, folder) == ""
        assert client.register_plugin == register
        wait_for(lambda: len(client.nthreads()) == 2)
        assert asked(client, "lib", "word") == {"first"}
        monkeypatch.setattr(client, "register_plugin", broken)
        monkeypatch.setattr(preparation, "wanted", lambda: {"ANOTHER": "1"})
        with pytest.raises(ClusterError, match="The cluster does not answer: no route"):
            prepare(client, folder)


def broken(plugin: Any) -> Any:
    raise OSError("no route")


def limits() -> Any:
    """A function that is sent as it is: these workers do not find the modules of the tests."""

    def look() -> tuple[str, set[int]]:
        import os

        import numpy as np  # noqa: F401 - brings BLAS
        from threadpoolctl import threadpool_info

        return os.environ["OMP_NUM_THREADS"], {pool["num_threads"] for pool in threadpool_info()}

    return look


@pytest.mark.parametrize(("mine", "expected"), [(None, ("1", {1})), ("2", ("2", {2}))])
def test_a_worker_without_a_nanny_has_one_thread_too(
    mine: str | None, expected: tuple[str, set[int]], tmp_path: Path
) -> None:
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    environment |= {"OMP_NUM_THREADS": mine} if mine else {}
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port)]
    scheduler += ["--dashboard-address", "127.0.0.1:0"]
    worker = [
        *dask,
        "worker",
        f"127.0.0.1:{port}",
        "--no-nanny",
        "--no-dashboard",
        "--nthreads",
        "1",
    ]
    log = (tmp_path / "log").open("w")
    processes = [
        subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        for words in (scheduler, worker)
    ]
    try:
        wait_for_port(port)
        cluster = clusters.use(f"127.0.0.1:{port}")
        cluster.client.wait_for_workers(1, timeout=30)
        before = os.environ.get("OMP_NUM_THREADS")
        assert prepare(cluster.client, tmp_path) == ""
        assert list(cluster.client.run(limits()).values()) == [expected]
        assert os.environ.get("OMP_NUM_THREADS") == before
    finally:
        clusters.leave()
        for process in processes:
            process.terminate()
            process.wait(20)
        log.close()


def test_a_worker_in_this_process_changes_nothing(folder: Path) -> None:
    module = sys.modules["lib"]
    before = dict(os.environ)
    with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
        assert prepare(client, folder) == ""
        assert sys.modules["lib"] is module
    assert dict(os.environ) == before
