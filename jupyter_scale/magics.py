"""`%scale` and `%%scale`: read the line, call the rest, say what happened.

`load_ipython_extension` is what `%load_ext jupyter_scale` calls. Nothing here knows
how to start a cluster or run a search; errors of those parts become IPython's
UsageError, which is one line on the screen and stops "Run all".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from distributed import Client
from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from jupyter_scale import clusters
from jupyter_scale.cell import Cells
from jupyter_scale.command import CELL, Arguments, complete, help_text, parse

if TYPE_CHECKING:
    from IPython.core.completer import SimpleMatcherResult

# what workers import while they wait for the first search
WORK = ("jupyter_scale.search",)
_ATTRIBUTE = "_jupyter_scale"
_LINE = re.compile(r"\s*(%%?)scale[ \t]+(.*)$")


class Magics:
    """The two magics of one shell.

    Parameters
    ----------
    shell : InteractiveShell
        The shell they are registered in.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell: Any = shell  # much of IPython is untyped
        self._cells = Cells(shell)

    def register(self) -> None:
        """Add the magics, the rewriting of cells and the completion to the shell."""

        def scale(line: str) -> None:
            self.line(line)

        def scale_cell(line: str, cell: str) -> None:
            self.cell(line, cell)

        scale.__doc__, scale_cell.__doc__ = help_text(), help_text(CELL)
        self._shell.register_magic_function(scale, "line", "scale")
        self._shell.register_magic_function(scale_cell, "cell", "scale")
        self._shell.Completer.custom_matchers.append(_match)
        self._cells.register()

    def unregister(self) -> None:
        """Take all of it back."""
        self._cells.unregister()
        self._shell.Completer.custom_matchers.remove(_match)
        for kind in ("line", "cell"):
            self._shell.magics_manager.magics[kind].pop("scale", None)

    def line(self, line: str) -> None:
        """Run `%scale`."""
        arguments = parse(line)
        if arguments.help:
            print(help_text(arguments.command))
        elif arguments.command == CELL:
            self._enter(parse(line.split(maxsplit=1)[1] if " " in line else "", cell=True))
        elif arguments.command == "up":
            print(_up(arguments))
        elif arguments.command == "down":
            print("The cluster is closed." if clusters.close() else "No cluster is running.")
        elif arguments.command == "help":
            print(help_text())
        else:
            print(_status())

    def cell(self, line: str, cell: str) -> None:
        """Run `%%scale` where the cell comes as text: called by other code, or for help."""
        if parse(line, cell=True).help:
            print(help_text(CELL))
            return
        result = self._shell.run_cell(f"%%scale {line}\n{cell}", store_history=False)
        result.raise_error()

    def _enter(self, arguments: Arguments) -> None:
        if arguments.local:
            client = None
        elif arguments.plan:
            client = _present()
        else:
            client = _present() or _started()
        self._cells.enter(arguments, client)


def _status() -> str:
    cluster, other = clusters.current(), clusters.other()
    if cluster is None and other is not None:
        return (
            f"Cluster: your own Dask client of {other.scheduler_info()['address']}\n"
            "Next: begin a cell with %%scale, which uses it; %scale up starts another."
        )
    if cluster is None:
        return (
            "No cluster is running.\n"
            "Next: begin a cell with %%scale (it starts a local cluster), or %scale up"
        )
    state = cluster.state()
    if not state.alive:
        return f"The cluster is dead: {state.text}.\nNext: %scale up starts a new one."
    return (
        f"Cluster: {state.text}\nDashboard: {state.dashboard}\n"
        "Next: begin a cell with %%scale; %scale down closes the cluster."
    )


def _up(arguments: Arguments) -> str:
    try:
        size = clusters.fit_size(arguments.workers, arguments.threads, arguments.memory)
        cluster = clusters.current()
        if cluster is not None and cluster.size == size and cluster.state().alive:
            return f"Already running: {cluster.state().text}"
        return f"Started a local cluster: {clusters.start(size, WORK).state().text}"
    except clusters.ClusterError as error:
        raise UsageError(str(error)) from None


def _present() -> Client | None:
    """Return the client of the running cluster, ours or the user's; close a dead one of ours."""
    cluster = clusters.current()
    if cluster is None:
        return clusters.other()
    state = cluster.ready()
    if state.alive:
        return cluster.client
    print(f"The cluster is dead: {state.text}.")
    clusters.close()
    return None


def _started() -> Client:
    try:
        cluster = clusters.start(clusters.fit_size(), WORK)
    except clusters.ClusterError as error:
        raise UsageError(str(error)) from None
    print(f"Started a local cluster: {cluster.size}. %scale down closes it.")
    return cluster.client


@context_matcher(identifier="jupyter_scale")  # type: ignore[untyped-decorator]  # IPython's
def _match(context: CompletionContext) -> SimpleMatcherResult:
    """Complete what follows `%scale` on any line and `%%scale` on the first."""
    match = _LINE.match(context.text_until_cursor)
    first = not "".join(context.full_text.split("\n")[: context.cursor_line]).strip()
    if match is None or (match[1] == "%%" and not first):
        return {"completions": []}
    word, words = complete(match[2], cell=match[1] == "%%")
    return {
        "completions": [SimpleCompletion(text, type="param") for text in words],
        "matched_fragment": word,
        "suppress": True,
    }


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Add `%scale` and `%%scale` to a shell; a second time changes nothing."""
    if not hasattr(ipython, _ATTRIBUTE):
        magics = Magics(ipython)
        magics.register()
        setattr(ipython, _ATTRIBUTE, magics)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Take `%scale` and `%%scale` from a shell. A running cluster stays until it ends."""
    magics = getattr(ipython, _ATTRIBUTE, None)
    if magics is not None:
        magics.unregister()
        delattr(ipython, _ATTRIBUTE)
