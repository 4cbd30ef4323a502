"""This machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beds import Bed


@contextmanager
def start(folder: Path) -> Iterator[Bed]:
    yield Bed({"factory": {"module": "distributed", "class": "LocalCluster"}}, memory="1GiB")
