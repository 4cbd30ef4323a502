"""The REST handlers: read what is asked for, call the parts, answer in JSON.

Every one asks for a login and for the right to this resource. Bodies are checked against a schema;
what is wrong is answered in one line with its remedy. Nothing that blocks runs in the event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fastjsonschema
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from jupyter_scale import choice
from jupyter_scale.server.watcher import Watcher

__all__ = ["handlers"]

RESOURCE = "jupyter_scale"
MOST = 100_000  # workers
ADAPT = {
    "type": "object",
    "required": ["minimum", "maximum"],
    "properties": {
        "minimum": {"type": "integer", "minimum": 0, "maximum": MOST},
        "maximum": {"type": "integer", "minimum": 1, "maximum": MOST},
    },
    "additionalProperties": False,
}
WORKERS = {"type": "integer", "minimum": 0, "maximum": MOST}


def body(required: list[str], properties: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a check of a request's body."""
    schema = {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }
    check: Callable[[Any], Any] = fastjsonschema.compile(schema)
    return check


STARTED = body(
    ["profile"],
    {
        "profile": {"type": "string", "maxLength": 100},
        "workers": {**WORKERS, "minimum": 1},
        "threads": {**WORKERS, "minimum": 1},
        "memory": {"type": "string", "maxLength": 20},
        "adapt": ADAPT,
        "notebook": {"type": "string", "maxLength": 4000},
    },
)
SIZED = body([], {"workers": WORKERS, "adapt": ADAPT})
ASKED = body(["action"], {"action": {"enum": ["stop", "pause", "resume"]}})
CHOSEN = body(["cluster"], {"cluster": {"type": "string", "maxLength": 200}})


class Refused(Exception):
    """What cannot be done; the text is the answer.

    Parameters
    ----------
    text : str
    status : int
        Of HTTP.
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Handler(APIHandler):
    """What all have in common."""

    auth_resource = RESOURCE

    def read(self, check: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the checked body."""
        try:
            found: dict[str, Any] = check(json.loads(self.request.body or b"{}"))
        except json.JSONDecodeError as error:
            raise Refused(f"the body is not JSON: {error}") from None
        except fastjsonschema.JsonSchemaValueException as error:
            raise Refused(str(error).replace("data", "the body", 1)) from None
        return found

    @property
    def watcher(self) -> Watcher:
        watcher: Watcher = self.settings["jupyter_scale"]
        return watcher

    async def folders(self) -> list[Path]:
        """Return the folders of this server's open notebooks, and its own."""
        root = Path(self.settings.get("server_root_dir", "")).expanduser()
        open_ = (await self.watcher.notebooks()).values()
        return list(dict.fromkeys([root, *((root / path).parent for path in open_)]))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the one line of what was refused."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        if not isinstance(error, Refused):
            super().write_error(status_code, **kwargs)
            return
        self.set_status(error.status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": str(error), "reason": None}))

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log a traceback of what is not the user's business only."""
        if not isinstance(error, Refused):
            super().log_exception(kind, error, trace)


async def apart(action: Callable[..., Any], *args: Any) -> Any:
    """Run what blocks in a thread; refuse what goes wrong with a cluster."""
    from jupyter_scale.clusters.limits import ClusterError

    try:
        return await asyncio.to_thread(action, *args)
    except (ClusterError, ValueError) as error:
        raise Refused(str(error)) from None


class Profiles(Handler):
    """The clusters that can be started."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        def profiled() -> dict[str, Any]:
            from jupyter_scale.server.states import profiled

            return profiled()

        self.finish(await apart(profiled))


class Clusters(Handler):
    """All clusters; a new one."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish({"clusters": await self.watcher.states("clusters")})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        state = await apart(_start, self.read(STARTED))
        self.set_status(201)
        self.finish(state)


class OneCluster(Handler):
    """One cluster: its size, its end."""

    @web.authenticated
    @authorized
    async def patch(self, name: str) -> None:
        asked = self.read(SIZED)
        if len(asked) != 1:
            raise Refused('say either "workers" or "adapt"')
        words = await apart(_size, name, asked)
        self.finish({"words": words})

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        await apart(_close, name)
        await self.watcher.tell("clusters")
        self.set_status(204)


class Searches(Handler):
    """The searches of this server's kernels."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish({"searches": await self.watcher.states("searches")})


class OneSearch(Handler):
    """One search: what it shows; stop, pause, go on; forget it."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        from jupyter_scale.server.states import search

        entry = await apart(_entry, name)
        state = search(entry, await self.watcher.notebooks())
        self.finish({"search": state, "html": entry.html, "text": entry.text})

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        from jupyter_scale import journal

        action = self.read(ASKED)["action"]
        await apart(lambda: journal.ask(_entry(name), action))
        self.set_status(204)

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        def forget() -> None:
            from jupyter_scale import journal

            if _entry(name).alive:
                raise Refused("it is running: stop it first", 409)
            journal.forget(name)

        await apart(forget)
        await self.watcher.tell("searches")
        self.set_status(204)


class Exports(Handler):
    """The last export of each kernel of this server."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish({"exports": await self.watcher.states("exports")})


class OneExport(Handler):
    """What is known of one export: forget it."""

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        await apart(_dismiss, name)
        await self.watcher.tell("exports")
        self.set_status(204)


class Runs(Handler):
    """The latest searches on record, whoever ran them."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        folders = await self.folders()
        self.finish({"runs": await apart(_recorded, 409, "latest", folders)})


class OneRun(Handler):
    """All that is on record of a run."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        folders = await self.folders()
        self.finish({"html": await apart(_recorded, 404, "page", name, folders)})


class TwoRuns(Handler):
    """What differs between two runs."""

    @web.authenticated
    @authorized
    async def get(self, before: str, after: str) -> None:
        folders = await self.folders()
        page = await apart(_recorded, 404, "compared", before, after, folders)
        self.finish({"html": page})


class Choice(Handler):
    """The cluster that a kernel is to use."""

    @web.authenticated
    @authorized
    async def get(self, kernel: str) -> None:
        self._check(kernel)
        self.finish({"cluster": choice.read(kernel).cluster})

    @web.authenticated
    @authorized
    async def put(self, kernel: str) -> None:
        self._check(kernel)
        name = self.read(CHOSEN)["cluster"]
        await apart(_choose, kernel, name)
        await self.watcher.tell("choices")
        self.set_status(204)

    def _check(self, kernel: str) -> None:
        if kernel not in self.kernel_manager:
            raise Refused("there is no such kernel", 404)


# -- what they do; all of it blocks


def _start(asked: dict[str, Any]) -> dict[str, Any]:
    from jupyter_scale import clusters
    from jupyter_scale.clusters import Adapt, Wish, registry
    from jupyter_scale.clusters.connection import Process
    from jupyter_scale.server.states import cluster

    between = Adapt(**asked["adapt"]) if "adapt" in asked else None
    _check(between)
    profile = clusters.profile(asked["profile"])
    if profile.address:
        raise Refused(f"{profile.address} runs already: use it as it is")
    wish = Wish(asked.get("workers"), asked.get("threads"), asked.get("memory"), between)
    started = registry.begin(
        profile, wish, owner=Process.this(), notebook=asked.get("notebook", "")
    )
    return cluster(started)


def _check(between: Any) -> None:
    if between is not None and between.minimum > between.maximum:
        raise Refused(f"{between}: the first number is the smaller one")


def _found(name: str) -> Any:
    from jupyter_scale.clusters import registry

    found = next((one for one in registry.notes() if one.id == name), None)
    if found is None:
        raise Refused(f"there is no cluster {name!r}", 404)
    return found


def _size(name: str, asked: dict[str, Any]) -> str:
    from jupyter_scale.clusters import Adapt, registry

    connection = _found(name)
    if not connection.alive:
        raise Refused(f"{name} has ended: {connection.words}", 409)
    if "workers" in asked:
        return registry.scale(connection, asked["workers"])
    between = Adapt(**asked["adapt"])
    _check(between)
    return registry.adapt(connection, between)


def _close(name: str) -> None:
    from jupyter_scale.clusters import registry
    from jupyter_scale.clusters.connection import remove

    connection = _found(name)
    if connection.alive:
        registry.close(connection)
    else:
        remove(name)


def _entry(name: str) -> Any:
    from jupyter_scale import journal
    from jupyter_scale.clusters.connection import Process

    entry = journal.find(name)
    if entry is None or not Process.this().same(entry.owner):
        raise Refused("there is no such search", 404)
    return entry


def _dismiss(name: str) -> None:
    from jupyter_scale.clusters.connection import Process
    from jupyter_scale.export import note

    found = note.find(name)
    if found is None or not Process.this().same(found.owner):
        raise Refused("there is no such export", 404)
    if found.alive:
        raise Refused("it is running: interrupt its kernel first", 409)
    note.forget(name)


def _recorded(missing: int, what: str, *args: Any) -> Any:
    """Ask the record; refuse what is wrong with it, or what is missing there."""
    from jupyter_scale.runs import RecordError
    from jupyter_scale.server import record

    try:
        return getattr(record, what)(*args)
    except RecordError as error:
        raise Refused(str(error), missing) from None


def _choose(kernel: str, name: str) -> None:
    if name and not _found(name).alive:
        raise Refused(f"{name} has ended: pick another cluster", 409)
    choice.write(kernel, choice.Choice(name, choice.PANEL))


def handlers(base_url: str) -> list[tuple[str, type[Handler]]]:
    """Return the handlers by their addresses."""
    name = r"([\w.-]+)"
    found: dict[str, type[Handler]] = {
        "profiles": Profiles,
        "clusters": Clusters,
        f"clusters/{name}": OneCluster,
        "searches": Searches,
        f"searches/{name}": OneSearch,
        "exports": Exports,
        f"exports/{name}": OneExport,
        "runs": Runs,
        f"runs/{name}": OneRun,
        f"runs/{name}/{name}": TwoRuns,
        f"choices/{name}": Choice,
    }
    return [
        (url_path_join(base_url, "jupyter-scale", path), handler) for path, handler in found.items()
    ]
