"""Leave no process of joblib's behind: other tests count this one's children."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from joblib.externals.loky import get_reusable_executor


@pytest.fixture(autouse=True, scope="module")
def no_idle_workers() -> Iterator[None]:
    yield
    get_reusable_executor().shutdown(wait=True)
