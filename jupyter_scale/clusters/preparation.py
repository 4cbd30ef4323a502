"""What a cluster must be before the first search runs on it, and each time before another does."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakKeyDictionary

from distributed import Client

from jupyter_scale.clusters.backend import reason
from jupyter_scale.clusters.environment import Environment, wanted
from jupyter_scale.clusters.limits import ClusterError
from jupyter_scale.clusters.modules import Sent
from jupyter_scale.clusters.parity import Parity
from jupyter_scale.clusters.threads import OneThread

__all__ = ["prepare"]


class _Prepared:
    """What is known of one client; it does not hold the client, which may go."""

    def __init__(self) -> None:
        self.parity, self.sent, self.limited = Parity(), Sent(), False
        self.variables: dict[str, str] = {}


_prepared: WeakKeyDictionary[Client, _Prepared] = WeakKeyDictionary()


def prepare(client: Client, folder: Path, *, force: bool = False) -> str:
    """See that workers have the same packages, one thread each, and the notebook's modules.

    Parameters
    ----------
    client : distributed.Client
    folder : Path
        Whose modules are sent, where they are imported here.
    force : bool
        Go on also where packages differ that must not.

    Returns
    -------
    str
        A line on what differs, or nothing.

    Raises
    ------
    ClusterError
        Where that is refused, or the cluster does not answer.
    """
    known = _prepared.setdefault(client, _Prepared())
    while True:
        there: set[str] = set()
        try:
            there = set(client.nthreads())
            return _prepared_now(known, client, folder, force)
        except OSError as error:  # distributed's, of connections
            # what is told to all workers fails when one of them is lost meanwhile; it is no more
            if not _lost(client, there):
                raise ClusterError(f"The cluster does not answer: {reason(error)}") from None


def _prepared_now(known: _Prepared, client: Client, folder: Path, force: bool) -> str:
    said = known.parity.check(client, force=force)
    if not known.limited:
        client.register_plugin(OneThread())
        known.limited = True
    if (variables := wanted()) != known.variables:
        client.register_plugin(Environment(variables))
        known.variables = variables
    known.sent.send(client, folder)
    return said


def _lost(client: Client, workers: set[str]) -> set[str]:
    """Return those of the workers that are there no more, if the scheduler tells."""
    try:
        return workers - set(client.nthreads())
    except OSError:
        return set()
