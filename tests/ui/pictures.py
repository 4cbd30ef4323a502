"""Take the pictures of README.md and docs/ anew: of what runs here and now, in Chromium.

    export PYTHONPATH=tests/ui:tests/view:tests/clusters:notebooks
    .venv/bin/python tests/ui/pictures.py [NAME]

Look at each before it is committed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from lab import CHROMIUM, Lab, start
from test_export_section import CELLS, executed
from test_panel import done, open_panel, run

DOCS = Path(__file__).resolve().parents[2] / "docs"
DATA = """\
from corpus import load
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
documents, labels, _ = load(2000, 2)
%load_ext jupyter_scale
%scale up"""
SEARCH = """\
%%scale
search = GridSearchCV(
    Pipeline([("vect", CountVectorizer()),
              ("tfidf", TfidfTransformer()),
              ("clf", SGDClassifier(random_state=0))]),
    {"vect__ngram_range": [(1, 1), (1, 2)],
     "tfidf__norm": ["l1", "l2"],
     "clf__alpha": [1e-3, 1e-4, 1e-5]},
)
search.fit(documents, labels)
None"""


def take(page: Any, name: str) -> None:
    """Take one, without a caret."""
    page.evaluate("() => document.activeElement.blur()")
    page.mouse.move(700, 790)
    page.screenshot(path=DOCS / f"{name}.png")


def dark(page: Any) -> None:
    page.evaluate(
        "() => window.jupyterapp.commands"
        ".execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    )
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")


def merged_search(lab: Lab) -> None:
    """A search that runs, in its cell and in the panel."""
    lab.write("search.ipynb", DATA, SEARCH)
    panel, _ = open_panel(lab, "search.ipynb")
    page = lab.page
    page.set_viewport_size({"width": 1180, "height": 820})
    page.set_default_timeout(180_000)
    run(page, 0)
    panel.locator("[data-cluster]").get_by_role("meter", name="Workers").wait_for()
    run(page, 1)
    bar = panel.locator("[data-search]").get_by_role("progressbar")
    bar.wait_for()
    while done(bar) < 18:
        page.wait_for_timeout(100)
    take(page, "merged-search")


def export(lab: Lab) -> None:
    """A notebook whose export waits for answers, in the dark; and what came of it."""
    lab.write("luck.ipynb", *CELLS)
    panel, _ = open_panel(lab, "luck.ipynb", "jupyter-scale:export")
    page = lab.page
    page.set_viewport_size({"width": 1180, "height": 820})
    for other in ("Clusters", "Searches", "Diagnostics"):
        panel.locator(f"[aria-label='{other} Section']").first.press("Enter")
    executed(page, 0, 1, 2)
    form = panel.get_by_role("form", name="Export")
    form.get_by_role("button", name="Export").press("Enter")
    result = panel.get_by_role("region", name="Result")
    result.get_by_text("to be answered, nothing written").wait_for()
    dark(page)
    take(page, "export-dark")


PICTURES = {"merged-search": merged_search, "export-dark": export}


def main(*names: str) -> None:
    """Take those that are named, or all."""
    assert CHROMIUM is not None, "Chromium is not here"
    os.environ["PYTHONPATH"] = str(DOCS.parent / "notebooks")  # the kernels are in other folders
    os.environ["PIP_CONFIG_FILE"] = os.devnull  # of this machine, and no finding of a notebook
    for name in names or PICTURES:
        with tempfile.TemporaryDirectory() as folder, start(Path(folder), CHROMIUM) as lab:
            PICTURES[name](lab)


if __name__ == "__main__":
    main(*sys.argv[1:])
