"""The seventh notebook, run by a real kernel at a small size: blocks, and what is left of them."""

from __future__ import annotations

import re
from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

PATH = Path(execute.__file__).parent / "07-larger-than-memory.ipynb"
pytestmark = pytest.mark.long
pytest.importorskip("dask_ml")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    target = tmp_path_factory.mktemp("build") / "07.ipynb"
    sizes = ["--set", "N_BLOCKS=8", "--set", "ROWS=2000"]
    assert execute.main([str(PATH), "--output", str(target), *sizes]) == 0
    return nbformat.read(target, as_version=4)


def test_the_blocks_are_written_and_read(executed: NotebookNode) -> None:
    assert text_of(executed, "write").startswith("8 files, ")
    assert text_of(executed, "read") == "16,000 rows of 20 columns: 3 MB\n"


def test_kmeans_finds_most_centres(executed: NotebookNode) -> None:
    assert re.match(r"\d+ passes, inertia", text_of(executed, "kmeans"))
    found = re.match(r"(\d+) of 12 centres found", text_of(executed, "centres"))
    assert found is not None
    assert int(found[1]) >= 7
    assert "<Figure size 600x500 with 1 Axes>" in text_of(executed, "centres")


def test_the_rest_is_predicted_block_by_block(executed: NotebookNode) -> None:
    assert text_of(executed, "learn") == "learned from 2,000 rows\n"
    assert re.match(r"(9\d|100)\.\d% of 14,000 rows", text_of(executed, "predict"))
    assert text_of(executed, "written") == "7 files of predictions\n"


def test_memory_is_shown_and_no_worker_is_lost(executed: NotebookNode) -> None:
    shown = text_of(executed, "watch")
    assert re.search(r"0: running, .* memory .* of 572\.20 MiB \(\d+%\)", shown)
    assert "Memory in the last 30 seconds:" in shown
    for cell in ("memory", "after"):
        rows = [line.split() for line in text_of(executed, cell).splitlines()[2:]]
        assert len(rows) == 2
        for _, process, _, _, most in rows:  # the system counts pages in batches
            assert 100 < int(process) <= int(most) + 20 < 620, rows
    assert text_of(executed, "survived") == "no worker was lost\n"


def test_nothing_is_left_on_disk(executed: NotebookNode) -> None:
    assert text_of(executed, "away") == "left on disk: nothing\n"


def test_nothing_is_warned_of(executed: NotebookNode) -> None:
    assert warned(executed) == []
