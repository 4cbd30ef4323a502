"""The small Kubernetes' controllers: pods for deployments, nodes for pods.

A deployment has its pods directly, without the replica sets in between.
"""

from __future__ import annotations

import asyncio
import copy
import re
import secrets
from typing import Any

from kubernetes_client import Client, Document, Known, path_of, together

DEPLOYMENTS = "/apis/apps/v1"
OVER = ("Succeeded", "Failed")


class Control:
    """Brings about what deployments and pods ask for, each time that something has changed."""

    def __init__(self, client: Client) -> None:
        self.client, self._woken = client, asyncio.Event()
        self.nodes = Known(client, "/api/v1/nodes", self._woken.set)
        self.pods = Known(client, "/api/v1/pods", self._woken.set)
        self.deployments = Known(client, f"{DEPLOYMENTS}/deployments", self._woken.set)

    async def run(self) -> None:
        await together(
            self.nodes.follow(), self.pods.follow(), self.deployments.follow(), self._reconcile()
        )

    async def _reconcile(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            for deployment in self.deployments:
                await self._deploy(deployment)
            for pod in self.pods:
                if not pod["spec"].get("nodeName") and not ending(pod):
                    await self._schedule(pod)

    async def _deploy(self, deployment: Document) -> None:
        if ending(deployment):
            return
        mine = [pod for pod in self.pods if owned(pod, deployment)]
        pods = [pod for pod in mine if not ending(pod) and pod["status"].get("phase") not in OVER]
        wanted = deployment["spec"].get("replicas", 1)
        for _ in range(wanted - len(pods)):
            namespace = deployment["metadata"]["namespace"]
            path = f"/api/v1/namespaces/{namespace}/pods"
            created = await self.client.ask("POST", path, pod_of(deployment))
            if created is not None:
                self.pods.note(created)
        for pod in pods[wanted:]:
            await self.client.ask("DELETE", path_of(pod, "pods"))
        ready = sum(is_ready(pod) for pod in pods)
        status = {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
        if deployment.get("status") != status:
            deployment["status"] = status
            path = path_of(deployment, "deployments", DEPLOYMENTS)
            await self.client.patch_status(path, status)

    async def _schedule(self, pod: Document) -> None:
        path = path_of(pod, "pods")
        against: list[str] = []
        for node in sorted(self.nodes, key=lambda node: -len(node["spec"].get("taints", []))):
            why = self._why_not(node, pod)
            if not why:
                target = {"target": {"kind": "Node", "name": node["metadata"]["name"]}}
                pod["spec"]["nodeName"] = node["metadata"]["name"]
                await self.client.ask("POST", f"{path}/binding", target)
                return
            against.append(why)
        counted = [f"{against.count(why)} {why}" for why in sorted(set(against))]
        message = f"0/{len(against)} nodes are available: {', '.join(counted)}."
        known = pod["status"].get("conditions", [{}])[0].get("message")
        if message != known:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            pod["status"]["conditions"] = [{**condition, "message": message}]
            await self.client.patch_status(path, pod["status"])

    def _why_not(self, node: Document, pod: Document) -> str:
        """Return in the scheduler's words what a node has against a pod."""
        labels, spec = node["metadata"].get("labels", {}), pod["spec"]
        if not spec.get("nodeSelector", {}).items() <= labels.items():
            return "node(s) didn't match Pod's node affinity/selector"
        for taint in node["spec"].get("taints", []):
            if not any(tolerates(one, taint) for one in spec.get("tolerations", [])):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        name = node["metadata"]["name"]
        there = [one for one in self.pods if one["spec"].get("nodeName") == name]
        for what in ("cpu", "memory"):
            free = amount(node["status"]["allocatable"][what]) - sum(
                requested(one, what) for one in there
            )
            if requested(pod, what) > free:
                return f"Insufficient {what}"
        return ""


def ending(document: Document) -> bool:
    return "deletionTimestamp" in document["metadata"]


def owned(document: Document, owner: Document) -> bool:
    found = document["metadata"].get("ownerReferences", [])
    return any(one["uid"] == owner["metadata"]["uid"] for one in found)


def pod_of(deployment: Document) -> Document:
    template = copy.deepcopy(deployment["spec"]["template"])
    about = deployment["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": about["name"]}
    metadata = {
        "name": f"{about['name']}-{secrets.token_hex(3)}",
        "labels": template["metadata"].get("labels", {}),
        "ownerReferences": [{**owner, "uid": about["uid"], "controller": True}],
    }
    return {"metadata": metadata, "spec": template["spec"]}


def is_ready(pod: Document) -> bool:
    found = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in found)


def tolerates(toleration: Document, taint: Document) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    same = (toleration.get("key"), toleration.get("value", ""))
    return same == (taint["key"], taint.get("value", ""))


def requested(pod: Document, what: str) -> float:
    containers = pod["spec"]["containers"]
    return sum(
        amount(((one.get("resources") or {}).get("requests") or {}).get(what, 0))
        for one in containers
    )


def amount(quantity: Any) -> float:
    """Return a quantity as a number.

    Examples
    --------
    >>> amount("500m"), amount("2Gi")
    (0.5, 2147483648.0)
    """
    found = re.fullmatch(r"([\d.]+)([a-zA-Z]*)", str(quantity))
    assert found, quantity
    units = {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 1e3, "M": 1e6, "G": 1e9}
    return float(found[1]) * units[found[2]]
