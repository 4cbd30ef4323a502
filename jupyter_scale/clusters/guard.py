"""What a scheduler in a pod runs besides: without its host, it says that it was idle for ever.

The Dask operator asks each scheduler since when it is idle, and deletes its cluster after its idle
timeout. A pod may not do that itself, and one that ends is started again. So this is all it takes
that nothing stays of a cluster whose host was killed.

It is sent as text, and preloaded by the scheduler: it stands for itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

HOST = "jupyter-scale-host"
"""Name of the host's client."""
ABANDONED = 30
"""Seconds after which a host gives up a scheduler that does not answer: both agree on the end."""
LONG_AGO = 1.0


def dask_setup(scheduler: Any) -> None:
    """Watch for the host: Dask calls this when the scheduler starts."""
    scheduler.jupyter_scale_guard = asyncio.create_task(guard(scheduler))


async def guard(scheduler: Any) -> None:
    """Count the seconds without a word of the host."""
    seen, missed, check_idle = 0.0, 0, scheduler.check_idle
    scheduler.check_idle = lambda: LONG_AGO if missed >= ABANDONED else check_idle()
    while True:
        await asyncio.sleep(1)
        # Not by the clock: while the scheduler is blocked, it hears from nobody.
        last = max((one.last_seen for one in scheduler.clients.values() if is_host(one)), default=0)
        seen, missed = (last, 0) if last > seen else (seen, missed + 1)


def is_host(client: Any) -> bool:
    """Whether a client of the scheduler is the host's."""
    return f"-{HOST}-" in client.client_key
