"""Plans of any size with known durations, and the engine's policy that cuts them into tasks.

`Policy` is all that the simulation knows of the engine: the real `Schedule` decides what comes
next and learns durations as the real client teaches it, with the client's window.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jupyter_scale.search.plan import Cell, Fold, Node, Plan
from jupyter_scale.search.schedule import Piece, Schedule


@dataclass
class Work:
    """A plan, and the seconds that each of its nodes and cells takes."""

    plan: Plan
    nodes: NDArray[np.float64]
    cells: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        return float(self.nodes.sum() + self.cells.sum())


def grid(
    prefixes: Sequence[int],
    leaves: int,
    *,
    folds: int = 5,
    node_seconds: float = 2.0,
    leaf_seconds: float = 1.0,
    spread: float = 0.3,
    noise: float = 0.05,
    seed: int = 0,
) -> Work:
    """Return a grid with so many settings of each step and so many of the final one.

    Settings of a step differ in cost (`spread`: the deviation of its logarithm), and so does each
    fit of the same setting on another fold (`noise`).
    """
    random = np.random.default_rng(seed)
    plan = Plan(n_folds=folds)
    plan.folds = [Fold(None, None) for _ in range(folds)]
    kinds: dict[tuple[int, ...], int] = {}
    for fold in range(folds):
        _below(plan, kinds, fold, (), (), (*prefixes, leaves))
    plan.n_calls = len(plan.cells)
    by_kind = np.exp(random.normal(-(spread**2) / 2, spread, len(plan.kinds)))

    def seconds(numbers: list[int], mean: float) -> NDArray[np.float64]:
        each = np.exp(random.normal(-(noise**2) / 2, noise, len(numbers)))
        return mean * each * by_kind[np.array(numbers, dtype=np.intp)]

    return Work(
        plan,
        seconds([node.kind for node in plan.nodes], node_seconds),
        seconds([cell.kind for cell in plan.cells], leaf_seconds),
    )


def _below(
    plan: Plan,
    kinds: dict[tuple[int, ...], int],
    fold: int,
    path: tuple[int, ...],
    setting: tuple[int, ...],
    widths: Sequence[int],
) -> None:
    for choice in range(widths[0]):
        settings = (*setting, choice)
        kind = kinds.setdefault(settings, len(kinds))
        if kind == len(plan.kinds):
            plan.kinds.append("model" if len(widths) == 1 else f"step{len(setting)}")
        if len(widths) == 1:
            number = len(plan.cells)
            labels = (plan.kinds[kind],)
            plan.cells.append(Cell(number, kind, 0, fold, None, {}, path=path, labels=labels))
            continue
        number, parent = len(plan.nodes), path[-1] if path else None
        plan.nodes.append(Node(number, kind, plan.kinds[kind], parent, 0, fold, len(plan.cells)))
        _below(plan, kinds, fold, (*path, number), settings, widths[1:])


@dataclass(slots=True)
class Job:
    """A piece of the schedule with what its task will really do."""

    piece: Piece
    base: int | None
    """A made node that it starts from."""
    make: int | None
    """The node that it makes for other tasks."""
    nodes: list[int] = field(default_factory=list)
    """Nodes made on the way, the one for others among them."""
    cells: list[int] = field(default_factory=list)
    seconds: float = 0.0
    depth: int = 0
    """The most nodes of its own that it holds at once."""


class Policy:
    """The engine, as the simulation sees it: which task next, and what may be dropped.

    Parameters
    ----------
    work : Work
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.schedule = Schedule(work.plan)
        self.seconds = 0.0
        """CPU time spent in the schedule itself."""
        self.calls = 0

    @property
    def finished(self) -> bool:
        return self.schedule.finished

    def next(self, threads: int) -> Job | None:
        """Return the next task, if there is one now."""
        started = time.process_time()
        piece = self.schedule.next(threads=threads)
        self.seconds += time.process_time() - started
        self.calls += 1
        return None if piece is None else self._job(piece)

    def done(self, job: Job) -> list[int]:
        """Teach the durations of a task that is done; return the nodes to drop."""
        plan, work, piece = self.work.plan, self.work, job.piece
        started = time.process_time()
        for node in job.nodes:
            self.schedule.durations.learn(plan.nodes[node].kind, float(work.nodes[node]))
        for cell in job.cells:
            self.schedule.durations.learn(plan.cells[cell].kind, float(work.cells[cell]))
        dropped = self.schedule.made(piece) if piece.makes else self.schedule.done(piece)
        self.seconds += time.process_time() - started
        return list(dropped)

    def path(self, node: int | None) -> list[int]:
        """Return a node and those before it, the first one last."""
        found = []
        while node is not None:
            found.append(node)
            node = self.work.plan.nodes[node].parent
        return found

    def _job(self, piece: Piece) -> Job:
        """Say what `tasks.run` and `tasks.make` do with a piece: all nodes that are not given."""
        job = Job(piece, piece.base, next(iter(piece.makes), None))
        have = set(self.path(piece.base))
        stop = piece.start + 1 if piece.makes else piece.stop
        for entry in self.schedule.entries[piece.start : stop]:
            assert isinstance(entry, Cell)
            path = entry.path
            if job.make is not None:
                path = path[: path.index(job.make) + 1]
            else:
                job.cells.append(entry.number)
            new = [node for node in path if node not in have]
            job.depth = max(job.depth, len(path) - len(self.path(piece.base)))
            job.nodes += new
            have.update(new)
        work = self.work
        job.seconds = float(work.nodes[job.nodes].sum() + work.cells[job.cells].sum())
        return job
