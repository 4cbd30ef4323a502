"""A small Kubernetes with the stock Dask operator; its pods are processes of this machine.

An API server (`kubernetes_api`), nodes and controllers (`kubelet`), and the operator
(`operator_run`), each a process of its own that ends with this one.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from beds import Bed
from processes import free_port, wait_for, wait_until_gone

from jupyter_scale.clusters import Cluster

HERE = Path(__file__).parent
IMAGE = "registry.test/dask:1"
DEFINITIONS = "deployment/helm/dask-kubernetes-operator/crds"
FACTORY = {"module": "dask_kubernetes.operator", "class": "KubeCluster"}
KINDS = {
    "daskclusters": "/apis/kubernetes.dask.org/v1",
    "daskworkergroups": "/apis/kubernetes.dask.org/v1",
    "daskautoscalers": "/apis/kubernetes.dask.org/v1",
    "deployments": "/apis/apps/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "secrets": "/api/v1",
    "services": "/api/v1",
    "pods": "/api/v1",
}
"""What a cluster is made of."""


class Server:
    """The API server, for tests: as its administrator."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.tokens = {name: secrets.token_hex(16) for name in ("admin", "reader")}
        about = {
            "port": self.port,
            "tokens": {token: name for name, token in self.tokens.items()},
            "admin": self.tokens["admin"],
            "image": IMAGE,
        }
        path = folder / "kubernetes.json"
        path.touch(0o600)
        path.write_text(json.dumps(about))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.tokens['admin']}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def all(self, plural: str, labels: str = "") -> list[dict[str, Any]]:
        path = f"{KINDS[plural]}/namespaces/default/{plural}?labelSelector={labels}"
        found: list[dict[str, Any]] = self.ask("GET", path)["items"]
        return found

    def left(self) -> list[str]:
        return [f"{kind} {one['metadata']['name']}" for kind in KINDS for one in self.all(kind)]

    def delete(self, plural: str, name: str) -> None:
        self.ask("DELETE", f"{KINDS[plural]}/namespaces/default/{plural}/{name}")

    def healthy(self) -> bool:
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).close()
            return True
        return False

    def kubeconfig(self, user: str = "admin", token: str = "", port: int = 0) -> Path:
        """Write the file by which a user finds and enters it."""
        address = f"http://127.0.0.1:{port or self.port}"
        context = {"cluster": "small", "user": user, "namespace": "default"}
        token = token or self.tokens[user]
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "small",
            "clusters": [{"name": "small", "cluster": {"server": address}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "small", "context": context}],
        }
        path = self.folder / f"kubeconfig-{secrets.token_hex(2)}"
        path.touch(0o600)
        path.write_text(json.dumps(document))
        return path


@dataclass
class Kubernetes(Bed):
    """The bed, and its API server."""

    server: Any = None


@contextmanager
def start(folder: Path) -> Iterator[Kubernetes]:
    with bare(folder) as server, ExitStack() as stack:
        define(server)
        stack.enter_context(service("kubelet.py", folder))
        stack.enter_context(service("operator_run.py", folder))
        wait_for(lambda: len(server.ask("GET", "/api/v1/nodes")["items"]) == 2, 60)
        stack.callback(wait_until_empty, server)
        profile = {"factory": FACTORY, "image": IMAGE, "lost-timeout": "15s"}
        yield Kubernetes(profile, left=server.left, kill=kill, server=server)


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """Run the API server alone, and have it be the one that is used from here."""
    if sys.platform != "linux":
        pytest.skip("pods are processes at addresses of their own, which only Linux has")
    pytest.importorskip("dask_kubernetes", reason="pip install dask-kubernetes")
    server = Server(folder)
    with service("kubernetes_api.py", folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(server.kubeconfig()))
        wait_for(server.healthy, 60)
        yield server


def define(server: Server) -> None:
    """Add the operator's kinds, as Helm does."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for file in files("dask_kubernetes.operator").joinpath(DEFINITIONS).iterdir():
        server.ask("POST", path, yaml.load(file.read_text(), Loader=loader))


@contextmanager
def service(program: str, folder: Path) -> Iterator[None]:
    """Run one of the small Kubernetes' programs, and end it with all that it has started."""
    with (folder / f"{program}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, HERE / program, folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={key: value for key, value in os.environ.items() if not key.startswith("DASK_")},
        )
    try:
        yield
    finally:
        family: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def wait_until_empty(server: Server) -> None:
    """Delete what a failed test has left: the operator must still be there for that."""
    for one in server.all("daskclusters"):
        server.delete("daskclusters", one["metadata"]["name"])
    with suppress(AssertionError):
        wait_until_gone(server.left, 20)


def kill(cluster: Cluster) -> None:
    """Kill the container of a worker: its nanny, with the worker that the nanny would replace."""
    [worker, *_] = cluster.client.run(os.getpid).values()
    process = psutil.Process(worker)
    parent = process.parent()
    assert parent is not None
    parent.kill()
