"""Where the conformance tests start clusters: one real service for each kind of cluster.

A bed is a context manager in a module of its own, ``bed_NAME.start(folder)``, that starts the
service in a folder and ends it. It skips, with the remedy, where a program is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from jupyter_scale.clusters import Cluster

BEDS = ("local", "address", "gateway", "slurm", "ssh", "kubernetes")


def kill_process(cluster: Cluster) -> None:
    """Kill one worker, which is a process of this machine."""
    pids = cluster.client.run(os.getpid)
    psutil.Process(next(iter(pids.values()))).kill()


@dataclass
class Bed:
    """One service.

    Attributes
    ----------
    profile : dict
        What stands under ``jupyter-scale.profiles``.
    settings : dict
        What else of Dask's configuration it needs.
    left : callable
        Names what is still there of its clusters: jobs, pods, processes.
    kill : callable
        Kills one worker of a cluster without a word.
    hosted : bool
        Whether its clusters are started, sized and closed from here.
    unhealed : str
        What is said of a lost worker, where none comes back.
    memory : str or None
        Of each worker, where that is asked for.
    """

    profile: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    left: Callable[[], list[str]] = list
    kill: Callable[[Cluster], None] = kill_process
    hosted: bool = True
    unhealed: str = ""
    memory: str | None = None
