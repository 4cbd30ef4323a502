"""`%scale export` in a live kernel: of the notebook that it is, as it is saved."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

SOURCES = (
    "import os, helper\nos.chdir(os.path.dirname(helper.__file__))",
    "%load_ext jupyter_scale",
    "name = 'notes' + '.txt'  # not a literal\nopen(name).read()",
    "import toolz\nhelper.answer()",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "helper.py").write_text("def answer():\n    return 42\n")
    (folder / "notes.txt").write_text("seen")
    return folder


def save(folder: Path, *sources: str, first: int = 1) -> Path:
    cells = [new_code_cell(source) for source in sources]
    for number, cell in enumerate(cells, first):
        cell.execution_count = number
    nbformat.write(new_notebook(cells=cells), folder / "live.ipynb")
    return folder / "live.ipynb"


@pytest.fixture(scope="module")
def kernel(new_kernel: Callable[[], Any], project: Path) -> Any:
    """A kernel in which the project's notebook has run."""
    kernel = new_kernel()
    path = save(project, *SOURCES)
    setup = {"PIP_CONFIG_FILE": os.devnull, "JPY_SESSION_NAME": str(path)}
    kernel.run(
        f"import os, sys; os.environ.update({setup!r}); sys.path.insert(0, {str(project)!r})",
        silent=True,
        store_history=False,
    )
    kernel.run("%unload_ext jupyter_scale", silent=True, store_history=False)  # of the fixture
    for source in SOURCES:
        ran = kernel.run(source)
        assert ran.status == "ok", ran.text("stderr")
    return kernel


def shown(ran: Any) -> str:
    """The last that was shown in place of the stages."""
    updates = [m["content"]["data"] for m in ran.messages if m["msg_type"] == "update_display_data"]
    return str(updates[-1]["text/plain"])


def test_a_live_notebook_is_exported_without_running_it_again(
    kernel: Any, project: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = kernel.run(f"%scale export {out} --no-verify --yes --wheels "
                     "--accept uncommitted:jupyter-scale")  # fmt: skip
    assert ran.status == "ok", ran.reply
    text = shown(ran)
    assert f"live.ipynb: exported to {out}" in text
    assert "toolz" in text
    assert (out / "notes.txt").read_text() == "seen", "read, though the code has no such literal"
    assert (out / "helper.py").exists()
    roots = {one["name"] for one in json.loads((out / "provenance/roots.json").read_text())}
    assert {"toolz", "jupyter-scale"} <= roots
    [wheel] = (out / "binder/wheels").iterdir()
    assert f"./binder/wheels/{wheel.name}\n" in (out / "binder/requirements.txt").read_text()
    assert kernel.run("helper.answer()").value == "42"
    html = [m["content"]["data"] for m in ran.messages if m["msg_type"] == "update_display_data"]
    assert "<table>" in html[-1]["text/html"]


def test_findings_are_shown_and_the_cell_fails_in_one_line(
    kernel: Any, project: Path, tmp_path: Path
) -> None:
    ran = kernel.run(f"%scale export {tmp_path / 'out'} --no-verify")
    assert ran.status == "error"
    assert ran.reply["ename"] == "UsageError"
    assert "not exported" in ran.text("stderr")
    assert "unpublished:jupyter-scale" in shown(ran)
    assert "--wheels builds it" in shown(ran)
    assert not (tmp_path / "out").exists()


def test_a_cell_that_only_exports_is_no_part_of_what_is_published(
    new_kernel: Callable[[], Any], tmp_path: Path
) -> None:
    kernel = new_kernel()
    line = f"%load_ext jupyter_scale\n%scale export {tmp_path / 'out'} --no-verify --yes"
    path = save(tmp_path, "import toolz", line)
    setup = {"PIP_CONFIG_FILE": os.devnull, "JPY_SESSION_NAME": str(path)}
    kernel.run(f"import os; os.environ.update({setup!r})", silent=True, store_history=False)
    kernel.run("%unload_ext jupyter_scale", silent=True, store_history=False)
    kernel.run("import toolz")
    for _ in range(2):  # what the first has loaded is not found by the second
        ran = kernel.run(line)
        assert ran.status == "ok", ran.text("stderr")
        output = nbformat.v4.new_output("stream", text="to /home/ada/out")
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[1].outputs = [output]
        nbformat.write(notebook, path)
        roots = json.loads((tmp_path / "out/provenance/roots.json").read_text())
        # the kernel of the tests has ours loaded from its start, and what that loads
        names = {root["name"] for root in roots}
        assert "toolz" in names
        assert not {"jupyter-scale", "detect-secrets", "jupyter-repo2docker", "fqdn"} & names
        published = nbformat.read(tmp_path / "out/live.ipynb", as_version=4).cells[1]
        assert (published.outputs, published.execution_count) == ([], None)
        assert "skip-execution" in published.metadata.tags


def test_what_is_not_saved_is_told(kernel: Any, project: Path, tmp_path: Path) -> None:
    save(project, *SOURCES[:3], "import toolz\nhelper.another()", "never_run()")
    try:
        ran = kernel.run(f"%scale export {tmp_path / 'out'} --plan --wheels")
    finally:
        save(project, *SOURCES)
    assert ran.status == "ok", ran.reply
    text = shown(ran)
    assert "kernel:cell-4" in text
    assert "it is not what this kernel has run" in text
    assert not (tmp_path / "out").exists()


def test_a_kernel_without_a_notebook_asks_for_its_name(kernel: Any, tmp_path: Path) -> None:
    kernel.run("name = os.environ.pop('JPY_SESSION_NAME')", store_history=False)
    try:
        ran = kernel.run(f"%scale export {tmp_path / 'out'}")
    finally:
        kernel.run("os.environ['JPY_SESSION_NAME'] = name", store_history=False)
    assert ran.status == "error"
    assert "Which notebook?" in ran.text("stderr")


def test_the_words_are_completed(kernel: Any) -> None:
    assert "export" in kernel.complete("%scale exp")
    assert "--wheels" in kernel.complete("%scale export out --w")
