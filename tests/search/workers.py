"""Two worker processes with a thread each, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client, LocalCluster


@contextmanager
def two_workers() -> Iterator[Client]:
    """Start them, and close them whatever happens."""
    with (
        # after that a cluster gives up a lost worker, though on a busy machine it may just be slow
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
