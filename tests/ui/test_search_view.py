"""A search is watched, paused and stopped in JupyterLab, while its cell runs."""

from __future__ import annotations

import re

import nbformat
import pytest
from lab import Lab

SLOW = """
%load_ext jupyter_scale
import time
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV

class Slow(ClassifierMixin, BaseEstimator):
    def __init__(self, seconds=0.1, bias=0):
        self.seconds, self.bias = seconds, bias
    def fit(self, X, y):
        if self.bias == 2:
            raise ValueError("no <b>bias</b> of 2")
        time.sleep(self.seconds)
        self.classes_ = np.unique(y)
        return self
    def predict(self, X):
        return (np.arange(len(X)) % 7 < self.bias).astype(int)

X, y = np.zeros((70, 2)), np.array([0, 1] * 35)
seconds = [0.2 + i / 1000 for i in range(100)]
search = GridSearchCV(Slow(), {"bias": [1, 2, 3], "seconds": seconds}, cv=2)
"""


def done(text: str) -> int:
    """How many cells are done, of what the screen says."""
    found = re.search(r"([\d,]+)/600 cells", text)
    return int(found[1].replace(",", "")) if found else 0


@pytest.mark.long
def test_a_running_search_is_watched_paused_and_stopped(jupyterlab: Lab) -> None:
    cells = (SLOW, "%%scale --local -o report\nsearch.fit(X, y)", "print('after')")
    jupyterlab.write("search.ipynb", *cells)
    jupyterlab.open("search.ipynb")
    page = jupyterlab.page
    jupyterlab.command("notebook:run-all-cells")
    output = jupyterlab.output(1)
    output.get_by_role("progressbar").wait_for()
    page.wait_for_function(
        "() => document.querySelectorAll('.jp-OutputArea svg g[tabindex]').length >= 2"
    )
    assert "a tile is 5 candidates" in output.inner_text()

    output.get_by_role("button", name="Pause").click()
    output.get_by_role("button", name="Resume").wait_for()
    page.wait_for_timeout(1500)  # what was running ends
    paused = done(output.inner_text())
    page.wait_for_timeout(1500)
    assert done(output.inner_text()) == paused < 600

    output.get_by_role("button", name="Resume").click()
    page.wait_for_function(
        "paused => [...document.querySelectorAll('[role=progressbar]')]"
        ".some(bar => Number(bar.ariaValueNow) > paused)",
        arg=paused,
    )
    output.get_by_role("button", name="Stop").click()
    output.get_by_text("Stopped: the search was stopped").wait_for()
    output.get_by_role("button", name="Stop").wait_for(state="detached")
    text = output.inner_text()
    assert "Traceback" not in text
    assert ", stopped" in text
    assert jupyterlab.output(2).inner_text() == "", "the cells below have not run"


@pytest.mark.long
def test_a_saved_notebook_shows_the_summary_and_no_widget(jupyterlab: Lab) -> None:
    quick = "search.set_params(param_grid={'bias': [1, 2], 'seconds': [0.0]}).fit(X, y)"
    jupyterlab.write("saved.ipynb", SLOW, f"%%scale --local\n{quick}\nNone")
    jupyterlab.open("saved.ipynb")
    page = jupyterlab.page
    jupyterlab.command("notebook:run-all-cells")
    jupyterlab.output(1).get_by_text("4 of 4 cells").first.wait_for()
    page.wait_for_timeout(500)
    jupyterlab.command("docmanager:save")
    page.wait_for_timeout(1500)
    notebook = nbformat.read(jupyterlab.folder / "saved.ipynb", as_version=4)
    texts = [str(output.get("data", output.get("text"))) for output in notebook.cells[1].outputs]
    assert any("4 of 4 cells" in text for text in texts)
    assert not any("progressbar" in text or "HBox" in text or "Button" in text for text in texts)
    jupyterlab.open("saved.ipynb")  # as a reader does
    text = jupyterlab.output(1).inner_text()
    assert "4 of 4 cells" in text
