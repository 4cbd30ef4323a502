"""`%scale watch`: one output that shows a cluster, whatever cell runs.

A thread asks the scheduler and updates the output in place: at most twice a second, only while
something changes, and more slowly where drawing or the bytes cost too much. It never raises into a
cell and waits for nothing longer than a moment. It ends with its cluster, and then takes back what
it has put on the scheduler; what it showed last stays, static, with its time.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from distributed import Client

from jupyter_scale import clusters
from jupyter_scale.clusters.backend import reason
from jupyter_scale.view.observed import Observed
from jupyter_scale.view.panels import Head, clock, page, text
from jupyter_scale.view.probe import Probe
from jupyter_scale.view.progress import in_kernel

__all__ = ["Watch", "name_of", "watch"]

INTERVAL, IDLE = 0.5, 5.0
"""Seconds between updates, at least; while no task is there, a worker's CPU still varies."""
RATE = 50_000  # bytes that updates may take in a second
SHARE = 0.01  # of a core, for this thread; the client's own thread takes as much
LOG = 3.0  # seconds between questions for the workers' logs, at least
LOGGED = 16  # workers that are asked for them
FAILURES = (Exception, asyncio.CancelledError)
"""What a question may end with while a client is closed in another thread."""


def watch(shell: Any, client: Client, views: Sequence[str]) -> Watch | None:
    """Show a cluster in a kernel's output, or print it once in a terminal.

    Raises
    ------
    ClusterError
        When it does not answer.
    """
    view = Watch(shell, client, views)
    if in_kernel(shell):
        view.open()
        return view
    view.print()
    return None


class Watch:
    """One output, and the thread that updates it.

    Parameters
    ----------
    shell : InteractiveShell
    client : distributed.Client
    views : sequence of str
        Keys of `panels.VIEWS`.
    """

    def __init__(self, shell: Any, client: Client, views: Sequence[str]) -> None:
        self._shell, self._client, self._views = shell, client, tuple(views)
        self._probe = Probe(client)
        self._observed = Observed()
        self._output = uuid4().hex
        self._name = name_of(client)
        self._next_log = 0.0
        self._pause = INTERVAL
        self._shown: tuple[Any, ...] = ()
        self._next, self._size = 0.0, 0
        self._trouble = ""
        self._ended = ""
        self._stop = threading.Event()
        # A new thread has no parent message of its own: what it publishes belongs to the cell that
        # runs then. Front ends find the output by its id; programs that execute a notebook listen
        # to the running cell only.
        self._thread = threading.Thread(target=self._follow, name="scale-watch", daemon=True)

    def open(self) -> None:
        """Show the first state, and go on.

        Raises
        ------
        ClusterError
            When the cluster does not answer.
        """
        self._begin()
        self._publish(update=False)
        self._thread.start()
        atexit.register(self.close, "the kernel has ended")

    def print(self) -> None:
        """Print one state.

        Raises
        ------
        ClusterError
            When the cluster does not answer.
        """
        self._begin()
        self._probe.close()
        print(text(self._observed, self._views, Head(self._name)))

    def close(self, why: str) -> None:
        """End it, and wait a moment until its last state is shown."""
        self._ended = self._ended or why
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(3)

    def _begin(self) -> None:
        try:
            self._probe.open()
            self._read()
        except BaseException as error:
            self._probe.close()
            if not isinstance(error, Exception):
                raise
            why = reason(error)
            raise clusters.ClusterError(f"{self._name} cannot be watched: {why}") from None

    def _follow(self) -> None:
        try:
            while not self._stop.wait(self._pause):
                self._step()
        except FAILURES as error:
            self._ended = f"it failed: {error!r}"
            self._shell.log.debug("the watching of a cluster failed", exc_info=True)
        self._probe.close()
        self._safely()
        atexit.unregister(self.close)

    def _step(self) -> None:
        """Ask, and show what has changed."""
        used = time.thread_time()
        try:
            self._read()
            self._trouble = ""
        except FAILURES:
            self._ended = self._ended or _gone(self._client)
            if self._ended:
                self._stop.set()
                return
            since = clock(self._observed.now)
            self._trouble = f"The scheduler has not answered since {since}; what it said then:"
        if self._changed():
            self._safely()
        self._pause = max(INTERVAL, (time.thread_time() - used) / SHARE, self._size / RATE)

    def _changed(self) -> bool:
        """Whether there is more to show than how the CPU of idle workers varies."""
        seen = self._observed
        shown = (self._trouble, seen.idle, *seen.events, *seen.lines)
        changed = shown != self._shown or not seen.idle or time.monotonic() >= self._next
        self._shown = shown
        return changed

    def _read(self) -> None:
        self._observed.take(self._probe.read())
        if "log" in self._views and time.monotonic() >= self._next_log:
            self._read_logs()

    def _read_logs(self) -> None:
        started = time.monotonic()
        workers = list(self._observed.workers.values())[:LOGGED]
        nannies = [worker.address for worker in workers if worker.nanny]
        try:
            self._observed.log(self._probe.logs([w.address for w in workers], nannies))
        except FAILURES:
            if self._client.status != "running":
                raise
        took = time.monotonic() - started
        self._next_log = time.monotonic() + max(LOG, 10 * took)

    def _safely(self) -> None:
        """Publish; what the screen does wrong is not the cluster's end."""
        try:
            self._publish(update=True)
        except Exception as error:
            self._shell.log.debug("a watched cluster is not shown: %s", error)

    def _publish(self, *, update: bool) -> None:
        head = Head(self._name, self._trouble, self._ended)
        bundle = {
            "text/plain": text(self._observed, self._views, head),
            "text/html": page(self._observed, self._views, head),
        }
        self._size = sum(map(len, bundle.values()))
        self._next = time.monotonic() + IDLE
        self._shell.display_pub.publish(
            bundle, transient={"display_id": self._output}, update=update
        )


def name_of(client: Client) -> str:
    """Return the name of the cluster that a client is of, or its address."""
    cluster = clusters.of(client)
    if cluster is not None:
        return cluster.name
    scheduler = client.scheduler
    return str(scheduler.address if scheduler is not None else "the cluster")


def _gone(client: Client) -> str:
    """Return why a cluster will not answer any more; nothing while it may."""
    cluster = clusters.of(client)
    if cluster is not None:
        connection = cluster.connection
        if connection is not None and not connection.alive:
            return f"the cluster is gone: {cluster.state().text}"
    if client.status in ("closing", "closed"):
        return "the cluster was closed, or is not in use any more"
    return ""
