"""Clusters: choose, start, find and close them. Knows nothing of Jupyter."""

from jupyter_scale.clusters.limits import ClusterError, Size, fit_size
from jupyter_scale.clusters.local import Cluster, State, close, current, other, start

__all__ = [
    "Cluster",
    "ClusterError",
    "Size",
    "State",
    "close",
    "current",
    "fit_size",
    "other",
    "start",
]
