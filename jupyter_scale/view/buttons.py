"""Pause and stop the searches of a running cell, where somebody can press a button.

A cell that runs keeps its kernel from hearing anything else, except in a subshell. JupyterLab sends
what widgets say through one; where there is none, a press is heard when the cell has ended, and the
kernel's own interrupt is the way. Programs that execute notebooks get no buttons: they would save
them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from jupyter_scale.search import Control

__all__ = ["Buttons", "watched"]


def watched(shell: Any) -> bool:
    """Say whether a person runs the cell: front ends say more of one than programs do."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return False
    with suppress(Exception):
        return bool(kernel.get_parent().get("metadata"))
    return False


class Buttons:
    """The two buttons of a cell.

    Parameters
    ----------
    control : Control
        Of its searches.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._box: Any = None
        self._output: Any = None

    def show(self) -> None:
        """Show them, once."""
        if self._box is not None:
            return
        from IPython.display import display
        from ipywidgets import Button, HBox

        tip = "what runs now ends, and nothing is started"
        self._pause = Button(description="Pause", tooltip=tip)
        self._stop = Button(description="Stop", tooltip="end the search; what is done is kept")
        self._pause.on_click(self._toggle)
        self._stop.on_click(self._end)
        self._box = HBox([self._pause, self._stop])
        self._output = display(self._box, display_id=True)  # type: ignore[no-untyped-call]  # IPython's
        for button in (self._pause, self._stop):
            _heard_at_once(button)

    def close(self) -> None:
        """Take them away."""
        if self._box is None:
            return
        # else a saved notebook would say "HBox(children=..."
        self._output.update({"text/plain": ""}, raw=True)
        for widget in (*self._box.children, self._box):
            for part in (getattr(widget, "style", None), widget.layout, widget):
                if part is not None:
                    part.close()
        self._box = None

    def label(self) -> None:
        """Say what a press will do now: others pause and stop, too."""
        if self._box is None:
            return
        self._pause.description = "Resume" if self._control.paused else "Pause"
        if self._control.stopping:
            self._stop.description, self._stop.disabled = "Stopping", True

    def _toggle(self, _: Any) -> None:
        if self._control.paused:
            self._control.resume()
        else:
            self._control.pause()
        self.label()

    def _end(self, _: Any) -> None:
        self._control.stop()
        self.label()


def _heard_at_once(widget: Any) -> None:
    """Let a press go to the shell that the front end sends it to.

    ipykernel answers a widget in the shell that it was last drawn from: that of the running cell.
    """
    with suppress(AttributeError):
        del widget.comm._reply_subshell_id
