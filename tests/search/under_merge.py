"""A pytest plugin: every test runs inside `merged`. Used on scikit-learn's own test files.

With MERGED_ON=cluster the work goes to two worker processes, else it stays in this one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from distributed import Client
from workers import two_workers

import jupyter_scale


@pytest.fixture(scope="session")
def cluster_client() -> Iterator[Client | None]:
    if os.environ.get("MERGED_ON") != "cluster":
        yield None
        return
    with two_workers() as client:
        yield client


@pytest.fixture(autouse=True)
def under_merge(cluster_client: Client | None) -> Iterator[None]:
    with jupyter_scale.merged(cluster_client):
        yield
