"""Dask's own plots in the output of a cell: the page that draws them, behind the Jupyter server.

A dashboard has no login of its own; jupyter-server-proxy passes it on to whoever is logged in to
the server, so it works where the notebook does. Without a server it is a link to this machine.
"""

from __future__ import annotations

import html
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_scale.clusters.dashboard import proxied
from jupyter_scale.command import PLOTS
from jupyter_scale.view.progress import show

__all__ = ["Dashboard", "dashboard"]

HEIGHT = 480  # pixels


@dataclass(frozen=True)
class Dashboard:
    """One page of a dashboard, as a frame and as a link.

    Attributes
    ----------
    name : str
        Of the cluster.
    address : str
        Of the page, for the browser that shows the notebook.
    framed : bool
        Whether that browser shows it inside another page.
    """

    name: str
    address: str
    framed: bool

    def __str__(self) -> str:
        return f"Dask's dashboard of {self.name}: {self.address}"

    def _repr_html_(self) -> str:
        address, title = html.escape(self.address), html.escape(f"Dask's dashboard of {self.name}")
        link = f'<a href="{address}" target="_blank" rel="noopener">{title}</a>'
        if not self.framed:
            return f"<p>{link}</p>"
        frame = (
            f'<iframe src="{address}" title="{title}" width="100%" height="{HEIGHT}" '
            'style="border:0"></iframe>'
        )
        return f"{frame}<p>{link}</p>"


def dashboard(shell: Any, name: str, link: str, plot: str) -> None:
    """Show a plot of a cluster's dashboard.

    Parameters
    ----------
    shell : InteractiveShell
    name : str
        Of the cluster.
    link : str
        Address of its dashboard.
    plot : str
        A key of `PLOTS`.
    """
    server, behind = base_url(), proxied(link)
    if server and behind:
        show(shell, Dashboard(name, f"{server}{behind}/{PLOTS[plot]}", framed=True))
    else:
        address = link.removesuffix("status") + PLOTS[plot]
        show(shell, Dashboard(name, address, framed=False))


def base_url() -> str:
    """Return the path of this kernel's Jupyter server; empty where there is none."""
    hub = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    if hub:
        return hub if hub.endswith("/") else f"{hub}/"
    file = Path(jupyter_runtime_dir()) / f"jpserver-{os.environ.get('JPY_PARENT_PID', '')}.json"
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads(file.read_text(encoding="utf-8"))["base_url"])
    return ""
