"""Variables that decide what a library is on import: workers have those of the notebook.

Keras is one of three libraries by ``KERAS_BACKEND``, and fails without the right one.
"""

from __future__ import annotations

import os
import sys

from distributed import Worker, WorkerPlugin

from jupyter_scale.clusters.connection import Process

__all__ = ["Environment", "wanted"]

KERAS = "KERAS_BACKEND"


def wanted() -> dict[str, str]:
    """Return what is set here: by an import, or else in the environment."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return {KERAS: str(keras.config.backend())}
    return {KERAS: os.environ[KERAS]} if KERAS in os.environ else {}


class Environment(WorkerPlugin):
    """Sets variables, before anything that reads them is imported.

    Parameters
    ----------
    variables : dict of str to str
    """

    name = "jupyter-scale-environment"

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables, self.origin = variables, Process.this()

    def setup(self, worker: Worker) -> None:
        """Do it on a worker: Dask calls this on all at once, and on each that comes."""
        if not self.origin.same(Process.this()):
            os.environ.update(self.variables)
