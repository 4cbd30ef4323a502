"""Dask's LocalCluster: loopback only, encrypted, tuned to one machine."""

from __future__ import annotations

import os
from typing import Any

from distributed import Security
from distributed.core import Status

from jupyter_scale.clusters import dashboard
from jupyter_scale.clusters.backend import Backend
from jupyter_scale.clusters.limits import Size
from jupyter_scale.clusters.profiles import Adapt
from jupyter_scale.clusters.tuning import overdue, settings

__all__ = ["Local"]


class Local(Backend):
    """A cluster of processes on this machine."""

    _later = False  # whether it has no dashboard yet

    def complete(self) -> None:
        if self._later:
            dashboard.add(self.cluster)

    @property
    def _size(self) -> Size:
        assert self.size is not None
        return self.size

    def settings(self) -> dict[str, Any]:
        # A kernel that had another LocalCluster hands on what Dask left in its environment.
        for name in overdue():
            os.environ.pop(name, None)
        return {**settings(self._size), **super().settings()}

    def arguments(self) -> dict[str, Any]:
        kwargs = super().arguments()
        for name in ("n_workers", "threads_per_worker", "memory_limit"):
            kwargs.pop(name, None)
        given = {**kwargs, **(kwargs.get("scheduler_kwargs") or {})}
        self._later = dashboard.can_wait(given)
        if self._later:
            kwargs["scheduler_kwargs"] = {
                **(kwargs.get("scheduler_kwargs") or {}),
                **dashboard.LATER,
            }
        return {
            "host": "127.0.0.1",
            "protocol": "tls",
            "security": Security.temporary(),
            "dashboard_address": "127.0.0.1:0",
            **kwargs,
            # LocalCluster raises what goes wrong with its first workers, and with no others
            "n_workers": self.workers if self.workers is not None else self.first or 1,
            "threads_per_worker": self._size.threads,
            "memory_limit": self._size.memory,
        }

    @property
    def first(self) -> int:
        return self.workers if self.workers is not None else super().first

    def heal(self) -> None:
        # A nanny whose worker ends before it has heard that it started gives up, for good.
        wanted, nannies = self.cluster.worker_spec, self.cluster.workers
        for name, nanny in list(nannies.items()):
            if name in wanted and nanny.status in (Status.closed, Status.failed):
                nannies.pop(name, None)
        if set(wanted) - set(nannies):
            # what `scale` ends with; to call that could undo a change made in this moment
            self.cluster.loop.add_callback(self.cluster._correct_state)

    def scale(self, workers: int) -> None:
        self._size.check(workers)
        super().scale(workers)

    def adapt(self, between: Adapt) -> None:
        self._size.check(between.maximum)
        super().adapt(between)

    def __str__(self) -> str:
        size = self._size
        if self.adapted is not None:
            return f"{self.adapted} with {size.each}"
        return str(Size(self.workers or 0, size.threads, size.memory))
