"""What differs between here and a cluster is refused or shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import versions

from jupyter_scale.clusters import Cluster, ClusterError
from jupyter_scale.clusters import parity as parity_module
from jupyter_scale.clusters.parity import (
    CARRY,
    COMPUTE,
    Difference,
    Parity,
    blocking,
    differences,
    differing,
)


def test_what_must_be_the_same_is_told_from_the_rest() -> None:
    here = {"python": "3.12.4", "numpy": "2.4.6", "pandas": "3.0", "dask": "2026.8.0"}
    there = {"python": "3.12.1", "numpy": "2.4.6", "dask": "2026.7.0", "polars": "1.0"}
    found = differences(here, there)
    assert [one.package for one in found] == ["dask", "pandas", "polars", "python"]
    assert blocking(found, CARRY + COMPUTE) == [Difference("dask", "2026.8.0", "2026.7.0")]
    older = differences({"python": "3.12.4"}, {"python": "3.11.9"})
    assert blocking(older, CARRY) == older


def test_the_same_environment_passes_without_a_word(cluster: Cluster) -> None:
    assert Parity().check(cluster.client) == ""


def test_what_is_installed_is_read_as_pip_reads_it() -> None:
    from importlib.metadata import distributions

    _, packages = parity_module._probes()
    found = packages()
    for distribution in distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        assert found[name] == distribution.version


@pytest.fixture
def elsewhere(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    def changed(**other: str) -> Cluster:
        versions.change(monkeypatch, **other)
        return cluster

    return changed


def test_another_numpy_is_refused_and_can_be_forced(elsewhere: Any) -> None:
    client = elsewhere(numpy="1.0").client
    with pytest.raises(ClusterError, match=r"on 1 worker, numpy [\d.]+ \(here 1\.0\).*--force"):
        Parity().check(client)
    forced = Parity().check(elsewhere(numpy="1.0").client, force=True)
    assert forced.startswith("Not what this notebook is, and forced: on 1 worker, numpy")


def test_the_scheduler_is_looked_at_too(elsewhere: Any) -> None:
    with pytest.raises(ClusterError, match=r"on the scheduler, cloudpickle .*on 1 worker, cloud"):
        Parity().check(elsewhere(cloudpickle="1.0").client)


def test_other_packages_are_shown_once(elsewhere: Any) -> None:
    cluster = elsewhere(joblib="0.1")
    parity = Parity()
    assert "Other packages differ on the workers: joblib" in parity.check(cluster.client)
    assert parity.check(cluster.client) == "", "once"


def test_it_is_seen_before_a_cluster_is_used(cluster: Cluster) -> None:
    assert cluster.connection is not None
    packages = cluster.connection.packages
    assert packages.keys() == {*CARRY, *COMPUTE}
    assert differing(packages) == []
    [found] = differing({**packages, "numpy": "1.0"})
    assert str(found).startswith("numpy 1.0 (here ")
    assert differing({}) == [], "no worker has told it yet"
