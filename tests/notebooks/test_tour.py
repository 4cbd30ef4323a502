"""What holds for every notebook of the tour."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import execute
import nbformat
import pytest
from cells import source_of
from IPython.core.error import UsageError

NOTEBOOKS = sorted(Path(execute.__file__).parent.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_holds_no_outputs(path: Path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("07-larger-than-memory", {"dask-ml"}),
        ("09-neural-network-grid", {"torch", "keras", "skorch"}),
        ("10-data-parallel", {"torch"}),
    ],
)
def test_what_is_missing_is_said_in_the_first_cell(
    name: str, packages: set[str], monkeypatch: pytest.MonkeyPatch
):
    (path,) = (path for path in NOTEBOOKS if path.stem == name)
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.id == "needs"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    exec(source_of(notebook, "needs"), {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="issing") as raised:
        exec(source_of(notebook, "needs"), {})
    *_, command = str(raised.value).splitlines()
    program, verb, *words = command.split()
    assert (program, verb) == ("%pip", "install")
    named = words[: words.index("--extra-index-url")] if len(words) > len(packages) else words
    assert set(named) == packages
