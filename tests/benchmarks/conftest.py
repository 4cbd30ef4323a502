"""One cluster for the benchmarks of a module: what they count does not hang on who started it.

No process is left behind, joblib's idle ones included: other tests count this one's children.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import side_by_side
from distributed import Client
from joblib.externals.loky import get_reusable_executor


@pytest.fixture(autouse=True, scope="module")
def no_idle_workers() -> Iterator[None]:
    yield
    get_reusable_executor().shutdown(wait=True)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with side_by_side.local_cluster(2) as client:
        yield client


@pytest.fixture
def on_cluster(client: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], None]:
    """Make a benchmark use that cluster."""

    @contextmanager
    def local_cluster(workers: int) -> Iterator[Client]:
        yield client

    def use(module: ModuleType) -> None:
        monkeypatch.setattr(module, "local_cluster", local_cluster)

    return use
