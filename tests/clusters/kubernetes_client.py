"""How the parts of the small Kubernetes (`bed_kubernetes`) speak to its API server, and end."""

from __future__ import annotations

import asyncio
import ctypes
import json
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp

Document = dict[str, Any]

PR_SET_PDEATHSIG = 1
MERGE = "application/merge-patch+json"


def configuration(folder: Path) -> Document:
    """Return what the bed has written down: port and tokens of the server, and so on."""
    found: Document = json.loads((folder / "kubernetes.json").read_text(encoding="utf-8"))
    return found


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends, however that is."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Client:
    """A connection to the API server."""

    def __init__(self, folder: Path) -> None:
        about = configuration(folder)
        self.folder, self.server = folder, f"http://127.0.0.1:{about['port']}"
        headers = {"Authorization": f"Bearer {about['admin']}"}
        connector = aiohttp.TCPConnector(limit=0)
        self.session = aiohttp.ClientSession(headers=headers, connector=connector)

    async def ask(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json"
    ) -> Document | None:
        """Return the answer; None when the object is not there, or another was faster."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind}
        url = self.server + path
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            if answer.status in (404, 409):
                return None
            text = await answer.text()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {text}")
            found: Document = json.loads(text)
            return found

    async def patch_status(self, path: str, status: Document) -> None:
        await self.ask("PATCH", f"{path}/status", {"status": status}, kind=MERGE)

    async def follow(self, path: str, handle: Callable[[str, Document], Awaitable[None]]) -> None:
        """Hand on all objects of a kind, and each change of one, for ever."""
        listed = await self.ask("GET", path)
        assert listed is not None
        for item in listed["items"]:
            await handle("ADDED", item)
        version = listed["metadata"]["resourceVersion"]
        url = f"{self.server}{path}?watch=true&resourceVersion={version}"
        async with self.session.get(
            url, timeout=aiohttp.ClientTimeout(), read_bufsize=2**22
        ) as found:
            async for line in found.content:
                event = json.loads(line)
                await handle(event["type"], event["object"])


class Known:
    """The objects of some kind as they are now; `wake` is called when one changes."""

    def __init__(self, client: Client, path: str, wake: Callable[[], None]) -> None:
        self._client, self._path, self._wake = client, path, wake
        self.objects: dict[tuple[str, str], Document] = {}

    async def follow(self) -> None:
        await self._client.follow(self._path, self._changed)

    async def _changed(self, event: str, document: Document) -> None:
        if event == "DELETED":
            self.objects.pop(place(document), None)
        else:
            self.note(document)
        self._wake()

    def note(self, document: Document) -> None:
        self.objects[place(document)] = document

    def __iter__(self) -> Any:
        return iter(list(self.objects.values()))


def place(document: Document) -> tuple[str, str]:
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def path_of(document: Document, plural: str, group: str = "/api/v1") -> str:
    namespace, name = place(document)
    return f"{group}/namespaces/{namespace}/{plural}/{name}"


async def together(*forever: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until one of them fails."""
    async with asyncio.TaskGroup() as group:
        for one in forever:
            group.create_task(one)
