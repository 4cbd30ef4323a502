"""The fourth notebook, run by a real kernel: a cluster is started, sized, hurt and closed."""

from __future__ import annotations

import re
from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "04-clusters.ipynb"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "04.ipynb"
    assert execute.main([str(PATH), "--output", str(target)]) == 0
    return nbformat.read(target, as_version=4)


def test_the_command_line_sees_the_cluster_of_the_notebook(executed: NotebookNode) -> None:
    name = re.search("local-[0-9a-f]{4}", text_of(executed, "up"))
    assert name is not None
    for cell in ("list", "command-line", "to"):
        assert name[0] in text_of(executed, cell)
    assert text_of(executed, "down") == f"Closed {name[0]}.\n"


def test_a_lost_worker_comes_back(executed: NotebookNode) -> None:
    assert "1 of 2 workers are new" in text_of(executed, "after")
    assert "GridSearchCV(Pipeline): " in text_of(executed, "search")


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert warned(executed) == []
