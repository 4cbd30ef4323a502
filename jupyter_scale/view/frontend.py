"""What a front end knows of the running cell, and the journal by which it follows its searches."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from distributed import Client

from jupyter_scale import actions, clusters
from jupyter_scale.choice import kernel_id
from jupyter_scale.clusters import registry
from jupyter_scale.journal import Action, Journal
from jupyter_scale.search import Control
from jupyter_scale.view.buttons import Buttons

__all__ = ["cell", "journal", "kernel"]


def kernel(shell: Any) -> str:
    """Return the id of a shell's kernel, as its server knows it; empty where there is none."""
    if getattr(shell, "kernel", None) is None:
        return ""
    with suppress(Exception):
        from ipykernel.connect import get_connection_file

        return kernel_id(get_connection_file())
    return ""


def cell(shell: Any) -> str:
    """Return the id of the cell that runs, if the front end has said it."""
    with suppress(Exception):
        return str(shell.kernel.get_parent()["metadata"].get("cellId", ""))
    return ""


def journal(
    shell: Any, control: Control, buttons: Buttons | None, client: Client | None
) -> Journal | None:
    """Return the journal of the cell that runs; None in a terminal, which nobody else looks at."""
    if not (running := kernel(shell)):
        return None
    cluster = clusters.of(client)

    def obey(action: Action) -> None:
        {"stop": control.stop, "pause": control.pause, "resume": control.resume}[action]()
        if action != "stop":
            made.note(status="paused" if control.paused else "running")
        if buttons is not None:
            with suppress(Exception):
                buttons.label()

    name = cluster.name if cluster is not None and cluster.connection is not None else ""
    made = Journal(
        registry.owner(),
        running,
        cell(shell),
        actions.notebook(),
        obey,
        name,
        # IPython counts on before the cell runs; its history has one entry for each number
        len(shell.history_manager.input_hist_raw) - 1,
    )
    return made
