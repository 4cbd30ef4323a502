"""What is known of a watched cluster, answer by answer."""

from __future__ import annotations

from typing import Any

import pytest
from answers import HEX, address, answer, ended, worker
from dask.utils import key_split

from jupyter_scale.search import execute
from jupyter_scale.search.plan import Cell
from jupyter_scale.view.observed import EVENTS, LINES, SPAN, TASKS, Observed, place


def seen(*answers: dict[str, Any]) -> Observed:
    observed = Observed()
    for each in answers:
        observed.take(each)
    return observed


def happened(observed: Observed) -> list[str]:
    return [text for _, text in observed.events]


def event(what: str, name: str = "0", tasks: int = 0, at: float = 99.0) -> tuple[Any, ...]:
    return at, what, address(name), name, tasks


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([event("came")], ["worker 0 (tcp://10.0.0.1:0) came"]),
        ([event("left")], ["worker 0 (tcp://10.0.0.1:0) left, as it was told to"]),
        (
            [event("lost", tasks=1), event("came")],
            [
                "worker 0 (tcp://10.0.0.1:0) was lost; its 1 task is tried again elsewhere",
                "worker 0 was replaced: it is back at tcp://10.0.0.1:0",
            ],
        ),
        (
            [event("lost", tasks=3), event("came", "1")],
            [
                "worker 0 (tcp://10.0.0.1:0) was lost; its 3 tasks are tried again elsewhere",
                "worker 1 (tcp://10.0.0.1:1) came",
            ],
        ),
        ([(1.0, "lost", "tcp://a:1", "tcp://a:1", 0)], ["worker tcp://a:1 was lost"]),
        ([(1.0, "restarted", "", "", 0)], ["all workers were restarted"]),
        ([(1.0, "what a later release tells", "", "", 0)], []),
    ],
)
def test_events_are_told_in_plain_words(events: list[Any], said: list[str]) -> None:
    assert happened(seen(answer(events=events))) == said


def test_a_pause_and_its_end_are_told_once_each() -> None:
    running, paused = worker(), worker(state="paused")
    observed = seen(*(answer(100.0, each) for each in (running, paused, paused, running, running)))
    assert happened(observed) == [
        "worker 0 (tcp://10.0.0.1:0) is paused: it starts nothing until memory is free",
        "worker 0 (tcp://10.0.0.1:0) goes on after its pause",
    ]


def test_steps_keep_their_order_and_so_their_colours() -> None:
    observed = seen(
        answer(steps={"score-svc": [1, 0, 0.5]}, states={"fit-tfidf": [2, 3]}),
        answer(steps={"fit-tfidf": [2, 1, 4.0], "score-svc": [1, 0, 0.5]}),
    )
    assert list(observed.steps) == ["score-svc", "fit-tfidf"]
    step = observed.steps["fit-tfidf"]
    assert (step.done, step.failed, step.seconds, step.running, step.waiting) == (2, 1, 4.0, 0, 0)


def test_recent_are_what_ended_lately_and_what_runs() -> None:
    running = worker(running=[(f"score-svc-c1-f0-{HEX}", 2.0)], tasks=1)
    done = [ended(f"fit-svc-f0-{HEX}", 1.0, 2.0), ended(f"fit-svc-f1-{HEX}", 98.0, 99.0)]
    recent = seen(answer(100.0, running, done=done)).recent
    assert [str(task) for task in recent] == [
        "fit-svc, fold 1: 1.00 s",
        "score-svc, candidate 1, fold 0: running for 2.00 s",
    ]


def test_idle_is_without_tasks_now_and_lately() -> None:
    done = [ended("sum-1", 98.0, 99.0)]
    assert not seen(answer(100.0, worker(), done=done)).idle
    assert seen(answer(100.0, worker(), done=done), answer(100.0 + SPAN, worker())).idle
    assert not seen(answer(states={"sum": [0, 1]})).idle


def test_a_long_watch_stays_small() -> None:
    observed = Observed()
    for n in range(3000):
        done = [ended(f"sum-{n}", float(n), n + 0.5)] * 2
        observed.take(answer(float(n), worker(), done=done, events=[event("came", at=float(n))]))
    observed.log([{address("0"): [(float(n), "INFO", f"line {n}") for n in range(1000)]}])
    assert len(observed.tasks) == TASKS
    assert len(observed.events) == EVENTS
    assert len(observed.lines) == LINES
    assert len(observed.memory[address("0")]) <= 2 * SPAN
    observed.take(answer(3000.0))
    assert observed.memory == observed.workers == {}


def test_workers_are_in_the_order_of_their_names() -> None:
    observed = seen(answer(100.0, *map(worker, ["10", "9", "a", "spot-1"])))
    assert [each.name for each in observed.workers.values()] == ["9", "10", "a", "spot-1"]


def test_log_lines_are_in_order_each_once_and_outlive_their_worker() -> None:
    observed = seen(answer(100.0, worker()))
    first = (5.0, "INFO", "2026-01-02 03:04:05,678 - distributed.worker - INFO - Start worker")
    rule = (5.5, "INFO", "2026-01-02 03:04:05,678 - distributed.worker - INFO - " + 49 * "-")
    later = (6.0, "WARNING", "no  header\n")
    observed.log([{address("0"): (later, rule, first)}, {address("9"): None}])
    observed.log([{address("0"): (first,)}])
    observed.take(answer(101.0))
    observed.log([])
    told = [(line.level, line.worker, line.text) for line in observed.lines]
    assert told == [("INFO", "0", "worker: Start worker"), ("WARNING", "0", "no header")]


def cell(fold: int, **progress: tuple[int, int]) -> Cell:
    return Cell(0, 0, 0, fold, None, progress)


@pytest.mark.parametrize(
    ("cells", "where"),
    [
        ([cell(3, candidate_progress=(12, 99))], "candidate 12, fold 3"),
        ([cell(0, candidate_progress=(1, 9))] * 3, "candidate 1 and 2 more, fold 0"),
        ([cell(4)], "fold 4"),
    ],
)
def test_keys_of_our_tasks_are_grouped_by_their_step(cells: list[Cell], where: str) -> None:
    key = execute._key(f"score-SVC{execute._place(cells)}")
    assert key_split(key) == "score-svc"
    assert place(key) == where
    assert key != execute._key(f"score-SVC{execute._place(cells)}")


@pytest.mark.parametrize("key", ["x", f"score-svc-{HEX}", "('x-c1-f2', 1)", ""])
def test_other_keys_tell_no_place(key: str) -> None:
    assert place(key) == ""
