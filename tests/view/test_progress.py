"""What a running search looks like, on a screen that keeps what it is sent."""

from __future__ import annotations

import io
import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jupyter_scale.search import Control, Score, SearchReport
from jupyter_scale.search.summary.text import duration
from jupyter_scale.view import progress
from jupyter_scale.view.progress import INTERVAL, RATE, SHOWN, Progress, Running

EVIL = '<script>alert("x")</script>'


class Display:
    """A kernel's display publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, str], bool]] = []

    def publish(
        self,
        data: dict[str, str],
        metadata: dict[str, Any],
        *,
        transient: Any = None,
        update: bool = False,
    ) -> None:
        self.sent.append((data, update))
        self.metadata = metadata

    @property
    def last(self) -> str:
        return self.sent[-1][0]["text/plain"]

    @property
    def html(self) -> str:
        return self.sent[-1][0]["text/html"]


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


def report(cells: int = 10, name: str = "GridSearchCV", metric: str = "") -> SearchReport:
    return SearchReport(name, "here", cells, counts={"SVC": [30, 20, 0]}, metric=metric)


def plan(folds: int = 2) -> Any:
    return SimpleNamespace(n_folds=folds, cells=[SimpleNamespace(parameters={"C": 1})])


def score(candidate: int, fold: int, value: Any, **more: Any) -> Score:
    return Score(candidate, fold, {"C": candidate}, value, **more)


def add(report: SearchReport, *scores: Score, fits: int = 0) -> None:
    report.scores += scores
    report.cells_done += len(scores)
    report.counts["SVC"][2] += fits


def test_one_output_is_updated_and_ends_as_the_summary(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report()
    recorder.planned(plan(), search)
    clock.now += 5
    add(search, *(score(number // 2, number % 2, number / 10) for number in range(5)), fits=12)
    search.seconds_spent, search.seconds_left = 10.0, 16.0
    recorder.done(5, 12)
    assert display.last.split("\n") == [
        "GridSearchCV: 5/10 cells, 12/20 fits (10 saved), 5 s, 1 cells/s, about 8 s left",
        "best so far: 0.25 with C=1",
    ]
    assert 'aria-valuenow="5"' in display.html
    assert "candidate 0, fold 1: 0.1\nC=0" in display.html
    search.status = "done"
    recorder.finished(search)
    recorder.close()
    assert [update for _, update in display.sent] == [False, True, True]
    assert display.sent[-1][0] == {"text/plain": str(search), "text/html": search._repr_html_()}


def test_the_rest_is_judged_by_the_cells_until_a_like_fit_is_known(clock: Any) -> None:
    search = report()
    running = Running(search, clock.now)
    assert "left" not in running.text(clock.now + 5)
    add(search, score(0, 0, 1.0))
    assert running.text(clock.now + 5).endswith("0.2 cells/s, about 45 s left")


def test_a_candidate_is_the_best_when_all_its_folds_are_done(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report(6, metric="f1")
    recorder.planned(plan(3), search)
    add(search, score(0, 0, {"accuracy": 0.1, "f1": 1.0}))
    for fold in range(3):
        assert "best" not in display.last
        add(search, score(1, fold, {"accuracy": 0.1, "f1": 0.5}))
        clock.now += 1
        recorder.done(1, 1)
    assert "best so far: 0.5 with C=1" in display.last


def test_failures_are_told_by_their_error(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report(40)
    recorder.planned(plan(), search)
    nan = float("nan")
    add(search, *(score(n, 0, nan, error="ValueError: C=-1") for n in range(3)))
    add(search, *(score(n, 1, nan, error=f"TypeError: {n} {EVIL}") for n in range(6)))
    clock.now += 1
    recorder.done(9, 9)
    lines = display.last.split("\n")
    assert lines[1] == "3 failed: ValueError: C=-1"
    assert lines[-1] == "... and 2 other errors"
    assert "9 failed (crossed)" in display.html
    assert "<script" not in display.html


def test_updates_keep_to_four_a_second_and_to_their_bytes(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report(10_000 * 5, "s")
    recorder.planned(plan(5), search)
    begun = clock.now
    for number in range(5000):
        add(search, score(number * 2, number % 5, number / 7))
        clock.now += 0.002
        recorder.done(1, 1)
    seconds = clock.now - begun
    sizes = [sum(map(len, data.values())) for data, _ in display.sent]
    assert len(sizes) <= 1 + seconds / INTERVAL
    assert sum(sizes) <= seconds * RATE + max(sizes)
    assert max(sizes) < 100_000
    assert "a tile is 167 candidates" in display.html


def test_time_goes_by_while_nothing_comes(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report()
    recorder.planned(plan(), search)
    clock.now += 60
    recorder.done(0, 0)
    assert display.last.endswith("1 min 0 s")


def test_halving_plans_again_and_its_report_is_shown_once(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report(4)
    for number in range(3):
        search.n_cells = 4 + 2 * number
        recorder.planned(plan(), search)
        assert f"/{search.n_cells} cells" in display.last
        clock.now += 1
        recorder.finished(search)
    recorder.close()
    assert display.last == str(search)


def test_the_grid_grows_with_the_rounds(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report(100)
    recorder.planned(plan(), search)
    add(search, *(score(n, 0, n) for n in range(50)))
    clock.now += 1
    recorder.done(50, 50)
    assert display.html.count("<g ") == 50
    search.n_cells = 200
    clock.now += 10
    recorder.planned(plan(), search)
    assert display.html.count("<g ") == 25
    assert "2 cells done, 0 failed, mean 48.5" in display.html


def test_many_searches_show_lines_until_the_cell_ends(clock: Any, display: Display) -> None:
    recorder = Progress(kernel(display))
    for number in range(SHOWN + 3):
        search = report(name=f"search {number}", cells=1)
        search.status = "done"
        recorder.planned(plan(), search)
        recorder.finished(search)
    assert display.last.startswith("... and 3 searches before\nsearch 3: ")
    recorder.close()
    assert display.last.endswith(str(search))
    assert display.html.endswith(search._repr_html_())


def test_a_metric_s_and_a_parameter_s_html_is_shown_as_text(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report(2, EVIL, EVIL)
    recorder.planned(plan(1), search)
    add(search, Score(0, 0, {EVIL: EVIL}, {EVIL: 1.0}, worker=EVIL), score(1, 0, {EVIL: 2.0}))
    clock.now += 1
    recorder.done(2, 2)
    assert "<script" not in display.html
    assert 'alert("' not in display.html


class Tags(HTMLParser):
    """Holds that each element is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_well_formed_and_reached_by_keyboard(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report(4)
    recorder.planned(plan(), search)
    add(search, score(0, 0, 0.5), score(1, 0, float("nan"), error="ValueError: no"))
    clock.now += 1
    recorder.done(2, 2)
    tags = Tags()
    tags.feed(display.html)
    assert tags.open == []
    assert display.html.count('tabindex="0"') == 2
    assert 'aria-label="candidate 1: C=1; failed"' in display.html


def test_the_bar_never_goes_beyond_its_end(clock: Any) -> None:
    search = report(2)
    search.cells_done = 3
    html = Running(search, clock.now).html(clock.now)
    assert 'aria-valuemin="0" aria-valuemax="2" aria-valuenow="2"' in html
    assert "width:100.0%" in html
    assert "width:0.0%" in Running(report(0), clock.now).html(clock.now)


def test_a_journal_says_what_is_shown(clock: Any, display: Display) -> None:
    control, journal = Control(), Noted()
    recorder = Progress(kernel(display), control, journal=cast(Any, journal))
    search = report()
    recorder.planned(plan(), search)
    search.run = "3f2a"
    clock.now += 1
    add(search, score(0, 0, 0.25), score(0, 1, 0.75), fits=3)
    control.pause()
    recorder.done(2, 3)
    said = journal.said
    assert (said["status"], said["score"], said["parameters"]) == ("paused", 0.5, "C=0")
    assert (said["cells_done"], said["cells"], said["fits_done"]) == (2, 10, 3)
    assert said["run"] == "3f2a"
    assert (said["html"], said["text"]) == (display.html, display.last)
    assert display.metadata == {"jupyter_scale": {"search": "4f1c", "status": "paused"}}
    search.status = "stopped"
    recorder.finished(search)
    recorder.close()
    assert journal.said["status"] == "stopped"
    assert journal.closed
    assert display.metadata == {}, "a saved notebook has no traces of it"


def test_a_cell_that_ends_without_a_word_leaves_no_running_search(
    clock: Any, display: Display
) -> None:
    journal = Noted()
    recorder = Progress(kernel(display), journal=cast(Any, journal))
    recorder.planned(plan(), report())
    recorder.close()
    assert journal.said["status"] == "interrupted"
    assert display.metadata == {}


class Noted:
    """A journal that keeps what it is told."""

    entry = SimpleNamespace(id="4f1c")
    closed = False

    def note(self, **said: Any) -> None:
        self.said = said

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("passed", [0.0, -5.0, 1e9])
def test_odd_times_and_counts_make_a_line_all_the_same(clock: Any, passed: float) -> None:
    search = SearchReport("s", "here", 10, 5, counts={"SVC": [1, 2, 3]})
    text = Running(search, clock.now).text(clock.now + passed)
    assert text.startswith("s: 5/10 cells, 3/2 fits (0 saved)")


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError])
def test_a_broken_screen_does_not_fail_the_search(clock: Any, error: type[Exception]) -> None:
    class Broken(Display):
        def publish(self, *_: Any, **__: Any) -> None:
            raise error

    recorder, search = Progress(kernel(Broken())), report()
    recorder.planned(plan(), search)
    clock.now += 1
    recorder.done(1, 1)
    recorder.finished(search)
    recorder.close()


def test_a_terminal_has_one_line_that_makes_room_for_the_summary(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    recorder, search = Progress(terminal()), report()
    recorder.planned(plan(), search)
    clock.now += 1
    add(search, score(0, 0, 0.5))
    recorder.done(1, 1)
    recorder.finished(search)
    first, second, wiped, last = screen.getvalue().split("\r")[1:]
    assert first.startswith("GridSearchCV: 0/10 cells")
    assert second.startswith("GridSearchCV: 1/10 cells")
    assert wiped.strip() == ""
    assert last == f"{search}\n"


def test_after_a_refit_a_terminal_gets_the_rest_only(clock: Any, capsys: Any) -> None:
    recorder, search = Progress(terminal()), report()
    recorder.planned(plan(), search)
    recorder.finished(search)
    recorder.refitting(search)
    search.refit = "refit in 1.0 s on worker 1"
    recorder.finished(search)
    assert capsys.readouterr().out.endswith("\nrefit in 1.0 s on worker 1\n")


def test_a_kernel_is_told_of_the_refit(clock: Any, display: Display) -> None:
    recorder, search = Progress(kernel(display)), report()
    recorder.planned(plan(), search)
    recorder.finished(search)
    recorder.refitting(search)
    assert display.last.split("\n")[0].endswith("fitting the best candidate")
    recorder.finished(search)
    recorder.close()
    assert display.last == str(search)


def test_output_that_is_no_terminal_gets_the_summary_only(clock: Any, capsys: Any) -> None:
    recorder, search = Progress(terminal()), report()
    recorder.planned(plan(), search)
    recorder.done(5, 5)
    recorder.finished(search)
    recorder.close()
    assert capsys.readouterr().out == f"{search}\n"


def test_a_search_that_never_finished_looks_stopped(clock: Any, display: Display) -> None:
    recorder = Progress(kernel(display))
    recorder.planned(plan(), report())
    recorder.close()
    assert "progressbar" not in display.html
    assert "stopped" in display.last


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.4, 59.6, 3600, 90061)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "1 h 0 min",
        "25 h 1 min",
    ]
