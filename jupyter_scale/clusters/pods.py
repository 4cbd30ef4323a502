"""What the pods of a cluster wait for, in Kubernetes' own words.

Pure functions of what the API server returns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_scale.clusters.limits import counted

__all__ = ["State", "lost", "refused", "role", "spoken", "state"]

ROLE = "dask.org/component"
NEVER = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons for which a container waits until somebody changes something."""


@dataclass(frozen=True, slots=True)
class State:
    """How a pod is.

    Attributes
    ----------
    words : str
    hopeless : bool
        Whether waiting will not help.
    crashed : bool
        Whether its log says why.
    """

    words: str
    hopeless: bool = False
    crashed: bool = False


def role(pod: Mapping[str, Any]) -> str:
    """Return whether a pod is the ``scheduler`` or a ``worker``."""
    return str(pod["metadata"].get("labels", {}).get(ROLE, ""))


def state(pod: Mapping[str, Any]) -> State:
    """Return how a pod is.

    Examples
    --------
    >>> waiting = {"reason": "ImagePullBackOff", "message": "manifest unknown"}
    >>> containers = [{"state": {"waiting": waiting}}]
    >>> state({"metadata": {}, "status": {"containerStatuses": containers}})
    State(words='ImagePullBackOff: manifest unknown', hopeless=True, crashed=False)
    """
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return State("ending")
    for container in (
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ):
        found = container.get("state", {})
        reason = found.get("waiting", {}).get("reason", "")
        if reason in ("CrashLoopBackOff", "RunContainerError"):
            return State(f"{reason}: {_end(container)}", hopeless=True, crashed=True)
        if reason:
            return State(_joined(reason, found["waiting"].get("message")), reason in NEVER)
        if "terminated" in found:
            return State(_exit(found["terminated"]))
    if status.get("phase") == "Failed":
        return State(_joined(status.get("reason", "Failed"), status.get("message")))
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return State(_joined(condition.get("reason", "Pending"), condition.get("message")))
    phase = status.get("phase", "Pending").lower()
    ready = any(
        one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", [])
    )
    return State("starting" if phase == "running" and not ready else phase)


def spoken(pods: Iterable[Mapping[str, Any]]) -> str:
    """Say in a line how the pods are: the scheduler until it runs, then the workers."""
    states = [(role(pod), state(pod).words) for pod in pods]
    for name, words in states:
        if name == "scheduler" and words != "running":
            return f"the scheduler's pod: {words}"
    found = Counter(words for name, words in states if name == "worker" and words != "ending")
    return ", ".join(f"{counted(number, 'worker pod')}: {words}" for words, number in found.items())


def refused(deployments: Iterable[Mapping[str, Any]]) -> str:
    """Return why Kubernetes makes no pods, as for a quota; empty when it makes them."""
    for deployment in deployments:
        for condition in deployment.get("status", {}).get("conditions", []):
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return _joined(condition.get("reason", ""), condition.get("message"))
    return ""


def lost(pods: Iterable[Mapping[str, Any]], known: tuple[str, int]) -> str:
    """Return what became of the scheduler that was known by `identity`; empty while it lives."""
    for pod in pods:
        if role(pod) == "scheduler" and pod["metadata"]["uid"] == known[0]:
            if "deletionTimestamp" in pod["metadata"]:
                return "it was deleted"
            containers = pod["status"].get("containerStatuses", [])
            if identity(pod) == known and all("running" in one["state"] for one in containers):
                return ""
            return _end(containers[0]) if containers else "it ended"
    return "it was deleted, or its node was lost"


def identity(pod: Mapping[str, Any]) -> tuple[str, int]:
    """Return what differs when a pod's process is another."""
    restarts = sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))
    return pod["metadata"]["uid"], restarts


def _end(container: Mapping[str, Any]) -> str:
    for name in ("state", "lastState"):
        if "terminated" in container.get(name, {}):
            return _exit(container[name]["terminated"])
    waiting = container.get("state", {}).get("waiting", {})
    return str(waiting.get("message") or "it ended")


def _exit(terminated: Mapping[str, Any]) -> str:
    return f"it ended with exit code {terminated.get('exitCode')} ({terminated.get('reason')})"


def _joined(reason: str, message: str | None) -> str:
    text = " ".join((message or "").split())
    return ": ".join(filter(None, (reason, text)))
