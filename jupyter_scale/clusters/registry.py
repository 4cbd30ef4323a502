"""The running clusters of this user: start one, find one, tell one what to do.

Everything goes through the connection files that the clusters' hosts write, so that a kernel, the
Jupyter server and the command line all see the same clusters.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import psutil
from distributed.core import rpc

from jupyter_scale.clusters.backends import backend
from jupyter_scale.clusters.connection import (
    CLOSED,
    FAILED,
    PREFIX,
    RUNNING,
    STARTING,
    Connection,
    Process,
    folder,
    path_of,
    read,
    remove,
    scratch,
    security,
    write,
)
from jupyter_scale.clusters.host import INHERITED, Request
from jupyter_scale.clusters.limits import ClusterError, Size, check_workers, fit_size
from jupyter_scale.clusters.profiles import Adapt, Profile

__all__ = ["Wish", "begin", "close", "connections", "find", "launch", "notes", "owner", "tell"]

KEPT = 24 * 3600.0  # seconds that the note of an ended cluster stays
HOST = "import gc; gc.disable(); from jupyter_scale.clusters.host import main; main()"
LOOK = 0.03  # seconds between looks at a file that is to change
SILENT = 3.0  # seconds: what starts sooner needs no words
PATIENCE = 40.0  # seconds until a host that is to end is killed


@dataclass(frozen=True, slots=True)
class Wish:
    """How large a cluster is to be; what is None is left to its profile.

    Attributes
    ----------
    workers, threads : int or None
    memory : str or None
        Of each worker, such as ``"2GiB"``.
    adapt : Adapt or None
    """

    workers: int | None = None
    threads: int | None = None
    memory: str | None = None
    adapt: Adapt | None = None


def owner() -> Process:
    """Return the process that a cluster started from here ends with.

    That is the Jupyter server of this kernel, so that the cluster outlives the kernel; without one
    it is this process.
    """
    server = os.environ.get("JPY_PARENT_PID", "")
    if server.isdecimal() and int(server) > 1:
        with suppress(psutil.Error):
            return Process.of(int(server))
    return Process.this()


def connections() -> list[Connection]:
    """Return the clusters that run or start, oldest first."""
    return [connection for connection in notes() if connection.alive]


def notes() -> list[Connection]:
    """Return what is known of the clusters of this user, of ended ones why, oldest first.

    What has died without a word is noted as that; notes that are a day old are removed.
    """
    found = []
    for path in folder().glob(f"{PREFIX}*.json"):
        try:
            connection = read(path)
        except (ClusterError, OSError):
            continue  # another's, or removed in this moment
        if connection.state in (STARTING, RUNNING) and not connection.alive:
            connection = connection.over(CLOSED, "its host process was killed")
            write(connection)
            shutil.rmtree(scratch(connection.host), ignore_errors=True)
        if connection.alive or time.time() - connection.ended < KEPT:
            found.append(connection)
        else:
            remove(connection.id)
    return sorted(found, key=lambda connection: connection.created)


def find(name: str) -> Connection | None:
    """Return the newest cluster that runs with this id or of the profile of this name."""
    running = connections()
    for connection in reversed(running):
        if name in (connection.id, connection.profile):
            return connection
    return None


def reread(connection: Connection) -> Connection:
    """Return what a cluster's file says now."""
    try:
        return read(path_of(connection.id))
    except (ClusterError, OSError):
        return connection.over(CLOSED, "it was closed")


# -- start


def launch(
    profile: Profile,
    wish: Wish = Wish(),
    *,
    owner: Process | None = None,
    notebook: str = "",
    show: Callable[[str], None] = lambda _: None,
) -> Connection:
    """Start the cluster of a profile and wait until it can be used.

    Parameters
    ----------
    profile : Profile
    wish : Wish
    owner : Process, optional
        The process that it ends with.
    notebook : str
        Where it is started.
    show : callable
        Is given a line each time when there is something new to say.

    Returns
    -------
    Connection

    Raises
    ------
    ClusterError
        When it did not start; nothing of it stays. The same holds for an interrupt.
    """
    request, process = _begun(profile, wish, owner, notebook)
    try:
        connection = _started(process, request, show)
    except BaseException:
        _end(process)
        remove(request.id)
        raise
    _reap(process)
    return connection


def begin(
    profile: Profile,
    wish: Wish = Wish(),
    *,
    owner: Process | None = None,
    notebook: str = "",
) -> Connection:
    """Start the cluster of a profile and return at once: its file says what becomes of it.

    Parameters
    ----------
    profile, wish, owner, notebook
        As for `launch`.

    Raises
    ------
    ClusterError
        When that is not possible.
    """
    request, process = _begun(profile, wish, owner, notebook)
    path = path_of(request.id)
    while not path.exists() and process.poll() is None:
        time.sleep(LOOK)
    if not path.exists():
        why = _last_line(path_of(request.id, "log"))
        remove(request.id)
        raise ClusterError(f"{profile.name} did not start: {why}")
    _reap(process)
    return read(path)


def _begun(
    profile: Profile, wish: Wish, owner: Process | None, notebook: str
) -> tuple[Request, subprocess.Popen[bytes]]:
    """Start a host and tell it what is wanted."""
    request = _request(profile, wish, owner, notebook)
    text = request.dumps()
    log = path_of(request.id, "log")
    handle = os.open(log, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as output:
        process = subprocess.Popen(
            # a module that is run is imported again by each worker process
            [sys.executable, "-c", HOST],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,  # a kernel's end or interrupt is not the cluster's
        )
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(text.encode())
    except BaseException:
        _end(process)
        remove(request.id)
        raise
    return request, process


def _request(profile: Profile, wish: Wish, owner: Process | None, notebook: str) -> Request:
    if profile.missing:
        raise ClusterError(f"The profile {profile.name!r} needs {profile.missing}")
    adapt = wish.adapt or (profile.adapt if wish.workers is None else None)
    workers = None if adapt is not None else wish.workers
    if workers is None and adapt is None:
        workers = profile.workers
    size = None
    if profile.local:
        size = _size(profile, wish, adapt.maximum if adapt is not None else workers)
        workers = None if adapt is not None else size.workers
    elif wish.threads is not None or wish.memory is not None:
        option = "--memory" if wish.threads is None else "--threads"
        raise ClusterError(
            f"{option} is for clusters on this machine; what a worker of {profile.name!r} has is "
            f"said in its profile ({profile.origin})"
        )
    if workers is not None:
        check_workers(workers, "--workers")
    return Request(
        id=f"{profile.name}-{secrets.token_hex(2)}",
        profile=profile,
        workers=workers,
        adapt=adapt,
        size=size,
        owner=owner,
        notebook=notebook,
        path=list(sys.path),
        timeout=profile.timeout,
        idle_timeout=profile.idle_timeout,
    )


def _size(profile: Profile, wish: Wish, workers: int | None) -> Size:
    kwargs = profile.factory.kwargs
    memory = wish.memory or kwargs.get("memory_limit")
    return fit_size(
        workers if workers is not None else kwargs.get("n_workers"),
        wish.threads if wish.threads is not None else kwargs.get("threads_per_worker"),
        None if memory is None or memory == "auto" else str(memory),
    )


def _environment() -> dict[str, str]:
    """Return the host's environment: what was set in Dask's configuration here holds there too."""
    configuration = dask.config.serialize(dask.config.config)
    return {**os.environ, INHERITED: configuration}


def _started(
    process: subprocess.Popen[bytes], request: Request, show: Callable[[str], None]
) -> Connection:
    path = path_of(request.id)
    said, begun = "", time.monotonic()
    while True:
        ended = process.poll()
        connection = read(path) if path.exists() else None
        if connection is not None and connection.state == RUNNING:
            return connection
        if connection is not None and connection.state in (FAILED, CLOSED):
            raise ClusterError(f"{request.profile.name} did not start: {connection.words}")
        if ended is not None:
            raise ClusterError(
                f"{request.profile.name} did not start: {_last_line(path_of(request.id, 'log'))}"
            )
        late = time.monotonic() - begun > SILENT
        if late and connection is not None and connection.words != said:
            said = connection.words
            show(f"{request.id}: {said}")
        time.sleep(LOOK)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "its host ended")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a host whose cluster is not wanted any more, and wait for it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Take note of the host's end when it comes: until then nothing is left but the waiting."""
    threading.Thread(target=process.wait, name="jupyter-scale-host", daemon=True).start()


def fits(connection: Connection, profile: Profile, wish: Wish) -> bool:
    """Whether a running cluster is what would be started."""
    if wish == Wish():
        return True
    request = _request(profile, wish, None, "")
    words = str(backend(profile, request.workers, request.adapt, request.size))
    return connection.words.startswith(words)


# -- tell


def scale(connection: Connection, workers: int) -> str:
    """Have a cluster of this many workers from now on; return the size in words.

    Raises
    ------
    ClusterError
        When that is not possible.
    """
    return str(tell(connection, "scale", workers=workers))


def adapt(connection: Connection, between: Adapt) -> str:
    """Have a cluster grow and shrink with the work from now on; return the size in words.

    Raises
    ------
    ClusterError
        When that is not possible.
    """
    return str(tell(connection, "adapt", minimum=between.minimum, maximum=between.maximum))


def tell(connection: Connection, what: str, **arguments: Any) -> Any:
    """Have a cluster's host do something, and return what it answers.

    Raises
    ------
    ClusterError
        When it cannot be done, or the host does not answer.
    """
    if not connection.host.here:
        raise ClusterError(
            f"{connection.id} runs on {connection.host.machine}: it can be told there only"
        )

    async def ask() -> Any:
        args = security(connection.control_certificate).get_connection_args("client")
        async with rpc(connection.control, connection_args=args, timeout=10) as host:
            return await getattr(host, what)(**arguments)

    try:
        return _wait(ask())
    except (OSError, TimeoutError) as error:
        if not reread(connection).alive:
            raise ClusterError(f"{connection.id} has ended: {reread(connection).words}") from None
        raise ClusterError(f"{connection.id} does not answer: {error}") from None


def close(connection: Connection) -> None:
    """Close a cluster and wait until its host has ended.

    Raises
    ------
    ClusterError
        When it runs on another machine.
    """
    if connection.control:
        with suppress(ClusterError):
            tell(connection, "end")
    elif connection.host.here and connection.host.alive:
        os.kill(connection.host.pid, signal.SIGTERM)
    if not connection.host.here:
        raise ClusterError(f"{connection.id} runs on {connection.host.machine}: close it there")
    deadline = time.monotonic() + PATIENCE
    while connection.host.alive:
        if time.monotonic() > deadline:
            os.kill(connection.host.pid, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(LOOK)
    remove(connection.id)


def _wait(answer: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine where a loop may be running in this thread, as in a kernel."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(answer))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
