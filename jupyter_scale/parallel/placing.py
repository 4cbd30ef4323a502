"""Which workers of a cluster the ranks are on, and what they have."""

from __future__ import annotations

import importlib.util
import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
from distributed import Client, Worker

from jupyter_scale.clusters.asking import ask
from jupyter_scale.parallel.training import TrainingError

__all__ = ["INSTALL", "Place", "backend", "host_of", "interface", "places"]

INSTALL = "pip install 'jupyter-scale[deep]'"


@dataclass(frozen=True, slots=True)
class Place:
    """A worker that can have a rank.

    Attributes
    ----------
    address : str
        Of the worker.
    machine : str
    process : int
    gpus : int
        How many its process can see.
    torch : bool
        Whether it is installed.
    """

    address: str
    machine: str
    process: int
    gpus: int
    torch: bool


def places(client: Client, world_size: int | None) -> list[Place]:
    """Return where the ranks will be: one in each process.

    Raises
    ------
    TrainingError
        When the workers lack something, or are too few.
    """
    found: dict[tuple[str, int], Place] = {}
    workers = sorted(client.nthreads())
    for address, answer in ask(client, look, workers=workers, on_error="return").items():
        if isinstance(answer, ImportError):
            raise TrainingError(
                f"The worker {address} cannot import {answer.name}: install there what is here."
            )
        if isinstance(answer, Place):  # others have just been lost
            found.setdefault((answer.machine, answer.process), answer)
    without = [place.address for place in found.values() if not place.torch]
    if without:
        raise TrainingError(f"The worker {without[0]} has no PyTorch: {INSTALL} there.")
    if not found:
        raise TrainingError("The cluster has no worker: %scale to 2 starts two.")
    if world_size is not None and world_size > len(found):
        raise TrainingError(
            f"world_size={world_size}, but there are {len(found)} worker processes, and each has "
            f"one rank: %scale to {world_size}, or a smaller world_size."
        )
    return list(found.values())[:world_size]


def look(dask_worker: Worker) -> Place:
    """Say what a worker has: called there, on its event loop, so it imports nothing large."""
    gpus = 0
    installed = importlib.util.find_spec("torch") is not None
    if installed and os.path.exists("/dev/nvidiactl"):
        import torch.cuda

        gpus = torch.cuda.device_count()
    machine = f"{socket.gethostname()}-{psutil.boot_time():.0f}"
    return Place(dask_worker.address, machine, os.getpid(), gpus, installed)


def backend(where: list[Place], asked: str | None) -> str:
    """Return the backend: NCCL where each rank has a GPU of its own, else gloo."""
    if asked is not None:
        return asked
    machines = [place.machine for place in where]
    alone = all(place.gpus >= machines.count(place.machine) for place in where)
    return "nccl" if alone else "gloo"


def host_of(address: str) -> str:
    """Return the host at which a worker is reached.

    Examples
    --------
    >>> host_of("tls://10.0.0.3:40123"), host_of("inproc://10.0.0.3/7/2")
    ('10.0.0.3', '127.0.0.1')
    """
    parts = urlsplit(address)
    return (parts.hostname or "127.0.0.1") if parts.scheme != "inproc" else "127.0.0.1"


def interface(host: str) -> str | None:
    """Return the network interface that has an address; None where no one has.

    Examples
    --------
    >>> interface("127.0.0.3") == interface("127.0.0.1")
    True
    """
    if host.startswith("127."):
        host = "127.0.0.1"
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address.split("%")[0] == host for one in addresses):
            return str(name)
    return None
