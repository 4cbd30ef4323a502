"""A notebook on disk, run in its own kernel: for its snapshot, and its outputs where it has none.

The kernel need not have this package: what asks it is sent as text. Workers are asked after each
cell, as a notebook may put its cluster away before it ends.
"""

from __future__ import annotations

import ast
import asyncio
import copy
import inspect
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_scale.export.finding import ExportError, needed
from jupyter_scale.export.notebook import Notebook, Read
from jupyter_scale.export.snapshot import SOURCE, Snapshot, expression

__all__ = ["run"]

PATIENCE = 120.0  # seconds for an answer
WATCH = (
    "(lambda m, s: (exec(s, m.__dict__), __import__('sys').modules.__setitem__({name!r}, m), "
    "m.watch({folder!r})))(__import__('types').ModuleType({name!r}), {source!r})"
)
NAME = "jupyter_scale.export.opened"


def run(
    notebook: Notebook, read: Read, *, timeout: float, show: Callable[[str], None]
) -> tuple[dict[str, Any], Snapshot]:
    """Run a notebook from its first cell to its last.

    Parameters
    ----------
    notebook : Notebook
    read : Read
        Of it.
    timeout : float
        Seconds for each cell; 0 for no limit.
    show : callable
        Is told each cell.

    Returns
    -------
    dict, Snapshot
        The content with the outputs of this run, and what the kernel had at its end.

    Raises
    ------
    ExportError
        When there is no such kernel, or a cell fails; it quotes the cell.
    KeyboardInterrupt
        After an interrupt; the kernel has ended.
    """
    work = _run(notebook, read, timeout, show)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:  # in a notebook, where a loop runs already
        return pool.submit(asyncio.run, work).result()


async def _run(
    notebook: Notebook, read: Read, timeout: float, show: Callable[[str], None]
) -> tuple[dict[str, Any], Snapshot]:
    nbclient, nbformat = needed("nbclient"), needed("nbformat")
    kernels = needed("jupyter_client.kernelspec")
    content = nbformat.from_dict(copy.deepcopy(dict(notebook.content)))
    asked = _Asked()
    total = len(notebook.cells)
    number = 0

    async def started(cell: Any, cell_index: int) -> None:
        nonlocal number
        number += 1
        if number == 1:
            await asked.value(client.kc, _watching(notebook.folder))
        first = next((line for line in cell.source.splitlines() if line.strip()), "")
        show(f"[{number}/{total}] {first[:70]}")

    async def executed(cell: Any, cell_index: int, execute_reply: Any) -> None:
        await asked.look(client.kc)

    # keys for the kernel's ports, where it can use them; without them it warns on every start
    config = needed("traitlets.config").Config({"KernelManager": {"transport_encryption": "auto"}})
    client = nbclient.NotebookClient(
        content,
        timeout=timeout or None,
        kernel_name=content.metadata.get("kernelspec", {}).get("name", "python3"),
        resources={"metadata": {"path": str(notebook.folder)}},
        record_timing=False,  # another at each run
        on_cell_start=started,
        on_cell_executed=executed,
        config=config,
    )
    scratch = tempfile.mkdtemp(prefix="jupyter-scale-export-")
    try:
        async with client.async_setup_kernel(env=_without_record(scratch)):
            asked.take_signals(client.km)
            for index, cell in enumerate(client.nb.cells):
                if cell.cell_type == "code" and not _exports(cell.source):
                    await client.async_execute_cell(cell, index)
                if asked.interrupted:
                    break
            if not asked.interrupted:
                show("Asking the kernel what it has")
                seen = await asked.json(
                    client.kc,
                    expression(
                        "probe",
                        str(notebook.folder),
                        list(read.places("imports")),
                        list(read.places("programs")),
                    ),
                )
                await asked.look(client.kc)
    except kernels.NoSuchKernel as error:
        raise ExportError(
            f"There is no kernel {error.name!r} here: jupyter kernelspec list shows those here."
        ) from None
    except nbclient.exceptions.CellTimeoutError as error:
        raise ExportError(f"{notebook.path.name}: {str(error).partition(chr(10))[0]}") from None
    except nbclient.exceptions.CellExecutionError as error:
        if asked.interrupted:
            raise KeyboardInterrupt from None
        raise ExportError(f"{notebook.path.name} fails at {error.ename}: {error.evalue}") from None
    except nbclient.exceptions.DeadKernelError:  # also what nbclient makes of a cancelled task
        if asked.interrupted:
            raise KeyboardInterrupt from None
        raise ExportError(f"{notebook.path.name}: its kernel died.") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if asked.interrupted:
        raise KeyboardInterrupt
    return dict(client.nb), Snapshot.of(seen, asked.workers)


def _without_record(scratch: str) -> dict[str, str]:
    """Return an environment in which searches know no cells: all is to be fitted, as elsewhere."""
    return {**os.environ, "DASK_JUPYTER_SCALE__RECORD": os.path.join(scratch, "runs.sqlite")}


class _Asked:
    """What a kernel has answered beside its cells."""

    def __init__(self) -> None:
        self.workers: list[Mapping[str, Any]] = []
        self.interrupted = False
        self._tops: set[str] = set()
        self._interrupting: asyncio.Task[Any] | None = None

    def take_signals(self, manager: Any) -> None:
        """Interrupt the cell, so that it can put away its cluster; the second time, end at once.

        nbclient's own handlers, which these replace, shut the kernel down under the cell.
        """
        loop, running = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt() -> None:
            if self.interrupted and running is not None:
                running.cancel()
            else:
                # held, because the loop itself keeps no task alive
                self._interrupting = loop.create_task(_awaited(manager.interrupt_kernel()))
            self.interrupted = True

        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(RuntimeError, NotImplementedError, ValueError):  # a thread, or Windows
                loop.add_signal_handler(number, interrupt)

    async def value(self, kc: Any, code: str) -> str:
        """Return the text of an expression's value."""
        reply = await kc.execute(
            "", silent=True, store_history=False, allow_stdin=False,
            user_expressions={"asked": code}, reply=True, timeout=PATIENCE,
        )  # fmt: skip
        found = reply["content"]["user_expressions"]["asked"]
        if found["status"] != "ok":
            raise ExportError(f"The kernel cannot be asked: {found['ename']}: {found['evalue']}")
        return str(found["data"]["text/plain"])

    async def json(self, kc: Any, code: str) -> Any:
        """Return what an expression's value is as JSON."""
        return json.loads(ast.literal_eval(await self.value(kc, code)))

    async def look(self, kc: Any) -> None:
        """Ask the workers, when they have something that they had not."""
        tops = set(await self.json(kc, expression("tops_on_workers")))
        if tops <= self._tops:
            return
        self._tops |= tops
        self.workers += await self.json(kc, expression("on_workers", SOURCE))


async def _awaited(result: Any) -> None:
    if inspect.isawaitable(result):
        await result


def _exports(source: str) -> bool:
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return not lines or all(line.startswith("%scale export") for line in lines)


def _watching(folder: Path) -> str:
    """Return an expression that has a kernel keep which files are read."""
    # by its path: in a kernel that is watched itself, the module has no file
    source = Path(__file__).with_name("opened.py").read_text(encoding="utf-8")
    return WATCH.format(name=NAME, folder=str(folder), source=source)
