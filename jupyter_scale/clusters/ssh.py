"""Schedulers and workers on machines that are reached by SSH; a profile says it as `SSHCluster`.

The first host has the scheduler, each other one a worker, or as many as `n_workers` of the worker
options. All is started, watched and ended through one SSH connection each, held by this process: a
host lets go of what it runs when its connection ends (see `remote`). Dask's own class does not do
for that: it leaves processes behind, does not encrypt, shows its dashboard to the network, and puts
settings into command lines, which others can read. A worker's process is restarted by its nanny. A
host that is lost is tried again until it is back; none takes its place.
"""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import dask
from distributed import Security
from distributed.deploy.spec import SpecCluster

from jupyter_scale.clusters.backend import Backend
from jupyter_scale.clusters.limits import ClusterError, check_workers, counted
from jupyter_scale.clusters.parts import CONNECT, LOOPBACK, Board, Place, Scheduler, Worker
from jupyter_scale.clusters.profiles import Adapt

__all__ = ["SSH"]

SHOWN = 3  # hosts that are named in a line


class SSH(Backend):
    """A cluster whose scheduler and workers are processes of other machines."""

    unhealed = "a host that is lost, until it is back"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._board = Board(None, {}, self.profile.lost_timeout)
        self._places: list[Place] = []
        self._awaited = self.first > 0

    def settings(self) -> dict[str, Any]:
        # Dask would then end the worker of that name, even one that was started again meanwhile.
        never = {"distributed.deploy.lost-worker-timeout": "365 days"}
        return {**super().settings(), **never, **self.profile.config}

    def factory(self) -> Any:
        return self._start

    def _start(
        self,
        hosts: Sequence[str] = (),
        connect_options: Any = None,
        worker_options: Mapping[str, Any] | None = None,
        scheduler_options: Mapping[str, Any] | None = None,
        worker_class: str = "distributed.Nanny",
        remote_python: Any = None,
        security: bool = True,
        **other: Any,
    ) -> Any:
        """Do what the class does, with its parameters."""
        if other:
            raise self._wrong(*_unknown(next(iter(other))))
        if isinstance(hosts, str) or len(hosts) < 2:
            raise self._wrong(
                "hosts", "the scheduler's and at least one for a worker are needed; write, for "
                "example, hosts: [node1, node1, node2]",
            )  # fmt: skip
        options = _named(worker_options)
        shares = options.pop("n_workers", 1)
        if not isinstance(shares, int) or shares < 1:
            raise self._wrong("worker_options", "n_workers of a host must be 1 or more")
        known = self._each("connect_options", connect_options or {}, hosts)
        pythons = self._each("remote_python", remote_python or sys.executable, hosts)
        head, *rest = (
            Place(host, {**CONNECT, **_named(way)}, python)
            for host, way, python in zip(hosts, known, pythons, strict=True)
        )
        number = Counter(place.host for place in rest)
        self._places = [
            Place(place.host, place.connect, place.python, shares * number[place.host])
            for _ in range(shares)
            for place in rest
        ]
        # before anything starts
        self._check(self.adapted.maximum if self.adapted is not None else self.workers or 1)
        keys = Security.temporary() if security else None
        self._board = board = Board(keys, self._variables(), self.profile.lost_timeout)
        quiet = {"dashboard_address": f"{LOOPBACK}:0"}
        worker = {"kind": worker_class, "options": {**quiet, **options}, "board": board}
        first = {"place": head, "options": {**quiet, **_named(scheduler_options)}, "board": board}
        names = _names(self._places)
        if self.workers is None and self.adapted is None:
            self.workers = len(self._places)
        return Hosts(
            {name: {**worker, "place": place} for name, place in names.items()},
            scheduler={"cls": Scheduler, "options": first},
            security=keys,
        )

    def _each(self, name: str, value: Any, hosts: Sequence[str]) -> list[Any]:
        """Return an option for each host: one for all, or a list of as many."""
        if not isinstance(value, list | tuple):
            return [value] * len(hosts)
        if len(value) != len(hosts):
            said = f"{len(value)} for {counted(len(hosts), 'host')}: write one for all, or for each"
            raise self._wrong(name, said)
        return list(value)

    def _wrong(self, name: str, what: str) -> ClusterError:
        key = f"jupyter-scale.profiles.{self.profile.name}.factory.kwargs"
        return ClusterError(f"{self.profile.origin}: {key}: {name}: {what}")

    def _variables(self) -> dict[str, str]:
        """Return what is in the environment there: Dask's settings, and the profile's own."""
        # Not all settings from here: other sections hold passwords.
        settings = {"distributed": dask.config.get("distributed")}
        for key, value in self.profile.config.items():
            dask.config.set({key: value}, config=settings)
        inherited = dask.config.serialize(settings)
        return {"DASK_INTERNAL_INHERIT_CONFIG": inherited, **self.profile.environment}

    @property
    def dashboard(self) -> str:
        return str(self.cluster.scheduler.dashboard)

    def words(self) -> str:
        parts = list(self._board.parts)
        failed = [part.said for part in parts if part.failed]
        waits = [part.said for part in parts if part.said and not part.failed]
        waits += [
            f"nothing is heard of the worker on {part.place.host}"
            for part in parts
            if isinstance(part, Worker) and not part.said and part.name not in self._present()
        ]
        line = "; ".join([*failed, *waits][:SHOWN])
        if len(failed) + len(waits) > SHOWN:
            line += f"; and {len(failed) + len(waits) - SHOWN} more"
        if self.cluster is not None and self.cluster.scheduler.failed:
            raise ClusterError(self.cluster.scheduler.said)
        # What is wrong after the start can be mended, and is said only.
        if failed and not waits and self._awaited and not self._board.came:
            raise ClusterError(line)
        return line

    def _present(self) -> set[str]:
        """Return the names of the workers that the scheduler has."""
        known = self.cluster.scheduler_info["workers"] if self.cluster is not None else {}
        return {str(worker["name"]) for worker in list(known.values())}

    def __str__(self) -> str:
        # A cluster that adapts does not wait for workers: this is where it can be read.
        failed = [part.said for part in list(self._board.parts) if part.failed]
        return "; ".join([super().__str__(), *(failed[:SHOWN] if self.adapted else [])])

    def scale(self, workers: int) -> None:
        check_workers(workers, "%scale to")
        self._check(workers)
        self.cluster.sync(self.cluster.forget)
        super().scale(workers)

    def adapt(self, between: Adapt) -> None:
        check_workers(between.maximum, "%scale adapt")
        self._check(between.maximum)
        self.cluster.sync(self.cluster.forget)
        super().adapt(between)

    def close(self) -> None:
        if self.cluster is not None and self.cluster.scheduler.failed:
            self.cluster.shutdown_scheduler = False  # it would be looked for, for half a minute
        super().close()

    def _check(self, workers: int) -> None:
        most = len(self._places)
        if workers > most:
            hosts = len({place.host for place in self._places})
            raise ClusterError(
                f"{counted(workers, 'worker')} are more than the {most} that this profile has on "
                f"{counted(hosts, 'host')} ({self.profile.origin}): name more hosts, or have more "
                "workers on each by worker_options: {n_workers: 2}"
            )


def _unknown(name: str) -> tuple[str, str]:
    known = [*signature(SSH._start).parameters][1:-1]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return name, f"there is no such option, {meant}"


def _named(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return options with names as Python writes them."""
    return {key.replace("-", "_"): value for key, value in (options or {}).items()}


def _names(places: Sequence[Place]) -> dict[str, Place]:
    """Return places by the names of their workers.

    Examples
    --------
    >>> list(_names([Place(host, {}, "python") for host in ("a", "b", "a")]))
    ['a', 'b', 'a-2']
    """
    seen: Counter[str] = Counter()
    found = {}
    for place in places:
        seen[place.host] += 1
        number = seen[place.host]
        found[place.host if number == 1 else f"{place.host}-{number}"] = place
    return found


class Hosts(SpecCluster):
    """Dask's cluster of given processes, each of which has its place."""

    def __init__(self, given: Mapping[str, dict[str, Any]], **kwargs: Any) -> None:
        self._given = given
        super().__init__(  # type: ignore[no-untyped-call]  # Dask's
            worker={"cls": Worker}, **kwargs
        )

    def new_worker_spec(self) -> dict[str, Any]:
        """Return the first place that is free."""
        free = (name for name in self._given if name not in self.worker_spec)
        return {name: {"cls": Worker, "options": self._given[name]} for name in list(free)[:1]}

    async def forget(self) -> None:
        """Have those tried anew that are not there."""
        for name, worker in list(self.workers.items()):
            if worker.failed:
                await worker.close()
                self.workers.pop(name, None)
