"""The export of the notebook in front, from the panel: planned, answered, written, verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Lab
from test_panel import OURS, open_panel, run

CELLS = (
    "import toolz\nprint(list(toolz.take(2, 'abc')))",
    "import random\nluck = random.random()",
    "password = 'not-a-real-one'",
)
COMMAND = "jupyter-scale:export"


@pytest.fixture(scope="module", autouse=True)
def as_everywhere() -> Iterator[None]:
    """What pip is told on this machine is no finding of these notebooks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX",
                     "UV_EXTRA_INDEX_URL", "UV_INDEX"):  # fmt: skip
            patch.delenv(name, raising=False)
        patch.setenv("GIT_AUTHOR_NAME", "Ada")
        yield


def executed(page: Any, *cells: int) -> None:
    """Run cells, and wait for their end."""
    run(page, *cells)
    page.wait_for_function(
        """count => [...window.jupyterapp.shell.widgets('main')]
            .find(({ title }) => title.label.endsWith('.ipynb'))
            .content.widgets.slice(0, count).every(({ model }) => model.executionCount)""",
        arg=len(cells),
    )


def test_a_notebook_is_planned_answered_and_exported(jupyterlab: Lab) -> None:
    jupyterlab.write("story.ipynb", *CELLS)
    panel, errors = open_panel(jupyterlab, "story.ipynb", COMMAND)
    page = jupyterlab.page
    executed(page, 0, 1, 2)
    form = panel.get_by_role("form", name="Export")
    assert form.get_by_label("Folder").input_value() == "story-repo"
    form.get_by_text("Options").press("Enter")
    form.get_by_label("Verify").uncheck()
    form.get_by_label("Its repository").fill("https://github.com/ada/story")
    form.get_by_role("button", name="Plan").press("Enter")

    result = panel.get_by_role("region", name="Result")
    result.get_by_text("planned, nothing written").wait_for()
    assert not (jupyterlab.folder / "story-repo").exists()
    result.get_by_text("2 are to be mended or accepted").wait_for()
    result.get_by_text("Python 3.").press("Enter")
    packages = result.get_by_role("list", name="Packages")
    packages.get_by_text("imported in cell 1").wait_for()

    assert packages.get_by_role("listitem").count() == 1, "the package that exports is not used"
    luck = result.locator("[data-finding='nondeterminism:cell-2']")
    luck.get_by_role("button", name="Show me cell 2").click()
    active = page.locator(".jp-CodeCell.jp-mod-active")
    active.get_by_text("random.random").first.wait_for()

    form.get_by_role("button", name="Export").press("Enter")
    result.get_by_text("to be answered, nothing written").wait_for()
    luck.get_by_role("button", name="Accept nondeterminism:cell-2").press("Enter")
    result.get_by_text("1 is to be mended or accepted").wait_for()
    secret = result.locator("[data-finding^='secret:cell-3']")
    secret.get_by_role("button", name="as it is no secret").press("Enter")
    result.get_by_text("All are answered").wait_for()
    form.get_by_role("button", name="Export").press("Enter")
    result.get_by_text("exported", exact=True).wait_for()
    result.get_by_text("Not verified, as was asked.").wait_for()
    result.get_by_text("The Binder badge names a commit").wait_for()
    result.get_by_role("button", name="Open story-repo/README.md").press("Enter")
    page.locator(".jp-RenderedMarkdown:visible").get_by_text("What it needs").first.wait_for()

    assert not [error for error in errors if any(word in error for word in OURS)]
