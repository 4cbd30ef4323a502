"""Worker processes with a thread each, on this machine: very many die here, and start quickly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import forkserver, get_context

import dask
import pytest
from distributed import Client, LocalCluster, nanny, process

IMPORTED = ["distributed", "pandas", "jupyter_scale.search", "sklearn.ensemble", "sklearn.pipeline"]
# after that a cluster gives up a lost worker, though on a busy machine it may just be slow
SETTINGS = {"distributed.deploy.lost-worker-timeout": "10 minutes"}


@cache
def fork_server() -> None:
    """Import once what each of the many workers of these tests would import for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        # a nanny's variables reach a new process, not the copy of one
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "1")
        forkserver.set_forkserver_preload(IMPORTED)
        forkserver.ensure_running()


@contextmanager
def forked() -> Iterator[None]:
    """Have nannies of this process use it; Dask's setting would go to other clusters' hosts too."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (nanny, process):
            patch.setattr(module, "get_mp_context", lambda: get_context("forkserver"))
        yield


@contextmanager
def started(workers: int) -> Iterator[tuple[LocalCluster, Client]]:
    """Start a cluster, and close it whatever happens."""
    fork_server()
    with (
        forked(),
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield cluster, client


@contextmanager
def two_workers() -> Iterator[Client]:
    """Start two."""
    with started(2) as (_, client):
        yield client
