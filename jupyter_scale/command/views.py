"""The words of what is watched: live views in the output, Dask's own plots."""

from __future__ import annotations

import argparse

from jupyter_scale.command.parser import Parser, new

__all__ = ["OFF", "PLOTS", "VIEWS", "parsers"]

VIEWS = ("tasks", "workers", "memory", "graph", "log")
"""What `%scale watch` can show."""
OFF = "off"
PLOTS = {
    "status": "status",
    "tasks": "individual-task-stream",
    "progress": "individual-progress",
    "graph": "individual-graph",
    "workers": "workers",
    "memory": "individual-workers-memory",
    "cpu": "individual-workers-cpu-timeseries",
    "profile": "individual-profile",
}
"""What `%scale dashboard` can show: pages of Dask's own dashboard by name."""

_WATCH_EPILOG = """\
views:
  tasks     what each thread did in the last seconds; the mouse shows candidate and fold
  workers   CPU, memory against the limit, what was spilled to disk, busy threads
  memory    of each worker over time
  graph     tasks that are done, run and wait, by step
  log       the last lines that the workers have logged

examples:
  %scale watch                   tasks, workers, graph and log
  %scale watch workers memory    these two only
  %scale watch off               leave what it shows now, and follow no more
"""
_DASHBOARD_EPILOG = """\
examples:
  %scale dashboard               the whole page
  %scale dashboard tasks         the task stream
"""


def parsers() -> dict[str, Parser]:
    """Return the parsers by command."""
    return {"watch": _watch(), "dashboard": _dashboard()}


def _watch() -> Parser:
    watch = new(
        "%scale watch",
        "Show the cluster in this cell's output from now on, whatever cell runs. JupyterLab gives\n"
        'the output a tab of its own by "Create New View for Cell Output". Watching again moves\n'
        "it; it ends with its cluster, and stays as it was last. A terminal is shown one state.",
        _WATCH_EPILOG,
    )
    watch.add_argument("views", nargs="*", type=_view, metavar="VIEW", help="what is shown; or off")
    return watch


def _dashboard() -> Parser:
    dashboard = new(
        "%scale dashboard",
        "Show Dask's own plots of the cluster in this cell's output, through the Jupyter server:\n"
        "who is logged in there sees them. Elsewhere it is a link.",
        _DASHBOARD_EPILOG,
    )
    dashboard.add_argument(
        "plot", nargs="?", choices=PLOTS, default="status", metavar="PLOT", help=", ".join(PLOTS)
    )
    return dashboard


def _view(text: str) -> str:
    if text not in (*VIEWS, OFF):
        raise argparse.ArgumentTypeError(f"there is no view {text!r}")
    return text
