"""One thread of linear algebra for each thread of a worker.

Dask's nanny sees to that; a worker without one (a pod, a job of others) would use all cores in each
of its threads, and take twice as long for the same work.
"""

from __future__ import annotations

import os

from distributed import Worker, WorkerPlugin
from threadpoolctl import threadpool_limits

from jupyter_scale.clusters.connection import Process

__all__ = ["OneThread"]

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class OneThread(WorkerPlugin):
    """Limits what is loaded, and what will be, to one thread, unless the environment says other."""

    name = "jupyter-scale-threads"

    def __init__(self) -> None:
        self.origin = Process.this()

    def setup(self, worker: Worker) -> None:
        """Do it on a worker: Dask calls this on all at once, and on each that comes."""
        if self.origin.same(Process.this()):
            return  # a worker in the notebook's process: its threads are the notebook's
        for name in VARIABLES:
            os.environ.setdefault(name, "1")
        wanted = os.environ[VARIABLES[0]]
        threadpool_limits(limits=int(wanted) if wanted.isdecimal() else 1)
