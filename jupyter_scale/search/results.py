"""What tasks have found, as they end.

A task tells its outcome by an event, which comes to the client with the scheduler's own word that
the task has ended. Fetching a result takes four more messages; that is left for what is too large
for an event, or whose event did not come.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from distributed import Client, Future, as_completed, get_worker
from distributed.protocol.pickle import dumps

__all__ = ["Results", "tell"]

LARGEST = 32 * 2**10
"""Bytes of an event. The scheduler keeps the last thousand of each client."""

_told: WeakKeyDictionary[Client, dict[Any, bytes | None]] = WeakKeyDictionary()


class Results:
    """Tasks that tell what they found, and futures that are waited for.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._topic = f"jupyter-scale-{client.id}"
        known = _told.get(client)
        self._told = _subscribed(client, self._topic) if known is None else known
        self._expected: set[Any] = set()
        self._ended = as_completed(loop=client.loop, raise_errors=False)
        self._fetched = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self._fetched.thread_condition = self._ended.thread_condition

    def submit(self, function: Callable[..., Any], *args: Any, key: str) -> Future[Any]:
        """Submit a task; `function` is given the topic to `tell` under as its last argument."""
        self._expected.add(key)  # before it can tell
        self._told[key] = None
        return self._client.submit(function, *args, self._topic, key=key, pure=False)

    def add(self, future: Future[Any]) -> None:
        """Wait for a future, and for what it tells if it was submitted here."""
        self._ended.add(future)

    def fetch(self, future: Future[Any]) -> None:
        """Wait for a future and its result."""
        self._fetched.add(future)

    def next(self, seconds: float) -> list[tuple[Future[Any], Any]]:
        """Return the futures that have ended, perhaps none, within so many seconds.

        With each comes what it has told, or its fetched result, or None.
        """
        changed = self._ended.thread_condition
        with changed:
            if not self._ended.has_ready() and not self._fetched.has_ready():
                changed.wait(seconds)
        ended = [(future, self._take(future)) for future in self._ended.next_batch(block=False)]
        fetched: list[tuple[Future[Any], Any]] = self._fetched.next_batch(block=False)
        return ended + fetched

    def forget(self) -> None:
        """Expect nothing any more."""
        for key in self._expected:
            self._told.pop(key, None)
        self._expected.clear()

    def _take(self, future: Future[Any]) -> Any:
        self._expected.discard(future.key)
        message = self._told.pop(future.key, None)
        failed = future.status in ("error", "cancelled")
        return None if message is None or failed else pickle.loads(message)


def _subscribed(client: Client, topic: str) -> dict[Any, bytes | None]:
    """Return where the events of a client's tasks will be found, by key."""
    told: dict[Any, bytes | None] = {}
    _told[client] = told

    def keep(event: tuple[float, tuple[str, bytes]]) -> None:
        key, message = event[1]
        if key in told:
            told[key] = message

    client.subscribe_topic(topic, keep)
    return told


def tell(topic: str, outcome: Any) -> None:
    """Tell, from the task that found it, an outcome to the client that has the topic."""
    message = dumps(outcome)
    if len(message) <= LARGEST:
        worker = get_worker()
        worker.log_event(topic, (worker.get_current_task(), message))
