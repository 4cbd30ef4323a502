"""Preloaded by every worker: an interrupt of the kernel is not for the workers.

Jupyter interrupts a kernel by a signal to its whole process group, and workers are in
it. The kernel cancels their work by itself; a worker that died would cost what it
holds. They stay in the group, so that they die with it.
"""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Ignore SIGINT; Dask calls this in the main thread of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
