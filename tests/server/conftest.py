"""One Jupyter server for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[served.Server]:
    with served.start(tmp_path_factory.mktemp("server")) as started:
        yield started
