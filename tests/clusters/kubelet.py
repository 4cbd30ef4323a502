"""The small Kubernetes' nodes: each pod is a process of this machine with an address of its own.

Two nodes, one of them a spot machine. There are no containers and no isolation: a pod's command
runs with its variables, at an address of loopback that stands for the pod's. What is bound to all
addresses there is bound to this one here. One image exists. All processes end with this one,
however it ends.

    python kubelet.py FOLDER
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from kubernetes_client import (
    Client,
    Document,
    Known,
    configuration,
    end_with_parent,
    path_of,
    place,
    together,
)
from kubernetes_control import Control, ending

NODES = {"steady": None, "spot": {"key": "spot", "value": "true", "effect": "NoSchedule"}}
ALLOCATABLE = {"cpu": "8", "memory": "32Gi", "pods": "110"}
GRACE = 3.0  # seconds that a process may take to end
FIRST, LONGEST = 0.2, 10.0  # seconds until a process is started again
LOOK = 0.2  # seconds between looks at a process that is to become ready
VARIABLE = re.compile(r"\$\(([A-Za-z0-9_]+)\)")
SERVICE = re.compile(r"//([a-z0-9-]+-scheduler)(\.[a-z0-9-]+)?(\.svc\.cluster\.local)?:")


class Waiting(Exception):
    """A container cannot start yet; the reason and the message are Kubernetes' own."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message)
        self.reason, self.message = reason, message

    def state(self) -> Document:
        return {"waiting": {"reason": self.reason, "message": self.message}}


@dataclass
class Pod:
    """A pod of one of our nodes."""

    document: Document
    address: str
    restarts: int = 0
    process: Process | None = None
    last: Document = field(default_factory=dict)
    """How its process ended the last time."""
    task: asyncio.Task[None] | None = None

    @property
    def path(self) -> str:
        return path_of(self.document, "pods")

    @property
    def container(self) -> Document:
        found: Document = self.document["spec"]["containers"][0]
        return found

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the pod."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Kubelet:
    """Runs the pods that are bound to a node."""

    def __init__(self, client: Client, image: str) -> None:
        self.client, self.image = client, image
        self.services = Known(client, "/api/v1/services", lambda: None)
        self.pods: dict[str, Pod] = {}
        self._addresses = addresses()

    async def run(self) -> None:
        for name, taint in NODES.items():
            await self.client.ask("POST", "/api/v1/nodes", node(name, taint))
            await self.client.patch_status(f"/api/v1/nodes/{name}", {"allocatable": ALLOCATABLE})
        await together(self.services.follow(), self.client.follow("/api/v1/pods", self._changed))

    async def _changed(self, event: str, document: Document) -> None:
        uid = document["metadata"]["uid"]
        pod = self.pods.get(uid)
        if event == "DELETED":
            if pod is not None:
                self._end(pod)
        elif pod is None and document["spec"].get("nodeName") and not ending(document):
            pod = self.pods[uid] = Pod(document, next(self._addresses))
            pod.task = asyncio.create_task(self._keep(pod))
        elif pod is not None and ending(document) and not ending(pod.document):
            pod.document = document
            pod.task = asyncio.create_task(self._terminate(pod, pod.task))

    def _end(self, pod: Pod) -> None:
        self.pods.pop(pod.document["metadata"]["uid"], None)
        pod.kill(signal.SIGKILL)
        if pod.task is not None:
            pod.task.cancel()

    async def _terminate(self, pod: Pod, keeping: asyncio.Task[None] | None) -> None:
        if keeping is not None:
            keeping.cancel()
        pod.kill(signal.SIGTERM)
        if pod.process is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(pod.process.wait(), GRACE)
        pod.kill(signal.SIGKILL)
        await self.client.ask("DELETE", pod.path, {"gracePeriodSeconds": 0})

    async def _keep(self, pod: Pod) -> None:
        """Have a pod's process run, again and again."""
        pause = FIRST
        while True:
            try:
                await self._once(pod)
            except Waiting as waiting:
                await self._tell(pod, waiting.state())
                if waiting.reason == "ErrImagePull":
                    back_off = Waiting("ImagePullBackOff", f"Back-off pulling image: {waiting}")
                    await asyncio.sleep(pause)
                    await self._tell(pod, back_off.state())
            else:
                pod.restarts += 1
                if pause > FIRST:
                    name = pod.document["metadata"]["name"]
                    message = f"back-off {pause:g}s restarting failed container of {name}"
                    await self._tell(pod, Waiting("CrashLoopBackOff", message).state())
            await asyncio.sleep(pause)
            pause = min(LONGEST, max(1.0, 2 * pause))

    async def _once(self, pod: Pod) -> None:
        container = pod.container
        if container.get("image") != self.image:
            image = container.get("image")
            raise Waiting("ErrImagePull", f'failed to pull "{image}": {image}: not found')
        await self._tell(pod, Waiting("ContainerCreating").state())
        variables = await self._variables(pod)
        command = [*container.get("command", []), *container.get("args", [])]
        command = [expanded(part, variables) for part in command]
        pod.process = await self._started(pod, bound(command, pod.address), variables)
        await self._tell(pod, {"running": {}}, ready="readinessProbe" not in container)
        ready = asyncio.create_task(self._probe(pod))
        code = await pod.process.wait()
        ready.cancel()
        pod.kill(signal.SIGKILL)  # what it has left
        code = code if code >= 0 else 128 - code
        pod.last = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        await self._tell(pod, pod.last)

    async def _started(self, pod: Pod, command: list[str], variables: dict[str, str]) -> Process:
        log = self.client.folder / ".".join((*place(pod.document), "log"))
        with log.open("ab") as output:
            try:
                return await asyncio.create_subprocess_exec(
                    *command,
                    env=variables,
                    cwd=self.client.folder,
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=STDOUT,
                    start_new_session=True,
                    preexec_fn=end_with_parent,
                )
            except OSError as error:
                raise Waiting("CreateContainerError", str(error)) from None

    async def _variables(self, pod: Pod) -> dict[str, str]:
        """Return the environment of a pod's process: its own, and where programs are."""
        programs = f"{Path(sys.executable).parent}:{os.defpath}"
        found = {"PATH": programs, "HOME": str(self.client.folder), "LANG": "C.UTF-8"}
        namespace, _ = place(pod.document)
        for source in pod.container.get("envFrom", []):
            name = source["secretRef"]["name"]
            path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
            secret = await self.client.ask("GET", path)
            if secret is None:
                raise Waiting("CreateContainerConfigError", f'secret "{name}" not found')
            for key, value in secret["data"].items():
                found[key] = base64.b64decode(value).decode()
        for one in pod.container.get("env", []):
            found[one["name"]] = expanded(one.get("value", ""), found)
        return {key: await self._resolved(value, namespace) for key, value in found.items()}

    async def _resolved(self, text: str, namespace: str) -> str:
        """Return a text with the address of a pod in place of a service: there is no DNS here."""
        service = SERVICE.search(text)
        if service is None:
            return text
        while True:
            found = self.services.objects.get((namespace, service[1]))
            selector = found["spec"]["selector"] if found is not None else {"": ""}
            for pod in self.pods.values():
                labels = pod.document["metadata"]["labels"]
                if selector.items() <= labels.items() and not ending(pod.document):
                    return SERVICE.sub(f"//{pod.address}:", text)
            await asyncio.sleep(LOOK)

    async def _probe(self, pod: Pod) -> None:
        """Say that a pod is ready when it answers."""
        probe = pod.container.get("readinessProbe")
        if probe is None:
            return
        ports = {port["name"]: port["containerPort"] for port in pod.container["ports"]}
        asked = probe["httpGet"]
        url = f"http://{pod.address}:{ports.get(asked['port'], asked['port'])}{asked['path']}"
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.client.session.get(url) as answer:
                    if answer.status < 400:
                        break
            await asyncio.sleep(LOOK)
        await self._tell(pod, {"running": {}}, ready=True)

    async def _tell(self, pod: Pod, state: Document, *, ready: bool = False) -> None:
        container = {
            "name": pod.container["name"],
            "image": pod.container.get("image", ""),
            "ready": ready,
            "restartCount": pod.restarts,
            "state": state,
            "lastState": pod.last,
        }
        began = "running" in state or pod.restarts
        states = {"PodScheduled": True, "ContainersReady": ready, "Ready": ready}
        status = {
            "phase": "Running" if began else "Pending",
            "podIP": pod.address,
            "conditions": [{"type": name, "status": str(is_so)} for name, is_so in states.items()],
            "containerStatuses": [container],
        }
        await self.client.patch_status(pod.path, status)


def node(name: str, taint: Document | None) -> Document:
    labels = {"kubernetes.io/hostname": name}
    if taint is not None:
        labels[taint["key"]] = taint["value"]
    taints = [] if taint is None else [taint]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}


def addresses() -> Iterator[str]:
    """Return addresses of loopback that no other small Kubernetes on this machine is likely to."""
    network = f"127.{64 + secrets.randbelow(128)}.{secrets.randbelow(256)}"
    while True:
        yield from (f"{network}.{number}" for number in range(1, 255))


def expanded(text: str, variables: dict[str, str]) -> str:
    return VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)


def bound(command: list[str], address: str) -> list[str]:
    """Return a command of Dask's that listens at the pod's address only."""
    command = [address if part == "0.0.0.0" else part for part in command]
    if command[:2] == ["dask", "scheduler"]:
        return [*command, "--dashboard-address", f"{address}:8787"]
    return [*command, "--host", address] if command[:2] == ["dask", "worker"] else command


async def main(folder: Path) -> None:
    client = Client(folder)
    kubelet = Kubelet(client, configuration(folder)["image"])
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    work = asyncio.create_task(together(kubelet.run(), Control(client).run()))
    end = asyncio.create_task(told.wait())
    try:
        await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()  # raises what went wrong
    finally:
        for pod in kubelet.pods.values():
            pod.kill(signal.SIGKILL)


if __name__ == "__main__":
    end_with_parent()
    running = asyncio.new_event_loop()
    running.run_until_complete(main(Path(sys.argv[1])))
    os._exit(0)
