"""Run the stock Dask operator as if it were in the small Kubernetes' network.

The names of its services lead to the pods behind them, as cluster DNS and kube-proxy see to it.

    python operator_run.py FOLDER
"""

from __future__ import annotations

import json
import re
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kopf.cli import main
from kubernetes_client import Document, configuration, end_with_parent

SERVICE = re.compile(r"([a-z0-9-]+-scheduler)\.([a-z0-9-]+)(\.svc\.cluster\.local)?")
NOBODY = "127.255.255.254"  # refuses connections, as a service without pods does


def resolver(folder: Path) -> Callable[..., Any]:
    """Return a `socket.getaddrinfo` that knows the services of the API server of a folder."""
    getaddrinfo = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        found = SERVICE.fullmatch(host) if isinstance(host, str) else None
        known = address(folder, found[1], found[2]) if found else host
        return getaddrinfo(known, *args, **kwargs)

    return resolve


def address(folder: Path, service: str, namespace: str) -> str:
    """Return the address of a pod behind a service."""
    path = f"/api/v1/namespaces/{namespace}"
    selector = asked(folder, f"{path}/services/{service}")["spec"]["selector"]
    labels = ",".join(f"{name}={value}" for name, value in selector.items())
    for pod in asked(folder, f"{path}/pods?labelSelector={labels}")["items"]:
        if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("podIP"):
            return str(pod["status"]["podIP"])
    return NOBODY


def asked(folder: Path, path: str) -> Document:
    about = configuration(folder)
    headers = {"Authorization": f"Bearer {about['admin']}"}
    request = urllib.request.Request(f"http://127.0.0.1:{about['port']}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: Document = json.load(answer)
            return found
    except OSError:
        raise socket.gaierror(-2, "Name or service not known") from None


if __name__ == "__main__":
    end_with_parent()
    socket.getaddrinfo = resolver(Path(sys.argv[1]))
    operator = "dask_kubernetes.operator.controller"
    sys.argv = ["kopf", "run", "--module", operator, "--standalone", "--all-namespaces"]
    main()
