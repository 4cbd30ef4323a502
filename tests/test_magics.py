"""`%scale` and `%%scale` in a real kernel, on a real local cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

SEARCH = """
import time
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

class Slow(ClassifierMixin, BaseEstimator):
    def __init__(self, seconds=0.0):
        self.seconds = seconds
    def fit(self, X, y):
        time.sleep(self.seconds)
        self.classes_ = [0, 1, 2]
        return self
    def predict(self, X):
        return [0] * len(X)

X, y = load_iris(return_X_y=True)
search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 2]}, cv=2)
endless = GridSearchCV(Slow(), {"seconds": [0.3 + i / 10000 for i in range(1000)]}, cv=2)
"""
UP = "%scale up --workers 1 --memory 1GiB"


@pytest.fixture(scope="module")
def ready(kernel: Any) -> Any:
    """The kernel with a search defined and a small cluster, both made once."""
    assert kernel.run(SEARCH).status == "ok"
    ran = kernel.run(UP)
    assert ran.status == "ok"
    assert ran.text().startswith("Started a local cluster: 1 worker with 1 thread and 1.00 GiB")
    assert ran.text("stderr") == ""
    return kernel


def workers(kernel: Any) -> list[psutil.Process]:
    code = "import os, distributed; list(distributed.Client.current().run(os.getpid).values())"
    pids = kernel.run(code).value
    return [psutil.Process(int(pid)) for pid in pids.strip("[]").split(",")]


def gone(processes: list[psutil.Process], seconds: float = 10) -> bool:
    """Wait for the end of the processes."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not alive


def test_up_says_what_runs_and_a_second_time_that_it_does(ready: Any) -> None:
    assert "Already running: 1 worker" in ready.run(UP).text()
    ran = ready.run("%scale up --workers 2 --memory 1GiB")
    assert ran.status == "error"
    assert "Close it first: %scale down" in ran.text("stderr")


def test_status_names_the_cluster_and_the_next_step(ready: Any) -> None:
    text = ready.run("%scale").text()
    assert "Cluster: 1 worker with 1 thread and 1.00 GiB each at tls://127.0.0.1:" in text
    assert "Dashboard: http://127.0.0.1:" in text
    assert "Next: begin a cell with %%scale" in text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%scale up --workers 0", "at least 1 worker"),
        ("%scale up --workers 10000", "too many for the"),
        ("%scale up --memory '2 bananas'", "write it as 2GiB"),
        ("%scale up --memory 1000TiB", "of this machine"),
        ("%scale upp", "Did you mean up?"),
    ],
)
def test_wrong_values_stop_run_all_with_one_line(ready: Any, line: str, says: str) -> None:
    ran = ready.run(line)
    assert ran.status == "error"
    assert says in ran.text("stderr")
    assert ran.text("stderr").count("\n") == 1


def test_a_search_shows_progress_and_then_its_summary_in_the_same_output(ready: Any) -> None:
    ran = ready.run("%%scale -o report\nsearch.fit(X, y)\nprint('after')")
    assert ran.status == "ok", ran.reply
    [first] = ran.contents("display_data")
    updates = ran.contents("update_display_data")
    assert 'role="progressbar"' in first["data"]["text/html"]
    assert "0/4 cells" in first["data"]["text/plain"]
    identities = {str(content["transient"]["display_id"]) for content in [first, *updates]}
    assert len(identities) == 1
    assert "progressbar" not in updates[-1]["data"]["text/html"]
    assert "GridSearchCV" in updates[-1]["data"]["text/plain"]
    assert ran.text() == "after\n"
    assert ran.text("stderr") == ""
    assert ready.run("report.searches[0].status").value == "'done'"


def test_it_gives_what_scikit_learn_gives(ready: Any) -> None:
    ready.run("%%scale\nmerged_score = search.fit(X, y).cv_results_['mean_test_score'].tolist()")
    code = "search.fit(X, y).cv_results_['mean_test_score'].tolist() == merged_score"
    assert ready.run(code).value == "True"


def test_an_awaiting_cell(ready: Any) -> None:
    code = "%%scale\nimport asyncio\nawait asyncio.sleep(0)\nsearch.fit(X, y).n_splits_"
    ran = ready.run(code)
    assert ran.value == "2"
    assert ran.contents("display_data")
    assert not ready.run("search.fit(X, y)").contents("display_data")


def test_a_traceback_points_into_the_cell(ready: Any) -> None:
    ran = ready.run("%%scale\na = 1\n\n1 / 0")
    assert ran.status == "error"
    assert ran.reply["ename"] == "ZeroDivisionError"
    assert "line 4" in "".join(ran.reply["traceback"])
    assert not ready.run("search.fit(X, y)").contents("display_data")


@pytest.mark.parametrize("how", [{"silent": True}, {"store_history": False}])
def test_other_ways_to_run_a_cell_end_it_too(ready: Any, how: dict[str, bool]) -> None:
    assert ready.run("%%scale\nsearch.fit(X, y)", **how).contents("display_data")
    assert not ready.run("search.fit(X, y)").contents("display_data")


@pytest.mark.parametrize(
    ("code", "matches"),
    [
        ("%scale u", ["up"]),
        ("x = 1\n%scale up --work", ["--workers"]),
        ("%%scale --p", ["--plan"]),
        ("\n%%scale --merge ", ["all", "seeded"]),
    ],
)
def test_completion(ready: Any, code: str, matches: list[str]) -> None:
    assert ready.complete(code) == matches


def test_completion_below_the_first_line_is_pythons(ready: Any) -> None:
    assert "search" in ready.complete("%%scale\nsearc")


def test_a_question_mark_shows_the_help(ready: Any) -> None:
    [payload] = ready.run("%%scale?").reply["payload"]
    assert "%%scale --plan" in payload["data"]["text/plain"]


def test_an_interrupt_leaves_the_cell_and_the_cluster_usable(ready: Any) -> None:
    again = 0.0

    def interrupt(message: dict[str, Any]) -> None:
        # A signal can be lost on its way to a kernel; people press again after a while.
        nonlocal again
        if "display_data" in message["msg_type"] and time.monotonic() > again:
            again = time.monotonic() + 15
            ready.manager.interrupt_kernel()

    before = [process.pid for process in workers(ready)]
    ran = ready.run("%%scale -o report\nendless.fit(X, y)", on_message=interrupt)
    assert ran.status == "error"
    assert ran.reply["ename"] == "KeyboardInterrupt"
    last = (ran.contents("update_display_data") or ran.contents("display_data"))[-1]
    assert "progressbar" not in last["data"]["text/html"]
    assert ready.run("report.searches[0].status").value == "'interrupted'"
    assert not ready.run("search.fit(X, y)").contents("display_data")
    start = time.monotonic()
    assert ready.run("%%scale\nsearch.fit(X, y)").status == "ok"
    assert time.monotonic() - start < 10
    assert [process.pid for process in workers(ready)] == before


def test_a_dead_cluster_is_noticed_and_replaced(ready: Any) -> None:
    ready.run(
        "from jupyter_scale import clusters\n"
        "local = clusters.current()._cluster\n"
        "local.sync(local.scheduler.close)"
    )
    status = ready.run("%scale").text()
    assert "The cluster is dead: its scheduler has stopped.\nNext: %scale up" in status
    ran = ready.run("%%scale\nsearch.fit(X, y)")
    assert ran.status == "ok"
    assert "The cluster is dead: its scheduler has stopped." in ran.text()
    assert "Started a local cluster: " in ran.text()
    assert ran.text("stderr") == ""


def test_down_closes_it(ready: Any) -> None:
    ready.run(UP)
    processes = workers(ready)
    ran = ready.run("%scale down")
    assert ran.text() == "The cluster is closed.\n"
    assert ran.text("stderr") == ""
    assert gone(processes, 1)
    assert ready.run("%scale down").text() == "No cluster is running.\n"
    assert "No cluster is running.\nNext: " in ready.run("%scale").text()


def test_a_client_of_the_users_own_is_used(ready: Any) -> None:
    ready.run("%scale down")
    assert ready.run("own = distributed.Client(processes=False, dashboard_address=None)")
    assert "Cluster: your own Dask client of inproc://" in ready.run("%scale").text()
    ran = ready.run("%%scale -o report\nsearch.fit(X, y)")
    assert (ran.status, ran.text()) == ("ok", "")
    assert ready.run("report.searches[0].cells_done").value == "4"
    ready.run("own.close()")


@pytest.mark.parametrize("end", ["kill", "shutdown", "restart"])
def test_no_worker_outlives_the_kernel(new_kernel: Callable[[], Any], end: str) -> None:
    kernel = new_kernel()
    assert kernel.run("%scale up --workers 2 --memory 1GiB").status == "ok"
    processes = workers(kernel)
    assert len(processes) == 2
    if end == "kill":
        psutil.Process(kernel.pid()).send_signal(signal.SIGKILL)
    elif end == "shutdown":
        kernel.manager.shutdown_kernel()
    else:
        kernel.manager.restart_kernel()
    assert gone(processes)


def test_a_notebook_keeps_a_static_summary_and_a_plan_is_no_error(tmp_path: Any) -> None:
    cells = [
        "%load_ext jupyter_scale",
        SEARCH,
        "%%scale --plan\nsearch.fit(X, y)\nnever = 1",
        "%%scale\nsearch.fit(X, y)\nassert 'never' not in globals()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    [plan] = [o for o in notebook.cells[2].outputs if o.output_type == "display_data"]
    assert {"text/html", "text/plain"} <= set(plan.data)
    stream, summary = notebook.cells[3].outputs
    assert stream.text.startswith("Started a local cluster: ")
    assert "progressbar" not in summary.data["text/html"]
    assert "GridSearchCV" in summary.data["text/plain"]


def test_an_interrupted_start_leaves_no_worker_and_can_be_repeated(
    new_kernel: Callable[[], Any],
) -> None:
    kernel = new_kernel()
    owner = psutil.Process(kernel.pid())

    def started() -> list[psutil.Process]:
        return [p for p in owner.children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]

    def interrupt() -> None:
        while not started():
            time.sleep(0.02)
        # As the kernel's manager does, which belongs to another thread.
        os.killpg(os.getpgid(owner.pid), signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        interrupted = pool.submit(interrupt)
        ran = kernel.run("%scale up --workers 2 --memory 1GiB")
        interrupted.result(30)
    assert ran.status == "error"
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert gone(started())
    assert "No cluster is running" in kernel.run("%scale").text()
    again = kernel.run("%scale up --workers 2 --memory 1GiB")
    assert again.text().startswith("Started a local cluster: 2 workers")
    assert len(workers(kernel)) == 2
