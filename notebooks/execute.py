"""Run a notebook from its first cell to its last, without a browser, and keep the result.

    python notebooks/execute.py notebooks/01-merged-grid-search.ipynb --set N_PER_CLASS=50

It shows which cell runs, for how long, and the last line that the cell itself reports (a search's
progress, for one). At the end it prints what the notebook chose to say: the mapping that a cell
displays as `application/vnd.jupyter-scale.summary+json`.

Invariants: the source notebook is never written; the executed one appears whole or not at all; a
failing cell is quoted, with its traceback, and the exit code is 1. Called by `make demo` and by
the tests.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import nbformat
from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

SUMMARY = "application/vnd.jupyter-scale.summary+json"
BUILD = Path(__file__).resolve().parents[1] / "build"

# Keys for the kernel's ports, where it can use them; without them it warns on every start.
_KERNEL = Config({"KernelManager": {"transport_encryption": "auto"}})
_TICK = 0.2  # seconds between redraws of the running cell's line
_PATIENCE = 20.0  # seconds until a cell that was interrupted is interrupted again
_SPARSE = 10.0  # ... and between lines where nothing can be redrawn
_LINE = 120  # characters of a line in a log
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(argv)
    source: Path = options.notebook
    target: Path = options.output or BUILD / source.name
    try:
        notebook = nbformat.read(source, as_version=4)
        set_parameters(notebook, dict(options.set))
        execute(notebook, folder=source.parent, cell_timeout=options.timeout, out=sys.stdout)
    except CellExecutionError as error:
        return _failed(f"{source.name} failed in this cell:\n\n{error}")
    except (CellTimeoutError, DeadKernelError, OSError, ValueError) as error:
        return _failed(f"{source.name}: {error}")
    except KeyboardInterrupt:
        return _failed(f"{source.name}: interrupted", code=130)
    write(notebook, target)
    _print_summary(notebook, target)
    return 0


def execute(notebook: NotebookNode, *, folder: Path, cell_timeout: int, out: TextIO) -> None:
    """Execute the notebook in place, in a kernel of this very Python, and tell `out` about it.

    Raises
    ------
    CellExecutionError
        When a cell raises; it quotes the cell and its traceback.
    CellTimeoutError
        When a cell runs for more than `cell_timeout` seconds.
    DeadKernelError
        When the kernel dies.
    KeyboardInterrupt
        After an interrupt, which reaches the running cell as it would in a browser.
    """
    progress = _Progress(notebook, out)
    client = _Client(
        notebook,
        progress=progress,
        timeout=cell_timeout,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=progress.start,
        on_cell_executed=progress.end,
        config=_KERNEL,
    )

    async def run() -> None:
        ticking = asyncio.create_task(progress.tick())
        try:
            await client.async_execute()
        finally:
            ticking.cancel()

    try:
        asyncio.run(run())
    except (CellExecutionError, DeadKernelError) as error:
        raise (KeyboardInterrupt if client.interrupted else error) from None
    finally:
        progress.close()


def set_parameters(notebook: NotebookNode, values: Mapping[str, str]) -> None:
    """Assign `values` at the end of the cell tagged "parameters".

    Raises
    ------
    ValueError
        When that cell assigns no such name: a misspelt parameter must not pass unnoticed.
    """
    if not values:
        return
    cell = next((c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])), None)
    known = [] if cell is None else _assigned(cell.source)
    for name, value in values.items():
        if cell is None or name not in known:
            raise ValueError(f"no parameter {name}: the notebook has {', '.join(known) or 'none'}")
        cell.source += f"\n{name} = {_literal(value)!r}"


def write(notebook: NotebookNode, target: Path) -> None:
    """Write the notebook to `target`, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            nbformat.write(notebook, file)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def summary(notebook: NotebookNode) -> dict[str, str]:
    """Return what the notebook's cells displayed as their summary, merged in order."""
    found: dict[str, str] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found |= output.get("data", {}).get(SUMMARY, {})
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run a notebook without a browser.")
    parser.add_argument("notebook", type=Path, help="the notebook to run; it is not changed")
    parser.add_argument("--output", type=Path, help="where to write (default: build/NOTEBOOK)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help='another value for a name that the cell tagged "parameters" assigns',
    )
    parser.add_argument(
        "--timeout", type=int, default=900, help="seconds a cell may run (default: %(default)s)"
    )
    return parser


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _assigned(source: str) -> list[str]:
    return [
        target.id
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]


def _literal(text: str) -> Any:
    """Return the Python literal that the text spells, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _failed(message: str, *, code: int = 1) -> int:
    print(message if sys.stderr.isatty() else _COLOUR.sub("", message), file=sys.stderr)
    return code


def _print_summary(notebook: NotebookNode, target: Path) -> None:
    with contextlib.suppress(ValueError):  # on another drive, or not below this folder
        target = target.resolve().relative_to(Path.cwd())
    lines = {
        **summary(notebook),
        "notebook": str(target),
        "next": "make lab opens JupyterLab",
    }
    width = max(map(len, lines))
    print()
    for name, text in lines.items():
        print(f"{name:<{width}}  {text}")


class _Progress:
    """One line a cell: its number, its first line, the time it takes and what it last reported.

    On a terminal the running cell's line is redrawn in place; elsewhere a line is printed when a
    cell has ended, and every `_SPARSE` seconds while it runs.
    """

    def __init__(self, notebook: NotebookNode, out: TextIO) -> None:
        self._out = out
        self._redraws = out.isatty()
        self._titles = _titles(notebook)
        self._heading: str | None = None
        self._note = ""
        self._started = self._printed = 0.0

    def start(self, cell: NotebookNode, cell_index: int) -> None:
        self._heading = self._titles[cell_index]
        self._note = ""
        self._started = self._printed = time.monotonic()
        self._draw()

    def note(self, text: str) -> None:
        """Keep the last line of something that the running cell showed."""
        lines = text.strip().splitlines()
        self._note = lines[-1].strip() if lines else ""

    def end(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        self._draw()
        self._out.write("\n" if self._redraws else f"{self._line()}\n")
        self._out.flush()
        self._heading = None

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if self._redraws:
                self._draw()
            elif self._heading and time.monotonic() - self._printed >= _SPARSE:
                self._printed = time.monotonic()
                self._out.write(f"{self._line()}\n")
                self._out.flush()

    def close(self) -> None:
        """Leave a cell that did not end on a line of its own."""
        if self._redraws and self._heading:
            self._out.write("\n")

    def _draw(self) -> None:
        if self._redraws and self._heading:
            self._out.write(f"\r\x1b[K{self._line()}")
            self._out.flush()

    def _line(self) -> str:
        elapsed = time.monotonic() - self._started
        note = f"  {self._note}" if self._note else ""
        width = shutil.get_terminal_size().columns - 1 if self._redraws else _LINE
        return _shorten(f"{self._heading}  {elapsed:.1f} s{note}", width)


class _Client(NotebookClient):
    """A client that passes on what the running cell shows, and interrupts to it."""

    def __init__(self, notebook: NotebookNode, *, progress: _Progress, **options: Any) -> None:
        super().__init__(notebook, **options)
        self._progress = progress
        self.interrupted = False
        self._interrupting: asyncio.Task[Any] | None = None
        self.on_notebook_start = self.take_signals

    def take_signals(self, notebook: NotebookNode) -> None:
        """Interrupt the cell at Ctrl-C, so that it can put away its cluster; then end.

        nbclient's own handlers, which these replace, shut the kernel down under it. A second
        Ctrl-C does not wait for the cell.
        """
        loop, running = asyncio.get_running_loop(), asyncio.current_task()

        async def insist(kernel: KernelManager) -> None:
            # KeyboardInterrupt is lost where it is raised in a finalizer; asyncio.run ends this
            while True:
                await ensure_async(kernel.interrupt_kernel())
                await asyncio.sleep(_PATIENCE)

        def interrupt() -> None:
            if self.interrupted and running:
                running.cancel()
            elif self.km:
                # held, because the loop itself keeps no task alive
                self._interrupting = loop.create_task(insist(self.km))
            self.interrupted = True

        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(RuntimeError):  # not the main thread, or Windows
                loop.add_signal_handler(number, interrupt)

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        """Note the text of every output and of every update of one, then do as usual."""
        for text in _texts(msg):
            self._progress.note(text)
        return super().process_message(msg, cell, cell_index)


def _texts(msg: dict[str, Any]) -> Iterator[str]:
    content = msg["content"]
    if msg["msg_type"] == "stream":
        yield content["text"]
    elif msg["msg_type"] in ("display_data", "update_display_data", "execute_result"):
        text = content["data"].get("text/plain")
        if text:
            yield text


def _titles(notebook: NotebookNode) -> dict[int, str]:
    """Return the number and the title of every cell that runs, by its index.

    The title is the heading that introduces the cell, or else its first line, short enough to
    leave room beside it.
    """
    titles: dict[int, str] = {}
    heading = ""
    for index, cell in enumerate(notebook.cells):
        lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "markdown":
            heading = next((line.lstrip("# ") for line in lines if line.startswith("#")), heading)
        elif cell.cell_type == "code" and lines:
            titles[index] = _shorten(heading or lines[0], 40)
            heading = ""
    return {
        index: f"[{number}/{len(titles)}] {title}"
        for number, (index, title) in enumerate(titles.items(), 1)
    }


def _shorten(text: str, width: int) -> str:
    """Return the text, or its beginning and an ellipsis, in at most `width` characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


if __name__ == "__main__":
    sys.exit(main())
