"""What a cell of a notebook says and shows."""

from __future__ import annotations

from nbformat import NotebookNode


def source_of(notebook: NotebookNode, cell_id: str) -> str:
    return str(_cell(notebook, cell_id).source)


def text_of(notebook: NotebookNode, cell_id: str) -> str:
    """Everything a cell shows, as text."""
    outputs = _cell(notebook, cell_id).outputs
    return "".join(o.text if "text" in o else o.data.get("text/plain", "") for o in outputs)


def warned(notebook: NotebookNode) -> list[str]:
    """What cells have written to stderr: a notebook that people see warns of nothing."""
    return [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]


def _cell(notebook: NotebookNode, cell_id: str) -> NotebookNode:
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return cell
