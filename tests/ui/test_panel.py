"""The side panel: a cluster is picked and a search watched, also by a page that is loaded again."""

from __future__ import annotations

import time
from typing import Any

from lab import Lab
from slow import SLOW

SEARCH = f"""
%load_ext jupyter_scale
{SLOW}
from sklearn.model_selection import GridSearchCV

search = GridSearchCV(Slow(), {{"seconds": [0.3 + i / 1000 for i in range(200)]}}, cv=2)
"""
FIT = "search.fit(X, y)"
# no widgets' words: a page that is loaded again misses the comms of what runs, and they say so
Opened = tuple[Any, list[str]]
USED = {
    "button", "checkbox", "combobox", "DisclosureTriangle", "link", "listbox", "meter", "option",
    "progressbar", "radio", "searchbox", "slider", "spinbutton", "switch", "tab", "textbox",
}  # fmt: skip
OURS = ("jupyter-scale", "jupyter_scale", "jps-", "Scale")


def open_panel(jupyterlab: Lab, name: str, command: str = "jupyter-scale:open-panel") -> Opened:
    """Open a notebook and the panel; return that, and where errors of the page will be."""
    jupyterlab.open(name)
    errors: list[str] = []
    page = jupyterlab.page
    page.on("pageerror", lambda error: errors.append(f"{error.message} {error.stack}"))
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    jupyterlab.command(command)
    panel = page.get_by_role("region", name="Scale", exact=True)
    panel.wait_for()
    return panel, errors


def unnamed(page: Any) -> list[str]:
    """Return what can be used in the panel and has no name for a screen reader.

    It is Chromium's own accessibility tree that is asked; what is folded up is no part of it.
    """
    session = page.context.new_cdp_session(page)
    asked = {"expression": "document.querySelector('.jps-Panel')"}
    node = session.send("Runtime.evaluate", asked)["result"]
    tree = session.send("Accessibility.queryAXTree", {"objectId": node["objectId"]})
    session.detach()
    nodes = [one for one in tree["nodes"] if one["role"]["value"] in USED]
    assert nodes
    return [
        f"{one['role']['value']}: {one}"
        for one in nodes
        if not one["ignored"] and not one.get("name", {}).get("value", "").strip()
    ]


def start_one(panel: Any) -> Any:
    """Start a cluster of one worker, by the keyboard; return its card, when that is there."""
    panel.get_by_label("Profile").select_option("local")
    panel.get_by_label("Size", exact=True).select_option("fixed")
    panel.get_by_role("slider", name="Workers").press("Home")
    workers = panel.get_by_role("spinbutton", name="Workers")
    assert workers.input_value() == "1"
    workers.press("Enter")
    card = panel.locator("[data-cluster]")
    card.wait_for()
    return card


def run(page: Any, *cells: int) -> None:
    """Run cells of the open notebook, without waiting for their end."""
    for cell in cells:
        page.evaluate(
            """cell => {
                const { commands, shell } = window.jupyterapp;
                const main = [...shell.widgets('main')];
                const notebook = main.find(({ title }) => title.label.endsWith('.ipynb'));
                shell.activateById(notebook.id);
                notebook.content.activeCellIndex = cell;
                void commands.execute('notebook:run-cell');
            }""",
            cell,
        )


def done(bar: Any) -> int:
    return int(bar.get_attribute("aria-valuenow"))


def wait_until_more(page: Any, bar: Any, before: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while done(bar) <= before:
        assert time.monotonic() < deadline, f"still at {before}"
        page.wait_for_timeout(100)


def test_a_cluster_is_used_and_a_search_is_there_again_after_a_reload(jupyterlab: Lab) -> None:
    jupyterlab.write("panel.ipynb", SEARCH, f"%%scale\n{FIT}")
    panel, errors = open_panel(jupyterlab, "panel.ipynb")
    page = jupyterlab.page
    badge = page.locator(".jps-Badge-button")
    assert "no cluster" in badge.inner_text()

    card = start_one(panel)
    run(page, 0)  # meanwhile
    card.get_by_text("running", exact=True).wait_for()
    card.get_by_role("meter", name="Workers").wait_for()
    use = card.get_by_role("button", name="Use in this notebook, panel.ipynb")
    use.focus()
    page.keyboard.press("Enter")
    name = card.get_attribute("data-cluster")
    badge.get_by_text(name).wait_for()

    run(page, 1)
    found = panel.locator("[data-search]")
    bar = found.get_by_role("progressbar")
    bar.wait_for()
    wait_until_more(page, bar, 0, 30)
    card.get_by_text("1 search runs on it").wait_for()
    assert unnamed(page) == []
    jupyterlab.output(1).get_by_text(f"Picked in the side panel: {name}").wait_for()

    page.reload()
    before = done(bar)  # it waits for the bar
    wait_until_more(page, bar, before, 10)
    cell = jupyterlab.output(1).get_by_text("GridSearchCV(Slow)").first
    cell.wait_for(timeout=10_000)
    prompt = page.locator(".jp-CodeCell").nth(1).locator(".jp-InputPrompt")
    prompt.get_by_text("[*]:").wait_for()
    text = cell.inner_text()
    page.wait_for_function(
        "text => [...document.querySelectorAll('.jp-OutputArea-output')]"
        ".some(one => one.innerText.includes('GridSearchCV(Slow)')"
        " && !one.innerText.includes(text))",
        arg=text,
        timeout=10_000,
    )

    found.get_by_role("button", name="Open GridSearchCV(Slow) in a tab").click()
    view = page.locator(".jps-View")
    view.get_by_role("progressbar", name="GridSearchCV(Slow)").wait_for()
    wait_until_more(page, view.get_by_role("progressbar"), before, 10)

    found.get_by_role("button", name="Pause").click()
    found.get_by_role("button", name="Resume").click()
    found.get_by_role("button", name="Stop").click()
    found.get_by_text("stopped", exact=True).wait_for()
    said = panel.get_by_role("status").filter(has_text="GridSearchCV(Slow): stopped")
    said.wait_for(state="attached")
    jupyterlab.output(1).get_by_text(", stopped").first.wait_for()
    prompt.get_by_text("[2]:").wait_for()
    view.get_by_text(", stopped").first.wait_for()
    assert view.get_by_role("progressbar").count() == 0
    found.get_by_role("button", name="Dismiss").click()
    found.wait_for(state="detached")

    panel.get_by_role("button", name=f"Watch {name}:").click()
    watched = page.locator(".jp-LinkedOutputView")
    watched.get_by_text("1 worker, 1 thread").first.wait_for()

    card.get_by_text("Size and end").click()
    card.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Close it").click()
    panel.get_by_text("No cluster runs").wait_for()
    assert not [error for error in errors if any(word in error for word in OURS)]


def test_a_search_whose_kernel_is_gone_says_so_in_its_cell(jupyterlab: Lab) -> None:
    jupyterlab.write("gone.ipynb", SEARCH, f"%%scale --local\n{FIT}")
    panel, errors = open_panel(jupyterlab, "gone.ipynb")
    page = jupyterlab.page
    run(page, 0, 1)
    found = panel.locator("[data-search]")
    wait_until_more(page, found.get_by_role("progressbar"), 0, 30)
    page.evaluate(  # until it is there again: a server that ends meanwhile waits for it in vain
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    found.get_by_text("interrupted", exact=True).wait_for()
    jupyterlab.output(1).get_by_text("Interrupted").first.wait_for()
    found.get_by_role("button", name="Go to cell").click()
    active = page.locator(".jp-CodeCell.jp-mod-active")
    active.get_by_text("search.fit").first.wait_for()
    assert not [error for error in errors if any(word in error for word in OURS)]
