"""A dask-gateway server with its proxy; the clusters that it starts are processes of this machine.

Its scheduler does not have this package: what is sent there must stand for itself.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from beds import Bed
from processes import free_port, wait_for

LIMIT = 3
"""Workers that it lets one cluster have."""
USER = "alice"
CONFIGURATION = """
import sys
from dask_gateway_server.options import Float, Integer, Mapping, Options, Select

# not "dask scheduler", which imports what every installed package adds to that program
PROGRAM = "from distributed.cli.dask_scheduler import main; main()"
SCHEDULER = [sys.executable, "-c", "import sys; sys.modules['jupyter_scale'] = None; " + PROGRAM]
# what workers show is not reached through the gateway
WORKER = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-dashboard"]
LATE = "import time; time.sleep(600)"
FAULTS = {{"broken": [sys.executable, "-c", "1/0"], "late": [sys.executable, "-c", LATE]}}

def configuration(options):
    return {{
        "worker_cores": options.worker_cores,
        "worker_memory": int(options.worker_memory * 2**30),
        "environment": options.environment,
        "scheduler_cmd": FAULTS.get(options.scheduler, SCHEDULER),
        "worker_cmd": FAULTS.get(options.worker, WORKER),
    }}

c.DaskGateway.address = "127.0.0.1:{private}"
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = "{password}"
c.Proxy.address = "127.0.0.1:{public}"
c.Proxy.tcp_address = "127.0.0.1:{tcp}"
c.UnsafeLocalBackend.clusters_directory = "{folder}"
c.UnsafeLocalBackend.sigint_timeout = 3
c.DBBackendBase.cluster_status_period = c.DBBackendBase.worker_status_period = 1
c.ClusterConfig.cluster_max_workers = {limit}
c.ClusterConfig.adaptive_period = 1
c.Backend.cluster_options = Options(
    Integer("worker_cores", 1, min=1, max=2),
    Float("worker_memory", 1, min=1, max=4),
    Mapping("environment", {{}}),
    Select("scheduler", options=["sound", *FAULTS]),
    Select("worker", options=["sound", *FAULTS]),
    handler=configuration,
)
"""


@contextmanager
def start(folder: Path) -> Iterator[Bed]:
    pytest.importorskip("dask_gateway_server", reason="pip install dask-gateway-server[local]")
    ports = {name: free_port() for name in ("private", "public", "tcp")}
    password = secrets.token_hex(8)
    (folder / "clusters").mkdir()
    file = folder / "dask_gateway_config.py"
    file.write_text(
        CONFIGURATION.format(**ports, password=password, folder=folder / "clusters", limit=LIMIT)
    )
    address = f"http://127.0.0.1:{ports['public']}"
    settings = {
        "gateway.address": address,
        "gateway.proxy-address": f"gateway://127.0.0.1:{ports['tcp']}",
        "gateway.auth.type": "basic",
        "gateway.auth.kwargs": {"username": USER, "password": password},
    }
    with ExitStack() as stack:
        log = stack.enter_context((folder / "server.log").open("w"))
        server = subprocess.Popen(
            [sys.executable, "-m", "dask_gateway_server", "-f", file],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        stack.callback(end, server)
        wait_for(lambda: server.poll() is not None or healthy(address))
        assert server.poll() is None, (folder / "server.log").read_text()
        [proxy] = psutil.Process(server.pid).children()

        def left() -> list[str]:
            return [
                f"process {one.pid}"
                for one in psutil.Process(server.pid).children(recursive=True)
                if one != proxy and alive(one)
            ]

        factory = {"module": "dask_gateway", "class": "GatewayCluster"}
        yield Bed({"factory": factory, "lost-timeout": "20s"}, settings, left)


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def end(server: subprocess.Popen[bytes]) -> None:
    """End the server, which ends its clusters, and what would be left all the same."""
    if server.poll() is not None:
        return
    family = psutil.Process(server.pid).children(recursive=True)
    server.terminate()
    try:
        server.wait(30)
    finally:
        for process in family:
            if process.is_running():
                process.kill()
        server.kill()
        server.wait()
