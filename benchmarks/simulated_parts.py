"""What the simulated cluster is made of: costs, tasks, workers, servers that queue, an outcome."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import inf

from simulated_work import Job

SPAN = 5.0  # seconds over which the scheduler's busiest moment is taken


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes: `scale_simulation.py --measure` finds those of tasks."""

    scheduler_task: float = 0.9e-3
    client_task: float = 0.4e-3
    worker_task: float = 1.5e-3
    scheduler_worker: float = 0.2e-6
    """For a task that may run anywhere the scheduler looks at every worker with room; for one that
    starts from a made node, at those that hold it."""
    latency: float = 0.5e-3
    byte: float = 1e-9
    node_bytes: float = 20e6
    data_bytes: float = 100e6
    worker_start: float = 10.0
    losses_per_hour: float = 0.0
    """Of each worker; another one starts in its place."""


@dataclass
class Outcome:
    """What a simulated search took."""

    workers: int
    makespan: float = 0.0
    useful: float = 0.0
    """Seconds of workers in fits that were needed and not lost."""
    wasted: float = 0.0
    tasks: int = 0
    losses: int = 0
    cells: list[int] = field(default_factory=list)
    """How often each cell's result came back."""
    nodes: list[int] = field(default_factory=list)
    """How often each node was made by a task that came back."""
    scheduler: float = 0.0
    scheduler_peak: float = 0.0
    """Busy share of the scheduler, over all and in its busiest seconds."""
    client: float = 0.0
    most_nodes: int = 0
    """Made nodes on one worker at once, at most; and on all workers together."""
    most_nodes_together: int = 0

    @property
    def efficiency(self) -> float:
        return self.useful / (self.workers * self.makespan)


@dataclass(slots=True, eq=False)
class Task:
    """A job on its way."""

    number: int
    job: Job
    brought: bool = False
    """Sent with the data, to a worker that lacked them."""
    expected: float = 0.0

    @property
    def needs(self) -> int | None:
        return self.job.base

    def __lt__(self, other: Task) -> bool:
        return self.number < other.number


@dataclass(slots=True, eq=False)
class Worker:
    """A process with one thread."""

    place: int
    ready: list[Task] = field(default_factory=list)
    assigned: set[Task] = field(default_factory=set)
    running: Task | None = None
    started: float = 0.0
    held: set[int] = field(default_factory=set)
    data_at: float = inf
    """When it has the data."""
    alive: bool = True


class Server:
    """Serves one message after the other, and knows when it was busy."""

    def __init__(self) -> None:
        self.free = 0.0
        self.busy = 0.0
        self.spans: dict[int, float] = defaultdict(float)

    def serve(self, now: float, seconds: float) -> float:
        """Return when a message that arrives now is dealt with."""
        start = max(now, self.free)
        self.free = start + seconds
        self.busy += seconds
        self.spans[int(start // SPAN)] += seconds
        return self.free
