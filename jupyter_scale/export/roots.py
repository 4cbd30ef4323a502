"""Which distributions a notebook really uses, and why: roots for people, a lock for builds.

Imports in the source alone miss lazy engines (a reader that pandas loads by name) and what only
workers import; all loaded modules over-report what is probed for and never used. So: imports, then
what is loaded and no other root requires, then what only workers have, then programs and the parts
of JupyterLab that outputs need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from jupyter_scale.export.closure import closure
from jupyter_scale.export.notebook import Read
from jupyter_scale.export.snapshot import Snapshot

__all__ = ["BASE", "Root", "clusters", "found"]

KERNEL = "ipykernel"
STARTED = (
    "debugpy", "pip", "setuptools", "wheel", "uv", "nbclient", "nbconvert", "nbformat",
    "jupyter-scale", "notebook",
)  # fmt: skip
"""What may be loaded in any kernel, or by what runs or exports it, and not be used otherwise."""
BASE = frozenset(
    [
        "ipykernel", "jupyterhub", "jupyterlab", "jupyterlab-server", "jupyter-server",
        "jupyter-server-terminals", "jupyter-client", "jupyter-core", "jupyter-events",
        "jupyter-lsp", "notebook", "notebook-shim", "nbclassic", "nbclient", "nbconvert",
        "nbformat", "jupyter-resource-usage", "jupyter-offlinenotebook", "jupyterlab-pygments",
        "pip", "setuptools", "wheel",
    ]
)  # fmt: skip
"""What repo2docker's image has at versions that fit one another: pinned only where it is a root."""
WIDGETS = "application/vnd.jupyter.widget-view+json"
SHOWS = {
    WIDGETS: ("ipywidgets", "jupyterlab-widgets"),
    "application/vnd.bokehjs_exec.v0+json": ("jupyter-bokeh",),
    "application/vnd.holoviews_exec.v0+json": ("pyviz-comms",),
    "application/geo+json": ("jupyterlab-geojson",),
}
"""What shows an output, by its kind."""
EXTRAS = {"jupyter_scale.export": ("jupyter-scale", "export")}
"""What an import needs besides, as an extra of its distribution: programs are not seen loaded."""
PROXY = "jupyter-server-proxy"
PANEL = "dask-labextension"


@dataclass(frozen=True, slots=True)
class Root:
    """A distribution that the notebook uses itself.

    Attributes
    ----------
    name, version : str
    reasons : tuple of str
        Such as ``imported in cell 3``.
    """

    name: str
    version: str
    reasons: tuple[str, ...]


def found(read: Read, snapshot: Snapshot) -> tuple[Root, ...]:
    """Return the distributions that a notebook uses, or several, by name."""
    reasons: dict[str, list[str]] = {}

    def add(name: str, reason: str) -> None:
        if name in snapshot.distributions and reason not in reasons.setdefault(name, []):
            reasons[name].append(reason)

    for name, places in _imported(read, snapshot).items():
        add(name, f"imported in {_listed(places)}")
    for module in _extras(read):
        for name in _required(snapshot, *EXTRAS[module]):
            add(name, f"{module} needs it")
    for program, places in read.places("programs").items():
        if owner := snapshot.programs[program].distribution if program in snapshot.programs else "":
            add(owner, f"its program {program} is called in {_listed(places)}")
    for kind in read.mimetypes & SHOWS.keys():
        for name in SHOWS[kind]:
            add(name, f"shows outputs of the notebook ({kind.rpartition('/')[2]})")
    if clusters(read, snapshot):
        add(PROXY, "shows Dask's dashboard through the Jupyter server")
        add(PANEL, "shows Dask's plots in JupyterLab")
    implied = _closure(snapshot, [*reasons, KERNEL, *STARTED])
    for name in _unimplied(snapshot, snapshot.loaded.keys() - implied):
        add(name, f"loaded, and required by no other: {', '.join(snapshot.loaded[name][:2])}")
    implied |= _closure(snapshot, reasons)
    for name in _unimplied(snapshot, snapshot.on_workers.keys() - implied):
        add(name, f"loaded only on workers: {', '.join(snapshot.on_workers[name][:2])}")
    return tuple(
        Root(name, snapshot.distributions[name].version, tuple(why))
        for name, why in sorted(reasons.items())
    )


def clusters(read: Read, snapshot: Snapshot) -> bool:
    """Whether the notebook works on a Dask cluster."""
    used = set(_imported(read, snapshot))
    return bool(used & {"distributed", "jupyter-scale", "dask-jobqueue", "dask-gateway"})


def _imported(read: Read, snapshot: Snapshot) -> Mapping[str, tuple[str, ...]]:
    """Return the distributions that the source names, and where."""
    found: dict[str, dict[str, None]] = {}
    for name, places in read.places("imports").items():
        one = snapshot.imports.get(name)
        if one is not None and one.kind == "distribution" and one.distribution:
            found.setdefault(canonicalize_name(one.distribution), {}).update(dict.fromkeys(places))
        # a module that is another's by name: dask.distributed
        if name.startswith("dask.distributed") and "distributed" in snapshot.distributions:
            found.setdefault("distributed", {}).update(dict.fromkeys(places))
    return {name: tuple(places) for name, places in found.items()}


def _listed(places: Iterable[str]) -> str:
    """Return places as one text, the cells of each notebook together.

    Examples
    --------
    >>> _listed(["cell 1", "cell 2"]), _listed(["a.ipynb cell 1", "b.py", "a.ipynb cell 4"])
    ('cell 1, cell 2', 'a.ipynb cells 1 and 4, b.py')
    """
    cells: dict[str, list[str]] = {}
    for place in places:
        notebook, cell, number = place.rpartition(" cell ")
        cells.setdefault(notebook if cell else place, []).extend([number] if cell else [])

    def said(place: str, numbers: list[str]) -> str:
        if len(numbers) < 2:
            return " cell ".join([place, *numbers])
        return f"{place} cells {', '.join(numbers[:-1])} and {numbers[-1]}"

    return ", ".join(said(*one) for one in cells.items())


def _extras(read: Read) -> list[str]:
    """Return the modules of `EXTRAS` that the source imports, themselves or a part of them."""
    names = [f"{name}." for name in read.places("imports")]
    return [module for module in EXTRAS if any(name.startswith(f"{module}.") for name in names)]


def _required(snapshot: Snapshot, name: str, extra: str) -> list[str]:
    """Return what an extra of a distribution asks for itself, without repo2docker's own."""
    always, asked = (
        closure([wanted], snapshot.distributions, snapshot.markers)
        for wanted in (name, f"{name}[{extra}]")
    )
    return [
        one
        for one, by in asked.items()
        if name in by and name not in always.get(one, ()) and one not in BASE
    ]


def _unimplied(snapshot: Snapshot, names: Iterable[str]) -> list[str]:
    """Return those that no other of them requires; of a circle, the first."""
    kept = sorted(set(names) & snapshot.distributions.keys())
    for name in list(kept):
        others = _closure(snapshot, [other for other in kept if other != name])
        if name in others:
            kept.remove(name)
    return kept


def _closure(snapshot: Snapshot, names: Iterable[str]) -> set[str]:
    return set(closure(names, snapshot.distributions, snapshot.markers))
