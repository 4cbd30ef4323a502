"""What is on record: a `Run` is one search, a `Cell` a candidate on a fold."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs.scores import decoded

__all__ = ["Cell", "Run"]

LOST = 60.0  # seconds of silence after which a run on another machine counts as lost
ALIVE = ("running", "refitting")


@dataclass(slots=True)
class Run:
    """One search, as far as it is known.

    Attributes
    ----------
    id : str
    process : Process
        The kernel.
    started, updated : float
        Seconds since the epoch.
    status : str
        That of its report; ``lost`` for one whose kernel ended before it did.
    name : str
        The search and its estimator.
    notebook, cell, cell_id : str
        The path, the source of the cell, its id.
    options : dict
        Those of ``%%scale``, such as ``seed``.
    where : str
        The cluster, in words.
    cluster : str
        Its id.
    sizes : list of [seconds, workers, threads]
        Of the cluster over time.
    cells, cells_done, cells_known : int
    fits, fits_done, fits_saved : int
        As in the report.
    seconds : float
    metric : str
    best : float or None
        Mean test score of the best candidate.
    parameters : dict of str to str
        Those of the best candidate, as text.
    failures : dict of str to int
        Errors with the number of cells that they ended.
    unseeded : dict of str to int
        Steps that draw without a seed.
    data : str
        Digest of the data, hexadecimal.
    environment : str
        Digest of a text of the record: the packages of the kernel.
    workers : dict of str to str
        Packages that differ on the workers.
    commit, diff : str
        Of the repository that the notebook is in; the digest of what was changed since then.
    note : str
    tags : list of str
    """

    id: str
    process: Process
    started: float
    updated: float = 0.0
    status: str = "running"
    name: str = ""
    notebook: str = ""
    cell: str = ""
    cell_id: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    cluster: str = ""
    sizes: list[list[float]] = field(default_factory=list)
    cells: int = 0
    cells_done: int = 0
    cells_known: int = 0
    fits: int = 0
    fits_done: int = 0
    fits_saved: int = 0
    seconds: float = 0.0
    metric: str = ""
    best: float | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    unseeded: dict[str, int] = field(default_factory=dict)
    data: str = ""
    environment: str = ""
    workers: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    diff: str = ""
    note: str = ""
    tags: list[str] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self.status in ALIVE

    def seen(self) -> Run:
        """Mark a run whose kernel is gone."""
        silent = not self.process.here and time.time() - self.updated > LOST
        if self.alive and (silent or not self.process.alive):
            self.status = "lost"
        return self


@dataclass(frozen=True, slots=True)
class Cell:
    """One finished cell of a run.

    Attributes
    ----------
    candidate, fold : int
    address : bytes or None
        Where later searches find it; None if it cannot be used again.
    result : str
        What ``_fit_and_score`` returned, see `scores`.
    ended : float
        Seconds after the search began.
    worker : str
    error : str or None
    known : bool
        Whether it was taken from an earlier run.
    """

    candidate: int
    fold: int
    address: bytes | None
    result: str
    ended: float
    worker: str = ""
    error: str | None = None
    known: bool = False

    @property
    def scores(self) -> dict[str, Any]:
        """What ``_fit_and_score`` returned."""
        return decoded(self.result)
