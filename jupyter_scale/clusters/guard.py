"""What a scheduler in a pod runs besides: without its host, it says that it was idle for ever.

The Dask operator asks each scheduler since when it is idle, and deletes its cluster after its idle
timeout. A pod may not do that itself, and one that ends is started again. So this is all it takes
that nothing stays of a cluster whose host was killed: the host asks who the scheduler is twice a
second, and so do clients, which reach it through the host.

It is sent as text, and preloaded by the scheduler: it stands for itself. ``PATIENCE`` in the
environment is the profile's ``lost-timeout`` in seconds.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

PATIENCE = "JUPYTER_SCALE_LOST_TIMEOUT"
FIRST = 60  # seconds more until the host has found the way to it
LONG_AGO = 1.0


def dask_setup(scheduler: Any) -> None:
    """Watch for the host: Dask calls this when the scheduler starts."""
    scheduler.jupyter_scale_guard = asyncio.create_task(Guard(scheduler).count())


class Guard:
    """Counts the seconds in which nobody asks."""

    def __init__(self, scheduler: Any) -> None:
        self.missed, self._patience = -FIRST, float(os.environ[PATIENCE])
        self._identity, self._idle = scheduler.handlers["identity"], scheduler.check_idle
        scheduler.handlers["identity"], scheduler.check_idle = self.identity, self.check_idle

    def identity(self, **kwargs: Any) -> Any:
        """Note that somebody is there."""
        self.missed = 0
        return self._identity(**kwargs)

    def check_idle(self) -> Any:
        """Answer the operator."""
        return LONG_AGO if self.missed >= self._patience else self._idle()

    async def count(self) -> None:
        """Count; not by the clock, because while the scheduler is blocked it hears from nobody."""
        while True:
            await asyncio.sleep(1)
            self.missed += 1
