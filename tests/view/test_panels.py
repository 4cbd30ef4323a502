"""How a watched cluster looks, as HTML and as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from answers import EVIL, HEX, address, answer, ended, worker

from jupyter_scale.command import VIEWS as WORDS
from jupyter_scale.view.observed import Observed
from jupyter_scale.view.panels import VIEWS, Head, page, text
from jupyter_scale.view.stream import BARS, LIVE, OTHER, PALETTE, ROWS, bars, colours, rows

HEAD = Head("local-1a2b")


class Tags(HTMLParser):
    """Holds that each element is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def busy(**more: Any) -> Observed:
    observed = Observed()
    running = worker("1", running=[(f"score-svc-c7-f1-{HEX}", 2.5)], tasks=3, **more)
    done = [
        ended(f"fit-tfidf-f0-{HEX}", 80.0, 85.0),
        ended(f"score-svc-c3-f0-{HEX}", 86.0, 88.0, failed=True),
    ]
    observed.take(
        answer(
            100.0,
            worker(),
            running,
            done=done,
            steps={"fit-tfidf": [1, 0, 5.0], "score-svc": [0, 1, 2.0]},
            states={"score-svc": [3, 4]},
            events=[(99.0, "lost", address("9"), "9", 1)],
        )
    )
    observed.log([{address("0"): [(98.0, "WARNING", "out of <b>paper</b>")]}])
    return observed


def test_each_word_has_its_view() -> None:
    assert tuple(VIEWS) == WORDS


def test_text_says_all_of_it() -> None:
    lines = text(busy(), VIEWS, HEAD).splitlines()
    assert re.fullmatch(r"local-1a2b: 2 workers, 4 threads, as of \d\d:\d\d:\d\d", lines[0])
    assert lines[1].endswith(
        "worker 9 (tcp://10.0.0.1:9) was lost; its 1 task is tried again elsewhere"
    )
    for line in (
        "  1:1 score-svc, candidate 7, fold 1: running for 2.50 s",
        "  0:1 nothing",
        "  1: running, 2 of 2 threads busy, CPU 42 %, memory 256.00 MiB of 1.00 GiB (25%)",
        "  fit-tfidf: 1 done, 0 failed, 0 on workers, 0 waiting, 5.0 s",
        "  score-svc: 0 done, 1 failed, 3 on workers, 4 waiting, 2.0 s",
    ):
        assert line in lines
    assert lines[-1].endswith(" warning 0 out of <b>paper</b>")


def test_a_paused_worker_that_spills_says_so() -> None:
    observed = Observed()
    observed.take(answer(100.0, worker(state="paused", spilled=2**20, limit=None)))
    for said in (text(observed, ["workers"], HEAD), page(observed, ["workers"], HEAD)):
        assert "paused: its memory is nearly full" in said
        assert "1.00 MiB" in said
        assert "256.00 MiB, no limit" in said


@pytest.mark.parametrize("ended", ["", "%scale watch off"])
def test_html_is_well_formed_and_its_tables_have_captions(ended: str) -> None:
    tags = Tags()
    html = page(busy(), VIEWS, Head("c", ended=ended))
    tags.feed(html)
    assert tags.open == []
    assert tags.seen.count("table") == tags.seen.count("caption") == 4
    assert html.count('scope="row"') == 2 + 2 + 2 + 1


def test_values_are_escaped() -> None:
    observed = Observed()
    bad = worker("0", name=EVIL, address=EVIL, state=EVIL, running=[(EVIL, 1.0)])
    done = [(EVIL, EVIL, 1, 98.0, 99.0, False)]
    counts = {EVIL: [1, 1, 1.0]}
    events = [(99.0, "lost", EVIL, EVIL, 0)]
    observed.take(answer(100.0, bad, done=done, steps=counts, events=events))
    observed.log([{EVIL: [(1.0, EVIL, EVIL)]}])
    for head in (Head(EVIL), Head("c", EVIL, EVIL)):
        html = page(observed, VIEWS, head)
        assert "<script" not in html
        assert 'alert("' not in html


def test_no_text_has_a_fixed_colour() -> None:
    html = page(busy(), VIEWS, HEAD)
    assert "color:var(--jp-ui-font-color1,inherit)" in html
    fixed = set(re.findall(r"(?:color|fill|background):?=?\"?(#[0-9a-fA-F]{3,8})", html))
    assert fixed <= set(PALETTE)


def test_a_row_is_reached_by_keyboard_and_says_what_is_in_it() -> None:
    html = page(busy(), ["tasks"], HEAD)
    assert html.count('tabindex="0" role="img"') == 4
    assert (
        'aria-label="worker 0 thread 1: 1 fit-tfidf, 1 score-svc, 1 failed; '
        'last score-svc, candidate 3, fold 0: failed after 2.00 s"' in html
    )
    assert "now score-svc, candidate 7, fold 1: running for 2.50 s" in html


def test_under_the_mouse_is_the_task_while_it_is_drawn_again_and_afterwards() -> None:
    said = "score-svc, candidate 3, fold 0: failed after 2.00 s"
    live, static = (page(busy(), ["tasks"], Head("c", ended=end)) for end in ("", "over"))
    assert f'display="none">{said}</text>' in live
    assert f'class="{LIVE}"' in live
    assert f"<title>{said}</title>" in static
    assert f'class="{LIVE}"' not in static


def test_one_that_ended_says_why() -> None:
    head = Head("c", "The scheduler has not answered", "the cluster was closed")
    lines = text(busy(), [], head).splitlines()
    assert lines[1:3] == [
        "The scheduler has not answered",
        "This view has ended: the cluster was closed.",
    ]


def test_nothing_is_shown_of_nothing() -> None:
    for views in ([], VIEWS):
        assert "0 workers, 0 threads" in text(Observed(), views, HEAD)
        assert "0 workers, 0 threads" in page(Observed(), views, HEAD)


def test_further_steps_share_a_colour() -> None:
    found = colours(str(n) for n in range(9))
    assert list(found.values()) == [*PALETTE, OTHER, OTHER]


def test_threads_have_rows_and_what_runs_is_where_nothing_else_was() -> None:
    observed = Observed()
    told = worker(running=[("run-1", 1.0), ("run-2", 3.0)], tasks=2)
    done = [
        ended("a-1", 90.0, 98.0, thread=20),
        ended("b-1", 91.0, 96.0, thread=10),
        ended("c-1", 96.0, 97.0, thread=10),
    ]
    observed.take(answer(100.0, told, done=done))
    heads, filled = rows(observed)
    assert [thread for _, thread in heads] == [0, 1]
    assert [[task.key for task in lane] for lane in filled] == [
        ["b-1", "c-1", "run-2"],
        ["a-1", "run-1"],
    ]


def test_narrow_tasks_of_a_step_are_one_bar() -> None:
    observed = Observed()
    done = [ended(f"a-{n}", 90.0 + n / 100, 90.009 + n / 100) for n in range(100)]
    done += [ended("a-x", 95.0, 95.01), ended("b-1", 95.01, 95.02), ended("a-2", 95.1, 98.0)]
    observed.take(answer(100.0, worker(), done=done))
    _, filled = rows(observed)
    drawn = bars(filled, 100.0)
    assert [len(bar.tasks) for bar in drawn] == [100, 1, 1, 1]
    assert drawn[0].label == "100 tasks a: 0.90 s"
    assert all(bar.left < bar.right <= 760 for bar in drawn)


def test_a_large_cluster_and_many_tasks_stay_small() -> None:
    observed = Observed()
    workers = [worker(str(n), threads=8, tasks=8) for n in range(64)]
    done = [
        ended(f"s{n % 2}x-c{n}-f1-{HEX}", 70 + n / 70, 70.5 + n / 70, name=str(n % 64), thread=n)
        for n in range(2000)
    ]
    observed.take(answer(100.0, *workers, done=done, size=[1000, 8000]))
    observed.log([{address("1"): [(float(n), "INFO", 999 * "x") for n in range(99)]}])
    heads, filled = rows(observed)
    assert len(heads) == len(filled) == ROWS
    assert len(bars(filled, 100.0)) <= BARS
    html = page(observed, VIEWS, HEAD)
    assert len(html) < 120_000
    assert "... and 968 workers more" in html
    assert "... and 7,968 threads more" in html
