"""One JupyterLab and one browser for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import lab
import pytest


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Lab]:
    pytest.importorskip("playwright", reason="pip install playwright")
    if lab.CHROMIUM is None:
        pytest.skip("Chromium is not here: apt-get install --no-install-recommends chromium")
    with lab.start(tmp_path_factory.mktemp("lab"), lab.CHROMIUM) as started:
        yield started
