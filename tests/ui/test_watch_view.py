"""`%scale watch` in JupyterLab: live while another cell runs, in a tab of its own, in the dark."""

from __future__ import annotations

import nbformat
from lab import Lab
from slow import SLOW
from test_results_view import CONTRAST

SEARCH = f"""
%load_ext jupyter_scale
{SLOW}
from sklearn.model_selection import GridSearchCV

search = GridSearchCV(Slow(), {{"seconds": [0.5 + i / 1000 for i in range(40)]}}, cv=2)
"""
SAID = """() => [...document.querySelectorAll('.jupyter-scale-watch .task text')].some(
    text => getComputedStyle(text).display !== 'none'
        && /^score-slow, candidate \\d+.*, fold [01]: /.test(text.textContent)
)"""
FIRST = "node => node.querySelector(':scope > div').innerText"
CHANGED = """before => [
    ...document.querySelectorAll('.jp-LinkedOutputView .jupyter-scale-watch > div')
].some(line => line.innerText.includes('as of') && line.innerText !== before)"""


def test_a_cluster_is_watched_while_a_search_runs(jupyterlab: Lab) -> None:
    up = "%scale up --workers 2 --memory 512MiB"
    cells = (SEARCH, up, "%scale watch", "%%scale\nsearch.fit(X, y)", "%scale down")
    jupyterlab.write("watch.ipynb", *cells)
    jupyterlab.open("watch.ipynb")
    page = jupyterlab.page
    page.evaluate(
        "() => window.jupyterapp.commands.execute("
        "'apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    jupyterlab.command("notebook:run-all-cells")
    output = jupyterlab.output(2)
    output.locator(".task").nth(3).wait_for()
    assert jupyterlab.output(3).get_by_role("progressbar").count() == 1, "the search still runs"
    assert output.get_by_role("table", name="Workers", exact=True).locator("tbody tr").count() == 2

    output.scroll_into_view_if_needed()
    for _ in range(20):  # it is drawn anew under the mouse
        box = output.locator(".task rect").last.bounding_box()
        if box is not None:
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        if page.evaluate(SAID):
            break
        page.wait_for_timeout(200)
    else:
        raise AssertionError("candidate and fold are not under the mouse")

    output.click(position={"x": 5, "y": 5})
    jupyterlab.command("notebook:create-output-view")
    moved = page.locator(".jp-LinkedOutputView .jupyter-scale-watch")
    moved.wait_for()
    page.wait_for_function(CHANGED, arg=moved.evaluate(FIRST))

    moved.get_by_text("This view has ended: the cluster was closed").wait_for()
    for each in (moved.locator("td").first, moved.locator("svg text").first):
        assert each.evaluate(CONTRAST) > 0.5, "text stands out from the dark ground"
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save-all')")
    page.wait_for_timeout(1500)
    notebook = nbformat.read(jupyterlab.folder / "watch.ipynb", as_version=4)
    [kept] = notebook.cells[2].outputs
    assert "This view has ended" in kept["data"]["text/plain"]
    assert "<title>score-slow, candidate " in kept["data"]["text/html"]
