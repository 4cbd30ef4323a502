"""A notebook run clean in a rebuilt environment: its folder copied, its home empty.

The kernel sees nothing of the user who runs this: no configuration, no caches, no variables but
those by which a machine reaches its network. Its processes carry a mark in their environment, by
which all that outlive it are found, ended and told: a Dask cluster is part of the notebook, and
part of what it has to put away. The kernel is driven from a thread, as the caller may be a kernel.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from jupyter_scale.export.claim import FAILED, NOT_VERIFIED
from jupyter_scale.export.finding import needed
from jupyter_scale.export.step import Refused

__all__ = [
    "Ran",
    "copied",
    "ended",
    "fetch",
    "in_thread",
    "kernelspec",
    "run",
    "variables",
]

MARK = "JUPYTER_SCALE_VERIFYING"
KEPT = re.compile(
    r"(?i:https?_proxy|no_proxy|all_proxy)|LANG|LC_\w+|TZ|TERM|USER|LOGNAME|SSL_CERT_\w+"
    r"|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|SYSTEMROOT|PATHEXT|COMSPEC"
)
ENDING = 15.0  # seconds that a notebook's processes have after its kernel
STARTING = 120.0  # seconds that a kernel may take
IGNORED = (".git", ".ipynb_checkpoints", "__pycache__")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SAID = 4  # lines of an error


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it.

    Attributes
    ----------
    notebook : nbformat.NotebookNode
        With the outputs of this run.
    seconds : float
    cells : int
        That were run.
    left : tuple of str
        Processes that were there after the kernel had ended.
    """

    notebook: Any
    seconds: float
    cells: int
    left: tuple[str, ...] = ()


def run(
    folder: Path,
    name: str,
    python: Path,
    scratch: Path,
    *,
    timeout: float = 0,
    show: Callable[[str], None] = lambda line: None,
) -> Ran:
    """Run a notebook from its first cell to its last.

    Parameters
    ----------
    folder : Path
        The exported one; it is not changed.
    name : str
        The notebook's path in it.
    python : Path
        The interpreter of the rebuilt environment.
    scratch : Path
        An empty folder for all that is written.
    timeout : float, optional
        Seconds for each cell; 0 for no limit.
    show : callable, optional
        Is told the cells.

    Raises
    ------
    Refused
        When a cell fails, or its data cannot be had.
    """
    work, home = scratch / "work", scratch / "home"
    mark = uuid4().hex
    clean = variables(python, home, mark)
    copied(folder, work)
    fetch(work, python, clean, show)
    begun = time.monotonic()
    client = _client(work, name, python, home, timeout, show)
    try:
        _driven(client, clean)
    finally:
        left = ended(mark)
    cells = sum(cell.cell_type == "code" for cell in client.nb.cells)
    return Ran(client.nb, time.monotonic() - begun, cells, left)


def _client(
    work: Path,
    name: str,
    python: Path,
    home: Path,
    timeout: float,
    show: Callable[[str], None],
) -> Any:
    nbclient, nbformat = needed("nbclient"), needed("nbformat")
    manager = needed("jupyter_client.manager")
    specs = needed("jupyter_client.kernelspec")
    kernels = kernelspec(home, python)
    notebook = nbformat.read(work / name, as_version=4)
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    numbers = iter(range(1, total + 1))

    def started(cell: Any, cell_index: int) -> None:
        first = next((line for line in cell.source.splitlines() if line.strip()), "")
        show(f"[{next(numbers)}/{total}] {first[:70]}")

    found = nbclient.NotebookClient(
        notebook,
        km=manager.AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=specs.KernelSpecManager(
                kernel_dirs=[str(kernels)], ensure_native_kernel=False
            ),
            connection_file=str(home / "kernel.json"),
        ),
        timeout=timeout or None,
        startup_timeout=STARTING,
        resources={"metadata": {"path": str((work / name).parent)}},
        on_cell_execute=started,
        kernel_name="python3",
    )
    found.owns_km = True  # it ends with the run
    if found.km.has_trait("transport_encryption"):
        found.km.transport_encryption = "auto"  # where the kernel can; else it warns
    return found


def kernelspec(home: Path, python: Path) -> Path:
    """Make an interpreter the kernel `python3`; return the folder of kernels."""
    kernel = home / "kernels" / "python3"
    kernel.mkdir(parents=True)
    words = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": words, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return kernel.parent


def _driven(client: Any, variables: dict[str, str]) -> None:
    try:
        in_thread(lambda: client.async_execute(env=variables))
    except Exception as error:
        _told(error)


def in_thread(work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Do it in a thread with an event loop of its own; an interrupt cancels it and ends the thread.

    Raises
    ------
    Exception
        What it raises.
    """
    failures: list[BaseException] = []
    ready = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def execute() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        ready.set()
        await work()

    def drive() -> None:
        try:
            asyncio.run(execute())
        except BaseException as error:  # told in the caller's thread
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=drive, name="scale-verify", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except BaseException:
        ready.wait(5)
        for loop, task in running:
            with suppress(RuntimeError):  # it has ended in this moment
                loop.call_soon_threadsafe(task.cancel)
        thread.join(ENDING)
        raise
    if failures:
        raise failures[0]


def _told(error: Exception) -> None:
    exceptions = needed("nbclient").exceptions
    if isinstance(error, exceptions.CellExecutionError):
        lines = COLOUR.sub("", str(error)).strip().splitlines()
        quoted = [line for line in lines if line.strip()][-SAID:]
        raise Refused(FAILED, f"A cell raised {error.ename}: {error.evalue}", *quoted) from None
    if isinstance(error, exceptions.CellTimeoutError | exceptions.DeadKernelError):
        raise Refused(FAILED, str(error).strip().partition("\n")[0]) from None
    if isinstance(error, RuntimeError | TimeoutError | OSError):
        raise Refused(FAILED, f"Its kernel did not start: {error}") from None
    raise error


def variables(python: Path, home: Path, mark: str) -> dict[str, str]:
    """Return the environment of a clean run; its home is made."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    temporary = home / "tmp"
    temporary.mkdir(parents=True)
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    folders = {f"JUPYTER_{kind}_DIR": str(home / kind) for kind in ("RUNTIME", "DATA", "CONFIG")}
    return {
        **kept,
        **folders,
        "PATH": path,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "TMPDIR": str(temporary),
        "IPYTHONDIR": str(home / "ipython"),
        "DASK_CONFIG": str(home / "dask"),
        "PYTHONNOUSERSITE": "1",
        "VIRTUAL_ENV": str(python.parent.parent),
        MARK: mark,
    }


def copied(folder: Path, work: Path) -> None:
    """Copy a folder, without what is of this machine only."""
    shutil.copytree(folder, work, ignore=shutil.ignore_patterns(*IGNORED), symlinks=True)


def fetch(work: Path, python: Path, variables: dict[str, str], show: Callable[[str], None]) -> None:
    """Fetch the large files, as postBuild does in the image."""
    if not (work / "fetch.py").is_file():
        return
    show("Fetching data files")
    done = subprocess.run(
        [str(python), "fetch.py"], cwd=work, env=variables, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise Refused(NOT_VERIFIED, "fetch.py cannot fetch the data files:", *lines[-SAID:])


# -- what outlives the kernel


def ended(mark: str) -> tuple[str, ...]:
    """Wait for the notebook's processes to end; end those that do not, and return their names."""
    deadline = time.monotonic() + ENDING
    there = [*_marked(mark)]
    while there and time.monotonic() < deadline:
        _, there = psutil.wait_procs(there, timeout=1)
        there = [*_marked(mark)]
    names = []
    for process in there:
        with suppress(psutil.Error):
            names.append(_name(process))
            process.kill()
    psutil.wait_procs(there, timeout=5)
    return tuple(names)


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            zombie = process.status() == psutil.STATUS_ZOMBIE
            if not zombie and process.environ().get(MARK) == mark:
                yield process


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    return " ".join([Path(words[0]).name, *words[1:4]])[:80] if words else process.name()
