"""What a host that is reached by SSH runs: one scheduler or worker, while the connection is open.

The text of this file is sent there, so that nothing but Dask must be installed. The first line of
its standard input says in JSON what to run, and brings the key of the cluster, which is so in
memory only. What comes then are signs of life: when they end, or the input does, then so do all
processes here, and the folder of what they wrote is removed. It answers in lines of JSON behind
`MARK`; whatever else it says is its log.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from typing import Any

MARK = "jupyter-scale: "
CONNECT = 10.0  # seconds that the scheduler's port may take to answer
GRACE = 8.0  # seconds that closing may take


def main(task: dict[str, Any]) -> None:
    """Run what a task says, and end this process and all that descend from it.

    Parameters
    ----------
    task : dict
        `scheduler` (the address of a worker's, or empty), `class` and `options` of what is run,
        `security` (arguments of Dask's class, or None), `environment`, `defaults` (variables that
        the host may set otherwise), `share` (how many such workers share the host), `patience`
        (seconds without a sign of life).
    """
    with suppress(OSError):
        os.setpgrp()  # so that the end of the group is the end of nothing else
    os.environ.update(task["environment"])
    for name, value in task["defaults"].items():
        os.environ.setdefault(name, value)
    folder = tempfile.mkdtemp(prefix="jupyter-scale-")
    try:
        asyncio.run(_run(task, folder))
    except ModuleNotFoundError as error:
        tell(missing=error.name)
    except Exception as error:
        tell(error=f"{type(error).__name__}: {error}")
    finally:
        end(folder)


def tell(**what: Any) -> None:
    """Answer."""
    with suppress(OSError):
        print(f"\n{MARK}{json.dumps(what)}", flush=True)


def end(folder: str) -> None:
    """End all that runs here, also what is stuck, and leave no file."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join(1)
    for _ in range(20):  # whoever dies at this moment may still write there
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.1)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


async def _run(task: dict[str, Any], folder: str) -> None:
    import dask
    from dask.system import CPU_COUNT
    from distributed import Security
    from distributed.utils import import_term

    dask.config.set({"temporary-directory": folder})
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ended = (loop, stop, folder, task["patience"])
    threading.Thread(target=_watch, args=ended, daemon=True).start()

    options = dict(task["options"])
    if task["security"]:
        options["security"] = Security(**task["security"])
    # ... of the network by which this host is reached, and of no other
    reached = os.environ.get("SSH_CONNECTION", "").split()
    if len(reached) == 4 and not {"host", "interface"} & set(options):
        options["host"] = reached[2]
    arguments = []
    if task["scheduler"]:
        if task["share"] > 1:
            options.setdefault("nthreads", max(1, CPU_COUNT // task["share"]))
        arguments = [task["scheduler"]]
        if not await asyncio.to_thread(reach, task["scheduler"]):
            return tell(unreachable=task["scheduler"])
    server = await import_term(task["class"])(*arguments, **options)
    services = getattr(server, "services", None) or {}
    dashboard = services["dashboard"].port if "dashboard" in services else 0
    tell(address=server.address, dashboard=dashboard)
    waits = [asyncio.ensure_future(one) for one in (stop.wait(), server.finished())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    with suppress(Exception):
        await asyncio.wait_for(server.close(), GRACE / 2)


def _watch(loop: Any, stop: asyncio.Event, folder: str, patience: float) -> None:
    """Have all end when nobody is there any more who could want it; if it is stuck, without it."""
    alive(sys.stdin.fileno(), patience)
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)
    time.sleep(GRACE)
    end(folder)


def alive(handle: int, patience: float) -> None:
    """Return when a file has ended, or nothing came from it for so many seconds."""
    while True:
        ready, _, _ = select.select([handle], [], [], patience)
        if not ready or not os.read(handle, 4096):
            return


def reach(address: str) -> bool:
    """Whether a port answers; what drops packets takes Dask half a minute, and gives no reason."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT).close()
    except OSError:
        return False
    return True
