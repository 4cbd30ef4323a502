"""A browser without a window, driven over a pipe: what opens an exported page and looks at it.

Any browser of Chromium's family will do. It is spoken to in the DevTools protocol through two pipes
of its own, not through a port that others on the machine could use, and it ends when they close:
whatever becomes of this process. Its profile is an empty folder, and no host but this machine is
found from it: what a page asks of others fails at once, and is told (`Tab.asked`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import psutil

from jupyter_scale.export.claim import NOT_VERIFIED
from jupyter_scale.export.step import Refused

__all__ = ["REMEDY", "Tab", "find", "opened"]

NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "brave-browser", "brave", "vivaldi"),
)
APPLICATIONS = ("Google Chrome", "Chromium", "Microsoft Edge", "Brave Browser", "Vivaldi")
"""On macOS."""
REMEDY = "install Chromium, Chrome, Edge or Brave"
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # small in containers
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
# the two pipes become 3 and 4, where the browser expects them, whatever their numbers are here
HANDED = """\
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD_CLOEXEC, 10) for end in sys.argv[1:3]]
for place, end in enumerate(ends, 3):
    os.dup2(end, place)
for end in map(int, sys.argv[1:3]):
    if end not in (3, 4):
        os.close(end)
os.execv(sys.argv[3], sys.argv[3:])
"""
SHORT = "/tmp" if os.path.isdir("/tmp") else None
"""Where its folder is: a socket's path has at most some hundred letters."""
ENDING = 5.0  # seconds that it has to end by itself
LAUNCH = 60.0  # seconds until it answers


def find() -> str | None:
    """Return the program of a browser that is installed here."""
    if os.name != "posix":
        return None  # it could not be handed the pipes
    for name in NAMES:
        if found := shutil.which(name):
            return found
    folders = (Path("/Applications"), Path.home() / "Applications")
    for name, folder in itertools.product(APPLICATIONS, folders):
        program = folder / f"{name}.app/Contents/MacOS/{name}"
        if program.is_file():
            return str(program)
    return None


class Tab:
    """One page that is open.

    Attributes
    ----------
    asked : list of str
        The addresses that it has asked for, those of pages that it shows within it included.
    """

    def __init__(self, pipes: _Pipes, session: str) -> None:
        self.asked: list[str] = []
        self._pipes = pipes
        self._session = session
        pipes.listeners[session] = self._hear

    async def open(self, address: str) -> None:
        """Go to an address."""
        for domain in ("Network", "Page", "Runtime"):
            await self._send(f"{domain}.enable")
        answer = await self._send("Page.navigate", url=address)
        if answer.get("errorText"):
            raise Refused(NOT_VERIFIED, f"The browser cannot open {address}: {answer['errorText']}")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, awaited if it is a promise."""
        answer = await self._send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            said = details.get("exception", details).get("description", details)
            raise Refused(NOT_VERIFIED, f"The browser says: {said}")
        return answer["result"].get("value")

    async def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._pipes.send(method, parameters, self._session)

    def _hear(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.asked.append(parameters["url"])


class _Pipes:
    """Commands and answers, each a line of JSON that ends with a zero; a thread reads them."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO, log: Path) -> None:
        self.listeners: dict[str, Any] = {}
        self._log = log
        self._commands = commands
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._closed = False
        loop = asyncio.get_running_loop()

        def read() -> None:
            for message in _messages(answers):
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._heard, json.loads(message))
            answers.close()
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._end)

        threading.Thread(target=read, name="scale-browser", daemon=True).start()

    async def send(
        self, method: str, parameters: dict[str, Any], session: str = ""
    ) -> dict[str, Any]:
        if self._closed:
            raise self._ended()
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._commands.write(json.dumps(message).encode() + b"\0")
            self._commands.flush()
        except OSError:
            raise self._ended() from None
        try:
            return await self._waiting[number]
        finally:
            del self._waiting[number]

    def _heard(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            if hear := self.listeners.get(message.get("sessionId", "")):
                hear(message["method"], message["params"])
            return
        waiting = self._waiting.get(message["id"])
        if waiting is None or waiting.done():
            return
        if "error" in message:
            said = message["error"].get("message", "")
            waiting.set_exception(Refused(NOT_VERIFIED, f"The browser refuses: {said}"))
        else:
            waiting.set_result(message["result"])

    def _end(self) -> None:
        self._closed = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._ended())

    def _ended(self) -> Refused:
        said = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
        return Refused(NOT_VERIFIED, f"The browser has ended: {said or 'it says nothing'}")


def _messages(answers: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while True:
        try:
            piece = os.read(answers.fileno(), 1 << 16)
        except OSError:
            return
        if not piece:
            return
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole


@asynccontextmanager
async def opened(
    program: str, variables: dict[str, str]
) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[Tab]]]:
    """Start a browser; it is given as what makes a `Tab`, to be used as a context.

    Parameters
    ----------
    program : str
        As `find` returns it.
    variables : dict of str to str
        Its environment.

    Raises
    ------
    Refused
        When it does not start, or ends.
    """
    folder = TemporaryDirectory(prefix="scale-", dir=SHORT, ignore_cleanup_errors=True)
    with folder as home:
        log = Path(home) / "log"
        process, commands, answers = _launched(program, Path(home), variables, log)
        try:
            pipes = _Pipes(commands, answers, log)
            try:
                async with asyncio.timeout(LAUNCH):
                    await pipes.send("Browser.getVersion", {})
            except TimeoutError:
                raise Refused(NOT_VERIFIED, f"{Path(program).name} did not answer") from None
            yield partial(_tab, pipes)
        finally:
            _end(process, commands)


@asynccontextmanager
async def _tab(pipes: _Pipes) -> AsyncIterator[Tab]:
    made = await pipes.send("Target.createTarget", {"url": "about:blank"})
    asked = {"targetId": made["targetId"], "flatten": True}
    session = (await pipes.send("Target.attachToTarget", asked))["sessionId"]
    try:
        yield Tab(pipes, session)
    finally:
        with suppress(Refused):
            await pipes.send("Target.closeTarget", {"targetId": made["targetId"]})


def _launched(
    program: str, home: Path, variables: dict[str, str], log: Path
) -> tuple[subprocess.Popen[bytes], BinaryIO, BinaryIO]:
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root cannot have
    words = [program, *OPTIONS, *alone, f"--user-data-dir={home / 'profile'}", "about:blank"]
    try:
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", HANDED, str(theirs_in), str(theirs_out), *words],
                env={**variables, "TMPDIR": str(home)},
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                pass_fds=(theirs_in, theirs_out), start_new_session=True,
            )  # fmt: skip
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    return process, os.fdopen(commands, "wb"), os.fdopen(answers, "rb", buffering=0)


def _end(process: subprocess.Popen[bytes], commands: BinaryIO) -> None:
    """End it and its processes: it goes by itself when its pipe is closed, or has to."""
    family = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    with suppress(OSError):
        commands.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDING)
    for one in psutil.wait_procs(family, timeout=0.5)[1]:
        with suppress(psutil.Error):
            one.kill()
    process.kill()
    process.wait()
