"""Calls of workers any of which may be lost meanwhile: what was asked of a lost one is given up.

The scheduler itself tries for `distributed.comm.timeouts.connect`, half a minute, to reach a worker
that it has just lost, and answers of others to the same question would wait for that.
"""

from __future__ import annotations

import time
from asyncio import run_coroutine_threadsafe
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, Literal

from distributed import Client

__all__ = ["ANSWER", "TICK", "Lost", "answers", "ask"]

TICK = 0.2  # seconds between two looks at what has changed
ANSWER = 60.0  # seconds in which a worker answers, with a checkpoint perhaps


class Lost(Exception):
    """Workers were lost."""

    def __init__(self, workers: Sequence[str]) -> None:
        super().__init__(", ".join(workers))
        self.workers = workers


def ask(
    client: Client,
    function: Callable[..., Any],
    *args: Any,
    workers: Sequence[str],
    on_error: Literal["raise", "return", "ignore"] = "ignore",
) -> dict[str, Any]:
    """Call a function on workers; those that are lost or late are not in the answer.

    Where it fails is up to ``on_error``, as in `distributed.Client.run`.
    """
    calls = {
        worker: client._run(function, *args, workers=[worker], on_error=on_error)
        for worker in workers
    }
    found = answers(client, calls, patience=ANSWER)
    return {worker: one[worker] for worker, one in found.items() if worker in one}


def answers(
    client: Client, calls: Mapping[str, Coroutine[Any, Any, Any]], *, patience: float
) -> dict[str, Any]:
    """Await a call of each worker; that of a worker that is lost or late is left out."""
    loop: Any = client.loop  # Tornado's, around that of asyncio
    running = {
        worker: run_coroutine_threadsafe(call, loop.asyncio_loop) for worker, call in calls.items()
    }
    deadline = time.monotonic() + patience
    try:
        while late := wait(running.values(), timeout=TICK).not_done:
            there = client.nthreads()
            gone = all(worker not in there for worker, one in running.items() if one in late)
            if gone or time.monotonic() > deadline:
                break
    except (TimeoutError, OSError):
        pass  # it is the scheduler that is lost
    finally:
        for one in running.values():
            one.cancel()
    return {worker: one.result() for worker, one in running.items() if _came(one)}


def _came(call: Future[Any]) -> bool:
    if call.cancelled():
        return False
    error = call.exception()
    if error is not None and not isinstance(error, (TimeoutError, OSError)):
        raise error
    return error is None
