"""The file by which a running cluster is found, as a kernel is by its own.

Each cluster has one, in Jupyter's runtime directory, that nobody but its owner can read: it holds
the key to the cluster. The cluster's host writes it, whole or not at all; kernels, the Jupyter
server and the command line read it. What ended leaves a note without the key, so that whoever comes
late still learns why.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from distributed import Security
from jupyter_core.paths import jupyter_runtime_dir

from jupyter_scale.clusters.limits import ClusterError
from jupyter_scale.clusters.profiles import Adapt

__all__ = ["Connection", "Process", "folder", "read", "remove", "scratch", "write"]

PREFIX = "scale-"
STARTING, RUNNING, CLOSED, FAILED = "starting", "running", "closed", "failed"
TLS, GATEWAY = "tls", "gateway"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of some machine; its start tells it from a later one of the same number.

    Attributes
    ----------
    pid : int
    started : float
        Seconds since the epoch.
    machine : str
        Name of the host it runs on: a home directory can be that of several.
    """

    pid: int
    started: float
    machine: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process of a number on this machine.

        Raises
        ------
        psutil.NoSuchProcess
            When there is none.
        """
        return cls(pid, psutil.Process(pid).create_time(), socket.gethostname())

    @classmethod
    def this(cls) -> Process:
        """Return the process that asks."""
        return cls.of(os.getpid())

    def same(self, other: Process | None) -> bool:
        """Whether another note is of this process: a start is read anew, and clocks are set."""
        return (
            other is not None
            and (self.pid, self.machine) == (other.pid, other.machine)
            and abs(self.started - other.started) < 1
        )

    @property
    def here(self) -> bool:
        """Whether it belongs to this machine."""
        return self.machine == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as this machine can see: what is elsewhere counts as running."""
        if not self.here:
            return True
        try:
            running = psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
            return running and self.same(Process.of(self.pid))
        except psutil.Error:
            return False


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known about one cluster.

    Attributes
    ----------
    id : str
        The profile's name and a few letters, such as ``local-3f2a``.
    profile : str
    state : str
        ``starting``, ``running``, ``closed`` or ``failed``.
    words : str
        One line: what it waits for, how large it is, or why it ended.
    host : Process
        The process that owns the cluster.
    owner : Process or None
        The process that it ends with; None for one that ends when it is idle or told to.
    notebook : str
        Where it was started, or empty.
    created : float
        Seconds since the epoch.
    ended : float
        The same for its end; 0 while it runs.
    idle_timeout : float
        Seconds without work after which it closes; 0 for never.
    workers : int or None
        How many it is to have; None while it adapts.
    adapt : Adapt or None
    present, threads : int
        How many it has, and their threads.
    memory, limit : int
        Bytes that they use, roughly, and may use; no limit is 0.
    packages : mapping of str to str
        Versions of its workers' packages that must be the same here; empty while none is there.
    scheduler, dashboard, control : str
        Addresses; the last is that of the host.
    certificate, control_certificate : mapping or None
        What a client of the scheduler, or of the host, must have; None for no encryption.
    """

    id: str
    profile: str
    state: str
    words: str
    host: Process
    owner: Process | None
    notebook: str = ""
    created: float = 0.0
    ended: float = 0.0
    idle_timeout: float = 0.0
    workers: int | None = None
    adapt: Adapt | None = None
    present: int = 0
    threads: int = 0
    memory: int = 0
    limit: int = 0
    packages: Mapping[str, str] = field(default_factory=dict)
    scheduler: str = ""
    dashboard: str = ""
    control: str = ""
    certificate: Mapping[str, str] | None = field(default=None, repr=False)
    control_certificate: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def alive(self) -> bool:
        """Whether its host runs and has not said that it is over."""
        return self.state in (STARTING, RUNNING) and self.host.alive

    def over(self, state: str, words: str) -> Connection:
        """Return the note that it leaves: why it ended, and no key."""
        return replace(
            self, state=state, words=words, ended=time.time(), scheduler="", dashboard="",
            control="", certificate=None, control_certificate=None,
        )  # fmt: skip


def folder() -> Path:
    """Return Jupyter's runtime directory, made if it is not there."""
    path = Path(jupyter_runtime_dir())
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def path_of(identifier: str, kind: str = "json") -> Path:
    """Return where the file of a cluster is, or its log."""
    return folder() / f"{PREFIX}{identifier}.{kind}"


def scratch(host: Process) -> Path:
    """Return where a host may put what its cluster needs; it is removed when both are over."""
    return folder() / f".{PREFIX}{host.machine}-{host.pid}"


def write(connection: Connection) -> None:
    """Put a connection in place of what stood there, readable by its owner only."""
    written(path_of(connection.id), json.dumps(asdict(connection)))


def written(path: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner only."""
    # mkstemp's files are their owner's alone from the start
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read(path: Path) -> Connection:
    """Read a connection.

    Raises
    ------
    ClusterError
        When the file is not one.
    OSError
        When it cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        owner, adapt = found.pop("owner"), found.pop("adapt")
        return Connection(
            host=Process(**found.pop("host")),
            owner=owner and Process(**owner),
            adapt=adapt and Adapt(**adapt),
            **found,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"{path} is not the file of a cluster: remove it.") from error


def remove(identifier: str) -> None:
    """Remove a cluster's file and its log."""
    for kind in ("json", "log"):
        path_of(identifier, kind).unlink(missing_ok=True)


# -- certificates


def certificate(security: Any) -> dict[str, str] | None:
    """Return what a client needs of a security object, to be stored; None for no encryption."""
    if security is None:
        return None
    if hasattr(security, "tls_key"):  # dask-gateway's own
        return {"kind": GATEWAY, "key": security.tls_key, "cert": security.tls_cert}
    if not security.require_encryption or not security.tls_client_cert:
        return None
    return {
        "kind": TLS,
        "ca": security.tls_ca_file,
        "key": security.tls_client_key,
        "cert": security.tls_client_cert,
    }


def security(stored: Mapping[str, str] | None) -> Any:
    """Return the security object of a stored certificate, for a client."""
    if stored is None:
        return None
    if stored["kind"] == GATEWAY:
        from dask_gateway.client import GatewaySecurity

        return GatewaySecurity(tls_key=stored["key"], tls_cert=stored["cert"])
    return Security(
        require_encryption=True,
        tls_ca_file=stored["ca"],
        tls_client_key=stored["key"],
        tls_client_cert=stored["cert"],
    )
