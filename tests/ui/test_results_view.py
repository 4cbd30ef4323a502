"""The results of a search in JupyterLab: sorted by keyboard, on a dark ground, after a reload."""

from __future__ import annotations

import pytest
from lab import Lab

pytestmark = pytest.mark.long

SEARCH = """
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from jupyter_scale import merged

import warnings

evil = "<script>document.title = 'evil'</script>"
grid = {"svc__C": [100, 0.01, 9, 1], "svc__kernel": ["rbf", evil]}
search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=2, error_score=0)
warnings.simplefilter("ignore")
with merged() as report:
    search.fit(*load_iris(return_X_y=True))
report
"""
CONTRAST = """(node) => {
    const light = (colour) => {
        const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
        return a * (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
    };
    const ground = getComputedStyle(document.body).getPropertyValue("--jp-layout-color0").trim();
    const probe = document.createElement("i");
    probe.style.color = ground;
    document.body.append(probe);
    const below = light(getComputedStyle(probe).color);
    probe.remove();
    const style = getComputedStyle(node);
    return Math.abs(light(node.ownerSVGElement ? style.fill : style.color) - below);
}"""


def test_results_are_sorted_by_keyboard_and_stay(jupyterlab: Lab) -> None:
    jupyterlab.write("results.ipynb", SEARCH, "report.plot.heatmap()")
    jupyterlab.open("results.ipynb")
    page = jupyterlab.page
    page.evaluate(
        "() => window.jupyterapp.commands.execute("
        "'apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    jupyterlab.command("notebook:run-all-cells")
    jupyterlab.output(1).locator("img").wait_for()

    output = jupyterlab.output(0)
    table = output.locator("table.candidates").first
    cells = table.locator("tbody tr td:nth-child(3)")
    header = table.get_by_role("button", name="svc__C")
    header.focus()
    page.keyboard.press("Enter")
    assert cells.all_inner_texts() == ["0.01", "0.01", "1", "1", "9", "9", "100", "100"]
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert cells.all_inner_texts()[0] == "100"

    assert "evil" in output.inner_text()
    assert page.title() != "evil"
    for each in (output.locator("td").first, output.locator("svg text").first):
        assert each.evaluate(CONTRAST) > 0.5, "text stands out from the dark ground"

    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    table = jupyterlab.output(0).locator("table.candidates").first
    table.wait_for()
    assert table.locator("tbody tr").count() == 8
