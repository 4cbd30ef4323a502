"""What is seen of an export while it runs: in its cell's output, and by its note elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from IPython.display import clear_output, display

from jupyter_scale import actions
from jupyter_scale.clusters import registry
from jupyter_scale.clusters.connection import Process
from jupyter_scale.export import note
from jupyter_scale.export.claim import Claim
from jupyter_scale.export.notebook import Cell
from jupyter_scale.export.report import Report
from jupyter_scale.view import frontend

__all__ = ["Telling"]


class Telling:
    """Tells how far an export is.

    Parameters
    ----------
    shell : InteractiveShell
    folder : str
        Where to, as it was written.
    asked : mapping
        What else was asked for, by the names of options; and whether it is a plan.
    """

    def __init__(self, shell: Any, folder: str, asked: Mapping[str, Any]) -> None:
        if Cell(1, shell.history_manager.input_hist_raw[-1]).exports:
            # IPython's words, that the extension is loaded already
            clear_output(wait=True)  # type: ignore[no-untyped-call]  # IPython's
        self._output = display(Stage(""), display_id=True)  # type: ignore[no-untyped-call]  # IPython's
        self._note: note.Note | None = None
        if not (kernel := frontend.kernel(shell)):
            return  # a terminal, which nobody else looks at
        for one in note.notes():
            if one.kernel == kernel:
                note.forget(one.id)
        self._note = note.Note(
            uuid4().hex[:12],
            Process.this(),
            registry.owner(),
            kernel,
            frontend.cell(shell),
            {**asked, "folder": folder},
            str(Path(folder).expanduser().absolute()),
            started=time.time(),
        )
        self._write()

    def stage(self, line: str) -> None:
        """Tell what is being done."""
        self._output.update(Stage(line))
        self._write(stage=line)

    def claim(self, claim: Claim) -> None:
        """Tell of a claim that was tried."""
        if self._note is not None:
            self._write(claims=(*self._note.claims, claim.as_dict()))

    def end(self, status: note.Status, *, report: Report | None = None, error: str = "") -> None:
        """Tell what came of it."""
        if report is not None:
            self._output.update(report)
        if self._note is not None:
            home = Path(actions.notebook()).absolute().parent
            told = report and note.told(report, home, self._note.options["binder"])
            self._write(status=status, stage="", report=told, error=error)

    def _write(self, **changes: Any) -> None:
        if self._note is not None:
            with suppress(OSError):  # no export fails for want of being watched
                self._note = note.write(self._note, **changes)


class Stage:
    """A line that is replaced by the next."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
