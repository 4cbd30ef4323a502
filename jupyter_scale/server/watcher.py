"""Tells whoever listens, by Jupyter's events, which clusters, searches and exports have changed.

The state is in files (`clusters.connection`, `journal`, `export.note`): they are looked at twice a
second by name and time only, and read, in a thread, when one has changed. What a dead process has
left is noticed by looking at the processes of what is said to run.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_scale import choice

__all__ = ["SCHEMA", "Watcher"]

SCHEMA = "https://events.jupyter.org/jupyter_scale/changed/v1"
LOOK = 0.5  # seconds between looks at the files
PROCESSES = 2.0  # ... at the processes
KINDS = {"choices": "choice-", "clusters": "scale-", "exports": "export-", "searches": "search-"}
"""How the names of the files begin, by kind."""


class Watcher:
    """Watches the files of one Jupyter server.

    Parameters
    ----------
    logger : jupyter_events.EventLogger
    sessions : jupyter_server.services.sessions.SessionManager
    root : str
        The folder that the server shows; empty where what it shows are no files of this machine.
    """

    def __init__(self, logger: Any, sessions: Any, root: str = "") -> None:
        self._logger, self._sessions, self._root = logger, sessions, root
        self._stamps: dict[str, dict[str, tuple[int, int]]] = {kind: {} for kind in KINDS}
        self._told: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None
        logger.register_event_schema(json.dumps(schema()))

    async def start(self) -> None:
        """Watch from now on, as long as the loop runs."""
        await asyncio.to_thread(choice.prune)
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while True:
            for kind in KINDS:
                try:
                    await self._look(kind)
                except OSError as error:  # the next look comes soon
                    self._logger.log.debug("jupyter_scale: %s", error)
            await asyncio.sleep(LOOK)

    async def _look(self, kind: str) -> None:
        """Tell what has changed of one kind."""
        stamps = _stamps(Path(jupyter_runtime_dir()), KINDS[kind])
        same = stamps == self._stamps[kind]
        if same and not self._due(kind):
            return
        self._stamps[kind] = stamps
        await self.tell(kind)

    def _due(self, kind: str) -> bool:
        """Whether the processes of what runs are to be looked at again."""
        now = time.monotonic()
        if now < self._next or not any(map(_lives, self._told[kind].values())):
            return False
        self._next = now + PROCESSES
        return True

    async def tell(self, kind: str) -> None:
        """Tell of one kind what is not known yet."""
        known = {state["id"]: state for state in await self.states(kind)}
        told, self._told[kind] = self._told[kind], known
        changed = [state for name, state in known.items() if told.get(name) != state]
        removed = [name for name in told if name not in known]
        if changed or removed:
            data = {"kind": kind, "changed": changed, "removed": removed}
            self._logger.emit(schema_id=SCHEMA, data=data)

    async def states(self, kind: str) -> list[dict[str, Any]]:
        """Return all that is known of one kind."""
        if kind == "choices":
            chosen = choice.choices()
            return [{"id": kernel, "cluster": one.cluster} for kernel, one in chosen.items()]
        if kind == "clusters":
            return await asyncio.to_thread(_clusters)
        if kind == "exports":
            return await asyncio.to_thread(_exports, self._root)
        notebooks = await self.notebooks()
        return await asyncio.to_thread(_searches, notebooks)

    async def notebooks(self) -> dict[str, str]:
        """Return the paths of notebooks by their kernels' ids."""
        sessions = await self._sessions.list_sessions()
        return {one["kernel"]["id"]: one["path"] for one in sessions if one.get("kernel")}


def _stamps(folder: Path, prefix: str) -> dict[str, tuple[int, int]]:
    found = {}
    with os.scandir(folder) as files:
        for file in files:
            if file.name.startswith(prefix) and file.name.endswith(".json"):
                stat = file.stat()
                found[file.name] = stat.st_mtime_ns, stat.st_size
    return found


def _lives(state: dict[str, Any]) -> bool:
    return state.get("state", state.get("status")) in (
        "starting", "running", "paused", "refitting",
    )  # fmt: skip


def _clusters() -> list[dict[str, Any]]:
    # distributed takes a moment to import, which the server's start need not wait for
    from jupyter_scale.clusters import registry
    from jupyter_scale.server.states import cluster

    return [cluster(connection) for connection in registry.notes()]


def _searches(notebooks: dict[str, str]) -> list[dict[str, Any]]:
    from jupyter_scale import journal
    from jupyter_scale.clusters.connection import Process
    from jupyter_scale.server.states import search

    server = Process.this()
    return [search(entry, notebooks) for entry in journal.entries() if server.same(entry.owner)]


def _exports(root: str) -> list[dict[str, Any]]:
    from jupyter_scale.clusters.connection import Process
    from jupyter_scale.export.note import notes
    from jupyter_scale.server.states import export

    server = Process.this()
    return [export(note, root) for note in notes() if server.same(note.owner)]


def schema() -> dict[str, Any]:
    """Return the schema of the event."""
    states = {"type": "array", "items": {"type": "object", "required": ["id"]}}
    return {
        "$id": SCHEMA,
        "version": "1",
        "title": "Clusters, searches or exports have changed",
        "description": "The new states of those that have changed, and the ids of those removed.",
        "personal-data": False,
        "type": "object",
        "required": ["kind", "changed", "removed"],
        "properties": {
            "kind": {"enum": sorted(KINDS)},
            "changed": states,
            "removed": {"type": "array", "items": {"type": "string"}},
        },
    }
