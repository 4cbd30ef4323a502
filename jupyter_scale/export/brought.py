"""Which modules are loaded in a kernel because of us: they are no part of what its notebook uses.

What an export itself loads (and what that loads because it is there) never is; what `%load_ext` has
loaded is none where the notebook uses no magics of ours but the one that exports.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

__all__ = ["bringing", "names"]

By = Literal["extension", "export"]
_brought: dict[By, set[str]] = {"extension": set(), "export": set()}
_before: list[frozenset[str]] = []


@contextmanager
def bringing(by: By) -> Iterator[None]:
    """Take what is loaded meanwhile for ours."""
    _before.append(frozenset(sys.modules))
    try:
        yield
    finally:
        _brought[by] |= sys.modules.keys() - _before.pop()


def names(*, used: bool) -> set[str]:
    """Return the names of the modules that are ours.

    Parameters
    ----------
    used : bool
        Whether the notebook uses `jupyter_scale` itself.
    """
    found = {*_brought["export"], *(() if used else _brought["extension"])}
    for before in _before:
        found |= sys.modules.keys() - before
    return found
