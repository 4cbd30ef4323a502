"""Notebook 7 has the panel, the badge and the commands, too; a search shows there."""

from __future__ import annotations

import pytest
from lab import Lab
from test_panel import OURS

SEARCH = """
%load_ext jupyter_scale
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
"""
FIT = "%%scale --local\nGridSearchCV(LogisticRegression(), {'C': [0.1, 1.0]}, cv=2).fit(X, y)"
CONNECTED = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    return context?.isReady && context.session?.kernel?.connectionStatus === 'connected';
}"""


@pytest.mark.long
def test_the_panel_is_in_the_notebook_s_sidebar(jupyterlab: Lab) -> None:
    pytest.importorskip("notebook", reason="pip install notebook")
    jupyterlab.write("seven.ipynb", SEARCH, FIT)
    page = jupyterlab.browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error.message} {error.stack}"))
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    page.goto(f"{jupyterlab.address}/notebooks/seven.ipynb?token={jupyterlab.token}")
    page.wait_for_function(CONNECTED)

    page.locator(".lm-MenuBar-itemLabel").get_by_text("View", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Left Sidebar").click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Show Scale").click()
    panel = page.get_by_role("region", name="Scale", exact=True)
    panel.get_by_text("No search yet").wait_for()
    page.locator(".jps-Badge-button").click()
    for cell in range(2):
        page.evaluate(
            """cell => {
                const { commands, shell } = window.jupyterapp;
                shell.currentWidget.content.activeCellIndex = cell;
                return commands.execute('notebook:run-cell');
            }""",
            cell,
        )
    found = panel.locator("[data-search]")
    found.get_by_text("done", exact=True).wait_for()
    found.get_by_role("button", name="Go to cell in seven.ipynb").click()
    found.get_by_role("button", name="Record of").click()
    page.locator(".jp-CodeCell").filter(has_text="%scale show").wait_for()
    page.evaluate("() => void window.jupyterapp.commands.execute('jupyter-scale:export')")
    panel.get_by_role("form", name="Export").get_by_label("Folder").wait_for()
    assert not [error for error in errors if any(word in error for word in OURS)]
    page.close()
