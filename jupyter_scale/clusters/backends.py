"""Which kind of cluster a profile's class is; those that need more than `Backend` have a module."""

from __future__ import annotations

from importlib import import_module

from jupyter_scale.clusters.backend import Backend
from jupyter_scale.clusters.limits import Size
from jupyter_scale.clusters.profiles import Adapt, Profile

__all__ = ["backend"]

KINDS = {
    "dask_gateway.GatewayCluster": "gateway.GatewayCluster",
    "dask_jobqueue.HTCondorCluster": "jobqueue.JobQueue",
    "dask_jobqueue.LSFCluster": "jobqueue.JobQueue",
    "dask_jobqueue.MoabCluster": "jobqueue.JobQueue",
    "dask_jobqueue.OARCluster": "jobqueue.JobQueue",
    "dask_jobqueue.PBSCluster": "jobqueue.JobQueue",
    "dask_jobqueue.SGECluster": "jobqueue.JobQueue",
    "dask_jobqueue.SLURMCluster": "jobqueue.Slurm",
    "dask_kubernetes.KubeCluster": "kubernetes.Kubernetes",
    "distributed.LocalCluster": "local.Local",
    "distributed.SSHCluster": "ssh.SSH",
}
"""The classes, by package, and ours: a module is imported when it is needed."""


def backend(
    profile: Profile, workers: int | None, adapt: Adapt | None, size: Size | None
) -> Backend:
    """Return what starts the cluster of a profile."""
    named = profile.factory
    package = named.module.partition(".")[0]
    package = "distributed" if package == "dask" else package  # dask.distributed
    module, _, name = KINDS.get(f"{package}.{named.name}", "backend.Backend").partition(".")
    kind: type[Backend] = getattr(import_module(f"jupyter_scale.clusters.{module}"), name)
    return kind(profile, workers, adapt, size)
