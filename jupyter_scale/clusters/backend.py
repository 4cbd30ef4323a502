"""What all kinds of cluster have in common for the host that runs one: start, size, close.

Any class that a profile names is used through what Dask's clusters share: a constructor, `scale`,
`adapt`, `close`, `scheduler_address`, `dashboard_link`. A kind that needs more is a subclass in a
module of its own (see `backends`). All but `prepare` blocks, and runs in the host's threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import dask

from jupyter_scale.clusters.limits import ClusterError, Size, check_workers, counted
from jupyter_scale.clusters.profiles import Adapt, Profile
from jupyter_scale.clusters.tuning import untouched

__all__ = ["Backend", "reason"]

SETTINGS = {
    # Until a worker that left is given up: under load a nanny takes longer than Dask's 15 s.
    "distributed.deploy.lost-worker-timeout": "60s",
    # A machine that is cut off is noticed by the kernel's keep-alive, which no load delays, within
    # this time instead of a minute; 10 s and less fail in distributed.
    "distributed.comm.timeouts.tcp": "11s",
}
"""What suits clusters that lose workers, where the user has not said otherwise."""


class Backend:
    """A cluster of the class that a profile names.

    Parameters
    ----------
    profile : Profile
    workers : int or None
        How many it is to have; None leaves that to `adapt` or to the class.
    adapt : Adapt or None
    size : Size or None
        For clusters on this machine.
    """

    unhealed = ""
    """What a cluster of this kind cannot mend by itself, in words."""

    def __init__(
        self, profile: Profile, workers: int | None, adapt: Adapt | None, size: Size | None = None
    ) -> None:
        self.profile, self.workers, self.adapted, self.size = profile, workers, adapt, size
        self.cluster: Any = None

    def prepare(self) -> None:
        """Do, before `start`, what only the first thread of a process may."""

    def start(self) -> None:
        """Start the scheduler, and ask for the workers."""
        dask.config.set(self.settings())
        os.environ.update(self.profile.environment)
        self.cluster = self.factory()(*self.profile.factory.args, **self.arguments())
        if self.adapted is not None:
            self.adapt(self.adapted)
        elif self.workers is not None:
            self.scale(self.workers)

    def complete(self) -> None:
        """Do what could wait until the first worker was there."""

    def factory(self) -> Any:
        """Import the class."""
        named = self.profile.factory
        try:
            return getattr(import_module(named.module), named.name)
        except ModuleNotFoundError as error:
            remedy = self.profile.missing or f"pip install {named.package}"
            raise ClusterError(
                f"The profile {self.profile.name!r} needs {named}, and there is no module "
                f"{error.name!r} here: {remedy}"
            ) from None
        except AttributeError:
            raise ClusterError(
                f"{self.profile.origin}: jupyter-scale.profiles.{self.profile.name}.factory: "
                f"{named.module} has no {named.name!r}."
            ) from None

    def settings(self) -> dict[str, Any]:
        """Return Dask's settings for this process, from which those of the workers follow."""
        return {**untouched(SETTINGS), **self.profile.config}

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of the class."""
        return dict(self.profile.factory.kwargs)

    @property
    def address(self) -> str:
        """The scheduler's address, for clients."""
        return str(self.cluster.scheduler_address)

    @property
    def security(self) -> Any:
        """What a client of the scheduler must have."""
        return getattr(self.cluster, "security", None)

    @property
    def dashboard(self) -> str:
        """Address of Dask's own dashboard, or empty."""
        return getattr(self.cluster, "dashboard_link", "") or ""

    @property
    def first(self) -> int:
        """How many workers there must be before it is ready."""
        return min(1, self.adapted.minimum) if self.adapted is not None else 1

    def words(self) -> str:
        """Say in a line what the workers are waiting for; empty when nothing is known."""
        return ""

    def heal(self) -> None:
        """Ask again for workers that are wanted and that nothing else will bring."""

    def scale(self, workers: int) -> None:
        """Have this many workers from now on.

        Raises
        ------
        ClusterError
            When that many are not possible.
        """
        check_workers(workers, "%scale to")
        # Dask's own clusters go on adapting when they are told a number.
        adaptive = getattr(self.cluster, "_adaptive", None)
        if adaptive is not None:
            adaptive.stop()
        self.cluster.scale(workers)
        self.workers, self.adapted = workers, None

    def adapt(self, between: Adapt) -> None:
        """Grow and shrink between two numbers of workers from now on."""
        check_workers(between.maximum, "%scale adapt")
        self.cluster.adapt(minimum=between.minimum, maximum=between.maximum)
        self.workers, self.adapted = None, between

    def close(self) -> None:
        """End the workers and the scheduler."""
        if self.cluster is not None:
            self.cluster.close()

    def __str__(self) -> str:
        if self.adapted is not None:
            return str(self.adapted)
        return "" if self.workers is None else counted(self.workers, "worker")


def reason(error: BaseException) -> str:
    """Return what went wrong in one line: the first cause, without the wrappers around it."""
    for cause in _causes(error):
        error = cause
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        text = f"there is no {text}"
    return text


def _causes(error: BaseException) -> Iterable[BaseException]:
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        yield error
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        error = cause
