"""What is known of a watched cluster: plain data that grows with each answer of its `Probe`.

Times are seconds since the epoch by the scheduler's clock. Everything has a largest size, however
long somebody watches.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dask.utils import key_split

__all__ = ["Line", "Observed", "Step", "Task", "Worker", "place"]

SPAN = 30.0
"""Seconds of the task stream, and of the memory's history."""
TASKS = 2000
LINES, EVENTS = 20, 8
STEPS = 30
_CELL = re.compile(r"-(?:c(\d+)-)?f(\d+)(?:-x(\d+))?-[0-9a-f]{32}$")
_RULE = re.compile(r"-{9,}\s*$")
_HEAD = re.compile(r"^[\d: ,.T-]+ - (?:distributed\.)?(\S+) - [A-Z]+ - ")


@dataclass(frozen=True, slots=True)
class Task:
    """A task that ran, or runs (then `stop` is now)."""

    key: str
    worker: str
    thread: int
    start: float
    stop: float
    failed: bool = False
    running: bool = False

    @property
    def step(self) -> str:
        return str(key_split(self.key))

    @property
    def seconds(self) -> float:
        return max(0.0, self.stop - self.start)

    def __str__(self) -> str:
        words = [self.step, *filter(None, [place(self.key)])]
        how = "running for " if self.running else "failed after " if self.failed else ""
        return f"{', '.join(words)}: {how}{self.seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it is now; sizes in bytes, `cpu` in percent of one core."""

    address: str
    name: str
    threads: int
    state: str
    limit: int
    cpu: float
    memory: int
    spilled: int
    tasks: int
    nanny: bool
    running: tuple[Task, ...] = ()

    @property
    def busy(self) -> int:
        """Threads that have a task."""
        return min(self.threads, self.tasks)

    @property
    def part(self) -> float:
        """Of the memory's limit that is used; 0 without a limit."""
        return self.memory / self.limit if self.limit else 0.0

    @property
    def status(self) -> str:
        """The state in words."""
        return {
            "running": "running",
            "paused": "paused: its memory is nearly full",
            "closing_gracefully": "leaving",
        }.get(self.state, self.state)


@dataclass(slots=True)
class Step:
    """Tasks of one name: those that ended since the view was opened, and those there are now."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    running: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a worker's log."""

    time: float
    level: str
    worker: str
    text: str


@dataclass(slots=True)
class Observed:
    """All that is known.

    Attributes
    ----------
    now : float
    n_workers, n_threads : int
        Of the whole cluster; of very many workers, not all are told of one by one.
    workers : dict of str to Worker
        By address.
    tasks : deque of Task
        That ended, in the order in which the scheduler heard of them.
    steps : dict of str to Step
        By name, in the order of their appearance, which is that of their colours.
    memory : dict of str to deque of (float, int)
        Times and bytes by address.
    events : deque of (float, str)
        What happened to workers, in words.
    lines : list of Line
        The latest of the workers' logs, the last one last.
    """

    now: float = 0.0
    n_workers: int = 0
    n_threads: int = 0
    workers: dict[str, Worker] = field(default_factory=dict)
    tasks: deque[Task] = field(default_factory=lambda: deque(maxlen=TASKS))
    steps: dict[str, Step] = field(default_factory=dict)
    memory: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    events: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=EVENTS))
    lines: list[Line] = field(default_factory=list)
    _lost: deque[str] = field(default_factory=lambda: deque(maxlen=100))

    @property
    def recent(self) -> list[Task]:
        """The tasks of the last seconds, those that run included."""
        ended = [task for task in self.tasks if task.stop > self.now - SPAN]
        return ended + [task for worker in self.workers.values() for task in worker.running]

    @property
    def idle(self) -> bool:
        """Whether no task is there, nor was lately."""
        there = any(step.running or step.waiting for step in self.steps.values())
        return not there and not self.recent

    def take(self, answer: Mapping[str, Any]) -> None:
        """Take in what the scheduler has answered."""
        self.now = answer["now"]
        self.n_workers, self.n_threads = answer["size"]
        self.tasks.extend(Task(*each) for each in answer["done"])
        self._count(answer["steps"], answer["states"])
        for event in answer["events"]:
            self._happened(*event)
        before, self.workers = self.workers, {}
        for each in sorted(answer["workers"], key=lambda told: _natural(told["name"])):
            worker = self._worker(each)
            self.workers[worker.address] = worker
            if worker.address in before:
                self._changed(before[worker.address], worker)
            history = self.memory.setdefault(worker.address, deque(maxlen=120))
            history.append((self.now, worker.memory))
            while history[0][0] < self.now - SPAN:
                history.popleft()
        self.memory = {address: self.memory[address] for address in self.workers}

    def log(self, answers: Iterable[Mapping[str, Any]]) -> None:
        """Take in the workers' last lines."""
        found = {
            Line(stamp, level, self._name(address), " ".join(_HEAD.sub(r"\1: ", text).split()))
            for answer in answers
            for address, lines in answer.items()
            for stamp, level, text in lines or ()
            if not _RULE.search(text)
        }
        # those of a worker that was lost stay
        found.update(self.lines)
        self.lines = sorted(found, key=lambda line: (line.time, line.text))[-LINES:]

    def _count(self, ended: Mapping[str, Any], states: Mapping[str, Any]) -> None:
        for name in (*ended, *states):
            if name not in self.steps and len(self.steps) < STEPS:
                self.steps[name] = Step()
        for name, step in self.steps.items():
            step.done, step.failed, step.seconds = ended.get(name, (0, 0, 0.0))
            step.running, step.waiting = states.get(name, (0, 0))

    def _worker(self, told: Mapping[str, Any]) -> Worker:
        address = told["address"]
        running = (
            Task(key, address, -1, self.now - seconds, self.now, running=True)
            for key, seconds in told["running"]
        )
        return Worker(
            address=address,
            name=told["name"],
            threads=told["threads"],
            state=told["state"],
            limit=told["limit"] or 0,
            cpu=told["cpu"],
            memory=told["memory"],
            spilled=told["spilled"],
            tasks=told["tasks"],
            nanny=told["nanny"],
            running=tuple(running),
        )

    def _happened(self, stamp: float, what: str, address: str, name: str, tasks: int) -> None:
        worker = _called(name, address)
        if what == "lost":
            self._lost.append(name)
            had = ""
            if tasks:
                each = "1 task is" if tasks == 1 else f"{tasks} tasks are"
                had = f"; its {each} tried again elsewhere"
            self._note(stamp, f"{worker} was lost{had}")
        elif what == "left":
            self._note(stamp, f"{worker} left, as it was told to")
        elif what == "came" and name in self._lost:
            self._lost.remove(name)
            self._note(stamp, f"worker {name} was replaced: it is back at {address}")
        elif what == "came":
            self._note(stamp, f"{worker} came")
        elif what == "restarted":
            self._note(stamp, "all workers were restarted")

    def _changed(self, before: Worker, now: Worker) -> None:
        if before.state == now.state:
            return
        worker = _called(now.name, now.address)
        if now.state == "paused":
            self._note(self.now, f"{worker} is paused: it starts nothing until memory is free")
        elif before.state == "paused" and now.state == "running":
            self._note(self.now, f"{worker} goes on after its pause")

    def _note(self, stamp: float, text: str) -> None:
        self.events.append((stamp, text))

    def _name(self, address: str) -> str:
        return self.workers[address].name if address in self.workers else address


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts worker 10 behind worker 9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _called(name: str, address: str) -> str:
    return f"worker {address}" if name == address else f"worker {name} ({address})"


def place(key: str) -> str:
    """Return the candidate and the fold that a task's key tells, or nothing.

    Examples
    --------
    >>> place("score-svc-c12-f3-x5-" + 32 * "0")
    'candidate 12 and 4 more, fold 3'
    >>> place("fit-tfidf-f0-" + 32 * "0"), place("sum-1")
    ('fold 0', '')
    """
    found = _CELL.search(key)
    if found is None:
        return ""
    candidate, fold, cells = found.groups()
    if candidate is None:
        return f"fold {fold}"
    more = f" and {int(cells) - 1} more" if cells else ""
    return f"candidate {candidate}{more}, fold {fold}"
