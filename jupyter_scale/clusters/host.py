"""The process that owns one cluster: starts it, watches over it, closes it.

It runs detached from whoever started it, so that the cluster outlives kernels and browsers; its
connection file says what it does. It serves `scale`, `adapt` and `close` on loopback, to those that
have the file's certificate. The cluster closes when it is told to, when it was idle for too long,
when its owner is gone, or when its scheduler is; workers on this machine end with this process,
however it ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, NoReturn

from distributed import Security
from distributed.core import Server, rpc

from jupyter_scale.clusters.backend import Backend, reason
from jupyter_scale.clusters.backends import backend
from jupyter_scale.clusters.connection import (
    CLOSED,
    FAILED,
    RUNNING,
    STARTING,
    Connection,
    Process,
    certificate,
    write,
)
from jupyter_scale.clusters.limits import ClusterError, Size, counted
from jupyter_scale.clusters.parity import ASKED, versions
from jupyter_scale.clusters.profiles import Adapt, Factory, Profile

__all__ = ["Host", "Request", "main"]

INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"
TICK = 0.5  # seconds between looks at the owner, the scheduler and the workers
SOON = 0.05  # ... while the first worker is awaited
SELDOM = 5.0  # seconds between questions to the service, when workers are long in coming
LONG = 30.0  # seconds
PATIENCE = 30.0  # seconds that closing may take
STEP = 2**24  # bytes: the file is not written anew for less


@dataclass(frozen=True, slots=True)
class Request:
    """What a host is asked to start.

    Attributes
    ----------
    id : str
    profile : Profile
    workers, adapt, size
        As for a `Backend`.
    owner : Process or None
    notebook : str
    path : list of str
        Where modules are looked for: workers on this machine find what the notebook finds.
    timeout : float
        Seconds until the first worker must be there.
    idle_timeout : float
        Seconds without work after which the cluster closes; 0 for never.
    """

    id: str
    profile: Profile
    workers: int | None
    adapt: Adapt | None
    size: Size | None
    owner: Process | None
    notebook: str
    path: list[str]
    timeout: float
    idle_timeout: float

    def dumps(self) -> str:
        """Return it as JSON.

        Raises
        ------
        ClusterError
            When the profile holds something that JSON cannot.
        """
        try:
            return json.dumps(asdict(self))
        except TypeError as error:
            raise ClusterError(
                f"{self.profile.origin}: jupyter-scale.profiles.{self.profile.name}: {error}; "
                "write text, numbers, lists and tables only"
            ) from None

    @classmethod
    def loads(cls, text: str) -> Request:
        """Return the request of a JSON text."""
        found: dict[str, Any] = json.loads(text)
        profile = found.pop("profile")
        factory = Factory(**profile.pop("factory"))
        between = profile.pop("adapt")
        adapt, size, owner = (found.pop(name) for name in ("adapt", "size", "owner"))
        return cls(
            profile=Profile(factory=factory, adapt=between and Adapt(**between), **profile),
            adapt=adapt and Adapt(**adapt),
            size=size and Size(**size),
            owner=owner and Process(**owner),
            **found,
        )


class Ending(Exception):
    """The cluster is to close; the message says why."""


class Host:
    """One cluster and all that happens to it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._backend: Backend = backend(
            request.profile, request.workers, request.adapt, request.size
        )
        self._connection = Connection(
            request.id,
            request.profile.name,
            STARTING,
            "starting",
            Process.this(),
            request.owner,
            request.notebook,
            created=time.time(),
            idle_timeout=request.idle_timeout,
        )
        self._told: asyncio.Future[str] | None = None
        self._scheduler: Any = None  # connected once, for all questions
        self._known = ""  # its identity
        self._answered = self._asked = self._since = time.monotonic()
        self._waits = ""  # what the workers wait for
        self._has: dict[str, int] = {}  # of which size the workers are
        self._one = ""  # address of a worker
        self._packages: Mapping[str, str] = {}
        self._ready = 0.0  # seconds since the epoch

    async def run(self) -> int:
        """Start the cluster, watch over it until it is to end, close it; return the exit code."""
        loop = asyncio.get_running_loop()
        self._told = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._tell, "its host was told to end")
        write(self._connection)
        server = None
        try:
            server = await self._serve()
            await self._start()
            await self._watch()
        except Ending as end:
            state = CLOSED if self._connection.state == RUNNING else FAILED
            return await self._end(server, state, str(end))
        except Exception as error:
            return await self._end(server, FAILED, reason(error))
        raise AssertionError("a host ends by an Ending")

    # -- start

    async def _start(self) -> None:
        deadline = time.monotonic() + self._request.timeout
        self._backend.prepare()
        starting = asyncio.ensure_future(asyncio.to_thread(self._backend.start))
        while not starting.done():
            await self._tick(deadline)
        starting.result()
        self._update(
            words="the scheduler runs, waiting for the first worker",
            scheduler=self._backend.address,
            dashboard=self._backend.dashboard,
            certificate=certificate(self._backend.security),
        )
        present = 0
        while present < self._backend.first:
            await self._tick(deadline)
            present = await self._workers()
        self._ready = time.time()
        self._update(state=RUNNING, **await self._now())

    async def _tick(self, deadline: float) -> None:
        """Wait a little, show what the cluster itself waits for, and give up when it is late."""
        await self._pause(SOON)
        if await self._hear():
            self._update(words=self._waits)
        if time.monotonic() > deadline:
            words = self._connection.words
            raise Ending(
                f"no worker came within {spoken(self._request.timeout)}: {words}; to wait "
                f"longer, set jupyter-scale.profiles.{self._request.profile.name}.timeout"
            )

    # -- watch

    async def _watch(self) -> None:
        completed = asyncio.ensure_future(asyncio.to_thread(self._backend.complete))
        completed.add_done_callback(_note)
        while True:
            await self._pause(TICK)
            self._update(**await self._now())
            await self._check_idle()

    async def _now(self) -> dict[str, Any]:
        """Return what is to be said of the size."""
        present = await self._workers()
        backend = self._backend
        if backend.adapted is not None or present < (backend.workers or 0):
            if await self._hear():
                await asyncio.to_thread(backend.heal)
        else:
            self._since, self._waits = time.monotonic(), ""
        # read after all waiting: the size may have been changed in the meantime
        words, wanted, adapt = str(backend), backend.workers, backend.adapted
        if adapt is not None:
            words += f" ({counted(present, 'worker')} now)"
        elif wanted is not None and present < wanted:
            waits = self._waits and f": {self._waits}"
            words += f" ({present} of {wanted} are here{waits})"
        said = {"words": words, "workers": wanted, "adapt": adapt, **self._has, "present": present}
        return {**said, "packages": await self._versions() if present else self._packages}

    async def _versions(self) -> Mapping[str, str]:
        """Return the versions of a worker's packages, asked for once."""
        if not self._packages and self._scheduler is not None:
            message = {"op": "versions", "packages": ASKED}
            with suppress(OSError, TimeoutError, ValueError):
                asking = self._scheduler.broadcast(
                    msg=message, workers=[self._one], on_error="ignore"
                )
                found = await asyncio.wait_for(asking, 5)
                self._packages = versions(next(iter(found.values()))) if found else {}
        return self._packages

    async def _hear(self) -> bool:
        """Ask what the workers wait for: the longer that takes, the less often."""
        now = time.monotonic()
        if now - self._asked <= (TICK if now - self._since < LONG else SELDOM):
            return False
        self._asked = now
        self._waits = await asyncio.to_thread(self._backend.words)
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait a little, and end if that is asked for or the owner is gone."""
        assert self._told is not None
        done, _ = await asyncio.wait([self._told], timeout=seconds)
        if done:
            raise Ending(self._told.result())
        if self._request.owner is not None and not self._request.owner.alive:
            raise Ending("the process that it belonged to has ended")

    async def _workers(self) -> int:
        """Return how many workers the scheduler has; end when it does not answer any more."""
        found = await self._ask("identity")
        if found is None:
            return 0
        self._known = self._known or found["id"]
        if found["id"] != self._known:
            raise Ending("its scheduler was started anew, and knows nothing of what it had")
        self._has, self._one = extent(found["workers"].values()), next(iter(found["workers"]), "")
        return len(found["workers"])

    async def _check_idle(self) -> None:
        if not self._request.idle_timeout:
            return
        since = await self._ask("check_idle")
        # Until it could be used, it was not idle: workers may have been hours in a queue.
        if since and time.time() - max(since, self._ready) > self._request.idle_timeout:
            raise Ending(f"it had nothing to do for {spoken(self._request.idle_timeout)}")

    async def _ask(self, what: str) -> Any:
        if self._scheduler is None:
            security = self._backend.security
            args = security.get_connection_args("client") if security is not None else {}
            self._scheduler = rpc(self._backend.address, connection_args=args, timeout=5)
        try:
            found = await asyncio.wait_for(getattr(self._scheduler, what)(), 5)
        # a ValueError is tornado's, of a connection that was closed before it could be encrypted
        except (OSError, TimeoutError, ValueError) as error:
            if time.monotonic() - self._answered > self._request.profile.lost_timeout:
                raise Ending(f"its scheduler does not answer: {reason(error)}") from None
            return None
        self._answered = time.monotonic()
        return found

    # -- what others ask for

    async def _serve(self) -> Server:
        handlers = {"scale": self.scale, "adapt": self.adapt, "end": self.end}
        security = Security.temporary()
        server = Server(handlers, needs_workdir=False)
        await server.listen("tls://127.0.0.1:0", **security.get_listen_args("scheduler"))
        self._update(control=server.address, control_certificate=certificate(security))
        return server

    async def scale(self, workers: int) -> str:
        """Have this many workers from now on; return the size in words."""
        return await self._size(lambda: self._backend.scale(workers))

    async def adapt(self, minimum: int, maximum: int) -> str:
        """Grow and shrink between two numbers from now on; return the size in words."""
        return await self._size(lambda: self._backend.adapt(Adapt(minimum, maximum)))

    async def _size(self, change: Callable[[], None]) -> str:
        await asyncio.to_thread(change)
        self._since = time.monotonic()
        self._update(**await self._now())
        return str(self._backend)

    async def end(self) -> None:
        """Close the cluster, soon after this was answered."""
        self._tell("it was closed")

    # -- end

    def _tell(self, why: str) -> None:
        if self._told is not None and not self._told.done():
            self._told.set_result(why)

    async def _end(self, server: Server | None, state: str, why: str) -> int:
        self._update(words=f"closing: {why}")
        if self._scheduler is not None:
            with suppress(Exception):
                await self._scheduler.close_rpc()
        with suppress(Exception):
            async with asyncio.timeout(PATIENCE):
                await asyncio.to_thread(self._backend.close)
        if server is not None:
            with suppress(Exception):
                await server.close()
        write(self._connection.over(state, why))
        print(f"{state}: {why}", flush=True)
        return 0 if state == CLOSED else 1

    def _update(self, **changes: Any) -> None:
        changed = replace(self._connection, **changes)
        if changed != self._connection and changed.words:
            self._connection = changed
            write(changed)


def extent(workers: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """Return how large workers are together, of what the scheduler says of each.

    Examples
    --------
    >>> extent([{"nthreads": 2, "memory_limit": 2**30, "metrics": {"memory": 40_000_000}}])
    {'present': 1, 'threads': 2, 'memory': 33554432, 'limit': 1073741824}
    """
    used = sum(worker.get("metrics", {}).get("memory", 0) for worker in workers)
    return {
        "present": len(workers),
        "threads": sum(worker["nthreads"] for worker in workers),
        "memory": used // STEP * STEP,
        "limit": sum(worker["memory_limit"] or 0 for worker in workers),
    }


def _note(done: asyncio.Future[None]) -> None:
    """Write into the log what went wrong, of what the cluster can do without."""
    if not done.cancelled() and (error := done.exception()) is not None:
        print(f"without a dashboard: {reason(error)}", flush=True)


def spoken(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> spoken(90), spoken(7200)
    ('90 s', '2 h')
    """
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def main() -> NoReturn:
    """Run the host that a request on standard input asks for, and end this process."""
    request = Request.loads(sys.stdin.read())
    sys.path[:] = request.path
    os.environ.pop(INHERITED, None)
    # Not asyncio.run, which waits for threads: a start or an end that is stuck in one must not keep
    # the host.
    host = Host(request)
    gc.enable()  # there was no garbage in the imports
    code = asyncio.new_event_loop().run_until_complete(host.run())
    sys.stdout.flush()
    os._exit(code)
