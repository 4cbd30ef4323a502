"""A runtime directory of each test's own, in which no cluster is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import close_clusters

from jupyter_scale import clusters
from jupyter_scale.clusters import Cluster, Wish

SELDOM = ("grows_with_the_work", "killed_host")
"""Promises of all kinds of cluster that take long to see kept; two kinds are seen to keep them."""


@pytest.hookimpl(tryfirst=True)  # before -m is heeded
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = getattr(item, "callspec", None) and item.name.partition("[")[2].rstrip("]")
        if kind in ("gateway", "kubernetes", "ssh") and any(part in item.name for part in SELDOM):
            item.add_marker("long")


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "runtime"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    try:
        yield folder
    finally:
        clusters.leave()
        close_clusters(str(folder))


@pytest.fixture
def cluster() -> Cluster:
    return clusters.start("local", Wish(1, memory="1GiB"))
