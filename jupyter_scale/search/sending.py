"""What the workers are sent of one fit's data: each object once.

A fit is one ``search.fit``: successive halving plans several times, and the refit reads the same X.
Between two fits nothing is kept, as the user may write into an array. Large data are mapped from
a file where every worker is on this machine (see `mapping`); elsewhere they travel once per
worker. Small data are the results of tasks, so that Dask can have them again when a worker is lost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias
from uuid import uuid4

from dask.sizeof import sizeof
from distributed import Client, Future

from jupyter_scale.search import worker
from jupyter_scale.search.holding import Missing, hold
from jupyter_scale.search.mapping import Folder, Handle, Mapped, reader
from jupyter_scale.search.plan import Plan, Ref, Setup
from jupyter_scale.search.sharing import Parcel
from jupyter_scale.search.tasks import Bundle

__all__ = ["Sent", "Shared"]

IN_GRAPH = 4 * 2**20
"""Bytes of data that the scheduler can be asked to hold on to."""
SMALL = 10_000  # bytes; smaller fit parameters travel with the bundle
ATTEMPTS = 5


# quoted: the Future of distributed 2025.1 takes no type at run time
Holdings: TypeAlias = "dict[str, dict[str, Future[Any]]]"
"""By a worker's address and the name of what it holds: the task that holds it there."""


class Sent:
    """The data of one fit on the workers; close it when the fit has ended.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._held: dict[int, tuple[Any, Future[Any]]] = {}
        self._files: dict[int, tuple[Any, Handle]] = {}
        self.holdings: Holdings = {}
        self._folder: Folder | None = None
        self._mapping: bool | None = None

    def get(self, value: Any) -> Future[Any]:
        """Return the future of a piece of data, which is sent the first time."""
        known = self._held.get(id(value))
        if known is None:
            known = self._held[id(value)] = (value, self._future(value, keep=True))
        return known[1]

    def send(self, value: Any) -> Future[Any]:
        """Return the future of something that is not asked for again."""
        return self._future(value, keep=False)

    def lost(self) -> None:
        """Note that the workers lost what they held; what is in a file stays there."""
        self._held.clear()
        self.holdings.clear()

    def elsewhere(self) -> None:
        """Note that a worker cannot read the files: from now on data travel."""
        self._mapping = False
        self.lost()
        self._files.clear()

    def close(self) -> None:
        """Keep nothing."""
        self.lost()
        self._files.clear()
        self._mapping = None
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _future(self, value: Any, *, keep: bool) -> Future[Any]:
        size = _size(value)
        if size > IN_GRAPH:
            handle = self._written(value, size, keep=keep)
            if handle is None:
                return self._scattered(value)
            parcel: Parcel | Mapped = Mapped(handle)
        else:
            parcel = Parcel(value)
        # as the result of a task it can be had again when its holders are lost
        return self.client.submit(worker.sent, parcel, key=f"data-{uuid4().hex}", pure=False)

    def _written(self, value: Any, size: int, *, keep: bool) -> Handle | None:
        """Write a value to a file, if the workers can read it."""
        if id(value) in self._files:
            return self._files[id(value)][1]
        try:
            if self._mapping is None:
                self._folder = Folder()
                self._mapping = self._readable(self._folder)
            if not self._mapping or self._folder is None:
                return None
            handle = self._folder.write(value, size)
        except OSError:  # no room: the data can still travel
            return None
        if keep:
            self._files[id(value)] = (value, handle)
        return handle

    def _readable(self, folder: Folder) -> bool:
        """Tell whether all workers read this folder, and are not in this very process."""
        answers = self.client.run(reader, str(folder.path), folder.token, on_error="ignore")
        processes = set(answers.values())
        return bool(processes) and not processes & {0, os.getpid()}

    def _scattered(self, value: Any) -> Future[Any]:
        for attempt in range(ATTEMPTS):
            try:
                future: Future[Any] = self.client.scatter(Parcel(value), broadcast=True, hash=False)
                return future
            except OSError:  # a worker was lost on the way
                if attempt == ATTEMPTS - 1:
                    raise
                self.client.wait_for_workers(1, timeout=60)
        raise AssertionError("unreachable")


class Shared:
    """What all tasks of one plan read, under names that the workers know.

    Parameters
    ----------
    plan : Plan
    sent : Sent
        What was sent of the data before.
    """

    def __init__(self, plan: Plan, sent: Sent) -> None:
        self._sent = sent
        self._bundle, self._data = _bundled(plan)
        self._living: Mapping[str, int] = {}
        self.send()

    def send(self) -> None:
        """Send what is not there, or was lost."""
        own = self._sent.send(self._bundle)
        self._own = str(own.key)
        self._holdings: Holdings = {}
        futures = [own, *map(self._sent.get, self._data)]
        self.futures = {str(future.key): future for future in futures}
        self.names = tuple(self.futures)

    def supply(self, missing: Missing) -> Future[Any] | None:
        """Have a worker hold what was missing there; return what is to be waited for.

        No task may depend on it: Dask forgets a task that is bound to a worker, or only would
        rather run there, when it has no worker at all for a moment
        (``bulk_schedule_unrunnable_after_adding_worker`` in distributed's scheduler).
        """
        address, held = missing.worker, self._held(missing.worker)
        # what has come there, and is missing, was let go
        again = [n for n in missing.names if n not in held or held[n].status != "pending"]
        if again:
            future = self._holding(again, workers=[address])
            for name in again:
                # the data outlive the plan
                holdings = self._holdings if name == self._own else self._sent.holdings
                holdings.setdefault(address, {})[name] = future
            return future
        return held[missing.names[0]] if missing.names else None

    def everything(self) -> list[Future[Any]]:
        """Return what a task is sent with that must not miss anything, wherever it runs."""
        return [self._holding(self.names)]

    def forget(self, living: Mapping[str, int]) -> set[Future[Any]]:
        """Forget what was held by workers that have gone; return it.

        `living` is the same object until it is news.
        """
        gone: set[Future[Any]] = set()
        if living is not self._living:
            self._living = living
            for holdings in (self._holdings, self._sent.holdings):
                for address in holdings.keys() - living.keys():
                    gone.update(holdings.pop(address).values())
        return gone

    def _held(self, address: str) -> dict[str, Future[Any]]:
        return {**self._sent.holdings.get(address, {}), **self._holdings.get(address, {})}

    def _holding(self, names: Sequence[str], **where: Any) -> Future[Any]:
        data = [self.futures[name] for name in names]
        key = f"hold-{uuid4().hex}"
        submit = self._sent.client.submit
        return submit(hold, names, data, key=key, pure=False, priority=1, **where)


def _bundled(plan: Plan) -> tuple[Bundle, list[Any]]:
    """Return what all tasks of a plan read: the bundle, and the data that it refers to.

    Weights and other large fit and score parameters are data like X and y.
    """
    data = list(plan.data)
    numbers = {id(value): number for number, value in enumerate(data)}

    def refer(value: Any) -> Any:
        if sizeof(value) < SMALL:
            return value
        if id(value) not in numbers:
            numbers[id(value)] = len(data)
            data.append(value)
        return Ref(numbers[id(value)])

    def packed(setup: Setup) -> Setup:
        options = dict(setup.options)
        for name in ("fit_params", "score_params"):
            if options.get(name):
                options[name] = {key: refer(value) for key, value in options[name].items()}
        return replace(setup, options=options)

    return Bundle(tuple(map(packed, plan.setups)), tuple(plan.folds)), data


def _size(value: Any) -> int:
    """Estimate the bytes of a piece of data."""
    if isinstance(value, Bundle):
        return int(sizeof([part for fold in value.folds for part in (fold.train, fold.test)]))
    return int(sizeof(value))
