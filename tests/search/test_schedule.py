"""Every schedule does all work once, whatever the order in which pieces come back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

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


def seconds(label: str) -> float:
    return SECONDS[label.partition(":")[0]]


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
    ) -> None:
        self.plan = plan
        self.schedule = Schedule(plan, keep=keep)
        self.random = random.Random(seed)
        self.threads = threads
        self.losses = losses
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
        assert piece.base is None or piece.base in self.held, "its beginning is not there"
        have = set(path_to(self.plan, piece.base))
        if piece.make:
            node = piece.node
            assert node is not None
            self.fit(set(path_to(self.plan, node)) - have)
            self.held.add(node)
            self.most_held = max(self.most_held, len(self.held))
            self.held -= set(self.schedule.made(piece))
            return
        self.fit({n for cell in entries if isinstance(cell, Cell) for n in cell.path} - have)
        for entry in entries:
            self.scored.append(entry.number)
            self.schedule.durations.learn(entry.kind, seconds(entry.label))
        self.held -= set(self.schedule.done(piece))

    def fit(self, nodes: set[int]) -> None:
        self.fitted += nodes
        for node in nodes:
            kind, label = self.plan.nodes[node].kind, self.plan.nodes[node].label
            self.schedule.durations.learn(kind, seconds(label))


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
)
@settings(max_examples=60, deadline=None)
def test_everything_is_done_once(threads: int, seed: int, shape: Any) -> None:
    outer, middle, leaves, folds = shape
    work = plan(outer=outer, middle=middle, leaves=leaves, folds=folds)
    simulation = Simulation(work, threads=threads, seed=seed)
    simulation.run()
    assert sorted(simulation.scored) == [cell.number for cell in work.cells]
    assert sorted(simulation.fitted) == list(range(len(work.nodes)))
    assert not simulation.held, "what was made was let go"
    assert simulation.schedule.next(threads=threads) is None


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
    makings = [piece.node for piece in simulation.pieces if piece.make]
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
    known = [piece.seconds for piece in simulation.pieces if piece.seconds and not piece.make]
    assert max(known) <= LONGEST + 1.6, "a piece is at most a fit longer than it should be"
    assert np.mean(known[-6:]) < np.mean(known[:6])


def test_few_intermediate_results_are_alive() -> None:
    small = Simulation(plan(outer=1, middle=3, leaves=40), threads=2, seed=1)
    large = Simulation(plan(outer=3, middle=3, leaves=40, folds=8), threads=2, seed=1)
    small.run()
    large.run()
    assert large.most_held <= small.most_held + 4


def test_the_culprit_is_found_by_halving() -> None:
    work = plan(outer=1, middle=1, leaves=32, folds=2)
    schedule = Schedule(work)
    culprit = schedule.entries[37].number
    failed: list[int] = []
    done: list[int] = []
    for kind in range(len(work.kinds)):
        schedule.durations.learn(kind, 0.001)
    while not schedule.finished:
        piece = schedule.next(threads=1)
        assert piece is not None
        numbers = [entry.number for entry in schedule.entries[piece.start : piece.stop]]
        if culprit not in numbers:
            done += numbers
            schedule.done(piece)
        elif len(numbers) > 1:
            schedule.halve(piece)
        else:
            failed += numbers
            schedule.done(piece)
    assert failed == [culprit]
    assert len(done) == len(set(done)) == len(work.cells) - 1
