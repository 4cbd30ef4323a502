"""A visit to an exported page: opened in a browser, connected by its own form, its cells run.

The Jupyter server is this environment's, on a copy of the folder; its only kernel is the rebuilt
environment's: a stand-in for what Binder would start. Page and server are on this machine alone,
and the server answers to its random token and to the page. Cells are run by the page's own buttons,
from the first to the first that was saved with an output. What a page asks of another machine
fails: where the notebook's contents ask, that is told; where the page itself does, it is broken.

All that is started carries one mark and is ended by it, whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from jupyter_scale.export import browser
from jupyter_scale.export.claim import FAILED, NOT_VERIFIED, VERIFIED, Status
from jupyter_scale.export.compare import TAGS, compare, heading
from jupyter_scale.export.finding import needed
from jupyter_scale.export.notebook import SKIPPED
from jupyter_scale.export.run import (
    STARTING,
    copied,
    ended,
    fetch,
    in_thread,
    kernelspec,
    variables,
)
from jupyter_scale.export.step import Refused

__all__ = ["Visit", "lacking", "visits"]

SERVER = (
    *("-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
    "--KernelSpecManager.ensure_native_kernel=False",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1", None)
SOON = 0.05  # seconds
STOPPING = 5.0  # seconds that the server has to end
CONNECT = """\
(({address, token}) => {
  const form = document.getElementById('live-server');
  if (!form) return false;
  form.closest('details').open = true;
  form.elements.address.value = address;
  form.elements.token.value = token;
  form.querySelector('button').click();
  return true;
})"""
CONNECTED = """\
(() => {
  const said = document.getElementById('live-status').textContent;
  const isDone = document.body.dataset.live === 'connected' || said.startsWith('It failed');
  return [isDone, said];
})()"""
WATCH = """\
window.thebe.session.kernel.statusChanged.connect((_, status) => {
  if (['dead', 'autorestarting', 'terminating'].includes(status)) {
    document.body.dataset.lost = status;
  }
})"""
PRESS = """\
(number => {
  const button = document.querySelectorAll('.thebe-cell')[number]
    ?.querySelector('.thebe-run-button');
  button?.click();
  return Boolean(button);
})"""
RAN = """\
(number => {
  const cell = window.thebe.notebook.cells[number];
  const isDone = Boolean(cell.executionCount) && !cell.isBusy;
  const isLost = Boolean(document.body.dataset.lost);
  return [isDone || isLost, isLost];
})"""
SHOWN = """\
(number => {
  const { area, outputs } = window.thebe.notebook.cells[number];
  const isShown = area.node.isConnected && area.node.querySelector('.jp-OutputArea-output');
  return JSON.stringify([outputs, Boolean(isShown)]);
})"""
CONTENTS = "document.querySelector('main')?.innerHTML ?? ''"


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of it, of one page.

    Attributes
    ----------
    status : str
        As of a claim.
    lines : tuple of str
        What was seen.
    """

    status: Status
    lines: tuple[str, ...]


def lacking() -> str:
    """Return what is not here that a visit needs, with the remedy; or nothing."""
    if browser.find() is None:
        return f"no browser is here to open it with: {browser.REMEDY}"
    if find_spec("jupyter_server") is None:
        return "no Jupyter server is here to run its cells: pip install jupyter-server"
    return ""


def visits(
    folder: Path,
    pages: Mapping[str, Any],
    python: Path,
    scratch: Path,
    *,
    timeout: float = 0,
    show: Callable[[str], None] = lambda line: None,
) -> list[Visit]:
    """Visit pages one after the other, each with a kernel of its own.

    Parameters
    ----------
    folder : Path
        The exported one; it is not changed.
    pages : mapping
        The notebook of each page; None for one that has no cells.
    python : Path
        The interpreter of the rebuilt environment.
    scratch : Path
        An empty folder for all that is written.
    timeout : float, optional
        Seconds for each cell; 0 for no limit.
    show : callable, optional
        Is told the pages and cells.

    Raises
    ------
    Refused
        When server or browser do not start.
    """
    program = browser.find()
    if program is None:
        raise Refused(NOT_VERIFIED, lacking())
    work, home, mark = scratch / "work", scratch / "home", uuid4().hex
    clean = variables(python, home, mark)
    found: list[Visit] = []

    async def visit(address: str) -> None:
        async with (
            _jupyter(work, home, clean, python=python, origin=address) as server,
            browser.opened(program, clean) as tab,
        ):
            for name, notebook in pages.items():
                show(f"Opening {name} in {Path(program).name}")
                page = _Page(f"{address}/{name}", notebook, server, timeout, show)
                async with tab() as view:
                    found.append(await page.visit(view))
                server.end_kernels()

    try:
        copied(folder, work)
        fetch(work, python, clean, show)
        with _served(folder) as address:
            in_thread(lambda: visit(address))
    finally:
        ended(mark)
    return found


# -- one page


class _Page:
    """A page and what it is to run."""

    def __init__(
        self,
        address: str,
        notebook: Any,
        server: _Server,
        timeout: float,
        show: Callable[[str], None],
    ) -> None:
        self._address = address
        self._name = address.rpartition("/")[2]
        self._notebook = notebook
        self._server = server
        self._timeout = timeout
        self._show = show

    async def visit(self, view: browser.Tab) -> Visit:
        status: Status = VERIFIED
        lines: tuple[str, ...] = ()
        contents = ""
        try:
            await view.open(self._address)
            await _until(view, "[document.readyState === 'complete']", STARTING, "being loaded")
            contents = await view.evaluate(CONTENTS)
            if self._notebook is not None:
                await self._connect(view)
                lines = await self._run(view)
            contents += await view.evaluate(CONTENTS)
        except Refused as refused:
            status, lines = refused.status, refused.details
        told, broken = _elsewhere(view.asked, contents)
        if broken:
            status = FAILED
            lines = (*(f"it loads {one}, which is not beside it" for one in broken), *lines)
        lines = (*lines, *(f"an output asks for {one}" for one in told))
        return Visit(status, tuple(f"{self._name}: {line}" for line in lines))

    async def _connect(self, view: browser.Tab) -> None:
        settings = json.dumps({"address": self._server.address, "token": self._server.token})
        if not await view.evaluate(f"{CONNECT}({settings})"):
            raise Refused(FAILED, "it has no form to connect it by")
        said = await _until(view, CONNECTED, STARTING, "connecting")
        if said.startswith("It failed"):
            raise Refused(FAILED, f"it does not connect to a Jupyter server: {said}")
        await view.evaluate(WATCH)

    async def _run(self, view: browser.Tab) -> tuple[str, ...]:
        """Run its cells up to the first that was saved with an output."""
        count = 0
        cells = [*enumerate(self._notebook.cells, 1)]
        code = [(n, cell) for n, cell in cells if cell.cell_type == "code" and cell.source.strip()]
        for place, (number, cell) in enumerate(code):
            tags = {*cell.metadata.get("tags", [])}
            if SKIPPED in tags:
                continue
            outputs = await self._ran(view, place, cell)
            count += 1
            name = f"cell {number} ({heading(cell)})"
            if outputs is None:
                raise Refused(FAILED, f"the kernel died when {name} was run")
            wrong = next((one for one in outputs if one["output_type"] == "error"), None)
            if wrong and "raises-exception" not in tags:
                raise Refused(FAILED, f"{name} raised {wrong['ename']}: {wrong['evalue']}")
            if _shows(cell.outputs) and not tags & {*TAGS}:
                if not _shows(outputs):
                    raise Refused(FAILED, f"{name} shows no output, and was saved with one")
                return (_said(count), *_compared(cell, outputs, number, name))
        return (f"{_said(count)}; none of them was saved with an output",)

    async def _ran(self, view: browser.Tab, place: int, cell: Any) -> list[dict[str, Any]] | None:
        """Run a cell by its button; return what it then shows, or None if its kernel died."""
        self._show(f"{self._name}: running {heading(cell)}")
        if not await view.evaluate(f"{PRESS}({place})"):
            raise Refused(FAILED, f"{heading(cell)} has no button to run it")
        if await _until(view, f"{RAN}({place})", self._timeout, f"running {heading(cell)}"):
            return None
        outputs, is_shown = json.loads(await view.evaluate(f"{SHOWN}({place})"))
        return list(outputs) if is_shown else []


async def _until(view: browser.Tab, state: str, timeout: float, doing: str) -> Any:
    """Wait until the first value of a state is true, and return its last."""
    deadline = time.monotonic() + timeout
    while True:
        is_done, *rest = await view.evaluate(state)
        last = rest[-1] if rest else None
        if is_done:
            return last
        if timeout and time.monotonic() > deadline:
            said = f"; it says: {last}" if last else ""
            raise Refused(FAILED, f"it was {doing} for {timeout:.0f} s{said}")
        await asyncio.sleep(SOON)


def _shows(outputs: Any) -> bool:
    """Whether there is an output that is to come again: warnings and progress need not."""
    return any(one["output_type"] != "stream" or one["name"] == "stdout" for one in outputs)


def _compared(cell: Any, outputs: list[Any], number: int, name: str) -> tuple[str, ...]:
    """Say whether it is the output that was saved: to judge it is another claim's affair."""
    nbformat = needed("nbformat")
    found = deepcopy(cell)
    found.outputs = nbformat.from_dict(outputs)
    one, other = (nbformat.v4.new_notebook(cells=[this]) for this in (cell, found))
    wrong = compare(one, other).differences
    if not wrong:
        return (f"{name} shows the output that was saved",)
    lines = [str(replace(one, cell=number)) for one in wrong]
    return (f"{name} shows an output, which is not the saved one:", *lines)


def _said(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)} ran in a browser, by the page's own buttons"


def _elsewhere(asked: list[str], contents: str) -> tuple[list[str], list[str]]:
    """Return what a page has asked others for: by its notebook's contents, and by itself."""
    contents = unescape(contents)
    told: list[str] = []
    broken: list[str] = []
    for address in dict.fromkeys(asked):
        parts = urlsplit(address)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in LOOPBACK:
            bare = address.partition(":")[2].rstrip("/")
            (told if bare in contents else broken).append(address)
    return told, broken


# -- what is served


class _Static(SimpleHTTPRequestHandler):
    """Serves the page."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Static, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, name="scale-page", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOPPING)


@dataclass(frozen=True, slots=True)
class _Server:
    """A Jupyter server that runs."""

    address: str
    token: str

    def end_kernels(self) -> None:
        """End those of a page that is closed."""
        with suppress(OSError, ValueError):
            for kernel in json.loads(self.asked("api/kernels")):
                self.asked(f"api/kernels/{kernel['id']}", method="DELETE")

    def asked(self, path: str, *, method: str = "GET") -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.address + path, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=STARTING) as answer:
            return bytes(answer.read())


@asynccontextmanager
async def _jupyter(
    work: Path, home: Path, variables: dict[str, str], *, python: Path, origin: str
) -> AsyncIterator[_Server]:
    """Start a server on a folder, with one kernel; its pages are those of one origin."""
    token = secrets.token_hex(16)
    kernels = kernelspec(home, python)
    own = {
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_PATH": str(kernels.parent),
        "JUPYTER_TOKEN": token,
    }
    log = home / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [
                *(sys.executable, *SERVER),
                *(f"--ServerApp.root_dir={work}", f"--ServerApp.allow_origin={origin}"),
            ],
            cwd=work, env={**variables, **own}, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        yield _Server(await _answering(server, Path(variables["JUPYTER_RUNTIME_DIR"]), log), token)
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOPPING)
        server.kill()
        server.wait()


async def _answering(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Return the server's address as soon as it answers there."""
    deadline = time.monotonic() + STARTING
    while server.poll() is None and time.monotonic() < deadline:
        for path in runtime.glob("jpserver-*.json"):
            with suppress(OSError, ValueError):  # it is being written
                address = str(json.loads(path.read_text(encoding="utf-8"))["url"])
                _Server(address, "").asked("api")
                return address
        await asyncio.sleep(SOON)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    raise Refused(NOT_VERIFIED, "The Jupyter server did not start:", *lines[-3:])
