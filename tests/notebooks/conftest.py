"""Each notebook runs where no cluster of another one is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from processes import close_clusters


@pytest.fixture(scope="module", autouse=True)
def runtime_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = str(tmp_path_factory.mktemp("runtime"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", folder)
        try:
            yield
        finally:
            close_clusters(folder)
