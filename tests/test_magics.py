"""`%scale` and `%%scale` in a real kernel, on a real local cluster."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from slow import SLOW

SEARCH = f"""
{SLOW}
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {{"svc__C": [1, 2]}}, cv=2)
endless = GridSearchCV(Slow(), {{"seconds": [0.3 + i / 10000 for i in range(1000)]}}, cv=2)
"""
UP = "%scale up --workers 1 --memory 1GiB"


@pytest.fixture(scope="module")
def ready(kernel: Any) -> Any:
    """The kernel with a search defined and a small cluster, both made once."""
    assert kernel.run(SEARCH).status == "ok"
    ran = kernel.run(UP)
    assert ran.status == "ok"
    assert re.search("Started local-[0-9a-f]{4}: 1 worker with 1 thread and 1.00 GiB", ran.text())
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
    assert re.match("Already running: local-[0-9a-f]{4}, 1 worker", ready.run(UP).text())
    ran = ready.run("%scale up --workers 2 --memory 1GiB")
    assert ran.status == "error"
    assert "close it first: %scale down" in ran.text("stderr")


def test_status_names_the_cluster_and_the_next_step(ready: Any) -> None:
    text = ready.run("%scale").text()
    assert re.match("Cluster local-[0-9a-f]{4}: 1 worker with 1 thread and 1.00 GiB", text)
    assert "Dashboard: http://127.0.0.1:" in text
    assert "Next: begin a cell with %%scale" in text


def test_plain_dask_uses_the_cluster_of_the_cell(ready: Any) -> None:
    made = "import dask, distributed, os\nown = distributed.Client(processes=False, {})"
    assert ready.run(made.format("dashboard_address='127.0.0.1:0'")).status == "ok"
    compute = "dask.delayed(os.getpid)().compute() == os.getpid()"
    assert ready.run(compute).value == "True"
    assert ready.run(f"%%scale\n{compute}").value == "False"
    kept = "x = dask.delayed(os.getpid)().persist()\ndistributed.futures_of(x)[0].client is own"
    assert ready.run(f"%%scale\n{kept}").value == "False"
    ready.run("own.close()")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%scale up --workers 0", "at least 1 worker"),
        ("%scale up --workers 10000", "too many for the"),
        ("%scale up --memory '2 bananas'", "write it as 2GiB"),
        ("%scale up --memory 1000TiB", "of this machine"),
        ("%scale upp", "Did you mean up?"),
        ("%scale up locl", "did you mean local?"),
        ("%scale up --adapt 3 1", "the first number is the smaller one"),
        ("%scale to 0", "at least 1 worker"),
        ("%scale to 10000", "too many for the"),
        ("%scale use local-none", "There is no cluster 'local-none': running here: local-"),
        ("%scale down local-none", "There is no cluster 'local-none': running: local-"),
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
        ("%scale u", ["up", "use"]),
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


STOP = """
import threading
def stop():
    while not report.scores:
        time.sleep(0.05)
    report.control.stop()
threading.Thread(target=stop).start()
"""


def test_a_stopped_search_ends_its_cell_with_one_line(ready: Any) -> None:
    ran = ready.run(f"%%scale -o report\n{STOP}\nendless.fit(X, y)")
    assert ran.status == "error", "cells that need the search do not run"
    assert re.fullmatch(r"Stopped: the search was stopped; .*\n", ran.text("stderr"))
    assert not ran.contents("error")
    assert ready.run("report.searches[0].status").value == "'stopped'"
    assert ready.run("0 < len(report.scores) < 2000").value == "True"
    assert not ready.run("search.fit(X, y)").contents("display_data")


def test_a_dead_cluster_is_noticed_and_replaced(ready: Any) -> None:
    pid = int(ready.run("from jupyter_scale import clusters\n" + HOST).value or 0)
    host = psutil.Process(pid)
    host.kill()
    assert gone([host])
    status = ready.run("%scale").text()
    assert "is gone: its host process was killed.\nNext: %scale up" in status
    ran = ready.run("%%scale\nsearch.fit(X, y)")
    assert ran.status == "ok"
    assert "is gone: its host process was killed." in ran.text()
    assert "Started local-" in ran.text()
    assert ran.text("stderr") == ""


HOST = "clusters.current().connection.host.pid"


def test_down_closes_it(ready: Any) -> None:
    ready.run(UP)
    processes = workers(ready)
    ran = ready.run("%scale down")
    assert re.fullmatch("Closed local-[0-9a-f]{4}.\n", ran.text())
    assert ran.text("stderr") == ""
    assert gone(processes, 1)
    assert ready.run("%scale down").text() == "No cluster is running.\n"
    assert "No cluster is running.\nNext: " in ready.run("%scale").text()
    assert "No cluster is running.\nNext: " in ready.run("%scale list").text()


def test_a_client_of_the_users_own_is_used(ready: Any) -> None:
    ready.run("%scale down")
    assert ready.run("own = distributed.Client(processes=False, dashboard_address='127.0.0.1:0')")
    assert "Cluster: your own Dask client of inproc://" in ready.run("%scale").text()
    ran = ready.run("%%scale -o report\nsearch.fit(X, y)")
    assert (ran.status, ran.text()) == ("ok", "")
    assert ready.run("report.searches[0].cells_done").value == "4"
    ready.run("own.close()")


@pytest.mark.parametrize("end", [pytest.param("kill", marks=pytest.mark.long), "restart"])
def test_the_cluster_outlives_the_kernel_and_is_taken_up_again(
    new_kernel: Callable[[], Any], end: str
) -> None:
    kernel = new_kernel()
    assert kernel.run(UP).status == "ok"
    before = workers(kernel)
    if end == "kill":
        psutil.Process(kernel.pid()).send_signal(signal.SIGKILL)
    kernel.manager.restart_kernel(now=end == "kill")
    kernel.client.wait_for_ready(timeout=60)
    kernel.run("%load_ext jupyter_scale")
    assert re.match("Not connected; local-[0-9a-f]{4} runs: 1 worker", kernel.run("%scale").text())
    kernel.run(SEARCH)
    ran = kernel.run("%%scale\nsearch.fit(X, y)")
    assert "Using local-" in ran.text()
    assert workers(kernel) == before
    assert kernel.run("%scale down").text().startswith("Closed local-")
    assert gone(before, 5)


def test_sizes_lists_and_choices(new_kernel: Callable[[], Any]) -> None:
    kernel = new_kernel()
    kernel.run(UP)
    name = kernel.run("from jupyter_scale import clusters\nclusters.current().name").value[1:-1]
    assert kernel.run("%scale to 2").text().startswith(f"{name}: 2 workers with 1 thread")
    assert kernel.run("%scale adapt 1 2").text().startswith(f"{name}: 1 to 2 workers")
    head, row = kernel.run("%scale list").text().splitlines()
    assert head.split() == ["cluster", "state", "size", "age", "ends", "with"]
    assert row.startswith(f"*  {name}  running  1 to 2 workers")
    assert "this Jupyter server or 60 idle minutes" in row
    assert "*  local    distributed.LocalCluster" in kernel.run("%scale profiles").text()
    assert kernel.run(f"%scale use {name}").text().startswith(f"Using {name}: 1 to 2 workers")
    assert kernel.complete("%scale use loc") == [name]
    assert kernel.complete("%scale up loc") == ["local"]
    assert kernel.run("%scale down --all").text() == f"Closed {name}.\n"


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
    *streams, summary = notebook.cells[3].outputs
    assert "Started local-" in "".join(stream.text for stream in streams)
    assert "progressbar" not in summary.data["text/html"]
    assert "GridSearchCV" in summary.data["text/plain"]
    assert "widgets" not in notebook.metadata, "nobody is there to press a button"


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
    assert re.search("Started local-[0-9a-f]{4}: 2 workers", again.text())
    assert len(workers(kernel)) == 2
