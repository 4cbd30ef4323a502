"""What `%scale` and `jupyter scale` do about clusters: one implementation, which returns text.

The magics call it in a kernel, which uses one cluster at a time; the command line in a process that
ends at once and uses none. Errors are `ClusterError`s of one line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from jupyter_scale import clusters
from jupyter_scale.clusters import Adapt, ClusterError, Connection, Wish, manifest, registry
from jupyter_scale.clusters.connection import written
from jupyter_scale.command import Arguments

__all__ = ["DONE", "notebook", "status", "up", "use", "wish"]


def notebook() -> str:
    """Return the path of this kernel's notebook, if its server says it, or nothing."""
    return os.environ.get("JPY_SESSION_NAME", "")


def wish(arguments: Arguments) -> Wish:
    """Return the size that a line asks for."""
    between = None if arguments.adapt is None else _between(*arguments.adapt)
    return Wish(arguments.workers, arguments.threads, arguments.memory, between)


def _between(minimum: int, maximum: int) -> Adapt:
    if not 0 <= minimum <= maximum:
        raise ClusterError(
            f"{minimum} to {maximum} workers: the first number is the smaller one, and at least 0."
        )
    return Adapt(minimum, maximum)


def up(arguments: Arguments, modules: Iterable[str], show: Callable[[str], None]) -> str:
    """Start a cluster and use it, unless the one in use is what is asked for."""
    asked, wanted = clusters.profile(arguments.name), wish(arguments)
    there = clusters.current() or clusters.nearest(notebook(), asked.name)
    connection = None if there is None else there.connection
    if connection is not None and connection.alive and connection.profile == asked.name:
        if not registry.fits(connection, asked, wanted):
            raise ClusterError(
                f"{connection.id} is running already: {connection.words}. Change it with "
                "%scale to N or %scale adapt MIN MAX, or close it first: %scale down"
            )
        return f"Already running: {connection.id}, {connection.words}"
    cluster = clusters.start(asked.name, wanted, modules=modules, notebook=notebook(), show=show)
    return f"Started {cluster.name}: {cluster.state().text}"


def use(arguments: Arguments) -> str:
    """Use a cluster that runs."""
    cluster = clusters.use(str(arguments.name))
    return f"Using {cluster.name}: {cluster.state().text}"


def to(arguments: Arguments) -> str:
    """Have a number of workers."""
    connection = _one(arguments.name)
    return f"{connection.id}: {registry.scale(connection, arguments.number)}"


def adapt(arguments: Arguments) -> str:
    """Grow and shrink with the work."""
    connection = _one(arguments.name)
    between = _between(arguments.minimum, arguments.maximum)
    return f"{connection.id}: {registry.adapt(connection, between)}"


def down(arguments: Arguments) -> str:
    """Close clusters."""
    if arguments.all:
        closing = clusters.connections()
    elif arguments.name is None and not clusters.connections():
        closing = []
    else:
        closing = [_one(arguments.name)]
    for connection in closing:
        cluster = clusters.current()
        if cluster is not None and cluster.name == connection.id:
            clusters.leave()
        registry.close(connection)
    names = ", ".join(connection.id for connection in closing)
    return f"Closed {names}." if closing else "No cluster is running."


def _one(name: str | None) -> Connection:
    """Return the cluster that is meant: the named one, the one in use, or the only one."""
    if name is not None:
        found = clusters.find(name)
        if found is None:
            raise ClusterError(f"There is no cluster {name!r}: {_running()}")
        return found
    cluster = clusters.current()
    if cluster is not None:
        connection = cluster.connection
        if connection is None:
            raise ClusterError(
                f"{cluster.address} was not started here: it is sized and closed where it was."
            )
        return connection
    running = clusters.connections()
    if len(running) != 1:
        raise ClusterError(f"Which cluster? {_running()}")
    return running[0]


def _running() -> str:
    names = [connection.id for connection in clusters.connections()]
    return f"running: {', '.join(names)}" if names else "none is running"


def manifested(arguments: Arguments) -> str:
    """Return a profile as Kubernetes reads it, or write it to a file."""
    if arguments.helm:
        documents = [manifest.values(arguments.namespace)]
        command = manifest.install(arguments.namespace, arguments.file or "values.yaml")
    else:
        documents = manifest.manifest(
            clusters.profile(arguments.name), namespace=arguments.namespace
        )
        manifest.validate(documents)
        command = f"kubectl apply -f {arguments.file or 'cluster.yaml'}"
    text = manifest.dumps(documents)
    if arguments.file is None:
        return f"{text.rstrip()}\n# {command}"
    path = Path(arguments.file).expanduser()
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
        raise ClusterError(f"{path} is there already and differs: move it away, or name another.")
    written(path, text)
    return f"Wrote {path}.\nNext: {command}"


# -- what there is


def status() -> str:
    """Say what this process works with, and what can be done next."""
    cluster, other = clusters.current(), clusters.other()
    if cluster is None and other is not None:
        return (
            f"Cluster: your own Dask client of {other.scheduler_info()['address']}\n"
            "Next: begin a cell with %%scale, which uses it; %scale up starts another."
        )
    if cluster is None:
        running = clusters.mine(notebook())
        if running:
            return (
                f"Not connected; {running[-1].id} runs: {running[-1].words}\n"
                "Next: begin a cell with %%scale, which uses it; %scale list shows all."
            )
        return (
            "No cluster is running.\n"
            "Next: begin a cell with %%scale (it starts a local cluster), or %scale up"
        )
    state = cluster.state()
    if not state.alive:
        return (
            f"The cluster {cluster.name} is gone: {state.text}.\nNext: %scale up starts a new one."
        )
    closes = "%scale down closes the cluster" if cluster.connection else "%scale list shows others"
    lines = [f"Cluster {cluster.name}: {state.text}"]
    lines += [f"Dashboard: {state.dashboard}"] if state.dashboard else []
    return "\n".join([*lines, f"Next: begin a cell with %%scale; {closes}."])


def listed() -> str:
    """Return a table of the running clusters."""
    running = clusters.connections()
    if not running:
        return "No cluster is running.\nNext: %scale up starts one."
    cluster = clusters.current()
    used = "" if cluster is None else cluster.name
    rows: list[tuple[str, ...]] = [("", "cluster", "state", "size", "age", "ends with")]
    rows += [
        (
            "*" if connection.id == used else "",
            connection.id,
            connection.state,
            connection.words,
            _age(time.time() - connection.created),
            _end(connection),
        )
        for connection in running
    ]
    return _table(rows)


def _end(connection: Connection) -> str:
    idle = f"{connection.idle_timeout / 60:g} idle minutes" if connection.idle_timeout else ""
    owner = connection.owner
    if owner is None:
        return idle or "%scale down"
    place = "" if owner.here else f" on {owner.machine}"
    name = f"process {owner.pid}{place}"
    if owner.same(registry.owner()):
        name = "this process" if owner.pid == os.getpid() else "this Jupyter server"
    return f"{name}{idle and ' or '}{idle}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def profiled() -> str:
    """Return a table of the clusters that can be started, and what is missing to start each."""
    chosen = clusters.default()
    rows: list[tuple[str, ...]] = [("", "profile", "class", "size", "written in", "missing")]
    for profile in clusters.profiles().values():
        missing = profile.missing or ("" if profile.tested else "(not tested by this project)")
        marked = "*" if profile.name == chosen else ""
        kind = profile.address or str(profile.factory)
        size = profile.size or ("1 worker a CPU" if profile.local else "")
        rows.append((marked, profile.name, kind, size, profile.origin, missing))
    return f"{_table(rows)}\n* is what %scale up starts"


DONE: dict[str, Callable[[Arguments], str]] = {
    "adapt": adapt,
    "down": down,
    "list": lambda _: listed(),
    "manifest": manifested,
    "profiles": lambda _: profiled(),
    "to": to,
}
"""What every place can do, by the word for it."""


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
