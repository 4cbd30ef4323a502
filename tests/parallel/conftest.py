"""A cluster whose workers may be killed, and what a training on it must equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import pytest
from distributed import Client
from workers import started


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers, whose processes may be killed: their nannies start others."""
    # what tries to reach a lost worker for as long as Dask does is ended by the test's timeout
    patient = dask.config.set({"distributed.comm.timeouts.connect": "10 minutes"})
    with patient, started(2) as (_, client):
        yield client


@pytest.fixture(scope="session")
def alone() -> dict[str, Any]:
    from regression import one_process

    return one_process()
