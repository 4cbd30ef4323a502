"""The sixth notebook, run by a real kernel: a notebook is exported, rebuilt, run and compared."""

from __future__ import annotations

from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PATH = Path(execute.__file__).parent / "06-make-reproducible.ipynb"
CELLS = ("import six, beside", "print(six.__name__, beside.ANSWER)", "1 / 3")


def ran(folder: Path, *options: str) -> NotebookNode:
    target = folder / "06.ipynb"
    assert execute.main([str(PATH), "--output", str(target), *options]) == 0
    return nbformat.read(target, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The notebook of the tour, about a small one: it takes seconds instead of minutes."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "beside.py").write_text("ANSWER = 42\n")
    small = new_notebook(
        cells=[new_markdown_cell("# A small one"), *map(new_code_cell, CELLS)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(small, folder / "small.ipynb")
    return ran(folder, "--set", f"NOTEBOOK={folder / 'small.ipynb'}")


def test_the_plan_has_reasons_and_writes_nothing(executed: NotebookNode) -> None:
    text = text_of(executed, "plan")
    assert "six" in text
    assert "imported in cell 1" in text
    assert "nothing was written" in text or "not exported" in text


def test_what_was_verified(executed: NotebookNode) -> None:
    text = text_of(executed, "claims")
    assert text.count(": verified") == 5, text
    assert text.strip().splitlines()[-1].startswith("Reproducible: ")


def test_the_folder_holds_the_notebook_and_its_module(executed: NotebookNode) -> None:
    files = {line.split()[-1] for line in text_of(executed, "files").splitlines()}
    assert {
        *("small.ipynb", "beside.py", "README.md", "binder/requirements.txt"),
        *("provenance/pylock.toml", "provenance/report.json"),
    } <= files
    assert "small.ipynb" in text_of(executed, "readme")
    assert text_of(executed, "page").startswith("A small one: index.html and ")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_tours_own_notebook(tmp_path: Path) -> None:
    found = ran(tmp_path)
    text = text_of(found, "claims")
    assert "it runs there from its first cell to its last: verified" in text
