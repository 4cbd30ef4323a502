"""`%scale watch` in a real kernel, on a real local cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from slow import SLOW

SEARCH = f"""
{SLOW}
from distributed import Client
from sklearn.base import TransformerMixin
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

class Same(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        time.sleep(2)  # workers tell every half second what they run
        return self
    def transform(self, X):
        return X

steps = Pipeline([("same", Same()), ("slow", Slow())])
search = GridSearchCV(steps, {{"slow__seconds": [0.3 + i / 1000 for i in range(4)]}}, cv=2)
"""
UP = "%scale up --workers 1 --memory 1GiB"
THERE = """
def there(dask_scheduler):
    return [name for name in (*dask_scheduler.handlers, *dask_scheduler.plugins) if "watch" in name]

len(Client.current().run_on_scheduler(there))
"""
VIEW = "get_ipython()._jupyter_scale._watch"


@pytest.fixture(scope="module")
def ready(kernel: Any) -> Any:
    assert kernel.run(SEARCH).status == "ok"
    assert kernel.run(UP).status == "ok"
    return kernel


def opened(kernel: Any, line: str = "%scale watch") -> str:
    """Open a view; return the id of its output."""
    ran = kernel.run(line)
    assert (ran.status, ran.text(), ran.text("stderr")) == ("ok", "", "")
    [shown] = ran.contents("display_data")
    assert re.match(r"local-[0-9a-f]{4}: 1 worker, 1 thread, as of ", shown["data"]["text/plain"])
    return str(shown["transient"]["display_id"])


def updates(ran: Any, output: str) -> list[str]:
    """The texts that an output was given while a cell ran."""
    return [
        content["data"]["text/plain"]
        for content in ran.contents("update_display_data")
        if content["transient"]["display_id"] == output
    ]


def until(kernel: Any, condition: str) -> Any:
    return kernel.run(f"while not ({condition}):\n    time.sleep(0.05)")


def test_it_is_updated_while_a_search_runs_in_a_later_cell(ready: Any) -> None:
    output = opened(ready)
    ran = ready.run("%%scale\nsearch.fit(X, y)")
    assert (ran.status, ran.text("stderr")) == ("ok", "")
    shown = "\n".join(updates(ran, output))
    assert re.search(r"fit-same, fold [01]: running for", shown)
    drawn = "".join(c["data"]["text/html"] for c in ran.contents("update_display_data"))
    assert re.search(r">score-slow, candidate \d( and \d more)?, fold [01]: ", drawn)
    assert ready.run(THERE).value == "2", "a plugin and what it answers"
    ready.run("%scale watch off")


def test_what_ended_is_in_the_picture_and_off_leaves_nothing_behind(ready: Any) -> None:
    output = opened(ready, "%scale watch tasks graph")
    ready.run("%%scale\nsearch.fit(X, y)")
    ran = ready.run("%scale watch off")
    [last] = [c["data"] for c in ran.contents("update_display_data")][-1:]
    assert updates(ran, output)[-1].splitlines()[1] == "This view has ended: %scale watch off."
    assert re.search(r"score-slow: [1-8] done, 0 failed, 0 on workers", last["text/plain"])
    assert re.search(r"<title>fit-same, fold 1: \d\.\d\d s</title>", last["text/html"])
    assert ready.run(THERE).value == "0"
    assert ready.run("%scale watch off").text() == ""


def test_it_moves_and_words_are_checked(ready: Any) -> None:
    first = opened(ready)
    ran = ready.run("%scale watch workers memory log")
    assert "This view has ended: %scale watch has opened it again." in updates(ran, first)[-1]
    [shown] = ran.contents("display_data")
    assert "Memory in the last 30 seconds" in shown["data"]["text/plain"]
    assert ready.run(THERE).value == "2"
    wrong = ready.run("%scale watch wrokers")
    assert wrong.status == "error"
    assert "Did you mean workers?" in wrong.text("stderr")
    assert ready.complete("%scale watch workers m") == ["memory"]
    ready.run("%scale watch off")


def test_a_lost_worker_is_told_and_that_it_is_back(ready: Any) -> None:
    output = opened(ready)
    code = "import os\nlist(Client.current().run(os.getpid).values())[0]"
    psutil.Process(int(ready.run(code).value or 0)).kill()
    ran = until(ready, f"any('is back' in text for _, text in {VIEW}._observed.events)")
    ended = ready.run("%scale watch off")
    said = "\n".join(updates(ran, output) + updates(ended, output))
    assert re.search(r"\d\d:\d\d:\d\d worker 0 \(t\w+://127.0.0.1:\d+\) was lost", said)
    assert re.search("worker 0 was replaced: it is back at ", said)


def test_a_cluster_that_is_closed_ends_it_quietly(ready: Any) -> None:
    output = opened(ready)
    ran = ready.run("%scale down")
    assert re.fullmatch("Closed local-[0-9a-f]{4}.\n", ran.text())
    after = ready.run(f"{VIEW}._thread.join(20)")
    said = (updates(ran, output) + updates(after, output))[-1]
    assert "This view has ended: the cluster was closed, or is not in use any more." in said
    assert "1 worker, 1 thread, as of" in said
    assert ran.text("stderr") + after.text("stderr") == ""
    wrong = ready.run("%scale watch")
    assert "No cluster is running: %scale up starts one." in wrong.text("stderr")


def test_a_dead_cluster_ends_it_with_the_reason(ready: Any) -> None:
    ready.run(UP)
    output = opened(ready)
    pid = ready.run("from jupyter_scale import clusters\nclusters.current().connection.host.pid")
    psutil.Process(int(pid.value)).kill()
    ran = ready.run(f"{VIEW}._thread.join(30)")
    said = updates(ran, output)[-1]
    assert "This view has ended: the cluster is gone: its host process was killed." in said


@pytest.mark.long
def test_a_program_keeps_the_last_state_and_no_widget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "JUPYTER_RUNTIME_DIR", str(tmp_path)
    )  # other tests' clusters are not its own
    cells = ["%load_ext jupyter_scale", SEARCH, UP, "%scale watch", "%%scale\nsearch.fit(X, y);"]
    cells += ["%scale watch off", "%scale down"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    [output] = notebook.cells[3].outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert "This view has ended: %scale watch off." in output.data["text/plain"]
    assert "score-slow" in output.data["text/plain"]
    assert "widgets" not in notebook.metadata
