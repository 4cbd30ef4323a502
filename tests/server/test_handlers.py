"""What the panel can ask of a real Jupyter server, and what it is told."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for
from served import Server

from jupyter_scale import choice, journal
from jupyter_scale.clusters.connection import Process
from jupyter_scale.export import Finding, Report, note
from jupyter_scale.export.claim import RUN, Claim
from jupyter_scale.journal import Journal
from jupyter_scale.runs import Run, Store
from jupyter_scale.server.watcher import SCHEMA

SIZE = 10**6
SMALL = {"profile": "local", "workers": 1, "memory": "1GiB"}


@pytest.fixture(autouse=True)
def runtime(server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the server: what is written here is seen there."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(server.runtime))
    return server.runtime


@contextmanager
def events(server: Server) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Give what waits for the next event of a kind."""
    connection = server.events()

    def following(kind: str) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = json.loads(connection.recv())
            assert len(json.dumps(event)) < SIZE
            if event.get("schema_id") == SCHEMA and event["kind"] == kind:
                return event

    try:
        yield following
    finally:
        connection.close()


def test_nobody_without_the_token_learns_or_does_anything(server: Server) -> None:
    for method, path in (
        ("GET", "profiles"),
        ("GET", "clusters"),
        ("POST", "clusters"),
        ("PATCH", "clusters/local-1"),
        ("DELETE", "clusters/local-1"),
        ("GET", "searches"),
        ("GET", "searches/1"),
        ("POST", "searches/1"),
        ("DELETE", "searches/1"),
        ("GET", "exports"),
        ("DELETE", "exports/1"),
        ("GET", "runs"),
        ("GET", "runs/1"),
        ("GET", "runs/1/2"),
        ("GET", "choices/1"),
        ("PUT", "choices/1"),
    ):
        status, _ = server.ask(method, f"jupyter-scale/{path}", {}, token="wrong")
        assert status == 403, (method, path)


def test_what_can_be_started_is_told(server: Server) -> None:
    status, found = server.scale("GET", "profiles")
    assert status == 200
    assert (found["default"], found["error"]) == ("local", "")
    local = found["profiles"][0]
    assert (local["name"], local["kind"], local["missing"]) == (
        "local",
        "distributed.LocalCluster",
        "",
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "clusters", {"profile": "locl"}, 400, "did you mean local"),
        ("POST", "clusters", {"profile": 3}, 400, "the body.profile must be string"),
        ("POST", "clusters", {}, 400, "must contain ['profile']"),
        ("POST", "clusters", {"profile": "local", "factory": "os.system"}, 400, "factory"),
        ("POST", "clusters", {"profile": "local", "workers": 0}, 400, "workers"),
        ("POST", "clusters", {"profile": "local", "workers": 5000}, 400, "memory|CPU"),
        (
            "POST",
            "clusters",
            {"profile": "local", "adapt": {"minimum": 3, "maximum": 2}},
            400,
            "the first number is the smaller one",
        ),
        ("PATCH", "clusters/local-zzzz", {"workers": 1}, 404, "no cluster 'local-zzzz'"),
        ("PATCH", "clusters/local-zzzz", {}, 400, "either"),
        ("DELETE", "clusters/local-zzzz", None, 404, "no cluster 'local-zzzz'"),
        ("GET", "searches/zzzz", None, 404, "no such search"),
        ("POST", "searches/zzzz", {"action": "stop"}, 404, "no such search"),
        ("POST", "searches/zzzz", {"action": "explode"}, 400, "action"),
        ("DELETE", "exports/zzzz", None, 404, "no such export"),
        ("GET", "runs/zzzz", None, 404, "No run zzzz is on record: %scale runs lists them"),
        ("GET", "runs/last", None, 404, "No run is on record yet: begin a cell with %%scale"),
        ("GET", "runs/zzzz/last", None, 404, "No run zzzz is on record"),
        ("GET", "choices/zzzz", None, 404, "no such kernel"),
        ("PUT", "choices/zzzz", {"cluster": "local-1"}, 404, "no such kernel"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    server: Server, method: str, path: str, body: Any, status: int, message: str
) -> None:
    found, answer = server.scale(method, path, body)
    assert isinstance(answer, dict), answer
    assert answer["message"].count("\n") == 0
    assert re.search(message.replace("[", r"\["), answer["message"]), answer
    assert found == status


def test_a_cluster_is_started_sized_and_closed_and_each_step_is_told(server: Server) -> None:
    with events(server) as following:
        status, state = server.scale("POST", "clusters", SMALL)
        assert status == 201
        assert (state["state"], state["profile"]) == ("starting", "local")
        name = state["id"]
        while state["state"] == "starting":
            [state] = following("clusters")["changed"]
            assert state["id"] == name
        assert (state["state"], state["present"], state["threads"]) == ("running", 1, 1)
        assert state["limit"] > 0
        assert "certificate" not in json.dumps(state)
        assert state["here"]
        while not state["present"]:
            [state] = following("clusters")["changed"]
        assert state["differs"] == []

        status, answer = server.scale("PATCH", f"clusters/{name}", {"workers": 2})
        assert status == 200, answer
        assert answer["words"].startswith("2 workers")
        while state["present"] < 2:
            [state] = following("clusters")["changed"]

        status, found = server.scale("GET", "clusters")
        assert [one["id"] for one in found["clusters"]] == [name]
        assert server.scale("DELETE", f"clusters/{name}") == (204, None)
        event = following("clusters")
        while not event["removed"]:
            event = following("clusters")
        assert event["removed"] == [name]
    assert server.scale("GET", "clusters") == (200, {"clusters": []})


def test_a_search_is_told_stopped_and_forgotten(server: Server) -> None:
    asked: list[str] = []
    with events(server) as following:
        written = Journal(server.process, "a-kernel", "a-cell", "", asked.append)
        written.note(
            name="GridSearchCV", cells=10, cells_done=3, score=0.5, parameters="C=1", html="<b>3"
        )
        [state] = following("searches")["changed"]
        name = written.entry.id
        assert (state["id"], state["status"], state["kernel"]) == (name, "running", "a-kernel")
        assert state["best"] == {"score": 0.5, "parameters": "C=1"}
        assert (state["cells"], state["cells_done"], state["cell"]) == (10, 3, "a-cell")
        assert "html" not in state

        assert server.scale("DELETE", f"searches/{name}")[0] == 409
        assert server.scale("POST", f"searches/{name}", {"action": "pause"})[0] == 204
        wait_for(lambda: asked == ["pause"])
        status, shown = server.scale("GET", f"searches/{name}")
        assert (status, shown["html"], shown["search"]["id"]) == (200, "<b>3", name)

        written.note(status="stopped")
        written.close()
        [state] = following("searches")["changed"]
        assert state["status"] == "stopped"
        assert server.scale("POST", f"searches/{name}", {"action": "stop"})[0] == 400
        assert server.scale("DELETE", f"searches/{name}") == (204, None)
        assert following("searches")["removed"] == [name]


def test_searches_of_another_server_are_not_told(server: Server) -> None:
    written = Journal(Process.this(), "k", "", "", lambda _: None)
    written.note(name="theirs")
    written.close()
    assert server.scale("GET", "searches") == (200, {"searches": []})
    assert server.scale("GET", f"searches/{written.entry.id}")[0] in (400, 404)
    journal.forget(written.entry.id)


def exporting(server: Server, process: Process | None = None, **more: Any) -> note.Note:
    made = note.Note(
        "an-export",
        process or Process.this(),
        more.pop("owner", server.process),
        "a-kernel",
        "a-cell",
        {"folder": "out"},
        str(server.root / "out"),
        started=1.0,
    )
    return note.write(made, **more)


def test_an_export_is_told_with_files_as_the_server_names_them(server: Server) -> None:
    found = Finding("large:x.csv", "warning", "x.csv", "large", "fetch it")
    elsewhere = Finding(
        "secret:cell-1:1", "blocker", "output of cell 1", "a key", "remove it", "no"
    )
    report = Report(
        ("a.ipynb",),
        server.root / "out",
        "3.12.1",
        (found, elsewhere),
        (elsewhere,),
        claims=(Claim(RUN, "failed", ("cell 2 raised",)),),
        places={"cell 1": "cell-id"},
    )
    (server.root / "x.csv").write_text("1")
    with events(server) as following:
        written = exporting(server, stage="Reading the notebook")
        [state] = following("exports")["changed"]
        assert (state["status"], state["stage"], state["kernel"]) == (
            "running", "Reading the notebook", "a-kernel",
        )  # fmt: skip
        assert (state["path"], state["report"]) == ("out", None)
        assert server.scale("DELETE", "exports/an-export")[0] == 409

        told = note.told(report, server.root)
        note.write(written, status="exported", report=told)
        [state] = following("exports")["changed"]
        large, secret = state["report"]["findings"]
        assert (large["file"], large["cell"], large["open"]) == ("x.csv", "", False)
        assert (secret["file"], secret["cell"], secret["open"]) == (None, "cell-id", True)
        assert state["report"]["verdict"].startswith("Failed: it runs there")
        assert server.scale("GET", "exports") == (200, {"exports": [state]})

        note.write(written, status="exported", folder="/elsewhere")
        [state] = following("exports")["changed"]
        assert state["path"] is None
        assert server.scale("DELETE", "exports/an-export") == (204, None)
        assert following("exports")["removed"] == ["an-export"]


def test_an_export_whose_kernel_has_ended_is_told_as_interrupted(server: Server) -> None:
    exporting(server, Process(2**22 + 1, 1.0, Process.this().machine))
    [state] = server.scale("GET", "exports")[1]["exports"]
    assert (state["status"], state["error"]) == ("interrupted", note.GONE)
    exporting(server, owner=Process.this())
    assert server.scale("GET", "exports") == (200, {"exports": []})
    assert server.scale("DELETE", "exports/an-export")[0] == 404
    note.forget("an-export")


def on_record(store: Store, identifier: str, **more: Any) -> Run:
    run = Run(identifier, Process.this(), 1.0, status="done", notebook="/place/a.ipynb", **more)
    store.begin(run)
    return run


def test_runs_are_listed_shown_and_compared(server: Server) -> None:
    assert server.scale("GET", "runs") == (200, {"runs": []})
    with Store(server.runtime.parent / "data" / "scale" / "runs.sqlite") as store:
        on_record(store, "one", name="GridSearchCV", best=0.5, tags=["a"], cell="fit(1 < 2)")
        on_record(store, "two", name="GridSearchCV", best=0.25, cell="fit(1 < 3)")
        status, found = server.scale("GET", "runs")
        assert status == 200
        one = next(run for run in found["runs"] if run["id"] == "one")
        assert one == {
            "id": "one",
            "name": "GridSearchCV",
            "status": "done",
            "started": 1.0,
            "best": 0.5,
            "tags": ["a"],
            "notebook": "a.ipynb",
        }
        status, shown = server.scale("GET", "runs/one")
        assert status == 200
        assert "<strong>one: GridSearchCV</strong>" in shown["html"]
        assert "fit(1 &lt; 2)" in shown["html"]
        status, shown = server.scale("GET", "runs/one/two")
        assert status == 200
        assert "two is worse: 0.25 instead of 0.5." in shown["html"]
        assert "+fit(1 &lt; 3)" in shown["html"]
        for number in range(50):
            on_record(store, f"more-{number}")
        assert len(server.scale("GET", "runs")[1]["runs"]) == 50
        store.remove(store.runs())


def test_a_damaged_record_is_said_in_a_line(server: Server) -> None:
    path = server.runtime.parent / "data" / "scale" / "runs.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in path.parent.iterdir():
        file.unlink()
    path.write_bytes(b"no record" * 1000)
    try:
        status, answer = server.scale("GET", "runs")
        assert (status, answer["message"].count("\n")) == (409, 0)
        assert "is no record, or is damaged" in answer["message"]
        assert "move it away" in answer["message"]
    finally:
        path.unlink()


def test_a_kernel_s_cluster_is_picked(server: Server) -> None:
    status, kernel = server.ask("POST", "api/kernels", {"name": "python3"})
    assert status == 201
    try:
        path = f"choices/{kernel['id']}"
        assert server.scale("GET", path) == (200, {"cluster": ""})
        status, answer = server.scale("PUT", path, {"cluster": "local-zzzz"})
        assert (status, answer["message"]) == (404, "there is no cluster 'local-zzzz'")
        with events(server) as following:
            choice.write(kernel["id"], choice.Choice("local-3f2a"))
            assert following("choices")["changed"] == [
                {"id": kernel["id"], "cluster": "local-3f2a"}
            ]
        assert server.scale("PUT", path, {"cluster": ""}) == (204, None)
        assert choice.read(kernel["id"]) == choice.Choice("", choice.PANEL)
    finally:
        server.ask("DELETE", f"api/kernels/{kernel['id']}")


def test_it_answers_while_a_cluster_works(server: Server) -> None:
    """No scheduler runs in the server's loop: it answers at once, however much a cluster does."""
    from jupyter_scale import clusters

    _, state = server.scale("POST", "clusters", SMALL)
    try:
        wait_for(lambda: server.scale("GET", "clusters")[1]["clusters"][0]["state"] == "running")
        cluster = clusters.use(state["id"])
        work = cluster.client.map(abs, range(10_000), pure=False)
        times = []
        for _ in range(60):
            start = time.perf_counter()
            assert server.ask("GET", "api/status")[0] == 200
            times.append(time.perf_counter() - start)
        # dask-labextension's p95 was 747 ms; benchmarks/server.py has the claim of 50 ms
        assert sorted(times)[30] < 0.25
        del work
    finally:
        clusters.leave()
        server.scale("DELETE", f"clusters/{state['id']}")
