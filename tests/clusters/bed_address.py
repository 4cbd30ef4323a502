"""A scheduler and a worker that somebody else runs, with certificates in files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from beds import Bed
from distributed import Security
from processes import free_port, wait_for, wait_for_port

ROLES = ("client", "scheduler", "worker")


@contextmanager
def start(folder: Path) -> Iterator[Bed]:
    security = Security.temporary()
    pems = {"ca": security.tls_ca_file, "cert": security.tls_client_cert}
    for name, text in {**pems, "key": security.tls_client_key}.items():
        (folder / f"{name}.pem").write_text(text)
    files = {name: str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
    tls = ["--tls-ca-file", files["ca"], "--tls-cert", files["cert"], "--tls-key", files["key"]]
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    # without a dashboard it would listen on port 8787 of all addresses
    scheduler = ["scheduler", "--host", address, "--dashboard-address", "127.0.0.1:0", *tls]
    worker = ["worker", address, "--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1", *tls]
    with ExitStack() as stack:
        for words in (scheduler, worker):
            stack.enter_context(running(words, folder))
        wait_for_port(port)
        settings = {"distributed.comm.tls.ca-file": files["ca"]}
        for role in ROLES:
            settings[f"distributed.comm.tls.{role}.cert"] = files["cert"]
            settings[f"distributed.comm.tls.{role}.key"] = files["key"]
        factory = {"module": "distributed", "class": "Client", "args": [address]}
        yield Bed({"factory": factory}, settings, hosted=False)


@contextmanager
def running(words: list[str], folder: Path) -> Iterator[None]:
    """Run one of Dask's commands, and end it and what it has started."""
    with (folder / f"{words[0]}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words], cwd=folder, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        family = [process, *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        process.wait(20)
        wait_for(lambda: not any(one.is_running() for one in family[1:]))
