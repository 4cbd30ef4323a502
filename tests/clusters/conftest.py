"""A runtime directory of each test's own, in which no cluster is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_scale import clusters
from jupyter_scale.clusters import Cluster, Wish, registry


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "runtime"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    try:
        yield folder
    finally:
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
        clusters.leave()
        for connection in registry.connections():
            with contextlib.suppress(clusters.ClusterError):
                registry.close(connection)


@pytest.fixture
def cluster() -> Cluster:
    return clusters.start("local", Wish(1, memory="1GiB"))
