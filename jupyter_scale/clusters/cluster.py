"""The cluster that this process works with: start one or find one, look at it, leave it.

A process uses one cluster at a time, through one Dask client. The cluster itself is another process
(`host`) or a scheduler that somebody else runs; it stays when this process ends, unless it was
started by it alone.
"""

from __future__ import annotations

import atexit
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from threading import RLock
from typing import Any

import dask
from distributed import Client, default_client, fire_and_forget
from distributed.client import ensure_default_client

from jupyter_scale.clusters import registry
from jupyter_scale.clusters.backend import reason
from jupyter_scale.clusters.connection import Connection, Process, security
from jupyter_scale.clusters.limits import ClusterError, counted
from jupyter_scale.clusters.profiles import profile, profiles
from jupyter_scale.clusters.registry import Wish

__all__ = [
    "Cluster",
    "State",
    "close",
    "current",
    "leave",
    "make_default",
    "mine",
    "nearest",
    "of",
    "other",
    "start",
    "use",
]

# A restarted worker is back in about 3 s on a slow machine.
PATIENCE = 20.0
CONNECT = 10.0  # seconds that a scheduler may take to answer
BUSY = 30.0  # ... where its host is known to run: a loaded machine is slow
WARMED = 64  # workers that are told to import what they will need
ADDRESS = re.compile(r"[a-z]+://\S+$|[\w.-]+:\d+$")

_lock = RLock()
_current: Cluster | None = None


@dataclass(frozen=True)
class State:
    """What is known about a cluster at one moment.

    Parameters
    ----------
    alive : bool
        Whether work can be sent to it.
    text : str
        One readable line: its size and address, or why it is not alive.
    dashboard : str
        Address of Dask's own dashboard, or empty.
    """

    alive: bool
    text: str
    dashboard: str = ""


class Cluster:
    """A running cluster and the client that this process has of it.

    Parameters
    ----------
    address : str
        Of the scheduler.
    connection : Connection or None
        For a cluster that has a host.

    Raises
    ------
    ClusterError
        When its scheduler cannot be reached.
    """

    def __init__(self, address: str, connection: Connection | None = None) -> None:
        self.address, self._connection = address, connection
        keys = security(connection.certificate) if connection is not None else None
        try:
            patience = CONNECT if connection is None else BUSY
            self.client = Client(address, security=keys, timeout=patience)
        except (OSError, TimeoutError, TypeError, ValueError) as error:
            raise ClusterError(f"Cannot connect to {address}: {_unreached(error)}") from None

    @property
    def connection(self) -> Connection | None:
        """What its host says of it now; None for a scheduler that somebody else runs."""
        if self._connection is not None:
            self._connection = registry.reread(self._connection)
        return self._connection

    @property
    def name(self) -> str:
        """Its id, or its address."""
        return self.address if self._connection is None else self._connection.id

    def state(self) -> State:
        """Look at the cluster, without waiting for anything."""
        connection = self.connection
        if connection is not None and not connection.alive:
            why = connection.words if connection.ended else "its host process was killed"
            return State(False, why)
        if self.client.status != "running":
            return State(False, "the connection to its scheduler is closed")
        if connection is not None:
            return State(True, f"{connection.words} at {self.address}", connection.dashboard)
        known: dict[str, Any] = self.client.scheduler_info()
        present = counted(known.get("n_workers", len(known["workers"])), "worker")
        return State(True, f"{present} at {self.address}", self.client.dashboard_link or "")

    def ready(self) -> State:
        """Wait until a worker is there, because lost ones come back."""
        state, connection = self.state(), self._connection
        adapts = connection is not None and connection.adapt is not None
        if state.alive and not adapts:
            try:
                self.client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                return State(False, f"no worker has come back for {PATIENCE:.0f} s")
        return state

    def warm(self, modules: Iterable[str]) -> None:
        """Have the workers import what they will need, while they have nothing else to do.

        scikit-learn takes a second, which the first search need not wait for.
        """
        for worker in list(self.client.nthreads())[:WARMED]:
            for module in modules:
                name = f"import-{module}-{worker}"
                future = self.client.submit(import_module, module, key=name, workers=worker)
                fire_and_forget(future)

    def leave(self) -> None:
        """End the client; never raises."""
        # A stopped scheduler is waited for otherwise.
        patience = "30s" if self.state().alive else "500ms"
        with dask.config.set({"distributed.comm.timeouts.connect": patience}), suppress(Exception):
            self.client.close(timeout=5)
        self.client.status = "closed"  # one that could not be would be tried again when it is freed


def _unreached(error: Exception) -> str:
    text = reason(error)
    if isinstance(error, TypeError) or "expects a `ssl_context`" in text:
        return (
            "it is encrypted, and no certificate is set; in Dask's configuration, set "
            "distributed.comm.tls.ca-file, .client.cert and .client.key"
        )
    if "certificate has expired" in text:
        return "its certificate has expired; make a new one and start the scheduler with it"
    if isinstance(error, ValueError):
        return f"{text}; an address is written as tls://10.0.0.1:8786"
    return f"{text}; is it running there, and reachable from here?"


# -- which one


def start(
    name: str | None = None,
    wish: Wish = Wish(),  # noqa: B008 - immutable
    *,
    modules: Iterable[str] = (),
    notebook: str = "",
    show: Callable[[str], None] = lambda _: None,
) -> Cluster:
    """Start the cluster of a profile and use it; the parameters are those of `registry.launch`.

    Parameters
    ----------
    name : str, optional
        The profile; the configured default otherwise.
    modules : iterable of str
        What its workers will need.

    Raises
    ------
    ClusterError
        When it cannot be started.
    """
    wanted = profile(name)
    with _lock:
        if wanted.address:
            return use(wanted.address)
        connection = registry.launch(
            wanted, wish, owner=registry.owner(), notebook=notebook, show=show
        )
        try:
            cluster = _enter(Cluster(connection.scheduler, connection))
            cluster.warm(modules)
        except BaseException:
            registry.close(connection)
            raise
        return cluster


def use(name: str) -> Cluster:
    """Use a cluster that runs already.

    Parameters
    ----------
    name : str
        Its id, the profile that it was started from, or the address of a scheduler.

    Raises
    ------
    ClusterError
        When there is none, or it does not answer.
    """
    with _lock:
        connection = registry.find(name)
        if connection is not None and not connection.scheduler:
            raise ClusterError(f"{connection.id} is not there yet: {connection.words}")
        if connection is not None:
            return _enter(Cluster(connection.scheduler, connection))
        if ADDRESS.match(name):
            return _enter(Cluster(name))
        known = profiles()
        if name in known and known[name].address:
            return _enter(Cluster(known[name].address))
        if name in known:
            raise ClusterError(
                f"No cluster of the profile {name!r} runs: %scale up {name} starts one."
            )
        running = ", ".join(found.id for found in registry.connections()) or "none"
        raise ClusterError(
            f"There is no cluster {name!r}: running here: {running}; an address is written as "
            "tls://10.0.0.1:8786"
        )


def mine(notebook: str = "") -> list[Connection]:
    """Return the clusters of this Jupyter server, the nearest last: that of this notebook."""
    owner = registry.owner()
    found = [one for one in registry.connections() if owner.same(one.owner) and one.scheduler]
    return sorted(found, key=lambda one: (bool(notebook) and one.notebook == notebook, one.created))


def nearest(notebook: str = "", profile: str | None = None) -> Cluster | None:
    """Use the cluster that was started for this notebook before, or for another of this server."""
    with _lock:
        for connection in reversed(mine(notebook)):
            if profile in (None, connection.profile):
                with suppress(ClusterError):
                    return _enter(Cluster(connection.scheduler, connection))
    return None


def _enter(cluster: Cluster) -> Cluster:
    global _current
    leave()
    _current = cluster
    return cluster


def current() -> Cluster | None:
    """Return the cluster of this process, dead or alive, or None."""
    return _current


def of(client: Client | None) -> Cluster | None:
    """Return the cluster of this process if this is its client, or None."""
    return _current if _current is not None and _current.client is client else None


def other() -> Client | None:
    """Return the running client that the user made current by themselves, or None."""
    try:
        client: Client = default_client()
    except ValueError:
        return None
    return None if of(client) is not None or client.status != "running" else client


def make_default(client: Client) -> None:
    """Have plain Dask use this client too, whichever was made last.

    Not only in a context: a cell begins and ends in two of them.
    """
    if default_client() is not client:
        ensure_default_client(client)


def leave() -> None:
    """Use no cluster any more; it goes on."""
    global _current
    with _lock:
        cluster, _current = _current, None
        if cluster is not None:
            cluster.leave()


def close() -> bool:
    """Close the cluster of this process; say whether there was one that could be closed."""
    with _lock:
        cluster = _current
        if cluster is None:
            return False
        connection = cluster.connection
        leave()
        if connection is None:
            return False
        registry.close(connection)
        return True


@atexit.register
def _ended() -> None:
    """Leave; and close at once what would end with this process anyway."""
    cluster = _current
    if cluster is None:
        return
    connection = cluster.connection
    if connection is not None and Process.this().same(connection.owner):
        with suppress(ClusterError):
            close()
    leave()
