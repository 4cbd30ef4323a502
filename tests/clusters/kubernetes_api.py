"""A Kubernetes API server: as much of one as kr8s, kopf and the Dask operator ask for.

Discovery, lists and watches, patches, subresources, bearer tokens and what their users may do, port
forwards and logs of pods. What is in it (`kubernetes_store`) is changed by others only:
`kubernetes_control` and `kubelet`. Network policies are stored, and nobody enforces them.

    python kubernetes_api.py FOLDER     where kubernetes.json and the logs of pods are
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonpatch
from aiohttp import WSMsgType, web
from kubernetes_client import configuration, end_with_parent
from kubernetes_store import Document, Kind, Refused, Selection, Store, merged

REVIEWS = "selfsubjectaccessreviews"
JSON_PATCH = "application/json-patch+json"
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


class Api:
    """The store over HTTP."""

    def __init__(self, folder: Path, tokens: dict[str, str]) -> None:
        self.store, self.folder, self.tokens = Store(), folder, tokens

    async def answer(self, request: web.Request) -> web.StreamResponse:
        try:
            if request.path == "/healthz":
                return web.Response(text="ok")
            user = self.user(request)
            path = [part for part in request.path.split("/") if part]
            if path == ["version"]:
                return web.json_response({"major": "1", "minor": "35", "gitVersion": "v1.35.0"})
            return await self.resource(request, user, path)
        except Refused as refused:
            return web.json_response(refused.document(), status=refused.code)

    def user(self, request: web.Request) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            raise Refused(401, "Unauthorized")
        return self.tokens[token]

    async def resource(
        self, request: web.Request, user: str, path: list[str]
    ) -> web.StreamResponse:
        found = self.discovered(path)
        if found is not None:
            return web.json_response(found)
        group, version, *rest = ["", *path[1:]] if path[0] == "api" else path[1:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            _, namespace, *rest = rest
        plural, name, part = (*rest, "", "")[:3]
        if plural == REVIEWS:
            return await self.review(request, user)
        kind = self.store.kinds.get((group, version), {}).get(plural)
        if kind is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        authorize(request, user, kind, namespace)
        # before the object, which another may change while this is read
        body = await request.json() if request.can_read_body else {}
        if not name and request.method == "GET":
            return await self.several(request, kind, namespace)
        if not name:
            created = self.store.create(kind, namespace or "default", body)
            return web.json_response(created, status=201)
        document = self.store.get(kind, namespace, name)
        if part == "portforward":
            return await forward(request, document["status"].get("podIP", ""))
        if part == "log":
            log = self.folder / f"{namespace}.{name}.log"
            return web.Response(text=log.read_text(errors="replace") if log.exists() else "")
        return web.json_response(self.one(request, kind, document, part, body))

    def discovered(self, path: list[str]) -> Document | None:
        """Return what a client finds the kinds by, if it asks for that."""
        if path == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == ["apis"]:
            groups = [one(group, version) for group, version in self.store.kinds if group]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if path[0] == "apis" and len(path) == 2:
            for group, version in self.store.kinds:
                if group == path[1]:
                    return {"kind": "APIGroup", "apiVersion": "v1", **one(group, version)}
            raise Refused(404, "NotFound")
        if len(path) != (2 if path[0] == "api" else 3):
            return None
        group, version = ("", path[1]) if path[0] == "api" else path[1:]
        kinds = self.store.kinds.get((group, version))
        if kinds is None:
            raise Refused(404, "NotFound")
        listed = [entry for kind in kinds.values() for entry in entries(kind)]
        about = {"groupVersion": "/".join(path[1:]), "resources": listed}
        return {"kind": "APIResourceList", "apiVersion": "v1", **about}

    async def review(self, request: web.Request, user: str) -> web.Response:
        """Say whether the user may do something."""
        review = await request.json()
        verb = review["spec"]["resourceAttributes"]["verb"]
        reads = verb in ("get", "list", "watch")
        return web.json_response(
            {**review, "status": {"allowed": allowed(user, reads)}}, status=201
        )

    async def several(self, request: web.Request, kind: Kind, namespace: str) -> web.StreamResponse:
        if request.query.get("watch", "").lower() in ("true", "1"):
            return await self.watch(request, kind, namespace)
        items = self.store.all(kind, namespace, Selection(request.query))
        metadata = {"resourceVersion": str(len(self.store.events))}
        about = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata}
        return web.json_response({**about, "items": items})

    async def watch(self, request: web.Request, kind: Kind, namespace: str) -> web.StreamResponse:
        query, store = request.query, self.store
        select = Selection(query)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)

        async def send(event: str, document: Document) -> None:
            if select.takes(document, namespace):
                line = json.dumps({"type": event, "object": document})
                await response.write(line.encode() + b"\n")

        index = int(query.get("resourceVersion") or 0)
        if not index:
            index = len(store.events)
            for document in list(store.objects[kind.key].values()):
                await send("ADDED", document)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(float(query.get("timeoutSeconds") or 3600)):
                while True:
                    changed = store.changed
                    for key, event, document in store.events[index:]:
                        index += 1
                        if key == kind.key:
                            await send(event, document)
                    if index == len(store.events):
                        await changed.wait()
        return response

    def one(
        self, request: web.Request, kind: Kind, document: Document, part: str, body: Any
    ) -> Document:
        if request.method == "GET":
            return document
        if request.method == "DELETE":
            grace = request.query.get("gracePeriodSeconds", body.get("gracePeriodSeconds"))
            return self.store.delete(kind, document, now=str(grace) == "0")
        if part == "binding":
            body = {"spec": {"nodeName": body["target"]["name"]}}
            return self.store.replace(kind, document, merged(document, body))
        return self.store.replace(kind, document, patched(request, kind, document, part, body))


def patched(request: web.Request, kind: Kind, old: Document, part: str, body: Any) -> Document:
    """Return an object as a PUT or a PATCH leaves it: status and rest have paths of their own."""
    if request.content_type == JSON_PATCH:
        try:
            new: Document = jsonpatch.apply_patch(copy.deepcopy(old), body)
        except jsonpatch.JsonPatchException as error:
            raise Refused(422, "Invalid", str(error)) from None
    elif request.method == "PUT":
        new = {**body, "metadata": merged(old["metadata"], body["metadata"])}
    else:
        new = merged(old, body)
    if part == "status":
        return {**old, "metadata": new["metadata"], "status": new.get("status", {})}
    if kind.status and "status" in old:
        return {**new, "status": old["status"]}
    if kind.status:
        new.pop("status", None)
    return new


def authorize(request: web.Request, user: str, kind: Kind, namespace: str) -> None:
    if not allowed(user, request.method == "GET"):
        verb = {"POST": "create", "DELETE": "delete"}.get(request.method, "patch")
        raise Refused(
            403,
            "Forbidden",
            f'{kind.plural}.{kind.group} is forbidden: User "{user}" cannot {verb} resource '
            f'"{kind.plural}" in API group "{kind.group}" in the namespace "{namespace}"',
        )


def allowed(user: str, reads: bool) -> bool:
    return reads or user == "admin"


def one(group: str, version: str) -> Document:
    """Return a group of kinds, which has one version here."""
    found = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [found], "preferredVersion": found}


def entries(kind: Kind) -> Iterator[Document]:
    about = {"singularName": kind.name.lower(), "namespaced": kind.namespaced, "kind": kind.name}
    yield {"name": kind.plural, "verbs": VERBS, **about}
    if kind.status:
        yield {"name": f"{kind.plural}/status", "verbs": ["get", "patch", "update"], **about}


async def forward(request: web.Request, host: str) -> web.WebSocketResponse:
    """Carry a connection to a port of a pod: channel 0 has what is sent, 1 what goes wrong."""
    port = int(request.query["ports"])
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
    await socket.prepare(request)
    for channel in (b"\0", b"\1"):
        await socket.send_bytes(channel + port.to_bytes(2, "little"))
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        await socket.send_bytes(b"\1" + str(error).encode())
        await socket.close()
        return socket

    async def receive() -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                await socket.send_bytes(b"\0" + data)
        await socket.close()

    receiving = asyncio.create_task(receive())
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[:1] == b"\0":
                writer.write(message.data[1:])
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        receiving.cancel()
        writer.close()
    return socket


async def main(folder: Path) -> None:
    about = configuration(folder)
    api = Api(folder, about["tokens"])
    for name in ("default", "kube-system"):
        namespaces = api.store.kinds["", "v1"]["namespaces"]
        api.store.create(namespaces, "", {"metadata": {"name": name}})
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", about["port"]).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(main(Path(sys.argv[1])))
