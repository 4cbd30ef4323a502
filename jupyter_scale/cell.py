"""`%%scale` around an ordinary cell.

A cell magic gets its cell as text and has to run it by itself: line numbers,
`await`, the displayed value and `_` would all be imitations. So the first line
`%%scale ARGS` is rewritten, before IPython compiles the cell, into one ordinary call
that enters `merged()`; the rest stays an ordinary cell. IPython's events say when the
cell is over, whatever ended it.

Invariants:

- A context belongs to the run of one cell, known by its ExecutionInfo. It is left
  when that run ends: not when a cell run from inside it ends, and not when a cell in
  another thread (a subshell) ends.
- Entering again in the same run leaves the first context before.
- When the first line never runs (a syntax error in the cell), nothing is entered.
"""

from __future__ import annotations

import random
import re
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from distributed import Client
from IPython.core.inputtransformer2 import cell_magic
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

from jupyter_scale import actions, clusters, records, runs
from jupyter_scale.command import CELL, Arguments
from jupyter_scale.runs.place import remember
from jupyter_scale.search import Control, PlanOnly, SearchStopped, merged
from jupyter_scale.view.buttons import Buttons, watched
from jupyter_scale.view.frontend import cell, journal
from jupyter_scale.view.progress import Progress, show

# `%%scale?` is a question, which IPython answers.
_FIRST = re.compile(r"%%scale(?P<line>(?:[ \t].*)?)$")
_HELP = re.compile(r"\s(-h|--help)(\s|$)")
NOT_KEPT = "No predictions are kept, for nothing is on record: jupyter-scale.record is false."


def rewrite(lines: list[str]) -> list[str]:
    """Turn the first line `%%scale ARGS` into an ordinary call of one line.

    An input transformer of IPython. The number of lines does not change, so every
    line number below stays right. `%%scale --help` remains a cell magic, which does
    not run the cell.
    """
    match = _FIRST.match(lines[0].rstrip()) if lines else None
    if match is None or _HELP.search(match["line"]):
        return lines
    call = f"get_ipython().run_line_magic('scale', {CELL + match['line']!r})\n"
    # Another cell magic below ours is now in second place, where IPython looks for none.
    below: list[str] = cell_magic(lines[1:])  # type: ignore[no-untyped-call]  # IPython's
    return [call, *below]


@dataclass
class _Open:
    """One entered context: the run of the cell that owns it, and how to leave it."""

    owner: ExecutionInfo | None
    stack: ExitStack
    plan: bool
    planned: bool = False


@dataclass
class _Thread(threading.local):
    """What one thread runs: cells inside cells, and the contexts they have open."""

    running: list[ExecutionInfo] = field(default_factory=list)
    contexts: list[_Open] = field(default_factory=list)


class Cells:
    """The `%%scale` contexts of one shell.

    Parameters
    ----------
    shell : InteractiveShell
        Its events open and close the contexts once `register` was called.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._thread = _Thread()
        self.resumed: runs.Run | None = None
        """The run that the next cell is to go on with."""
        self.recorded: list[runs.Run] = []
        """The runs of the last cell."""
        self._events: dict[str, Callable[..., None]] = {
            "pre_run_cell": self._started,
            "post_run_cell": self._ended,
            "post_execute": self._ended_silently,
        }

    def register(self) -> None:
        """Listen to the shell: rewrite its cells, leave contexts when they end."""
        self._shell.input_transformers_cleanup.append(rewrite)
        for event, callback in self._events.items():
            self._shell.events.register(event, callback)

    def unregister(self) -> None:
        """Leave what is open in this thread, and listen no more."""
        self._leave_all()
        self._shell.input_transformers_cleanup.remove(rewrite)
        for event, callback in self._events.items():
            self._shell.events.unregister(event, callback)

    def enter(self, arguments: Arguments, client: Client | None) -> None:
        """Make the rest of the running cell run merged.

        Parameters
        ----------
        arguments : Arguments
            The parsed first line of the cell.
        client : distributed.Client or None
            Where to run; None is this process.
        """
        owner = self._thread.running[-1] if self._thread.running else None
        contexts = self._thread.contexts
        if contexts and contexts[-1].owner is owner:
            contexts.pop().stack.close()
        with ExitStack() as stack:
            record = self._record(arguments, owner, client)
            if record is not None:  # when all else is over, and the cell's output complete
                stack.callback(records.log_all, record.runs, record.path)
            control = Control()
            buttons = Buttons(control) if watched(self._shell) else None
            progress = Progress(
                self._shell, control, buttons, journal(self._shell, control, buttons, client)
            )
            stack.callback(progress.close)
            if arguments.seed is not None:
                _seed(arguments.seed, stack)
            if record is not None:
                stack.callback(record.close)
            context = _Open(owner, stack, arguments.plan)
            self._catch(context)
            report = stack.enter_context(
                merged(
                    client,
                    seed=arguments.seed,
                    merge=arguments.merge,
                    plan_only=arguments.plan,
                    recorder=progress,
                    record=record,
                    control=control,
                )
            )
            # From the start, so that it is there whatever ends the cell.
            if arguments.output:
                self._shell.user_ns[arguments.output] = report
            context.stack = stack.pop_all()
            contexts.append(context)

    def _record(
        self, arguments: Arguments, owner: ExecutionInfo | None, client: Client | None
    ) -> runs.Record | None:
        """Return what keeps the cell's searches, unless nothing is to be recorded."""
        path = runs.where()
        if path is None:
            if arguments.keep_predictions:
                print(NOT_KEPT, file=sys.stderr)
            return None
        remember(path)
        cluster = clusters.of(client)
        origin = runs.Origin(
            "" if owner is None else str(owner.raw_cell),
            cell_id=cell(self._shell),
            notebook=actions.notebook(),
            options=arguments.options(),
            cluster="" if cluster is None or cluster.connection is None else cluster.name,
        )
        resumed, self.resumed = self.resumed, None
        record = runs.Record(
            runs.Store(path),
            origin,
            client,
            fresh=arguments.fresh,
            resumed=resumed,
            room=runs.room(arguments.keep_predictions),
        )
        self.recorded = record.runs
        return record

    def _catch(self, context: _Open) -> None:
        """Let PlanOnly end the cell quietly, and SearchStopped with a line: both were asked for.

        IPython's hook for custom exceptions keeps the cell as it is; wrapping its code
        in `try` would change `from __future__`, and what is displayed at the end.
        """
        shell: Any = self._shell
        # A shell has no handler until one is set.
        kinds, handler = shell.custom_exceptions, getattr(shell, "CustomTB", None)

        def handle(
            _shell: object, kind: type[BaseException], error: BaseException, *rest: Any, **more: Any
        ) -> Any:
            if isinstance(error, SearchStopped):
                print(f"Stopped: {error}", file=sys.stderr)
            elif not isinstance(error, PlanOnly):
                return handler(kind, error, *rest, **more) if handler else None
            elif not context.planned:
                context.planned = True
                show(shell, error.plan)
            return None

        ours_too = (SearchStopped, PlanOnly) if context.plan else (SearchStopped,)
        shell.set_custom_exc((*ours_too, *kinds), handle)
        ours = shell.CustomTB

        def restore() -> None:
            # Unless the cell itself has set another one.
            if shell.CustomTB is ours:
                shell.custom_exceptions, shell.CustomTB = kinds, handler

        context.stack.callback(restore)

    def _started(self, info: ExecutionInfo) -> None:
        self._thread.running.append(info)

    def _ended(self, result: ExecutionResult | None) -> None:
        info = result.info if result is not None else None
        if result is not None and any(info is other for other in self._thread.running):
            self._leave(result)
        elif info is None or info.raw_cell.strip():
            # Cancelled by the kernel, or broken off inside IPython, which then makes up
            # a result: whatever ran in this thread has ended. (A blank cell says that
            # it ended although it never started.)
            self._leave_all()

    def _ended_silently(self) -> None:
        # A silent run (`silent=True`) has no other event: its contexts have no owner.
        contexts = self._thread.contexts
        while contexts and contexts[-1].owner is None:
            contexts.pop().stack.close()

    def _leave(self, result: ExecutionResult) -> None:
        """Leave what the ended run, and the runs inside it, have entered."""
        running, contexts = self._thread.running, self._thread.contexts
        ended = [running.pop()]
        while ended[-1] is not result.info:
            ended.append(running.pop())
        while contexts and any(contexts[-1].owner is info for info in ended):
            context = contexts.pop()
            context.stack.close()
            if context.plan and context.owner is result.info:
                self._conclude(context, result)

    def _conclude(self, context: _Open, result: ExecutionResult) -> None:
        """Make a planned cell a success: the kernel reports what the result says."""
        if isinstance(result.error_in_exec, PlanOnly):
            result.error_in_exec = None
            self._shell.last_execution_succeeded = True
        elif result.success and not context.planned:
            print("No search in this cell: nothing to plan.")

    def _leave_all(self) -> None:
        self._thread.running.clear()
        while self._thread.contexts:
            self._thread.contexts.pop().stack.close()


def _seed(seed: int, stack: ExitStack) -> None:
    """Seed the global generators for the cell; afterwards they go on as before."""
    stack.callback(random.setstate, random.getstate())
    stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - the global one
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the generator that unseeded estimators draw from
