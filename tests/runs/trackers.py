"""An MLflow server of its own, for the time of a test; and a store without one."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from processes import free_port, wait_for

PATIENCE = 400  # seconds: uv may have to fetch it


def answers(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
        return bool(answer.read() == b"OK")
    return False


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run the whole MLflow, whose dependencies are not ours, in an environment of uv's."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "uv", "tool", "run", "--python", sys.executable),
        *(
            "--from",
            f"mlflow=={metadata.version('mlflow-skinny')}",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
        ),
        *("--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    log = folder / "server.log"
    with log.open("w") as out:
        process = psutil.Popen(
            command,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=folder,
        )
    try:
        wait_for(lambda: answers(address) or process.poll() is not None, PATIENCE)
        if process.poll() is not None:
            pytest.skip(f"MLflow's server cannot be had: {log.read_text()[-500:]}")
        yield address
    finally:
        family = process.children(recursive=True) if process.is_running() else []
        for one in (*family, process):
            with suppress(psutil.NoSuchProcess):
                one.terminate()
        _, left = psutil.wait_procs([*family, process], 20)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
