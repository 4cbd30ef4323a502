"""Every schedule does all work once, whatever the order in which pieces come back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

from jupyter_scale import PlanOnly, merged
from jupyter_scale.search.plan import Cell, Plan
from jupyter_scale.search.schedule import LONGEST, Piece, Schedule

SECONDS = {"standardscaler": 1.0, "minmaxscaler": 0.5, "sgdclassifier": 0.1}


def plan(*, outer: int = 2, middle: int = 2, leaves: int = 6, folds: int = 3) -> Plan:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MinMaxScaler(), SGDClassifier(random_state=0)),
        {
            "standardscaler__with_std": [True, False, 1][:outer],
            "minmaxscaler__feature_range": [(0, i + 1) for i in range(middle)],
            "sgdclassifier__alpha": [10.0**-i for i in range(leaves)],
        },
        cv=folds,
    )
    with pytest.raises(PlanOnly) as caught, merged(plan_only=True):
        search.fit(np.random.RandomState(0).rand(30, 3), np.arange(30) % 2)
    return caught.value.plan


def branched(outer: int, left: int, right: int, leaves: int, folds: int = 2) -> Plan:
    """Plan a ColumnTransformer with a Pipeline in it, after a scaler, before a vote."""
    inner = make_pipeline(MinMaxScaler(), MaxAbsScaler())
    columns = ColumnTransformer([("left", inner, [0, 1]), ("right", StandardScaler(), [1, 2])])
    members = [("bayes", GaussianNB()), ("sgd", SGDClassifier(random_state=0))]
    pipe = Pipeline(
        [("first", StandardScaler()), ("columns", columns), ("vote", VotingClassifier(members))]
    )
    search = GridSearchCV(
        pipe,
        {
            "first__with_std": [True, False][:outer],
            "columns__left__minmaxscaler__feature_range": [(0, i + 1) for i in range(left)],
            "columns__right__with_mean": [True, False][:right],
            "vote__sgd__alpha": [10.0**-i for i in range(leaves)],
            "vote__weights": [None, [1, 2]],
        },
        cv=folds,
    )
    with pytest.raises(PlanOnly) as caught, merged(plan_only=True):
        search.fit(np.random.RandomState(0).rand(30, 3), np.arange(30) % 2)
    return caught.value.plan


def seconds(label: str) -> float:
    return SECONDS.get(label.partition(":")[0], 0.3)


class Simulation:
    """Carries pieces out in some order, and counts what is fitted."""

    def __init__(
        self,
        plan: Plan,
        *,
        threads: int,
        seed: int,
        losses: int = 0,
        keep: Iterable[int] = (),
        had: Iterable[int] = (),
        speed: int = 1,
    ) -> None:
        self.plan = plan
        self.schedule = Schedule(plan, keep=keep)
        self.random = random.Random(seed)
        self.threads = threads
        self.losses = losses
        self.speed = speed
        self.fitted: list[int] = []
        self.scored: list[int] = []
        self.held: set[int] = set(had)
        self.held -= set(self.schedule.have(self.held))
        self.most_held = 0
        self.pieces: list[Piece] = []

    def run(self) -> None:
        under_way: list[Piece] = []
        while not self.schedule.finished:
            while len(under_way) < 2 * self.threads:
                piece = self.schedule.next(threads=self.threads)
                if piece is None:
                    break
                under_way.append(piece)
                self.pieces.append(piece)
            assert under_way, "work is left and nothing is to be done"
            piece = under_way.pop(self.random.randrange(len(under_way)))
            if self.losses and self.random.random() < 0.2:
                self.losses -= 1
                self.schedule.again([piece, *under_way])
                under_way.clear()
                self.held.clear()
                continue
            self.finish(piece)

    def finish(self, piece: Piece) -> None:
        entries = self.schedule.entries[piece.start : piece.stop]
        given = {piece.base, *piece.needs} - {None}
        assert given <= self.held, "what it is given is not there"
        have = {*path_to(self.plan, piece.base), *piece.needs}
        if piece.makes:
            for node, place in piece.makes.items():
                cell = self.schedule.entries[place]
                assert isinstance(cell, Cell)
                above = cell.path[: cell.path.index(node)] if node in cell.path else ()
                self.make([*above, node], have)
                self.held.add(node)
            self.most_held = max(self.most_held, len(self.held))
            self.held -= set(self.schedule.made(piece))
            return
        for entry in entries:
            if isinstance(entry, Cell):
                self.make(entry.path, have)
                self.make(self.schedule.sides.tops(entry.needs), have)
            self.scored.append(entry.number)
            self.schedule.durations.learn(entry.kind, seconds(entry.label) / self.speed)
        self.held -= set(self.schedule.done(piece))

    def make(self, nodes: Iterable[int], have: set[int]) -> None:
        """Make nodes, each after what it asks for, unless they are there."""
        for number in nodes:
            if number in have:
                continue
            self.make(self.schedule.sides.direct(number), have)
            have.add(number)
            self.fitted.append(number)
            node = self.plan.nodes[number]
            self.schedule.durations.learn(node.kind, seconds(node.label) / self.speed)


def path_to(plan: Plan, node: int | None) -> list[int]:
    path: list[int] = []
    while node is not None:
        path.append(node)
        node = plan.nodes[node].parent
    return path


@given(
    threads=st.integers(1, 40),
    seed=st.integers(0, 99),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 12), st.integers(2, 4)),
    speed=st.sampled_from([1, 10, 100]),
)
@settings(max_examples=90, deadline=None)
def test_everything_is_done_once(threads: int, seed: int, shape: Any, speed: int) -> None:
    outer, middle, leaves, folds = shape
    work = plan(outer=outer, middle=middle, leaves=leaves, folds=folds)
    simulation = Simulation(work, threads=threads, seed=seed, speed=speed)
    simulation.run()
    assert sorted(simulation.scored) == [cell.number for cell in work.cells]
    assert sorted(simulation.fitted) == list(range(len(work.nodes)))
    assert not simulation.held, "what was made was let go"
    assert simulation.schedule.next(threads=threads) is None


@given(
    threads=st.integers(1, 12),
    seed=st.integers(0, 99),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 4)),
    losses=st.sampled_from([0, 0, 3]),
    speed=st.sampled_from([1, 10, 100]),
)
@settings(max_examples=60, deadline=None)
def test_what_stands_beside_is_done_once_too(
    threads: int, seed: int, shape: Any, losses: int, speed: int
) -> None:
    work = branched(*shape, folds=4)
    simulation = Simulation(work, threads=threads, seed=seed, losses=losses, speed=speed)
    simulation.run()
    assert sorted(simulation.scored) == [cell.number for cell in work.cells]
    needed = [node.number for node in work.nodes if node.role != "columns"]
    fitted = [n for n in simulation.fitted if work.nodes[n].role != "columns"]
    assert set(fitted) == set(needed)
    assert losses or sorted(fitted) == needed
    assert not simulation.held, "what was made was let go"


def test_a_side_that_cannot_be_made_is_left_to_those_who_ask() -> None:
    work = branched(2, 3, 2, 3)
    simulation = Simulation(work, threads=2, seed=0)
    schedule = simulation.schedule
    refused: set[int] = set()
    while not schedule.finished:
        piece = schedule.next(threads=2)
        assert piece is not None
        if piece.makes and piece.branch is None and not refused:
            refused.update(piece.makes)
            schedule.unmakable(piece)
            continue
        assert refused.isdisjoint(piece.makes)
        simulation.finish(piece)
    assert refused
    assert sorted(simulation.scored) == [cell.number for cell in work.cells]


@given(seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_lost_work_is_done_again(seed: int) -> None:
    work = plan(leaves=9)
    simulation = Simulation(work, threads=3, seed=seed, losses=5)
    simulation.run()
    assert sorted(simulation.scored) == [cell.number for cell in work.cells]
    assert set(simulation.fitted) == set(range(len(work.nodes)))


@given(
    seed=st.integers(0, 99),
    middle=st.integers(1, 3),
    had=st.sets(st.integers(0, 8)),
    losses=st.integers(0, 2),
)
@settings(max_examples=40, deadline=None)
def test_what_an_earlier_round_has_made_is_not_made_again(
    seed: int, middle: int, had: set[int], losses: int
) -> None:
    work = plan(middle=middle, leaves=2, folds=2)
    nodes = range(len(work.nodes))
    had &= set(nodes)
    simulation = Simulation(work, threads=2, seed=seed, keep=nodes, had=had, losses=losses)
    simulation.run()
    assert sorted(simulation.scored) == [cell.number for cell in work.cells]
    makings = [node for piece in simulation.pieces for node in piece.makes]
    if not losses:
        covered = {n for n in nodes if all(had & set(path) for path in below(work, n))} | had
        assert sorted(simulation.fitted) == sorted(set(nodes) - covered)
        assert makings == list(dict.fromkeys(makings))
        assert set(makings) == set(nodes) - covered, "each by itself"
        assert not simulation.held


def below(plan: Plan, node: int) -> list[tuple[int, ...]]:
    """Return what comes after a node, per path through it."""
    return [cell.path[cell.path.index(node) :] for cell in plan.cells if node in cell.path]


def test_pieces_stay_short_and_shrink_towards_the_end() -> None:
    simulation = Simulation(plan(outer=3, middle=3, leaves=40, folds=4), threads=2, seed=0)
    simulation.run()
    known = [piece.seconds for piece in simulation.pieces if piece.seconds and not piece.makes]
    assert max(known) <= LONGEST + 1.6, "a piece is at most a fit longer than it should be"
    assert np.mean(known[-6:]) < np.mean(known[:6])


def test_few_intermediate_results_are_alive() -> None:
    small = Simulation(plan(outer=1, middle=3, leaves=40), threads=2, seed=1)
    large = Simulation(plan(outer=3, middle=3, leaves=40, folds=8), threads=2, seed=1)
    small.run()
    large.run()
    assert large.most_held <= small.most_held + 4


def test_small_branches_side_by_side_are_one_piece() -> None:
    work = plan(outer=1, middle=30, leaves=3, folds=2)
    slow, quick = (Simulation(work, threads=2, seed=0, speed=speed) for speed in (1, 100))
    for simulation in (slow, quick):
        simulation.run()
        assert sorted(simulation.fitted) == list(range(len(work.nodes)))
    assert len(quick.pieces) < len(slow.pieces) / 4
    assert max(len(piece.branches) for piece in quick.pieces) >= 4


def test_what_stands_beside_a_tree_is_made_together() -> None:
    work = branched(1, 3, 2, 4, folds=6)
    simulation = Simulation(work, threads=2, seed=0, speed=100)
    simulation.run()
    beside = [piece for piece in simulation.pieces if piece.makes and piece.branch is None]
    assert max(len(piece.makes) for piece in beside) >= 2
    slow = Simulation(work, threads=2, seed=0)
    slow.run()
    alone = [piece for piece in slow.pieces if piece.makes and piece.branch is None]
    assert all(len(piece.makes) == 1 for piece in alone[:4]), "its duration is not known yet"
    for one in (simulation, slow):
        fitted = [n for n in one.fitted if work.nodes[n].role != "columns"]
        assert len(fitted) == len(set(fitted))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_thread_goes_down_a_tree_of_its_own(threads: int) -> None:
    work = branched(1, 3, 2, 12, folds=12)
    simulation = Simulation(work, threads=threads, seed=0)
    schedule, under_way = simulation.schedule, list[Piece]()
    folds = [entry.fold for entry in schedule.entries if isinstance(entry, Cell)]
    left, begun, most = Counter(folds), set[int](), 0
    while not schedule.finished:
        while len(under_way) < 2 * threads and (piece := schedule.next(threads=threads)):
            under_way.append(piece)
            begun.add(folds[piece.start])
        most = max(most, len(begun))
        piece = under_way.pop(0)
        simulation.finish(piece)
        left.subtract([] if piece.makes else folds[piece.start : piece.stop])
        begun = {fold for fold in begun if left[fold]}
    assert threads <= most <= 2 * threads, "no more are begun than fill the window"
