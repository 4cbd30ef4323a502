"""A search from the panel: filled in, planned, put into the notebook, and run on a cluster."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from lab import Lab
from test_panel import OURS, Opened, open_panel, run, start_one, unnamed

BUSY = "import time\nprint('begun')\ntime.sleep(100)"
SETUP = """
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

X, y = load_iris(return_X_y=True)
"""
PIPELINE = "pipe = make_pipeline(StandardScaler(), SVC())"


def look(panel: Any) -> None:
    panel.get_by_role("button", name="Look in this notebook").click()


@pytest.fixture(scope="module")
def opened(jupyterlab: Lab) -> Opened:
    """Return the panel and its page's errors: each test runs its own cells of one notebook."""
    jupyterlab.write("form.ipynb", BUSY, SETUP, PIPELINE)
    return open_panel(jupyterlab, "form.ipynb", "jupyter-scale:new-search")


@pytest.mark.long
def test_a_search_is_filled_in_planned_and_run(jupyterlab: Lab, opened: Opened) -> None:
    panel, errors = opened
    page = jupyterlab.page
    start_one(panel)
    look(panel)
    panel.get_by_text("No estimator is there").wait_for()

    run(page, 1, 2)
    look(panel)  # while the cells run: it is answered after them
    form = panel.get_by_role("form", name="New search")
    form.wait_for()
    assert form.get_by_label("Estimator").input_value() == "pipe"
    assert form.get_by_label("X", exact=True).input_value() == "X"
    assert form.get_by_label("y", exact=True).input_value() == "y"
    assert form.get_by_role("group", name="standardscaler: StandardScaler").is_visible()

    form.get_by_label("Filter").fill("svc c")
    form.get_by_role("checkbox", name="C now 1.0").check()
    values = form.get_by_role("textbox", name="Values of svc__C")
    assert values.input_value() == "0.1, 1.0, 10.0"
    values.fill("-1, 2")
    assert unnamed(page) == []
    form.get_by_label("CV folds").fill("3")
    form.get_by_label("Scoring").select_option("f1_macro")
    form.get_by_role("button", name="Plan").click()
    problem = form.get_by_role("alert")
    problem.get_by_text("-1: it must be a float in the range (0.0, inf]").wait_for()
    assert problem.get_attribute("id") in values.get_attribute("aria-describedby").split()
    page.wait_for_function("() => document.activeElement.getAttribute('aria-invalid') === 'true'")

    values.fill("0.1, 1, 10, 100")
    values.press("Enter")
    plan = form.get_by_role("region", name="Plan")
    plan.get_by_text("12 cells, 15 fits, 9 fits saved").wait_for()
    assert problem.count() == 0
    cluster = form.get_by_label("Cluster")
    there = cluster.locator("option").nth(1)
    there.wait_for(state="attached")
    name = there.inner_text()
    cluster.select_option(name)
    plan.get_by_role("button", name="Insert and run").click()

    jupyterlab.output(4).get_by_text("GridSearchCV(Pipeline)").first.wait_for()
    found = panel.locator("[data-search]")
    found.get_by_text("done", exact=True).wait_for()
    found.get_by_text(f"on {name}, ").wait_for()
    jupyterlab.output(4).get_by_text(f"Picked in the side panel: {name}").wait_for()
    page.locator(".jps-Badge-button").get_by_text(name).wait_for()

    # with another that is only put in: the magics are loaded once, and the name is free
    form.get_by_role("button", name="Plan").click()
    plan.get_by_role("button", name="Insert cell").click()
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    sources = [cell.source for cell in nbformat.read(jupyterlab.folder / "form.ipynb", 4).cells]
    assert sources[3] == "%load_ext jupyter_scale"
    assert sources[4].startswith("%%scale\n")
    assert "search.fit(X, y)" in sources[4]
    assert "search_2.fit(X, y)" in sources[5]
    assert len(sources) == 6
    assert not [error for error in errors if any(word in error for word in OURS)]


@pytest.mark.long
def test_a_kernel_that_does_not_answer_is_said_in_a_line(jupyterlab: Lab, opened: Opened) -> None:
    panel, errors = opened
    page = jupyterlab.page
    run(page, 0)
    jupyterlab.output(0).get_by_text("begun").wait_for()
    look(panel)
    panel.get_by_text("The kernel is busy: it answers when its cell has ended").wait_for()
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    panel.get_by_text("was restarted before it answered").wait_for()
    look(panel)
    panel.get_by_text("No estimator is there").wait_for()
    assert not [error for error in errors if any(word in error for word in OURS)]
