"""jupyter_scale: run scikit-learn's searches on a cluster, with every shared fit done once.

In a notebook, ``%load_ext jupyter_scale`` gives the ``%scale`` and ``%%scale`` magics; in a script,
`merged` is a context manager around unmodified scikit-learn.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from jupyter_scale.search import (
    Control,
    OptunaSearchCV,
    Plan,
    PlanOnly,
    Recorder,
    Report,
    Score,
    SearchReport,
    SearchStopped,
    merged,
    stream,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "Control",
    "OptunaSearchCV",
    "Plan",
    "PlanOnly",
    "Recorder",
    "Report",
    "Score",
    "SearchReport",
    "SearchStopped",
    "load_ipython_extension",
    "merged",
    "stream",
    "unload_ipython_extension",
]

__version__ = version("jupyter-scale")


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register the magics: what ``%load_ext jupyter_scale`` calls."""
    from jupyter_scale import magics

    magics.load_ipython_extension(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Remove the magics: what ``%unload_ext jupyter_scale`` calls."""
    from jupyter_scale import magics

    magics.unload_ipython_extension(ipython)
