"""Waiting for what happens in other processes."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from jupyter_scale.clusters import Cluster, registry


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)


def wait_until_gone(left: Callable[[], list[str]], seconds: float = 60) -> None:
    """Return when nothing is left; fail with what is."""
    deadline = time.monotonic() + seconds
    while found := left():
        assert time.monotonic() < deadline, f"left: {found}"
        time.sleep(0.02)


def family(pid: int) -> list[psutil.Process]:
    """A process and what descends from it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def host(cluster: Cluster) -> int:
    assert cluster.connection is not None
    return cluster.connection.host.pid


def workers(cluster: Cluster) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in cluster.client.run(os.getpid).values()]


@contextmanager
def interrupted(words: str) -> Iterator[None]:
    """Interrupt this process when a cluster says these words."""

    def press() -> None:
        wait_for(lambda: any(one.words == words for one in registry.connections()))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    yield
    thread.join()


def close_clusters(runtime: str) -> None:
    """Close the clusters whose files are in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", runtime)
        for connection in registry.connections():
            registry.close(connection)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Return when somebody listens there."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens, 60)
