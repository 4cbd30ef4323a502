"""The Kubernetes API server: what is asked of it, in any thread, and what it answers, in a line.

kr8s knows how to enter it. Its own objects would read the kubeconfig, and run what gets
credentials, for each question anew; here that is done once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpx
import kr8s.asyncio
from distributed.utils import LoopRunner

from jupyter_scale.clusters.backend import reason
from jupyter_scale.clusters.limits import ClusterError
from jupyter_scale.clusters.manifest import CLUSTER, Document, install

__all__ = ["ENDED", "LOOK", "Server"]

T = TypeVar("T")

ENTRY = 60.0  # seconds that it may take to log in: a program may be run for it
ANSWER = 10.0  # seconds that an answer may take
ENDED = 10.0  # seconds that an object, or pods, are waited for when they are to end
LOOK = 0.1  # seconds between looks at them
TOUCH = 1.0  # ... and until the operator is reminded
MERGE = {"Content-Type": "application/merge-patch+json"}
DASK = "kubernetes.dask.org"
PATHS = {
    "DaskCluster": (f"{DASK}/v1", "daskclusters"),
    "DaskAutoscaler": (f"{DASK}/v1", "daskautoscalers"),
    "Deployment": ("apps/v1", "deployments"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Pod": ("v1", "pods"),
    "Secret": ("v1", "secrets"),
}
"""Where the API server has objects of a kind."""
RIGHTS = (
    ("create get list delete", DASK, "daskclusters"),
    ("get patch", DASK, "daskworkergroups"),
    ("create delete", DASK, "daskautoscalers"),
    ("create", "networking.k8s.io", "networkpolicies"),
    ("create", "", "secrets"),
    ("list", "apps", "deployments"),
    ("list", "", "services"),
    ("list", "", "pods"),
    ("get", "", "pods/portforward"),
)
"""What a user must be allowed: verbs, group and resource."""


class Server:
    """The API server that this user's kubeconfig names; its methods may be called in any thread.

    Parameters
    ----------
    namespace : str or None
        That of the kubeconfig otherwise.

    Raises
    ------
    ClusterError
        When there is none, or it does not answer.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self._api: Any = None
        self._runner = LoopRunner(asynchronous=False)
        self._runner.start()
        try:
            with self.clear():
                self._api = self._run(_entered)
                self._api.timeout = ANSWER
        except ValueError as error:
            raise ClusterError(
                f"There is no Kubernetes here ({reason(error)}): put a kubeconfig to "
                "~/.kube/config, or name it by the environment variable KUBECONFIG"
            ) from None
        self.namespace: str = namespace or self._api.namespace

    def _run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        found: T = self._runner.run_sync(function, *args)
        return found

    def create(self, document: Document) -> Document:
        """Create an object, and return it."""
        version, plural = PATHS[document["kind"]]
        with self.clear(f"create {plural}"):
            made = self._run(self._ask, "POST", version, plural, document)
        assert made is not None
        return made

    def get(self, kind: str, name: str) -> Document | None:
        """Return an object, or None."""
        version, plural = PATHS[kind]
        with self.clear(f"get {plural}"):
            return self._run(self._ask, "GET", version, f"{plural}/{name}")

    def all(self, kind: str, cluster: str) -> list[Document]:
        """Return the objects of a cluster."""
        version, plural = PATHS[kind]
        with self.clear(f"list {plural}"):
            selector = f"{plural}?labelSelector={CLUSTER}%3D{cluster}"
            found = self._run(self._ask, "GET", version, selector)
        return list(found["items"]) if found is not None else []

    def remove(self, kind: str, name: str) -> None:
        """Delete an object, if it is there, and wait until it is gone."""
        version, plural = PATHS[kind]
        url, begun = f"{plural}/{name}", time.monotonic()
        touched = begun
        with self.clear(f"delete {plural}"):
            self._run(self._ask, "DELETE", version, url)
        while self.get(kind, name) and time.monotonic() - begun < ENDED:
            time.sleep(LOOK)
            # An operator that was at work for the object looks at it again when something has
            # changed, or after a minute (kopf's cancellation_polling).
            if time.monotonic() - touched > TOUCH:
                touched = time.monotonic()
                body = {"metadata": {"annotations": {"jupyter-scale/ending": str(touched)}}}
                with suppress(ClusterError), self.clear():
                    self._run(self._ask, "PATCH", version, url, body)

    def last_line(self, pod: Document) -> str:
        """Return the last line that a pod has logged."""
        with suppress(Exception):
            lines = self._run(self._log, pod["metadata"]["name"]).split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    def check_rights(self) -> None:
        """Ask for all that the user must be allowed, before anything is made.

        Raises
        ------
        ClusterError
            With what is not.
        """
        with self.clear("ask what is allowed"):
            answers = self._run(self._allowed)
        denied = [f"{verb} {resource}" for (verb, resource), may in answers.items() if not may]
        if denied:
            raise ClusterError(
                f"Kubernetes does not allow you to {', '.join(denied)} in the namespace "
                f"{self.namespace}: ask its administrator for a role that does, or set another "
                "namespace in the profile's kwargs"
            )

    async def _allowed(self) -> dict[tuple[str, str], bool]:
        rights = [(verb, *rest) for verbs, *rest in RIGHTS for verb in verbs.split()]
        answers = await asyncio.gather(*(self._may(*right) for right in rights))
        return {(verb, what): may for (verb, _, what), may in zip(rights, answers, strict=True)}

    async def _may(self, verb: str, group: str, resource: str) -> bool:
        plural, _, part = resource.partition("/")
        about = {"namespace": self.namespace, "verb": verb, "group": group, "resource": plural}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**about, "subresource": part}},
        }
        version, url = "authorization.k8s.io/v1", "selfsubjectaccessreviews"
        async with self._api.call_api("POST", version=version, url=url, json=review) as answer:
            return bool(answer.json()["status"]["allowed"])

    async def _ask(
        self, method: str, version: str, url: str, body: Mapping[str, Any] | None = None
    ) -> Document | None:
        content = None if body is None else json.dumps(body)
        try:
            async with self._api.call_api(
                method,
                version=version,
                namespace=self.namespace,
                url=url,
                content=content,
                headers=MERGE if method == "PATCH" else None,
            ) as answer:
                found: Document = answer.json()
                return found
        except kr8s.ServerError as error:
            if method != "POST" and _code(error) == 404:
                return None
            raise

    async def _log(self, pod: str) -> str:
        url = f"pods/{pod}/log?tailLines=20"
        async with self._api.call_api(
            "GET", version="v1", namespace=self.namespace, url=url
        ) as answer:
            return str(answer.text)

    @contextmanager
    def clear(self, what: str = "do that") -> Iterator[None]:
        """Say in a line what the API server, or the way to it, has against a request."""
        try:
            yield
        except kr8s.ServerError as error:
            raise ClusterError(_refusal(error, what)) from None
        except (httpx.TransportError, kr8s.APITimeoutError, OSError) as error:
            raise ClusterError(
                f"the Kubernetes API server{_where(error)} does not answer: {reason(error)}; is "
                "the current context of your kubeconfig right (kubectl config current-context), "
                "and can it be reached from here?"
            ) from None


async def _entered() -> Any:
    async with asyncio.timeout(ENTRY):
        return await kr8s.asyncio.api()


def _where(error: Exception) -> str:
    with suppress(AttributeError, RuntimeError):
        url = error.request.url  # type: ignore[attr-defined]
        return f" at {url.scheme}://{url.netloc.decode()}"
    return ""


def _code(error: kr8s.ServerError) -> int:
    return error.response.status_code if error.response is not None else 0


def _refusal(error: kr8s.ServerError, what: str) -> str:
    code, text = _code(error), " ".join(str(error).split())
    if code == 401:
        return (
            "the Kubernetes API server does not let you in (401 Unauthorized): your credentials "
            "have expired or are wrong: log in again, or renew your kubeconfig"
        )
    if code == 404 and "daskclusters" in what:
        return (
            f"this Kubernetes has no Dask operator; its administrator installs it by: {install()}"
        )
    if code == 409:
        return f"{text}: another cluster has this name; choose another in the profile's kwargs"
    return f"the Kubernetes API server refuses to {what} ({code}): {text}"
