"""Clusters: choose, start, find, scale and close them. Knows nothing of Jupyter's front ends."""

from jupyter_scale.clusters.cluster import (
    Cluster,
    State,
    close,
    current,
    leave,
    make_default,
    mine,
    nearest,
    of,
    other,
    start,
    use,
)
from jupyter_scale.clusters.connection import Connection
from jupyter_scale.clusters.limits import ClusterError, Size, fit_size
from jupyter_scale.clusters.profiles import Adapt, Profile, default, profile, profiles
from jupyter_scale.clusters.registry import Wish, connections, find

__all__ = [
    "Adapt",
    "Cluster",
    "ClusterError",
    "Connection",
    "Profile",
    "Size",
    "State",
    "Wish",
    "close",
    "connections",
    "current",
    "default",
    "find",
    "fit_size",
    "leave",
    "make_default",
    "mine",
    "nearest",
    "of",
    "other",
    "profile",
    "profiles",
    "start",
    "use",
]
