"""What a scheduler tells of its cluster, in one short message each time it is asked.

One plugin of Dask is put on the scheduler while somebody watches. It keeps what ended lately and
answers an operation of its own: functions sent by ``run_on_scheduler`` would each leave an event,
and push out those of lost workers that searches read. It travels by value, since a scheduler
elsewhere lacks this package. It goes when it is told to, and when the client that sent it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from distributed import Client
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps

__all__ = ["Probe"]

PATIENCE = 2.0
"""Seconds that an answer may take: a view waits no longer, and asks again."""
LINES = 20
"""Of the log, of each worker."""
WORKERS = 64
"""So many are told of."""


class Probe:
    """Asks one scheduler.

    Parameters
    ----------
    client : distributed.Client
        Through which everything goes.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._name = f"jupyter-scale-watch-{uuid4().hex}"
        self._index = 0
        self._heard = 0.0  # of events

    def open(self) -> None:
        """Begin.

        Raises
        ------
        OSError, TimeoutError
            When the scheduler does not answer.
        ValueError
            When it is set up to take no plugin.
        """
        self._index = 0
        plugin = _plugin(self._name, self._client.id, WORKERS)
        self._ask(
            "register_scheduler_plugin", plugin=dumps(plugin), name=self._name, idempotent=False
        )

    def read(self) -> dict[str, Any]:
        """Return what is now, and the tasks and events since the last time.

        Raises
        ------
        OSError, TimeoutError
            When the scheduler does not answer.
        """
        answer = self._ask(self._name, since=self._index, after=self._heard)
        if answer is None:  # the scheduler lost sight of the client for a while, or is a new one
            self.open()
            answer = self._ask(self._name)
        self._index = answer["index"]
        self._heard = max([self._heard, *(event[0] for event in answer["events"])])
        return dict(answer)

    def logs(self, workers: Iterable[str], nannies: Iterable[str]) -> list[dict[str, Any]]:
        """Return the last lines of workers, and of the processes that start them again.

        Each is a mapping of a worker's address to (time, level, text); who does not answer lacks.
        """
        return list(self._sync(self._logs(list(workers), list(nannies))))

    def close(self) -> None:
        """Leave nothing on the scheduler; never raises."""
        if self._client.status == "running":
            with suppress(Exception, asyncio.CancelledError):
                self._ask(self._name, stop=True)

    async def _logs(self, workers: list[str], nannies: list[str]) -> Any:
        message = {"op": "get_logs", "n": LINES, "timestamps": True}
        scheduler: Any = self._client.scheduler
        return await asyncio.gather(
            *(
                scheduler.broadcast(msg=message, workers=asked, nanny=nanny, on_error="ignore")
                for asked, nanny in ((workers, False), (nannies, True))
                if asked
            )
        )

    def _ask(self, operation: str, **arguments: Any) -> Any:
        return self._sync(getattr(self._client.scheduler, operation)(**arguments))

    def _sync(self, question: Any) -> Any:
        async def asked() -> Any:
            return await question

        if self._client.status != "running":
            question.close()
            raise OSError(f"the client is {self._client.status}")
        return self._client.sync(asked, asynchronous=False, callback_timeout=PATIENCE)


def _plugin(name: str, client: str, most: int) -> SchedulerPlugin:
    """Return what the scheduler is sent; a class inside a function travels whole."""

    class Watching(SchedulerPlugin):
        """Keeps what ended lately, and answers questions."""

        def __init__(self) -> None:
            from collections import deque

            self.scheduler: Any = None
            self.index = 0
            self.done: Any = deque(maxlen=2000)
            self.steps: dict[str, list[float]] = {}
            self.events: Any = deque(maxlen=50)
            self.names: dict[str, str] = {}

        def start(self, scheduler: Any) -> None:  # type: ignore[override]  # Dask waits if need be
            self.scheduler = scheduler
            self.names = {address: str(ws.name) for address, ws in scheduler.workers.items()}
            scheduler.handlers[name] = self.answer

        def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
            if start != "processing" or finish not in ("memory", "erred"):
                return
            from dask.utils import key_split

            failed = finish == "erred"
            spans = [s for s in kwargs.get("startstops") or () if s["action"] == "compute"]
            step = self.steps.setdefault(key_split(key), [0, 0, 0.0])
            step[failed] += 1
            for span in spans[-1:]:
                step[2] += span["stop"] - span["start"]
                self.index += 1
                self.done.append(
                    (
                        str(key),
                        kwargs.get("worker"),
                        kwargs.get("thread"),
                        span["start"],
                        span["stop"],
                        failed,
                    )
                )

        def add_worker(self, scheduler: Any, worker: str) -> None:
            self.names[worker] = str(scheduler.workers[worker].name)
            self._note("came", worker)

        def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
            what: dict[str, Any] = {}
            for _, event in scheduler.get_events(worker)[-1:]:
                what = event if event.get("action") == "remove-worker" else {}
            tasks = len(what.get("processing-tasks", ()))
            self._note("left" if what.get("expected") else "lost", worker, tasks)
            self.names.pop(worker, None)

        def restart(self, scheduler: Any) -> None:
            self._note("restarted", "")

        def remove_client(self, scheduler: Any, client: str) -> None:
            if client == mine:
                self._leave()

        def answer(self, since: int = 0, after: float = 0.0, stop: bool = False) -> dict[str, Any]:
            from itertools import islice

            from distributed.metrics import time

            if stop:
                self._leave()
                return {}
            now = time()
            states = {
                prefix.name: [
                    prefix.states.get("processing", 0),
                    sum(prefix.states.get(s, 0) for s in ("waiting", "queued", "no-worker")),
                ]
                for prefix in self.scheduler.task_prefixes.values()
            }
            first = max(0, since - (self.index - len(self.done)))
            return {
                "now": now,
                "index": self.index,
                "done": list(self.done)[first:],
                "steps": self.steps,
                "states": {step: counts for step, counts in states.items() if any(counts)},
                "events": [event for event in self.events if event[0] > after],
                "size": [len(self.scheduler.workers), self.scheduler.total_nthreads],
                "workers": [
                    self._worker(ws, now) for ws in islice(self.scheduler.workers.values(), most)
                ],
            }

        def _worker(self, ws: Any, now: float) -> dict[str, Any]:
            metrics = ws.metrics or {}
            return {
                "address": ws.address,
                "name": str(ws.name),
                "threads": ws.nthreads,
                "state": ws.status.name,
                "limit": ws.memory_limit,
                "nanny": bool(ws.nanny),
                "cpu": metrics.get("cpu", 0.0),
                "memory": metrics.get("memory", 0),
                "spilled": (metrics.get("spilled_bytes") or {}).get("disk", 0),
                "tasks": len(ws.processing),
                "running": [
                    (str(ts.key), seconds + max(0.0, now - ws.last_seen))
                    for ts, seconds in ws.executing.items()
                    if ts.processing_on is ws
                ],
            }

        def _note(self, what: str, worker: str, tasks: int = 0) -> None:
            from distributed.metrics import time

            self.events.append((time(), what, worker, self.names.get(worker, worker), tasks))

        def _leave(self) -> None:
            self.scheduler.handlers.pop(name, None)
            self.scheduler.plugins.pop(name, None)

    mine = client
    return Watching()
