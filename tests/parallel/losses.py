"""What ends or stops a worker's process at a moment of a training, planted in it beforehand."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from distributed import Client

Patch = Callable[[Callable[..., Any]], Callable[..., Any]]


def before(how: int) -> Patch:
    def patch(function: Callable[..., Any]) -> Callable[..., Any]:
        def lost(*args: Any, **kwargs: Any) -> Any:
            os.kill(os.getpid(), how)
            return function(*args, **kwargs)

        return lost

    return patch


def after(how: int, calls: int = 1) -> Patch:
    def patch(function: Callable[..., Any]) -> Callable[..., Any]:
        done = 0

        def lost(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            made = function(*args, **kwargs)
            done += 1
            if done == calls:
                os.kill(os.getpid(), how)
            return made

        return lost

    return patch


def known(calls: int) -> Patch:
    """Kill once what a call of `Context._save` has kept is known to the notebook."""

    def patch(function: Callable[..., Any]) -> Callable[..., Any]:
        done = 0

        def lost(context: Any, **options: Any) -> None:
            nonlocal done
            function(context, **options)
            done += 1
            if done == calls:
                job = context._job
                while job._saved is not None:
                    wait()
                asked = job._asked
                while job._asked == asked:  # it asks again when it has the last answer
                    wait()
                os.kill(os.getpid(), signal.SIGKILL)

        return lost

    return patch


def wait() -> None:
    threading.Event().wait(0.01)


KILL = signal.SIGKILL
MOMENTS: dict[str, tuple[str, str, Patch]] = {
    "the store is opened": ("rank", "open_store", before(KILL)),
    "torch is imported": ("rank", "load", before(KILL)),
    "the data have come": ("rank", "_shard", before(KILL)),
    "others wait for it": ("rank", "_meet", before(KILL)),
    "all have met": ("rank", "_meet", after(KILL)),
    "the model is sent": ("Context", "_told", before(KILL)),
    "a step": ("Context", "backward", after(KILL, calls=10)),
    "a step stops": ("Context", "backward", after(signal.SIGSTOP, calls=3)),
    "a checkpoint": ("Context", "_save", before(KILL)),
    "a later checkpoint": ("Context", "_save", after(KILL, calls=10)),
    "the last checkpoint of an epoch": ("Context", "_save", known(calls=7)),
    "its function has ended": ("rank", "_together", before(KILL)),
    "it returns": ("rank", "_together", after(KILL)),
}
"""The moments: what is patched where, and how."""


def plant(moment: str) -> None:
    """Patch this process, which it does not outlive: who comes in its place is not patched."""
    from jupyter_scale.parallel import context, rank

    where, name, patch = MOMENTS[moment]
    owner = {"rank": rank, "Context": context.Context}[where]
    setattr(owner, name, patch(getattr(owner, name)))


def planted(client: Client, moment: str, ranks: list[int]) -> None:
    """Plant a loss in the workers of some ranks."""
    workers = sorted(client.nthreads())
    client.run(plant, moment, workers=[workers[rank] for rank in ranks])
