from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_scale.view import progress
from jupyter_scale.view.progress import INTERVAL, SHOWN, Progress, Tally, duration

EVIL = '<script>alert("x")</script>'


class Display:
    """A kernel's display publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, str], bool]] = []

    def publish(self, data: dict[str, str], *, transient: Any = None, update: bool = False) -> None:
        self.sent.append((data, update))


class Finished:
    """A report, as far as a view looks at one."""

    def __init__(self, text: str = "the summary") -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<p>{self.text}</p>"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, which passes only when a test says so."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def display() -> Display:
    return Display()


def kernel(display: Any) -> Any:
    log = SimpleNamespace(debug=lambda *_: None)
    return SimpleNamespace(kernel=object(), display_pub=display, log=log)


def terminal() -> Any:
    return SimpleNamespace(log=SimpleNamespace(debug=lambda *_: None))


def plan(cells: int = 10, name: str = "GridSearchCV") -> Any:
    return SimpleNamespace(name=name, n_cells=cells, fits_requested=30, fits_distinct=20)


def test_one_output_is_updated_and_ends_as_the_summary(clock: Any, display: Display) -> None:
    recorder: Any = Progress(kernel(display))
    recorder.planned(plan())
    clock.now += 5
    recorder.done(5, 12)
    recorder.finished(Finished())
    recorder.close()
    assert [update for _, update in display.sent] == [False, True, True]
    assert display.sent[1][0]["text/plain"] == (
        "GridSearchCV: 5/10 cells, 12/20 fits (10 saved), 5 s, about 5 s left"
    )
    assert 'aria-valuenow="5"' in display.sent[1][0]["text/html"]
    assert display.sent[2][0] == {"text/plain": "the summary", "text/html": "<p>the summary</p>"}


def test_at_most_four_updates_a_second(clock: Any, display: Display) -> None:
    recorder: Any = Progress(kernel(display))
    recorder.planned(plan(1000))
    for _ in range(1000):
        clock.now += 0.001
        recorder.done(1, 1)
    assert len(display.sent) <= 1 + 1 / INTERVAL


def test_halving_plans_again_and_its_report_is_shown_once(clock: Any, display: Display) -> None:
    recorder: Any = Progress(kernel(display))
    report = Finished()
    for _ in range(3):
        recorder.planned(plan())
        recorder.finished(report)
    assert display.sent[-1][0]["text/plain"] == "the summary"


def test_a_second_plan_of_a_running_search_adds_to_it(clock: Any, display: Display) -> None:
    recorder: Any = Progress(kernel(display))
    recorder.planned(plan(8))
    recorder.planned(plan(4))
    assert "0/12 cells, 0/40 fits (20 saved)" in display.sent[-1][0]["text/plain"]


def test_many_searches_in_a_cell_show_the_last_ones(clock: Any, display: Display) -> None:
    recorder: Any = Progress(kernel(display))
    for number in range(SHOWN + 3):
        recorder.finished(Finished(f"search {number}."))
    text = display.sent[-1][0]["text/plain"]
    assert text.startswith("... and 3 searches before\nsearch 3.\n")
    assert text.endswith(f"search {SHOWN + 2}.")


def test_every_value_is_escaped() -> None:
    html = Tally(EVIL, 0.0, cells=2, cells_done=1).html(1.0)
    assert "<script" not in html
    assert 'alert("' not in html


def test_the_bar_is_accessible_and_never_beyond_its_end() -> None:
    html = Tally("s", 0.0, cells=2, cells_done=3).html(1.0)
    assert 'role="progressbar"' in html
    assert 'aria-valuemin="0" aria-valuemax="2" aria-valuenow="2"' in html
    assert "width:100.0%" in html
    assert "width:0.0%" in Tally("s", 0.0).html(0.0)


@pytest.mark.parametrize("now", [0.0, -5.0, 1e9])
def test_odd_times_and_counts_make_a_line_all_the_same(now: float) -> None:
    assert Tally("s", 0.0, 10, 5, 1, 2, 3).text(now).startswith("s: 5/10 cells, 3/2 fits (0 saved)")


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError])
def test_a_broken_screen_does_not_fail_the_search(clock: Any, error: type[Exception]) -> None:
    class Broken(Display):
        def publish(self, *_: Any, **__: Any) -> None:
            raise error

    recorder: Any = Progress(kernel(Broken()))
    recorder.planned(plan())
    clock.now += 1
    recorder.done(1, 1)
    recorder.finished(Finished())
    recorder.close()


def test_a_terminal_has_one_line_that_makes_room_for_the_summary(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    recorder: Any = Progress(terminal())
    recorder.planned(plan())
    clock.now += 1
    recorder.done(5, 5)
    recorder.finished(Finished())
    first, second, wiped, last = screen.getvalue().split("\r")[1:]
    assert first.startswith("GridSearchCV: 0/10 cells")
    assert second.startswith("GridSearchCV: 5/10 cells")
    assert wiped.strip() == ""
    assert last == "the summary\n"


def test_output_that_is_no_terminal_gets_the_summary_only(clock: Any, capsys: Any) -> None:
    recorder: Any = Progress(terminal())
    recorder.planned(plan())
    recorder.done(5, 5)
    recorder.finished(Finished())
    recorder.close()
    assert capsys.readouterr().out == "the summary\n"


def test_a_search_that_never_finished_looks_stopped(clock: Any, display: Display) -> None:
    recorder: Any = Progress(kernel(display))
    recorder.planned(plan())
    recorder.close()
    assert "progressbar" not in display.sent[-1][0]["text/html"]
    assert "stopped" in display.sent[-1][0]["text/plain"]


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.4, 59.6, 3600, 90061)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "1 h 0 min",
        "25 h 1 min",
    ]
