"""A machine cut off without a word is noticed within 15 s; a busy one is not taken for that.

Three network namespaces of this machine, joined by virtual cables, stand for three machines.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for

from jupyter_scale.clusters.backend import SETTINGS
from jupyter_scale.clusters.profiles import variable

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="needs root and iproute2 (apt-get install iproute2)",
)
NETWORK = "10.231.7"
PORT = 8786


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def within(name: str, *words: str) -> list[str]:
    return ["ip", "netns", "exec", name, *words]


class Machines:
    """A scheduler's machine and two workers' machines."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.names = [f"jscale{os.getpid()}-{index}" for index in range(3)]
        self.cables = [f"js{os.getpid()}v{index}" for index in range(3)]
        for name in self.names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        hub = self.names[0]
        ip("-n", hub, "link", "add", "br0", "type", "bridge")
        ip("-n", hub, "link", "set", "br0", "up")
        ip("-n", hub, "addr", "add", f"{NETWORK}.1/24", "dev", "br0")
        for index in (1, 2):
            name, cable = self.names[index], self.cables[index]
            ip("link", "add", cable, "netns", hub, "type", "veth", "peer", "eth0", "netns", name)
            ip("-n", hub, "link", "set", cable, "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{NETWORK}.1{index}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")

    def dask(self, index: int, *words: str) -> subprocess.Popen[bytes]:
        """Run one of Dask's commands on a machine, with the settings of our profiles."""
        variables = {variable(key): value for key, value in SETTINGS.items()}
        log = self._stack.enter_context((self._folder / f"{index}.log").open("w"))
        process = subprocess.Popen(
            within(self.names[index], sys.executable, "-m", "dask", *words, "--no-dashboard"),
            env={**os.environ, **variables}, cwd=self._folder, stdout=log, stderr=log,
        )  # fmt: skip
        self._stack.callback(process.wait, 20)
        self._stack.callback(process.kill)
        return process

    def cable(self, index: int, state: str) -> None:
        ip("-n", self.names[0], "link", "set", self.cables[index], state)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        machines = Machines(stack, tmp_path)
        machines.dask(0, "scheduler", "--host", f"{NETWORK}.1", "--port", str(PORT))
        yield machines


CLIENT = """
import sys, time
from distributed import Client
client = Client("tcp://{address}", timeout=30)
for line in sys.stdin:
    print(len(client.nthreads()), flush=True)
"""


class Watch:
    """A client on the scheduler's machine, which tells how many workers there are."""

    def __init__(self, machines: Machines, stack: ExitStack) -> None:
        code = CLIENT.format(address=f"{NETWORK}.1:{PORT}")
        self._process: Any = subprocess.Popen(
            within(machines.names[0], sys.executable, "-c", code),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(self._process.communicate)
        stack.callback(self._process.kill)

    def workers(self) -> int:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.mark.long
def test_a_machine_that_is_cut_off_is_noticed_by_both_sides(machines: Machines) -> None:
    with ExitStack() as stack:
        lost, _ = (
            machines.dask(index, "worker", f"tcp://{NETWORK}.1:{PORT}", "--nthreads", "1")
            for index in (1, 2)
        )
        watch = Watch(machines, stack)
        wait_for(lambda: watch.workers() == 2, 60)
        machines.cable(1, "down")
        start = time.monotonic()
        wait_for(lambda: watch.workers() == 1, 60)
        assert time.monotonic() - start < 15
        # It ends itself, so that what comes back with the machine is a new worker, not a stale one.
        assert lost.wait(30) is not None
        assert watch.workers() == 1


@pytest.mark.long
def test_a_machine_that_does_not_get_to_answer_is_not_lost(machines: Machines) -> None:
    with ExitStack() as stack:
        words = ("worker", f"tcp://{NETWORK}.1:{PORT}", "--nthreads", "1", "--no-nanny")
        worker = machines.dask(1, *words)
        watch = Watch(machines, stack)
        wait_for(lambda: watch.workers() == 1, 60)
        # as if all its threads were busy in code that lets no other run
        worker.send_signal(signal.SIGSTOP)
        stack.callback(worker.send_signal, signal.SIGCONT)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            assert watch.workers() == 1
            time.sleep(0.5)
