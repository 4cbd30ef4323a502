"""A Dask cluster of the exported image on Kubernetes: a manifest for Dask's operator."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

__all__ = ["PATH", "cluster", "slug"]

PATH = "kubernetes/cluster.yaml"
LONGEST = 53  # letters: NAME-scheduler is a host's name
THREADS, MEMORY = 1, "2Gi"


def slug(name: str) -> str:
    """Return a name that Kubernetes and image registries take.

    Examples
    --------
    >>> slug("My Notebook_2"), slug("???")
    ('my-notebook-2', 'notebook')
    """
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST].strip("-")
    return found if found[:1].isalpha() else f"notebook-{found}".strip("-")


def cluster(name: str, image: str, *, workers: int = 2) -> str:
    """Return the manifest of a cluster whose workers are that image.

    Parameters
    ----------
    name : str
    image : str
        With its tag, as ``kubectl`` pulls it.
    workers : int
    """
    resources = {key: {"cpu": str(THREADS), "memory": MEMORY} for key in ("requests", "limits")}
    worker = {
        "name": "worker",
        "image": image,
        "args": ["dask", "worker", "--nthreads", str(THREADS), "--name", "$(DASK_WORKER_NAME)"],
        "resources": resources,
    }
    scheduler = {
        "name": "scheduler",
        "image": image,
        "args": ["dask", "scheduler"],
        "ports": [
            {"name": "tcp-comm", "containerPort": 8786, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": 8787, "protocol": "TCP"},
        ],
        "readinessProbe": _probe(),
        "livenessProbe": _probe(),
    }
    selector = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    ports = [
        {"name": key, "protocol": "TCP", "port": port, "targetPort": key}
        for key, port in (("tcp-comm", 8786), ("http-dashboard", 8787))
    ]
    document = {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name, "labels": {"dask.org/cluster-name": name}},
        "spec": {
            "idleTimeout": 3600,
            "worker": {"replicas": workers, "spec": _pod(worker)},
            "scheduler": {
                "spec": _pod(scheduler),
                "service": {"type": "ClusterIP", "selector": selector, "ports": ports},
            },
        },
    }
    head = f"# kubectl apply -f {PATH}    (with Dask's operator; {image} must be there first)\n"
    text: str = yaml.safe_dump(document, sort_keys=False)
    return head + text


def _pod(container: Mapping[str, object]) -> dict[str, object]:
    return {"automountServiceAccountToken": False, "containers": [dict(container)]}


def _probe() -> dict[str, object]:
    return {
        "httpGet": {"port": "http-dashboard", "path": "/health"},
        "initialDelaySeconds": 5,
        "periodSeconds": 10,
    }
