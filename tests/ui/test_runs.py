"""The searches on record in the side panel: listed, opened, compared, resumed."""

from __future__ import annotations

import pytest
from lab import Lab
from test_panel import OURS, open_panel, run, unnamed

SEARCH = """
%load_ext jupyter_scale
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
"""
FIT = "%%scale --local\nsearch.fit(X, y)"
FAILS = "%%scale --local\nsearch.set_params(param_grid={'C': [-1]}, error_score='raise').fit(X, y)"


@pytest.mark.long
def test_runs_are_listed_opened_compared_and_resumed(jupyterlab: Lab) -> None:
    jupyterlab.write("runs.ipynb", SEARCH, FIT, FAILS)
    panel, errors = open_panel(jupyterlab, "runs.ipynb")
    page = jupyterlab.page
    run(page, 0)
    panel.locator("[aria-label='Runs Section']").press("Enter")
    panel.get_by_text("No run is on record yet").wait_for()

    run(page, 1)
    runs = panel.get_by_role("list", name="Runs", exact=True).locator("[data-run]")
    done = runs.filter(has_text="done")
    done.get_by_text("best: ").wait_for()
    name = done.get_attribute("data-run")
    done.get_by_role("button", name=f"Open run {name}").press("Enter")
    view = page.locator(".jps-View:visible")
    view.get_by_text(f"{name}: GridSearchCV(LogisticRegression)").wait_for()
    view.get_by_text("search.fit(X, y)").wait_for()
    panel.locator("[data-search]").get_by_role("button", name=f"run {name}").wait_for()

    run(page, 2)
    failed = runs.filter(has_text="failed")
    for one in (done, failed):
        one.get_by_role("button", name="Pick run").click()
    panel.get_by_role("button", name=f"Compare {name} with").click()
    view.get_by_text("+search.set_params(").wait_for()

    assert unnamed(page) == []

    panel.get_by_label("Filter").fill("no such tag")
    panel.get_by_text("0 of 2 runs").wait_for()
    panel.get_by_label("Filter").fill("runs.ipynb failed")
    failed.get_by_role("button", name="Resume run").click()
    failed.get_by_text("The cell is in runs.ipynb.").wait_for()
    page.locator(".jp-CodeCell").filter(has_text="%scale resume").wait_for()
    panel.get_by_text("2 of 3 runs").wait_for()
    assert not [error for error in errors if any(word in error for word in OURS)]
