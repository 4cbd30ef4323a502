"""One output that follows a cluster, with a screen and a scheduler that do as they are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from answers import address, answer, worker
from processes import wait_for

from jupyter_scale.clusters import ClusterError
from jupyter_scale.view import watch as module
from jupyter_scale.view.watch import Watch, watch

VIEWS = ("tasks", "workers", "log")


class Display:
    """A kernel's display publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, str], str, bool]] = []

    def publish(self, data: dict[str, str], *, transient: Any, update: bool = False) -> None:
        self.sent.append((data, transient["display_id"], update))

    @property
    def last(self) -> str:
        return self.sent[-1][0]["text/plain"] if self.sent else ""


class Scheduler:
    """What a `Probe` would be told."""

    def __init__(self) -> None:
        self.answer = answer(100.0, worker())
        self.error: BaseException | None = None
        self.opened = self.closed = self.asked = 0

    def open(self) -> None:
        self.opened += 1

    def read(self) -> dict[str, Any]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.answer

    def logs(self, workers: list[str], nannies: list[str]) -> list[dict[str, Any]]:
        return [{address("0"): [(99.0, "INFO", "Start worker")]}]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    scheduler = Scheduler()
    monkeypatch.setattr(module, "Probe", lambda client: scheduler)
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    monkeypatch.setattr(module, "RATE", 1e9)
    monkeypatch.setattr(module, "SHARE", 1e9)
    return scheduler


@pytest.fixture
def client() -> Any:
    return SimpleNamespace(status="running", scheduler=SimpleNamespace(address="tcp://s:1"))


@pytest.fixture
def display() -> Display:
    return Display()


def kernel(display: Any) -> Any:
    log = SimpleNamespace(debug=lambda *_, **__: None)
    return SimpleNamespace(kernel=object(), display_pub=display, log=log)


def again(scheduler: Scheduler) -> None:
    """Wait until what is known now was shown, if it is to be."""
    asked = scheduler.asked
    wait_for(lambda: scheduler.asked >= asked + 3)


def test_one_output_is_updated_until_it_is_closed(
    scheduler: Scheduler, client: Any, display: Display
) -> None:
    view = watch(kernel(display), client, VIEWS)
    assert isinstance(view, Watch)
    assert "tcp://s:1: 1 worker, 2 threads" in display.last
    assert "Start worker" in display.last
    scheduler.answer = answer(101.0, worker(), events=[(100.5, "lost", "tcp://a:1", "1", 0)])
    wait_for(lambda: "was lost" in display.last)
    scheduler.answer = answer(102.0, worker())
    view.close("%scale watch off")
    assert display.last.splitlines()[1] == "This view has ended: %scale watch off."
    assert "was lost" in display.last
    assert len({output for _, output, _ in display.sent}) == 1
    assert [update for *_, update in display.sent][:2] == [False, True]
    assert (scheduler.opened, scheduler.closed) == (1, 1)
    sent = len(display.sent)
    view.close("again")
    assert len(display.sent) == sent


def test_nothing_is_sent_while_nothing_happens(
    scheduler: Scheduler, client: Any, display: Display
) -> None:
    view = Watch(kernel(display), client, VIEWS)
    view.open()
    again(scheduler)
    sent = len(display.sent)
    again(scheduler)
    assert len(display.sent) == sent
    view.close("off")


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), KeyError("worker")])
def test_a_scheduler_that_is_silent_for_a_while_is_waited_for(
    scheduler: Scheduler, client: Any, display: Display, error: Exception
) -> None:
    view = Watch(kernel(display), client, VIEWS)
    view.open()
    scheduler.error = error
    wait_for(lambda: "has not answered since" in display.last)
    scheduler.error = None
    wait_for(lambda: "has not answered since" not in display.last)
    view.close("off")


def test_a_client_that_is_closed_ends_it(
    scheduler: Scheduler, client: Any, display: Display
) -> None:
    Watch(kernel(display), client, VIEWS).open()
    client.status, scheduler.error = "closed", OSError()
    wait_for(lambda: "This view has ended: the cluster was closed" in display.last)
    assert scheduler.closed == 1


def test_a_broken_screen_ends_nothing(scheduler: Scheduler, client: Any, display: Display) -> None:
    view = Watch(kernel(display), client, VIEWS)
    view.open()
    publish, display.publish = display.publish, None  # type: ignore[method-assign,assignment]
    scheduler.answer = answer(101.0, worker(), events=[(101.0, "restarted", "", "", 0)])
    again(scheduler)
    display.publish = publish  # type: ignore[method-assign]
    view.close("off")
    assert "restarted" in display.last
    assert scheduler.closed == 1


def test_a_cluster_that_does_not_answer_is_not_watched(
    scheduler: Scheduler, client: Any, display: Display
) -> None:
    scheduler.error = OSError("no route")
    with pytest.raises(ClusterError, match=r"tcp://s:1 cannot be watched: no route"):
        watch(kernel(display), client, VIEWS)
    assert not display.sent


def test_a_terminal_gets_one_state(
    scheduler: Scheduler, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = SimpleNamespace(log=SimpleNamespace(debug=lambda *_: None))
    assert watch(shell, client, ["workers"]) is None
    out = capsys.readouterr().out
    assert out.splitlines()[1] == "Workers:"
    assert (scheduler.opened, scheduler.closed) == (1, 1)
