"""Exported folders, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PYTHON = "3.11"
SIX = "six==1.17.0\n"


def cell(source: str, *outputs: Any, tags: tuple[str, ...] = (), run: bool = True) -> Any:
    """A code cell; a string among its outputs is what it printed."""
    made = [
        new_output("stream", name="stdout", text=one) if isinstance(one, str) else one
        for one in outputs
    ]
    metadata = {"tags": list(tags)} if tags else {}
    return new_code_cell(source, outputs=made, execution_count=int(run) or None, metadata=metadata)


def value(text: str, **data: Any) -> Any:
    """What a cell's last expression shows."""
    return new_output("execute_result", data={"text/plain": text, **data}, execution_count=1)


def write(
    folder: Path,
    *cells: Any,
    requirements: str = SIX,
    python: str = PYTHON,
    name: str = "a.ipynb",
    files: dict[str, str] | None = None,
) -> Path:
    """Write a folder as an export does."""
    texts = {
        "binder/runtime.txt": f"python-{python}\n",
        "binder/requirements.txt": requirements,
        **(files or {}),
    }
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        if text.startswith("#!"):
            target.chmod(0o755)
    notebook = new_notebook(cells=list(cells), metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, folder / name)
    return folder
