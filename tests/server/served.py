"""A Jupyter server of its own, with nothing in it but ours."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from lab import answers, end, environment
from processes import close_clusters, free_port, wait_for
from websocket import create_connection

from jupyter_scale.clusters.connection import Process


@dataclass
class Server:
    """A running server.

    Attributes
    ----------
    address, token : str
        The address has a base path, as under JupyterHub.
    process : Process
    runtime : Path
        Its runtime directory.
    root : Path
        The folder that it shows.
    """

    address: str
    token: str
    process: Process
    runtime: Path
    root: Path

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> tuple[int, Any]:
        """Return the status and the answer of a request."""
        request = urllib.request.Request(
            f"{self.address}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token if token is None else token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except HTTPError as error:
            with closing(error):
                status, text = error.code, error.read()
        try:
            return status, json.loads(text or b"null")
        except json.JSONDecodeError:
            return status, text.decode()

    def scale(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask our part of it."""
        return self.ask(method, f"jupyter-scale/{path}", body)

    def events(self) -> Any:
        """Return a connection to its events."""
        address = self.address.replace("http", "ws", 1)
        return create_connection(
            f"{address}/api/events/subscribe",
            header=[f"Authorization: token {self.token}"],
            timeout=60,
        )


@contextmanager
def start(folder: Path) -> Iterator[Server]:
    """Start one; end it, and what it has started."""
    home, work = folder / "home", folder / "work"
    work.mkdir()
    token, port = secrets.token_hex(16), free_port()
    address = f"http://127.0.0.1:{port}/user/ada"
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
                "--ServerApp.base_url=/user/ada/",
                "--ServerApp.jpserver_extensions={'jupyter_scale': True}",
            ],
            cwd=work,
            env={**environment(home), "JUPYTER_TOKEN": token, "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: process.poll() is not None or answers(f"{address}/api"), 60)
        assert process.poll() is None, log.read_text()
        yield Server(address, token, Process.of(process.pid), home / "runtime", work)
    finally:
        end(process)
        close_clusters(str(home / "runtime"))
    text = log.read_text()
    assert not re.search(r"^\[[EC] .*(Uncaught|Unhandled|Exception)", text, re.MULTILINE), text
