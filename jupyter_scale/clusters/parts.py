"""A scheduler or a worker on a host, and the SSH connection that it lives by; see `ssh`.

Each is started by a command that holds no secret, gets what it needs through its input, and ends
when that does. Nothing here waits for more than its own host.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import asyncssh
from distributed import Security
from distributed.core import Status
from distributed.deploy.spec import ProcessInterface

from jupyter_scale.clusters.backend import reason
from jupyter_scale.clusters.limits import ClusterError
from jupyter_scale.clusters.remote import MARK, reach
from jupyter_scale.clusters.threads import VARIABLES

__all__ = ["CONNECT", "LOOPBACK", "RETRY", "Board", "Place", "Scheduler", "Worker"]

LOOPBACK = "127.0.0.1"
CONNECT = {"connect_timeout": 15, "login_timeout": 15}  # seconds, where the profile says no other
AT_ONCE = 8  # connections that are made at a time: sshd drops some of more than ten
BEATS = 3  # signs of life of which one is awaited, in either direction
RETRY = 10.0  # seconds until a host that was lost is tried again
GRACE = 12.0  # seconds that a process may take to end
BOOTSTRAP = "import json, sys; task = json.loads(sys.stdin.readline()); exec(task.pop('code')); "
COMMAND = f'exec {{python}} -c "{BOOTSTRAP}main(task)"'
CODE = files(__package__).joinpath("remote.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Place:
    """Where something runs.

    Attributes
    ----------
    host : str
    connect : mapping
        What asyncssh is told about the way there.
    python : str
        The interpreter there, as a shell finds it.
    share : int
        How many workers share the host.
    """

    host: str
    connect: Mapping[str, Any]
    python: str
    share: int = 1


@dataclass
class Board:
    """What all parts of one cluster have in common.

    Attributes
    ----------
    security : Security or None
    variables : mapping of str to str
        The environment there.
    patience : float
        Seconds that a host and this process wait for each other when they are cut off.
    gate : asyncio.Semaphore
        Passed by those that connect.
    parts : list of Part
    came : bool
        Whether there was a worker.
    """

    security: Security | None
    variables: Mapping[str, str]
    patience: float
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    parts: list[Part] = field(default_factory=list)
    came: bool = False


class Lost(ClusterError):
    """A connection has ended that was there: nothing is wrong with what was asked for."""


class Part(ProcessInterface):
    """A process on a host, and the connection that it lives by."""

    kind, role = "distributed.Scheduler", "scheduler"
    scheduler = ""

    def __init__(self, *, place: Place, options: Mapping[str, Any], board: Board) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Dask's
        self.place, self.options, self.board = place, options, board
        self.said, self.failed = "", False
        self._connection: Any = None
        self._process: Any = None
        self._beats: asyncio.Task[None] | None = None
        self._copies: asyncio.Task[None] | None = None
        self._log: deque[str] = deque(maxlen=20)
        board.parts.append(self)

    async def open(self) -> dict[str, Any]:
        """Start it, and return what it says of itself when it runs.

        Raises
        ------
        ClusterError
            When it does not; `Lost` when that was the connection's end.
        """
        host = self.place.host
        self._say(f"connecting to {host}")
        try:
            async with self.board.gate:
                self._connection = await _connected(self.place, self.board.patience / BEATS)
            self._say(f"starting the {self.role} on {host}")
            self._process = await self._connection.create_process(
                COMMAND.format(python=self.place.python), encoding="utf-8", errors="replace"
            )
            self._beats = asyncio.ensure_future(self._beat())
            self._copies = asyncio.ensure_future(self._copy())
            return await self._answer()
        except (OSError, asyncssh.Error) as error:
            raise Lost(f"{host} has ended the connection: {reason(error)}") from None

    def _say(self, words: str) -> None:
        if not self.failed:  # what went wrong is said until it is right
            self.said = words

    def _task(self) -> str:
        keys = None
        if self.board.security is not None:
            names = ("tls_ca_file", f"tls_{self.role}_key", f"tls_{self.role}_cert")
            keys = {name: getattr(self.board.security, name) for name in names}
            keys["require_encryption"] = True
        task = {
            "code": CODE, "scheduler": self.scheduler, "class": self.kind,
            "options": dict(self.options), "security": keys,
            "environment": dict(self.board.variables),
            "defaults": dict.fromkeys(VARIABLES, "1"), "share": self.place.share,
            "patience": self.board.patience,
        }  # fmt: skip
        return json.dumps(task)

    async def _beat(self) -> None:
        """Say what to run, and then that this process lives."""
        with suppress(OSError, asyncssh.Error):
            self._process.stdin.write(f"{self._task()}\n")
            while True:
                await asyncio.sleep(self.board.patience / BEATS)
                self._process.stdin.write("\n")

    async def _copy(self) -> None:
        """Have what it logs in the log of this process; its last lines say why it ended."""
        with suppress(OSError, asyncssh.Error):
            async for line in self._process.stderr:
                self._log.append(line.strip())
                print(f"{self.place.host}: {line.rstrip()}", flush=True)

    async def _answer(self) -> dict[str, Any]:
        host, python = self.place.host, self.place.python
        async for line in self._process.stdout:
            if not line.startswith(MARK):
                continue
            found: dict[str, Any] = json.loads(line.removeprefix(MARK))
            if "address" in found:
                return found
            if "missing" in found:
                raise ClusterError(
                    f"{python} on {host} has no module {found['missing']!r}: install there the "
                    "packages that are here, or name another interpreter by remote_python"
                )
            if "unreachable" in found:
                raise ClusterError(
                    f"{host} does not reach the scheduler at {found['unreachable']}: is there a "
                    "firewall? scheduler_options: {port: 8786} keeps to a port that can be opened"
                )
            raise ClusterError(f"the {self.role} on {host} did not start: {found['error']}")
        with suppress(TimeoutError):  # its status comes after its output
            await asyncio.wait_for(self._process.wait_closed(), GRACE)
        if self._copies is not None:
            await asyncio.wait([self._copies], timeout=GRACE)
        status = self._process.exit_status
        if status in (126, 127):
            raise ClusterError(
                f"There is no {python} on {host}: name its interpreter by remote_python"
            )
        last = next((line for line in reversed(self._log) if line), f"it ended ({status})")
        raise ClusterError(f"the {self.role} on {host} did not start: {last}")

    async def shut(self) -> None:
        """Have it end, by the end of its input, and wait for that."""
        if self._beats is not None:
            self._beats.cancel()
        process, connection = self._process, self._connection
        self._process = self._connection = None
        try:
            if process is not None:
                with suppress(OSError, asyncssh.Error, TimeoutError):
                    process.stdin.write_eof()
                    await asyncio.wait_for(process.wait_closed(), GRACE)
        finally:  # also when this is cancelled
            if connection is not None:
                connection.abort()
            if self._copies is not None:
                self._copies.cancel()

    async def close(self) -> None:
        with suppress(ValueError):
            self.board.parts.remove(self)
        await self.shut()
        await super().close()  # type: ignore[no-untyped-call]  # Dask's


class Scheduler(Part):
    """The scheduler, and the way to its dashboard."""

    dashboard = ""
    contact_address: str | None = None
    _kept: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it; workers and clients are told its address."""
        try:
            found = await self.open()
        except BaseException:
            await self.shut()
            raise
        self.contact_address = self.options.get("contact_address")
        self.address = self.external_address = self.contact_address or found["address"]
        if found["dashboard"]:
            way = await self._connection.forward_local_port(
                LOOPBACK, 0, LOOPBACK, found["dashboard"]
            )
            self.dashboard = f"http://{LOOPBACK}:{way.get_port()}/status"
        self.said = f"connecting to the scheduler at {self.address}"
        if not await asyncio.to_thread(reach, self.address):
            await self.shut()
            raise ClusterError(
                f"The scheduler runs on {self.place.host}, and its port does not answer at "
                f"{self.address} from here: is there a firewall? scheduler_options: "
                "{port: 8786} keeps to a port that can be opened, {contact_address: ...} names "
                "another way to it"
            )
        self.said = ""
        self._kept = asyncio.ensure_future(self._keep())
        await super().start()  # type: ignore[no-untyped-call]  # Dask's

    async def _keep(self) -> None:
        """Take note when it is lost: all that was on its workers is, too."""
        with suppress(OSError, asyncssh.Error):
            async for _ in self._process.stdout:
                pass
        if self.status == Status.running:
            self.said, self.failed = f"{self.place.host} is lost, and the scheduler with it", True
            self.status = Status.failed  # Dask then asks it for nothing

    async def close(self) -> None:
        """End it."""
        self.status = Status.closing
        await super().close()


class Worker(Part):
    """A worker, which is started as soon as its host lets it, and again when that was lost."""

    role = "worker"

    def __init__(self, scheduler: str, *, name: str, kind: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scheduler, self.kind = scheduler, kind
        self.options = {**self.options, "name": name}
        self.name = name
        self._kept: asyncio.Task[None] | None = None
        self._cluster: Callable[[], Any] = lambda: None  # Dask sets it

    async def start(self) -> None:
        """Begin; Dask would wait for the slowest, and give up all for one."""
        self._kept = asyncio.ensure_future(self._keep())
        await super().start()  # type: ignore[no-untyped-call]  # Dask's

    async def _keep(self) -> None:
        host = self.place.host
        what = ""
        while True:
            try:
                await self.open()
                self.said, self.failed, self.board.came = "", False, True
                what = f"the worker on {host} has ended"
                async for _ in self._process.stdout:
                    pass
            except Lost:
                what = f"{host} is lost"
            except ClusterError as error:
                if not what:  # what never worked would end in the same way again
                    self.said, self.failed = str(error), True
                    return
            except (OSError, asyncssh.Error):
                what = f"{host} is lost"
            finally:
                await self.shut()
            if self.status != Status.running:
                return
            self.failed = True
            self.said = (
                f"{what}: it is tried again every {RETRY:.0f} s, and no other takes its place"
            )
            await asyncio.sleep(RETRY)

    async def close(self) -> None:
        """Move what it holds to others, and end it."""
        if self.status != Status.running:
            return
        self.status = Status.closing
        cluster = self._cluster()
        if cluster is not None and cluster.status == Status.running and not self.failed:
            with suppress(Exception):
                retired = cluster.scheduler_comm.retire_workers(names=[self.name], remove=True)
                await asyncio.wait_for(retired, GRACE)
        if self._kept is not None:
            self._kept.cancel()
            await asyncio.wait([self._kept])
        await super().close()


async def _connected(place: Place, beat: float) -> Any:
    """Return a connection to a host, or say what is in the way, and what helps."""
    host, port = place.host, place.connect.get("port")
    there = f"{host}:{port}" if port else host
    by_hand = f"ssh {f'-p {port} ' if port else ''}{shlex.quote(host)}"
    try:
        ways = {"keepalive_interval": beat, "keepalive_count_max": BEATS, **place.connect}
        return await asyncssh.connect(host, **ways)
    except asyncssh.HostKeyNotVerifiable:
        raise ClusterError(
            f"The host key of {there} is not known here, or is another than it was: look at it by "
            f"`{by_hand}` once, or name a file of known ones by connect_options: known_hosts"
        ) from None
    except asyncssh.PermissionDenied as error:
        raise ClusterError(
            f"{there} does not let you in ({reason(error)}): `{by_hand}` must work without a "
            "question; the user and the key are said by connect_options: username, client_keys"
        ) from None
    except socket.gaierror as error:
        raise ClusterError(
            f"There is no host {host!r} ({error.strerror}): is its name right in hosts?"
        ) from None
    except TimeoutError:
        raise ClusterError(
            f"{there} does not answer within {place.connect['connect_timeout']} s: does it run, "
            "and is it reachable from here?"
        ) from None
    except (OSError, asyncssh.Error) as error:
        if isinstance(error, OSError) and error.filename:  # a key
            raise ClusterError(f"connect_options: {error.filename}: {error.strerror}") from None
        raise ClusterError(
            f"{there} cannot be reached: {reason(error)}; does sshd run there, and is its port "
            "right (connect_options: port)?"
        ) from None
    except (TypeError, ValueError) as error:
        raise ClusterError(f"connect_options of {host}: {reason(error)}") from None
