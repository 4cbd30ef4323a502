"""A cluster for the whole run, and the two places where a plan can be carried out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client
from workers import two_workers


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Two worker processes with a thread each."""
    with two_workers() as client:
        yield client


@pytest.fixture(params=["here", "cluster"])
def where(request: pytest.FixtureRequest) -> Client | None:
    """None for this process, or the client of a cluster."""
    if request.param == "here":
        return None
    cluster: Client = request.getfixturevalue("client")
    return cluster
