"""`%scale` and `%%scale`: read the line, call the rest, say what happened.

`load_ipython_extension` is what `%load_ext jupyter_scale` calls. Nothing here knows
how to start a cluster or run a search; errors of those parts become IPython's
UsageError, which is one line on the screen and stops "Run all".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client
from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from jupyter_scale import actions, choice, clusters, exports, records, runs
from jupyter_scale.cell import Cells
from jupyter_scale.clusters.preparation import prepare
from jupyter_scale.command import CELL, OFF, Arguments, complete, help_text, parse
from jupyter_scale.export import opened
from jupyter_scale.parallel.launch import show_with
from jupyter_scale.view.dashboard import dashboard
from jupyter_scale.view.frontend import kernel
from jupyter_scale.view.training import Curve
from jupyter_scale.view.watch import Watch, name_of, watch

if TYPE_CHECKING:
    from IPython.core.completer import SimpleMatcherResult

# what workers import while they wait for the first search
WORK = ("jupyter_scale.search",)
# what is watched unless a line says it
WATCHED = ("tasks", "workers", "graph", "log")
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
        self._watch: Watch | None = None
        self._kernel = kernel(shell)

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
        show_with(lambda: Curve(self._shell))

    def unregister(self) -> None:
        """Take all of it back."""
        self._unwatch("the extension was unloaded")
        self._cells.unregister()
        show_with(lambda: None)
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
        elif arguments.command == "help":
            print(help_text())
        elif arguments.command == "watch":
            with _one_line():
                self._follow(arguments.views or WATCHED)
        elif arguments.command == "dashboard":
            with _one_line(), self._telling():
                self._pick()
                self._plot(arguments.plot)
        elif arguments.command in (records.RESUME, records.RERUN):
            with _one_line():
                self._again(arguments)
        elif arguments.command == "export":
            with _one_line():
                exports.here(arguments, self._shell)
        elif arguments.command in records.DONE:
            with _one_line():
                _show(records.DONE[arguments.command](arguments))
        else:
            with _one_line(), self._telling():
                if arguments.command not in ("up", "use"):
                    self._pick()
                print(DONE[arguments.command or "status"](arguments))

    def cell(self, line: str, cell: str) -> None:
        """Run `%%scale` where the cell comes as text: called by other code, or for help."""
        if parse(line, cell=True).help:
            print(help_text(CELL))
            return
        result = self._shell.run_cell(f"%%scale {line}\n{cell}", store_history=False)
        result.raise_error()

    def _again(self, arguments: Arguments) -> None:
        """Run the cell of a run once more."""
        run = records.found(arguments.run)
        repeat = arguments.command == records.RERUN
        cell = records.source(run, fresh=repeat)
        self._cells.resumed = None if repeat else run
        try:
            result = self._shell.run_cell(cell, store_history=False)
        finally:
            self._cells.resumed = None
        if isinstance(result.error_in_exec, NameError):
            raise runs.RecordError(
                f"{result.error_in_exec}: the cell of {run.id} needs it. Run the cells above it "
                f"in {run.notebook or 'its notebook'} first."
            ) from None
        result.raise_error()
        if repeat:
            print(records.concluded(run, self._cells.recorded))

    def _follow(self, views: Sequence[str]) -> None:
        """Watch the cluster, in one place at a time."""
        if OFF in views:
            self._unwatch("%scale watch off")
            return
        with self._telling():
            self._pick()
            client = _seen()
        self._unwatch("%scale watch has opened it again")
        self._watch = watch(self._shell, client, views)

    def _plot(self, plot: str) -> None:
        """Show one of Dask's own plots."""
        client = _seen()
        cluster, name = clusters.of(client), name_of(client)
        link = client.dashboard_link if cluster is None else cluster.state().dashboard
        if not link:
            raise clusters.ClusterError(f"{name} has no dashboard (yet); %scale watch shows it.")
        dashboard(self._shell, name, link, plot)

    def _unwatch(self, why: str) -> None:
        if self._watch is not None:
            self._watch.close(why)
            self._watch = None

    def _enter(self, arguments: Arguments) -> None:
        if arguments.local:
            client = None
        else:
            with self._telling():
                self._pick()
                client = _present()
                if not arguments.plan:
                    client = client or _started()
                    _prepare(client, force=arguments.force)
                if client is not None:
                    clusters.make_default(client)
        with _one_line():
            self._cells.enter(arguments, client)

    def _pick(self) -> None:
        """Use the cluster that was picked in the side panel since the last time."""
        picked = choice.read(self._kernel)
        if picked.by != choice.PANEL:
            return
        try:
            name = clusters.use(picked.cluster).name if picked.cluster else "none"
            print(f"Picked in the side panel: {name}")
        except clusters.ClusterError as error:
            print(f"What was picked in the side panel cannot be used: {error}")
        if not picked.cluster:
            clusters.leave()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Let the side panel know what is used afterwards."""
        try:
            yield
        finally:
            cluster = clusters.current()
            name = "" if cluster is None else cluster.name
            with suppress(OSError, ValueError):
                choice.write(self._kernel, choice.Choice(name))


@contextmanager
def _one_line() -> Iterator[None]:
    """Raise what is wrong with a cluster or the record as wrong usage: a line, no traceback."""
    try:
        yield
    except (clusters.ClusterError, runs.RecordError, exports.ExportError) as error:
        raise UsageError(str(error)) from None


def _show(value: Any) -> None:
    """Print a text; anything else shows itself."""
    if isinstance(value, str):
        print(value)
    else:
        display(value)  # type: ignore[no-untyped-call]  # IPython's


def _up(arguments: Arguments) -> str:
    return actions.up(arguments, WORK, print)


DONE = {
    **actions.DONE,
    "status": lambda _: actions.status(),
    "up": _up,
    "use": actions.use,
}


def _present() -> Client | None:
    """Return the client of the cluster in use, of the user's own, or of one that runs already."""
    cluster = clusters.current()
    if cluster is not None:
        state = cluster.ready()
        if state.alive:
            return cluster.client
        print(f"The cluster {cluster.name} is gone: {state.text}.")
        clusters.leave()
    other = clusters.other()
    if other is not None:
        return other
    found = clusters.nearest(actions.notebook())
    if found is None or not found.ready().alive:
        return None
    print(f"Using {found.name}: {found.state().text}")
    return found.client


def _seen() -> Client:
    """Return a client of the same, also where no worker is there: that is worth a look."""
    cluster = clusters.current()
    if cluster is None:
        other = clusters.other()
        if other is not None:
            return other
        cluster = clusters.nearest(actions.notebook())
    if cluster is None:
        raise clusters.ClusterError("No cluster is running: %scale up starts one.")
    state = cluster.state()
    if not state.alive:
        raise clusters.ClusterError(f"The cluster {cluster.name} is gone: {state.text}.")
    return cluster.client


def _started() -> Client:
    with _one_line():
        cluster = clusters.start(modules=WORK, notebook=actions.notebook(), show=print)
    print(f"Started {cluster.name}: {cluster.state().text}. %scale down closes it.")
    return cluster.client


def _prepare(client: Client, *, force: bool) -> None:
    with _one_line():
        said = prepare(client, Path.cwd(), force=force)
    if said:
        print(said)


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
        opened.watch(Path.cwd())  # an export copies the files that were read
        magics = Magics(ipython)
        magics.register()
        setattr(ipython, _ATTRIBUTE, magics)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Take `%scale` and `%%scale` from a shell. A running cluster stays until it ends."""
    magics = getattr(ipython, _ATTRIBUTE, None)
    if magics is not None:
        opened.stop()
        magics.unregister()
        delattr(ipython, _ATTRIBUTE)
