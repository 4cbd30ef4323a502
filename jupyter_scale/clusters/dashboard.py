"""Dask's dashboard: added to a scheduler when the workers are there already, and reached.

What draws it takes a second to import, which the first worker need not wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LATER", "add", "can_wait", "proxied"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")

LATER = {"dashboard": False}
"""Options of a scheduler that gets its dashboard from `add`: until then it has the address only."""


def can_wait(options: Mapping[str, Any]) -> bool:
    """Whether a scheduler with such options is to have a dashboard, and what draws it is here."""
    wanted = "dashboard" not in options and options.get("dashboard_address", "") is not None
    return wanted and find_spec("bokeh") is not None


def add(cluster: Any, prefix: str = "/") -> None:
    """Add the dashboard to a cluster's scheduler.

    Parameters
    ----------
    cluster : distributed.deploy.Cluster
        Whose scheduler is in this process.
    prefix : str
        Of its addresses, as the scheduler's ``http_prefix``.
    """
    from distributed.dashboard import scheduler as dashboard

    scheduler = cluster.scheduler

    async def connect() -> None:
        dashboard.connect(
            scheduler.http_application, scheduler.http_server, scheduler, prefix=prefix
        )

    cluster.sync(connect)


def proxied(dashboard: str) -> str:
    """Return where the Jupyter server passes a dashboard of this machine on, or nothing.

    Examples
    --------
    >>> proxied("http://127.0.0.1:8787/status")
    'proxy/8787'
    >>> proxied("https://gateway.example/clusters/1/status")
    ''
    """
    parts = urlsplit(dashboard)
    if parts.hostname not in LOOPBACK or parts.port is None:
        return ""
    if find_spec("jupyter_server_proxy") is None:
        return ""
    return f"proxy/{parts.port}"
