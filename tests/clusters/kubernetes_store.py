"""All objects of the small Kubernetes in memory, and what has happened to them.

Versions, finalizers, selectors, collection of what has lost its owner, custom resources that are
checked against their definitions. `kubernetes_api` serves it.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jsonschema

Document = dict[str, Any]

DEFINITIONS = "customresourcedefinitions"


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
        new = copy.deepcopy(new)  # what it shares with the old one is in past events too
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
