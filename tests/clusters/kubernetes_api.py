"""A Kubernetes API server in memory: as much of one as kr8s, kopf and the Dask operator ask for.

Lists and watches with selectors, patches, subresources, finalizers, collection of what lost its
owner, custom resources that are checked against their definitions, bearer tokens, port forwards and
logs. What is in it is changed by others only: `kubernetes_control` and `kubelet`. Network policies
are stored, and nobody enforces them.

    python kubernetes_api.py FOLDER     where kubernetes.json and the logs of pods are
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import secrets
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonpatch
import jsonschema
from aiohttp import WSMsgType, web
from kubernetes_client import configuration, end_with_parent

Document = dict[str, Any]

DEFINITIONS = "customresourcedefinitions"
REVIEWS = "selfsubjectaccessreviews"
ONLY_ONE = "application/json-patch+json"
MERGED = "application/merge-patch+json"
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


@dataclass(frozen=True)
class Kind:
    """A kind of object, as the API calls it."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    status: bool = True
    validator: Any = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.plural


BUILT_IN = (
    Kind("", "v1", "namespaces", "Namespace", namespaced=False),
    Kind("", "v1", "nodes", "Node", namespaced=False),
    Kind("", "v1", "pods", "Pod"),
    Kind("", "v1", "services", "Service"),
    Kind("", "v1", "secrets", "Secret", status=False),
    Kind("", "v1", "configmaps", "ConfigMap", status=False),
    Kind("", "v1", "events", "Event", status=False),
    Kind("apps", "v1", "deployments", "Deployment"),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", status=False),
    Kind("apiextensions.k8s.io", "v1", DEFINITIONS, "CustomResourceDefinition", namespaced=False),
)


class Refused(Exception):
    """What the server answers instead."""

    def __init__(self, code: int, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.code, self.reason = code, reason

    def document(self) -> Document:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": self.reason,
            "message": str(self),
            "code": self.code,
        }


class Store:
    """All objects, and what has happened to them; a version is a number of events."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str], dict[str, Kind]] = {}
        self.objects: dict[tuple[str, str], dict[tuple[str, str], Document]] = {}
        self.events: list[tuple[tuple[str, str], str, Document]] = []
        self.changed = asyncio.Event()
        for kind in BUILT_IN:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        self.kinds.setdefault((kind.group, kind.version), {})[kind.plural] = kind
        self.objects.setdefault(kind.key, {})

    def all(self, kind: Kind, namespace: str, select: Selection) -> list[Document]:
        found = self.objects[kind.key].values()
        return [one for one in found if select.takes(one, namespace)]

    def get(self, kind: Kind, namespace: str, name: str) -> Document:
        try:
            return self.objects[kind.key][namespace, name]
        except KeyError:
            raise Refused(404, "NotFound", f'{kind.plural} "{name}" not found') from None

    def create(self, kind: Kind, namespace: str, document: Document) -> Document:
        document = without_nulls(document)
        metadata = document.setdefault("metadata", {})
        if kind.namespaced:
            metadata["namespace"] = namespace
        if "generateName" in metadata:
            metadata.setdefault("name", metadata["generateName"] + secrets.token_hex(3))
        key = (namespace if kind.namespaced else "", metadata["name"])
        if key in self.objects[kind.key]:
            message = f'{kind.plural} "{metadata["name"]}" already exists'
            raise Refused(409, "AlreadyExists", message)
        check(kind, document)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(), "generation": 1}
        document |= {"kind": kind.name, "apiVersion": kind.api_version}
        complete(kind, document)
        if kind.plural == DEFINITIONS:
            self.define(document["spec"])
        self._record(kind.key, "ADDED", document)
        owners = [owner["uid"] for owner in metadata.get("ownerReferences", [])]
        if owners and not any(owner in owners for owner in self._uids()):
            self.delete(kind, document)
        return document

    def define(self, spec: Document) -> None:
        """Serve a kind of custom resource."""
        for version in spec["versions"]:
            names, scope = spec["names"], spec["scope"]
            schema = json_schema(version["schema"]["openAPIV3Schema"])
            kind = Kind(
                spec["group"],
                version["name"],
                names["plural"],
                names["kind"],
                scope == "Namespaced",
                "status" in version.get("subresources", {}),
                jsonschema.Draft7Validator(schema),
            )
            self.add(kind)

    def replace(self, kind: Kind, old: Document, new: Document) -> Document:
        check(kind, new)
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        self._record(kind.key, "MODIFIED", new)
        metadata = new["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self.delete(kind, new, now=kind.plural != "pods")
        return new

    def delete(self, kind: Kind, document: Document, *, now: bool = False) -> Document:
        """Delete an object and what it owned, or note that it is to be deleted."""
        metadata = document["metadata"]
        if metadata.get("finalizers") or (not now and runs(kind, document)):
            if not metadata.get("deletionTimestamp"):
                document = copy.deepcopy(document)
                document["metadata"]["deletionTimestamp"] = timestamp()
                self._record(kind.key, "MODIFIED", document)
            return document
        if self._named(kind, metadata) is None:
            return document
        self._record(kind.key, "DELETED", copy.deepcopy(document))
        for other in [kind for kinds in self.kinds.values() for kind in kinds.values()]:
            for one in list(self.objects[other.key].values()):
                owners = one["metadata"].get("ownerReferences") or []
                if any(owner["uid"] == metadata["uid"] for owner in owners):
                    self.delete(other, one)
        return document

    def _named(self, kind: Kind, metadata: Document) -> Document | None:
        return self.objects[kind.key].get((metadata.get("namespace", ""), metadata["name"]))

    def _uids(self) -> Iterator[str]:
        for objects in self.objects.values():
            yield from (one["metadata"]["uid"] for one in objects.values())

    def _record(self, key: tuple[str, str], event: str, document: Document) -> None:
        metadata = document["metadata"]
        metadata["resourceVersion"] = str(len(self.events) + 1)
        place = (metadata.get("namespace", ""), metadata["name"])
        if event == "DELETED":
            self.objects[key].pop(place, None)
        else:
            self.objects[key][place] = document
        self.events.append((key, event, document))
        self.changed.set()
        self.changed = asyncio.Event()


class Selection:
    """What a list or a watch is limited to."""

    def __init__(self, query: Any) -> None:
        self._labels = [part for part in query.get("labelSelector", "").split(",") if part]
        self._fields = [part for part in query.get("fieldSelector", "").split(",") if part]

    def takes(self, document: Document, namespace: str) -> bool:
        if namespace and document["metadata"].get("namespace") != namespace:
            return False
        labels = document["metadata"].get("labels") or {}
        return all(self._label(part, labels) for part in self._labels) and all(
            self._field(part, document) for part in self._fields
        )

    @staticmethod
    def _label(part: str, labels: Document) -> bool:
        if "=" not in part:
            return part in labels
        name, _, value = part.replace("==", "=").partition("=")
        return bool(labels.get(name) == value)

    @staticmethod
    def _field(part: str, document: Any) -> bool:
        path, _, value = part.replace("==", "=").partition("=")
        for step in path.split("."):
            document = (document or {}).get(step)
        return (document or "") == value


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def runs(kind: Kind, document: Document) -> bool:
    """Whether it is a pod whose kubelet must end it first."""
    phase = document.get("status", {}).get("phase")
    bound = kind.plural == "pods" and document["spec"].get("nodeName")
    return bool(bound and phase in ("Pending", "Running"))


def without_nulls(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: without_nulls(value) for key, value in part.items() if value is not None}
    return [without_nulls(one) for one in part] if isinstance(part, list) else part


def merged(target: Any, patch: Any) -> Any:
    """Return what a merge patch (RFC 7386) makes of something."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def check(kind: Kind, document: Document) -> None:
    if kind.validator is None:
        return
    error = jsonschema.exceptions.best_match(kind.validator.iter_errors(document))
    if error is not None:
        path = ".".join(str(step) for step in error.absolute_path)
        name = document["metadata"]["name"]
        message = f'{kind.name}.{kind.group} "{name}" is invalid: {path}: {error.message[:300]}'
        raise Refused(422, "Invalid", message)


def json_schema(part: Any) -> Any:
    """Return a schema of a definition as JSON schema, which has no words for some of it."""
    if isinstance(part, list):
        return [json_schema(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {
        key: {name: json_schema(one) for name, one in value.items()}
        if key == "properties"
        else json_schema(value)
        for key, value in part.items()
        if key not in ("format", "nullable", "default", "description")
    }
    if part.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return found


def complete(kind: Kind, document: Document) -> None:
    """Add what the server knows of a new object."""
    if kind.plural == "pods":
        document["status"] = {"phase": "Pending"}
    elif kind.plural == "services":
        document["status"] = {"loadBalancer": {}}
        document["spec"] = {"type": "ClusterIP", **document["spec"]}
    elif kind.plural == "secrets":
        for name, text in document.pop("stringData", {}).items():
            encoded = base64.b64encode(text.encode()).decode()
            document.setdefault("data", {})[name] = encoded
    elif kind.plural == DEFINITIONS:
        states = ("Established", "NamesAccepted")
        document["status"] = {"conditions": [{"type": one, "status": "True"} for one in states]}


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
        self.authorize(request, user, kind, namespace)
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

    def authorize(self, request: web.Request, user: str, kind: Kind, namespace: str) -> None:
        if not allowed(user, request.method == "GET"):
            verb = {"POST": "create", "DELETE": "delete"}.get(request.method, "patch")
            raise Refused(
                403,
                "Forbidden",
                f'{kind.plural}.{kind.group} is forbidden: User "{user}" cannot {verb} resource '
                f'"{kind.plural}" in API group "{kind.group}" in the namespace "{namespace}"',
            )

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
    if request.content_type == ONLY_ONE:
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
