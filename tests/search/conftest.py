"""A cluster for the whole run, and the two places where a plan can be carried out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Two worker processes with a thread each."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(params=["here", "cluster"])
def where(request: pytest.FixtureRequest) -> Client | None:
    """None for this process, or the client of a cluster."""
    if request.param == "here":
        return None
    cluster: Client = request.getfixturevalue("client")
    return cluster
