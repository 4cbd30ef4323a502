"""How large a cluster this machine can carry, decided before anything starts.

Pure functions: a wish (workers, threads, memory) becomes a `Size`, or a
`ClusterError` whose one line names the value and the remedy. The numbers of the
machine respect CPU affinity and cgroup limits (`dask.system`, `distributed.system`), and what
JupyterHub and Binder allow (`CPU_LIMIT`, `MEM_LIMIT`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from dask.system import CPU_COUNT
from dask.utils import format_bytes, parse_bytes
from distributed.system import MEMORY_LIMIT

# An idle worker holds about 150 MiB once scikit-learn is imported.
SMALLEST = 256 * 2**20
# Waiting on disks or networks can profit from more threads than CPUs; a fit cannot.
OVERCOMMIT = 4
# What one Dask scheduler serves.
MOST = 9_999


# The part of JupyterHub's limit that is left to the notebook, which it counts in.
NOTEBOOK = 8


class ClusterError(Exception):
    """A cluster cannot be started or used; the message says why and what helps."""


@dataclass(frozen=True)
class Size:
    """The size of a local cluster.

    Parameters
    ----------
    workers, threads : int
        Worker processes, and threads in each.
    memory : int
        Bytes that each worker may use.
    """

    workers: int
    threads: int
    memory: int

    def __str__(self) -> str:
        return f"{counted(self.workers, 'worker')} with {self.each} each"

    @property
    def each(self) -> str:
        """What one worker has, in words."""
        return f"{counted(self.threads, 'thread')} and {format_bytes(self.memory)}"

    def check(self, workers: int, *, cpus: int | None = None, machine: int | None = None) -> None:
        """Check that this machine can carry this many workers of the size.

        Raises
        ------
        ClusterError
            When it cannot.
        """
        here = usable()
        cpus, machine = cpus or here[0], machine or here[1]
        _check_width(workers, self.threads, cpus=cpus)
        if workers * self.memory > machine:
            raise ClusterError(
                f"{workers} workers of {format_bytes(self.memory)} are more than the "
                f"{format_bytes(machine)} of this machine; start it anew with smaller ones: "
                f"%scale down, then %scale up --workers {workers}"
            )


def usable(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return how many CPUs and how many bytes of memory a cluster can have here.

    Examples
    --------
    >>> usable({"CPU_LIMIT": "0.5", "MEM_LIMIT": "1073741824"})
    (1, 939524096)
    """
    cpus, memory = CPU_COUNT, MEMORY_LIMIT
    if (limit := _number(environment.get("CPU_LIMIT"))) > 0:
        cpus = min(cpus, max(1, int(limit)))
    if (limit := _number(environment.get("MEM_LIMIT"))) > 0:
        memory = min(memory, int(limit) - int(limit) // NOTEBOOK)
    return cpus, memory


def _number(text: str | None) -> float:
    """Return what a variable says; whatever is no number sets no limit."""
    try:
        return float(text or 0)
    except ValueError:
        return 0


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 worker``, ``2 workers``."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def check_workers(workers: int, option: str) -> None:
    """Check that a number of workers is one that a cluster can have.

    Raises
    ------
    ClusterError
        When it is not; `option` is what the user wrote before the number.
    """
    if workers < 1:
        raise ClusterError(f"{option} {workers}: a cluster needs at least 1 worker.")
    if workers > MOST:
        raise ClusterError(f"{option} {workers}: a cluster has at most {MOST:,} workers.")


def fit_size(
    workers: int | None = None,
    threads: int | None = None,
    memory: str | None = None,
    *,
    cpus: int | None = None,
    machine: int | None = None,
) -> Size:
    """Complete a wish to a size that this machine can carry.

    Parameters
    ----------
    workers, threads : int, optional
        One thread per worker and one worker per usable CPU by default.
    memory : str, optional
        Memory of each worker, such as ``"2GiB"``; by default an equal share of
        what the machine has.
    cpus, machine : int
        Usable CPUs and bytes of memory, by default those of this machine.

    Returns
    -------
    Size

    Raises
    ------
    ClusterError
        When a value is not possible here.

    Examples
    --------
    >>> str(fit_size(2, memory="1GiB", cpus=4, machine=8 * 2**30))
    '2 workers with 1 thread and 1.00 GiB each'
    """
    here = usable()
    cpus, machine = cpus or here[0], machine or here[1]
    threads = 1 if threads is None else threads
    if threads < 1:
        raise ClusterError(f"--threads {threads}: a worker needs at least 1 thread.")
    workers = max(1, cpus // threads) if workers is None else workers
    if workers < 1:
        raise ClusterError(f"--workers {workers}: a cluster needs at least 1 worker.")
    _check_width(workers, threads, cpus=cpus)
    if memory is None:
        share = machine // workers
        if share < SMALLEST:
            raise ClusterError(
                f"--workers {workers}: each would have {format_bytes(share)} of memory, less than "
                f"the {format_bytes(SMALLEST)} it needs; use at most {max(1, machine // SMALLEST)}."
            )
        return Size(workers, threads, share)
    return Size(workers, threads, _memory(memory, workers=workers, machine=machine))


def _check_width(workers: int, threads: int, *, cpus: int) -> None:
    limit = max(8, OVERCOMMIT * cpus)
    if workers * threads > limit:
        raise ClusterError(
            f"{workers} x {threads} threads are too many for the {cpus} CPUs of this machine; "
            f"use at most {limit} in all, best {cpus} (--workers {cpus} --threads 1)."
        )


def _memory(text: str, *, workers: int, machine: int) -> int:
    try:
        # Dask reads "GiB" as one, and nothing as one byte.
        memory = int(parse_bytes(text if text.strip() else "nothing"))
    except (ValueError, OverflowError):
        raise ClusterError(
            f"--memory {text!r} is not an amount of memory; write it as 2GiB or 500MiB."
        ) from None
    if memory < SMALLEST:
        raise ClusterError(
            f"--memory {text}: a worker needs at least {format_bytes(SMALLEST)}; "
            "a plain number means bytes, write 2GiB for 2 GiB."
        )
    if memory * workers > machine:
        raise ClusterError(
            f"--memory {text} for {workers} workers is more than the {format_bytes(machine)} "
            f"of this machine; use at most --memory {machine // workers // 2**20}MiB."
        )
    return memory
