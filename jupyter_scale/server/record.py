"""The runs on record, from every file that they may be in: plain data, or refused in one line.

With the setting ``beside`` each folder of notebooks has a record of its own. Those of the folders
with open notebooks are looked at, and those that a kernel of this user has written to: nothing is
searched for, however large the folders of the server are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from jupyter_scale.runs import Page, Run, Store, compare
from jupyter_scale.runs.place import RecordError, places
from jupyter_scale.server.states import run as state

__all__ = ["compared", "latest", "page"]

LISTED = 50


def latest(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """Return what a list tells of the latest runs."""
    with _stores(folders) as stores:
        found = [run for store in stores for run in store.runs(most=LISTED)]
    found.sort(key=lambda run: -run.started)
    return [state(run) for run in found[:LISTED]]


def page(name: str, folders: Iterable[Path]) -> str:
    """Return all that is on record of a run, as HTML."""
    with _stores(folders) as stores:
        store, run = _found(name, stores)
        return Page(run, store.text(run.environment), store.text(run.diff))._repr_html_()


def compared(before: str, after: str, folders: Iterable[Path]) -> str:
    """Return what differs between two runs, as HTML."""
    with _stores(folders) as stores:
        store, one = _found(before, stores)
        place, other = _found(after, stores)
        return compare(store, one, other, place)._repr_html_()


@contextmanager
def _stores(folders: Iterable[Path]) -> Iterator[list[Store]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Store(path)) for path in places(folders)]


def _found(name: str, stores: list[Store]) -> tuple[Store, Run]:
    found = []
    refused: RecordError | None = None
    for store in stores:
        try:
            found.append((store, store.find(name)))
        except RecordError as error:
            refused = refused or error
    if not found:
        assert refused is not None  # there is always a place
        raise refused
    return max(found, key=lambda one: one[1].started)
