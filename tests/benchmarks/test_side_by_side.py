"""Turns, claims and tables: what all benchmarks stand on."""

from __future__ import annotations

import argparse
import json
import os
import platform

import psutil
import pytest
import side_by_side
from side_by_side import Claim, Result, Timing


def options(*arguments: str):
    return side_by_side.parser("A benchmark.", examples="  none").parse_args(arguments)


def result(*, passed: bool = True, problems: tuple[str, ...] = ()) -> Result:
    claim = Claim("speed", "at least 2", "1.5", passed)
    return Result("What was measured", [claim], [("a", "b"), ("1", "2")], list(problems))


def test_turns_rotate_and_a_contender_may_count_for_itself():
    order: list[str] = []

    def counted(timing: Timing) -> float:
        order.append("counted")
        return 0.5

    def plain(timing: Timing) -> None:
        order.append("plain")
        timing.fits = 3

    timings = side_by_side.interleaved({"plain": plain, "counted": counted}, rounds=3)
    assert order == ["plain", "counted", "counted", "plain", "plain", "counted"]
    assert timings["counted"].seconds == [0.5] * 3
    assert len(timings["plain"].seconds) == 3
    assert timings["plain"].fits == 3


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [(["--rounds", "2"], ["small", "large", "large"]), (["--rounds", "2", "--quick"], ["large"])],
)
def test_quick_is_one_round_without_a_warm_up(arguments: list[str], runs: list[str]):
    order: list[str] = []

    def measure(asked: argparse.Namespace) -> Result:
        large, small = ({"": lambda _, n=name: order.append(n)} for name in ("large", "small"))
        side_by_side.measured(large, small, asked)
        return result()

    assert side_by_side.program(options(*arguments), measure) == 0
    assert order == runs


@pytest.mark.parametrize(
    ("claim", "passed"),
    [
        (Claim.at_most("a", 1.15, 1.15), True),
        (Claim.at_most("a", 1.16, 1.15), False),
        (Claim.at_least("a", 90.0, 90, " %"), True),
        (Claim.at_least("a", 89.9, 90, " %"), False),
    ],
)
def test_a_claim_is_kept_at_its_limit(claim: Claim, passed: bool):
    assert claim.passed is passed
    assert claim.row[-1] == ("pass" if passed else "FAIL")


def test_a_wrong_result_always_fails_and_a_slow_one_when_asked(capsys: pytest.CaptureFixture[str]):
    slow, wrong = result(passed=False), result(problems=("scores differ",))
    assert side_by_side.program(options(), lambda _: slow) == 0
    assert side_by_side.program(options("--check"), lambda _: slow) == 1
    assert capsys.readouterr().err == "speed: 1.5, not at least 2\n"
    assert side_by_side.program(options(), lambda _: wrong) == 1
    assert capsys.readouterr().err == "scores differ\n"


def test_json_holds_everything_and_nothing_private(capsys: pytest.CaptureFixture[str]):
    assert side_by_side.program(options("--json"), lambda _: result()) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["claims"][0]["claim"] == "speed"
    assert set(found["machine"]["versions"]) == set(side_by_side.PACKAGES)
    assert platform.node() not in text


def test_tables():
    rows = [("name", "value"), ("long name", "1"), ("a|b", "22")]
    assert side_by_side.table(rows).splitlines() == [
        "name       value",
        "long name  1",
        "a|b        22",
    ]
    assert side_by_side.markdown(rows).splitlines() == [
        "| name | value |",
        "|---|---|",
        "| long name | 1 |",
        "| a\\|b | 22 |",
    ]


def test_a_cluster_ends_when_its_user_fails():
    workers: list[int] = []

    def fails() -> None:
        with side_by_side.local_cluster(1) as client:
            workers.extend(client.run(os.getpid).values())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert len(workers) == 1
    assert not psutil.pid_exists(workers[0])
