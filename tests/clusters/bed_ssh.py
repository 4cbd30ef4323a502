"""Three machines with sshd, which are three addresses of this machine."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from beds import Bed
from processes import free_port, wait_for

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
CONFIGURATION = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
ListenAddress {host}:{port}
SetEnv {marker}={folder} TMPDIR={folder}/tmp/{host}
"""
MARKER = "JUPYTER_SCALE_BED"


class Machines:
    """The services, and what runs because of them."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._services: dict[str, subprocess.Popen[bytes]] = {}

    def on(self, host: str) -> None:
        """Start a machine's sshd."""
        (self.folder / "tmp" / host).mkdir(parents=True)
        names = {"folder": self.folder, "marker": MARKER, "host": host, "port": self.port}
        configuration = self.folder / f"sshd.{host}.conf"
        configuration.write_text(CONFIGURATION.format(**names))
        command = [program(), "-D", "-e", "-f", str(configuration)]
        with (self.folder / f"sshd.{host}.log").open("a") as log:
            self._services[host] = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self._services[host].poll() is not None or listens(host, self.port))
        assert self._services[host].poll() is None, (self.folder / f"sshd.{host}.log").read_text()

    def off(self, host: str) -> None:
        """Lose a machine: its sshd and all that was started through it, without a word."""
        service = self._services.pop(host)
        family = [service, *psutil.Process(service.pid).children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 10)
        service.wait()
        shutil.rmtree(self.folder / "tmp" / host)  # what its start would do

    def end(self) -> None:
        """End all."""
        for host in list(self._services):
            self.off(host)
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """Return what was started through any sshd, also what has left its parent since."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARKER) == str(self.folder):
                    found.append(process)
        return found

    def left(self) -> list[str]:
        names = [f"process {process.pid}" for process in self.processes()]
        return names + [str(path) for path in (self.folder / "tmp").glob("*/*")]

    def profile(self, hosts: tuple[str, ...] = HOSTS, **kwargs: Any) -> dict[str, Any]:
        """Return a profile, with more or other arguments of the class."""
        ways = {
            "port": self.port,
            "username": getpass.getuser(),
            "client_keys": str(self.folder / "user"),
            "known_hosts": str(self.folder / "known_hosts"),
            "agent_path": None,
            "config": None,
        }
        ways |= kwargs.pop("connect_options", {})
        options = {"nthreads": 1, **kwargs.pop("worker_options", {})}
        kwargs |= {"hosts": list(hosts), "connect_options": ways, "worker_options": options}
        factory = {"module": "distributed", "class": "SSHCluster", "kwargs": kwargs}
        return {"factory": factory, "timeout": "60s"}


def program() -> str:
    """Return where sshd is: it must be started by its full path."""
    return shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or ""


def listens(host: str, port: int) -> bool:
    return any(
        connection.laddr == (host, port) and connection.status == psutil.CONN_LISTEN
        for connection in psutil.net_connections("tcp4")
    )


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    if not program() or shutil.which("ssh-keygen") is None:
        pytest.skip("sshd is not here: apt-get install --no-install-recommends openssh-server")
    if os.getuid() != 0:
        pytest.skip("sshd needs root: run these tests in a container, as root")
    if sys.platform != "linux":
        pytest.skip("only Linux has 127.0.0.2 without being asked")
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    port = free_port()
    key = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text("".join(f"[{host}]:{port} {key}" for host in HOSTS))
    with ExitStack() as stack:
        found = Machines(folder, port)
        stack.callback(found.end)
        for host in HOSTS:
            found.on(host)
        yield found


@contextmanager
def start(folder: Path) -> Iterator[Bed]:
    with machines(folder) as found:
        yield Bed(found.profile(), left=found.left)
