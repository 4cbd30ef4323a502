"""jupyter_scale: run scikit-learn's searches on a cluster, with every shared fit done once.

In a notebook, ``%load_ext jupyter_scale`` gives the ``%scale`` and ``%%scale`` magics; in a script,
`merged` is a context manager around unmodified scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

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


def __getattr__(name: str) -> Any:
    # The search brings scikit-learn, which takes a second: a cluster's host, and each of its
    # workers, start without it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module("jupyter_scale.search"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Say where the Jupyter server finds its part."""
    return [{"module": "jupyter_scale.server"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Say where the built panel is."""
    return [{"src": "labextension", "dest": "jupyter-scale"}]


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register the magics: what ``%load_ext jupyter_scale`` calls."""
    from jupyter_scale.export.brought import bringing

    with bringing("extension"):
        from jupyter_scale import magics

        magics.load_ipython_extension(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Remove the magics: what ``%unload_ext jupyter_scale`` calls."""
    from jupyter_scale import magics

    magics.unload_ipython_extension(ipython)
