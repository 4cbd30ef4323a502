"""Dask settings for a cluster whose scheduler, workers and client share one machine's cores.

Dask's own suit a cluster of many machines. Here they cost about a twentieth of two cores while
nothing runs, and a third of the time of fits that allocate large arrays: each of those is fetched
from the system anew. A setting that the user has changed stays the user's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import dask

from jupyter_scale.clusters.limits import Size

__all__ = ["overdue", "settings", "untouched"]

ENVIRONMENT = "distributed.nanny.pre-spawn-environ"
QUIET = {
    "distributed.worker.profile.interval": "100ms",
    "distributed.admin.tick.interval": "200ms",
    "distributed.scheduler.work-stealing-interval": "100ms",
}
"""How often Dask looks: ten times less at stacks and loops, ten times more for idle workers."""
MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc takes no more
MAPPED = 256  # a larger part than this of a worker's memory is given back when it is freed
PACKAGES = 450 * 2**20  # bytes of a worker that has imported Dask's collections and dask-ml
SMALL = 2 * 2**30  # bytes of a worker, below which these are a large part
SHARE = 8  # a worker keeps at most this part of its memory after it was freed
MOST_KEPT = 512 * 2**20  # bytes


def settings(size: Size) -> dict[str, Any]:
    """Return what is to be set in Dask's configuration for a local cluster of a size.

    Examples
    --------
    >>> with dask.config.set({"distributed.worker.profile.interval": "1s"}):
    ...     list(settings(Size(workers=2, threads=1, memory=2**30)))[:2]
    ['distributed.admin.tick.interval', 'distributed.scheduler.work-stealing-interval']
    """
    variables = {**dask.config.get(ENVIRONMENT, {}), **allocator(size)}
    return untouched({**QUIET, **thresholds(size.memory), ENVIRONMENT: variables})


def thresholds(memory: int) -> dict[str, float]:
    """Return when a worker with little memory spills, pauses and is ended, as parts of it.

    Dask's own parts are of all memory. Where packages fill most of it, a worker would be above them
    without any data, and pause for good.

    Examples
    --------
    >>> {key.rpartition(".")[2]: part for key, part in thresholds(600_000_000).items()}
    {'target': 0.128, 'spill': 0.936, 'pause': 0.957, 'terminate': 0.989}
    >>> thresholds(4 * 2**30)
    {}
    """
    if memory >= SMALL:
        return {}
    packages = min(PACKAGES, memory * 9 // 10)
    data = (memory - packages) / memory
    shipped = dask.config.get("distributed.worker.memory", config=_shipped())
    parts = {"target": data * shipped["target"]}
    for name in ("spill", "pause", "terminate"):
        parts[name] = 1 - data * (1 - shipped[name])
    return {f"distributed.worker.memory.{name}": round(part, 3) for name, part in parts.items()}


def untouched(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings whose keys are in Dask's configuration as Dask ships them."""
    shipped = _shipped()
    return {
        key: value
        for key, value in settings.items()
        if dask.config.get(key, None) == dask.config.get(key, None, config=shipped)
    }


def overdue() -> dict[str, str]:
    """Return variables of workers as configured, where this process's environment has Dask's.

    A nanny leaves in it what it gives its worker, and the next one takes that for the user's wish.
    """
    shipped = dask.config.get(ENVIRONMENT, {}, config=_shipped())
    configured = dask.config.get(ENVIRONMENT, {})
    return {
        name: str(configured[name])
        for name, value in shipped.items()
        if configured.get(name) is not None and os.environ.get(name) == str(value)
    }


def _shipped() -> dict[str, Any]:
    return dask.config.merge(*dask.config.defaults)


def allocator(size: Size) -> dict[str, int]:
    """Return variables for glibc's allocator: freed memory is used again, up to a share of it.

    See mallopt(3). What is large is given back at once: freed pieces between used ones would stay.
    Threads share as many arenas as fits run at a time.
    """
    return {
        "MALLOC_TRIM_THRESHOLD_": min(MOST_KEPT, size.memory // SHARE),
        "MALLOC_MMAP_THRESHOLD_": min(MMAP_THRESHOLD, size.memory // MAPPED),
        "MALLOC_ARENA_MAX": size.threads,
    }
