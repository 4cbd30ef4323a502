"""The export of the notebook in front, from the panel: planned, answered, written, verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Lab
from test_panel import OURS, open_panel, run, unnamed

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
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "Ada")
            patch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
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


@pytest.mark.long
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
    result.get_by_text("1 package, Python 3.").press("Enter")
    packages = result.get_by_role("list", name="Packages")
    packages.get_by_text("imported in cell 1").wait_for()

    assert packages.get_by_role("listitem").count() == 1, "the package that exports is not used"
    luck = result.locator("[data-finding='nondeterminism:cell-2']")
    luck.get_by_role("button", name="Show me cell 2").click()
    active = page.locator(".jp-CodeCell.jp-mod-active")
    active.get_by_text("random.random").first.wait_for()

    assert unnamed(page) == []

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


@pytest.mark.long
def test_what_is_claimed_comes_one_by_one_and_can_be_cancelled(jupyterlab: Lab) -> None:
    jupyterlab.write("claims.ipynb", CELLS[0])
    panel, errors = open_panel(jupyterlab, "claims.ipynb", COMMAND)
    page = jupyterlab.page
    executed(page, 0)
    form = panel.get_by_role("form", name="Export")
    form.get_by_text("Options").press("Enter")
    form.get_by_label("Commit").check()
    form.get_by_label("Its repository").fill("https://github.com/ada/claims")
    form.get_by_role("button", name="Export").press("Enter")
    result = panel.get_by_role("region", name="Result")
    claims = result.get_by_role("list", name="Verification").locator("[data-claim]")
    claims.first.wait_for()
    page.reload()
    panel.get_by_role("button", name="Cancel").press("Enter")
    result.get_by_text("interrupted, nothing written").wait_for()
    assert not (jupyterlab.folder / "claims-repo").exists()

    # what was filled in is there again, from the cell
    form.get_by_text("Options").press("Enter")
    assert form.get_by_label("Commit").is_checked()
    form.get_by_role("button", name="Export").press("Enter")
    result.get_by_text("being exported").wait_for()
    result.get_by_text("exported", exact=True).wait_for(timeout=240_000)
    result.get_by_text("Reproducible: run in an environment built anew").wait_for()
    assert claims.count() == 5
    assert {one.get_attribute("data-claim") for one in claims.all()} == {"verified"}
    page.context.grant_permissions(["clipboard-read"])
    result.get_by_role("button", name="Copy the Binder badge").press("Enter")
    result.get_by_text("Copied.").wait_for()
    badge = page.evaluate("navigator.clipboard.readText()")
    assert badge in (jupyterlab.folder / "claims-repo/README.md").read_text()
    result.get_by_role("button", name="Open folder claims-repo").press("Enter")
    page.locator(".jp-DirListing-item:visible", has_text="provenance").wait_for()
    assert not [error for error in errors if any(word in error for word in OURS)]
