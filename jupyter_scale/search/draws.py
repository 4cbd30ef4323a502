"""Draws of Dask's own, apart from those of what it runs.

``dask.sizeof`` samples the messages that a worker sends, in the event loop's thread and from
Python's one generator. A fit that has seeded it, as Keras does, would not draw the same again.
"""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

__all__ = ["apart"]


def apart() -> None:
    """Give Dask a generator of its own, in this process."""
    sizeof: Any = import_module("dask.sizeof")
    if sizeof.random is random:
        sizeof.random = random.Random()
