"""Clusters of pods, which the Dask operator makes of what `manifest` writes.

A cluster is a `DaskCluster`, which owns all else: its certificate, its network policy, its pods. So
all that is to be done at its end is to delete that one object: the host does, or the operator where
the host was killed (`guard`). From here the scheduler is reached through the API server, by a port
forward that listens on loopback in the host.
"""

from __future__ import annotations

import difflib
import getpass
import secrets
import time
from dataclasses import replace
from functools import partial
from importlib.resources import files
from threading import Lock
from typing import Any
from unittest.mock import patch

import dask
from dask_kubernetes.operator import KubeCluster, networking
from dask_kubernetes.operator.kubecluster import kubecluster
from distributed import Security
from distributed.core import rpc

from jupyter_scale.clusters import guard, pods
from jupyter_scale.clusters.apiserver import ENDED, LOOK, Server
from jupyter_scale.clusters.backend import Backend
from jupyter_scale.clusters.limits import ClusterError, Size, check_workers
from jupyter_scale.clusters.manifest import (
    LONGEST,
    Document,
    install,
    manifest,
    slug,
    validate,
)
from jupyter_scale.clusters.profiles import Adapt, Profile

__all__ = ["Kubernetes"]

# Seconds without work after which the operator is to delete it: only what was idle since
# `guard.LONG_AGO`, in 1970, was idle for as long.
NEVER = 20 * 365 * 24 * 3600
FORWARD = {
    # By no other way: the policy lets in the cluster's own pods only.
    "kubernetes.port-forward-cluster-ip": True,
    "kubernetes.scheduler-service-type": "ClusterIP",
    # It would go before ours.
    "kubernetes.custom-cluster-spec": None,
}
"""What KubeCluster is not to read from the user's kubernetes.yaml."""
ARGUMENTS = (
    *("name", "namespace", "image", "n_workers", "resources", "env", "worker_command"),
    *("tolerations", "node_selector", "resource_timeout", "scheduler_forward_port"),
)
"""What the class can be called with here."""


class Kubernetes(Backend):
    """A cluster that the Dask operator runs; `self.cluster` is a KubeCluster."""

    def __init__(
        self, profile: Profile, workers: int | None, adapt: Adapt | None, size: Size | None = None
    ) -> None:
        if workers is None and adapt is None:
            workers = int(profile.factory.kwargs.get("n_workers") or 1)
        super().__init__(profile, workers, adapt, size)
        self._server: Server | None = None
        self._name = ""
        self._security: Security | None = None
        self._scheduler: tuple[str, int] | None = None
        self._asking, self._ended, self._came, self._created = Lock(), False, False, 0.0

    def start(self) -> None:
        dask.config.set(self.settings())
        security = Security.temporary()
        documents = self._documents(security)
        self._server = server = Server(self._said("namespace"))
        server.check_rights()
        with self._asking:
            if self._ended:
                raise ClusterError("it was closed")
            self._create(documents)
        self._connect(security)

    def settings(self) -> dict[str, Any]:
        return {**FORWARD, **super().settings()}

    def _said(self, name: str) -> Any:
        """Return what the profile says of an argument, or the user's kubernetes.yaml."""
        key = f"kubernetes.{name.replace('_', '-')}"
        return self.profile.factory.kwargs.get(name) or dask.config.get(key, None)

    # -- start

    def _documents(self, security: Security) -> list[Document]:
        """Return what the cluster is, the owner of all else first."""
        for name in self.profile.factory.kwargs:
            if name not in ARGUMENTS:
                near = difflib.get_close_matches(name, ARGUMENTS, n=1)
                raise ClusterError(
                    f"{self.profile.origin}: jupyter-scale.profiles.{self.profile.name}.factory."
                    f"kwargs: a cluster on Kubernetes has no {name!r}"
                    + (f": did you mean {near[0]}?" if near else f": it has {', '.join(ARGUMENTS)}")
                )
        profile = replace(
            self.profile, workers=self.workers, adapt=self.adapted, config=super().settings()
        )
        documents = manifest(profile, name=self._named(), security=security)
        validate(documents, definitions=False)  # the API server has those
        documents.sort(key=lambda document: document["kind"] != "DaskCluster")
        spec = documents[0]["spec"]
        spec["idleTimeout"] = NEVER  # the host knows when it is idle: not before it could be used
        self._guard(spec["scheduler"]["spec"]["containers"][0])
        return documents

    def _guard(self, container: Document) -> None:
        """Have the scheduler see to its end, should this process be gone."""
        preloads = dask.config.get("distributed.scheduler.preload") or []
        text = files(__package__).joinpath("guard.py").read_text(encoding="utf-8")
        for preload in (*([preloads] if isinstance(preloads, str) else preloads), text):
            container["args"] += ["--preload", preload]
        patience = {"name": guard.PATIENCE, "value": str(self.profile.lost_timeout)}
        container["env"].append(patience)

    def _named(self) -> str:
        own = secrets.token_hex(3)
        named = self.profile.factory.kwargs.get("name")
        if named:
            return str(named).format(user=slug(getpass.getuser()), uuid=own)
        return f"{slug(self.profile.name, LONGEST - len(own) - 1)}-{own}"

    def _create(self, documents: list[Document]) -> None:
        assert self._server is not None
        owner: Document | None = None
        for document in documents:
            if owner is not None:
                document["metadata"]["ownerReferences"] = [owner]
            made = self._server.create(document)
            if owner is None:
                self._name, self._created = made["metadata"]["name"], time.monotonic()
                about = {key: made["metadata"][key] for key in ("name", "uid")}
                owner = {"apiVersion": made["apiVersion"], "kind": made["kind"], **about}

    def _connect(self, security: Security) -> None:
        """Wait for the scheduler, and forward its port to here."""
        assert self._server is not None
        encrypted = partial(rpc, connection_args=security.get_connection_args("client"))
        with (
            # KubeCluster connects without a certificate, and has no argument for one.
            patch.object(kubecluster, "rpc", encrypted),
            patch.object(networking, "rpc", encrypted),
        ):
            cluster = Forwarded(
                name=self._name,
                namespace=self._server.namespace,
                create_mode=kubecluster.CreateMode.CONNECT_ONLY,
                shutdown_on_close=False,
                resource_timeout=self._said("resource_timeout"),
                scheduler_forward_port=self._said("scheduler_forward_port"),
                quiet=True,
            )
        for pod in self._server.all("Pod", self._name):
            if pods.role(pod) == "scheduler" and "deletionTimestamp" not in pod["metadata"]:
                self._scheduler = pods.identity(pod)
        self.cluster, self._security = cluster, security

    @property
    def security(self) -> Any:
        return self._security

    # -- words

    def words(self) -> str:
        server, name = self._server, self._name
        if server is None or not name:
            return "waiting for the API server's answer"
        try:
            cluster, found = server.get("DaskCluster", name), server.all("Pod", name)
            refused = pods.refused(server.all("Deployment", name))
        except ClusterError as error:
            return str(error)
        if cluster is None or "deletionTimestamp" in cluster["metadata"]:
            raise ClusterError(f"its DaskCluster {name} was deleted")
        if self._scheduler is not None and (how := pods.lost(found, self._scheduler)):
            raise ClusterError(
                f"its scheduler is lost, and all that it knew: {how}; start the cluster again"
            )
        phase = cluster.get("status", {}).get("phase")
        if phase is None:
            return self._unnoticed()
        self._check(found)
        return refused or pods.spoken(found) or "waiting for the Dask operator to make pods"

    def _unnoticed(self) -> str:
        words = "waiting for the Dask operator to take note of it"
        if time.monotonic() - self._created > float(self._said("resource_timeout") or 60):
            raise ClusterError(
                f"the Dask operator takes no note of it: does it run, and look after the namespace "
                f"{self._server and self._server.namespace}? It is installed by: {install()}"
            )
        return words

    def _check(self, found: list[Document]) -> None:
        """End a start which will never succeed; a cluster that ran already goes on."""
        known = self.cluster.scheduler_info if self.cluster is not None else {}
        self._came = self._came or bool(known.get("workers"))
        if self._came or self._server is None:
            return
        for pod in sorted(found, key=pods.role):
            state = pods.state(pod)
            if state.hopeless:
                last = self._server.last_line(pod) if state.crashed else ""
                whose = "the scheduler's" if pods.role(pod) == "scheduler" else "a worker's"
                raise ClusterError(f"{whose} pod: {state.words}{last and ': '}{last}")

    # -- size

    def scale(self, workers: int) -> None:
        check_workers(workers, "%scale to")
        assert self._server is not None
        # The operator stops first: what it is about to say would come after our number.
        self._server.remove("DaskAutoscaler", self._name)
        with self._clear():
            super().scale(workers)

    def adapt(self, between: Adapt) -> None:
        with self._clear():
            super().adapt(between)

    def _clear(self) -> Any:
        assert self._server is not None
        return self._server.clear()

    # -- end

    def close(self) -> None:
        with self._asking:
            self._ended = True
        server, name = self._server, self._name
        if server is None or not name:
            return
        server.remove("DaskCluster", name)
        deadline = time.monotonic() + ENDED
        while server.all("Pod", name) and time.monotonic() < deadline:
            time.sleep(LOOK)


class Forwarded(KubeCluster):  # type: ignore[misc]
    """A KubeCluster whose scheduler is encrypted, and heard on loopback."""

    async def _get_scheduler_address(self) -> str:
        address = str(await super()._get_scheduler_address())
        return address.replace("tcp://localhost:", "tls://127.0.0.1:")
