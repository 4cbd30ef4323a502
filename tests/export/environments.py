"""Environments and notebooks that are written here, for tests of pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_notebook

from jupyter_scale.export.notebook import Notebook, Read, examine, parsed
from jupyter_scale.export.snapshot import Distribution, Imported, Snapshot

MARKERS = {
    "implementation_name": "cpython", "implementation_version": "3.11.7", "os_name": "posix",
    "platform_machine": "x86_64", "platform_release": "", "platform_system": "Linux",
    "platform_version": "", "python_full_version": "3.11.7", "python_version": "3.11",
    "platform_python_implementation": "CPython", "sys_platform": "linux",
}  # fmt: skip
INSTALLED = {
    "pandas": ("3.0", "numpy>=2", "pyarrow; extra == 'parquet'"),
    "numpy": ("2.4",),
    "pyarrow": ("26.0", "numpy"),
    "dask": ("2026.8", "click", "distributed; extra == 'distributed'"),
    "distributed": ("2026.8", "dask", "tornado"),
    "click": ("8.5", "colorama; sys_platform == 'win32'"),
    "tornado": ("6.6",),
    "ipykernel": ("7.4", "tornado", "ipython", "psutil"),
    "ipython": ("9.1",),
    "psutil": ("7.0",),
    "ipywidgets": ("8.1", "jupyterlab-widgets"),
    "jupyterlab-widgets": ("3.0",),
    "jupyter-server-proxy": ("4.6", "jupyter-server", "aiohttp"),
    "jupyter-server": ("2.1", "anyio", "tornado"),
    "aiohttp": ("3.1",),
    "anyio": ("4.1",),
    "black": ("25.1", "click"),
}


def distributions(
    installed: Mapping[str, Sequence[str]] = INSTALLED, **more: Distribution
) -> dict[str, Distribution]:
    found = {
        name: Distribution(name, version, tuple(requires))
        for name, (version, *requires) in installed.items()
    }
    return {**found, **{one.name: one for one in more.values()}}


def snapshot(**more: Any) -> Snapshot:
    values: dict[str, Any] = {
        "python": "3.11.7",
        "markers": MARKERS,
        "distributions": distributions(),
        **more,
    }
    imports = values.pop("imports", {})
    found = {name: Imported("distribution", owner) for name, owner in imports.items()}
    return Snapshot(**values, imports=found)


def notebook(folder: Path, *sources: str, counts: Sequence[int | None] | None = None) -> Notebook:
    cells = [new_code_cell(source) for source in sources]
    for number, cell in enumerate(cells):
        cell.execution_count = number + 1 if counts is None else counts[number]
    return parsed(folder / "nb.ipynb", new_notebook(cells=cells))


def read(folder: Path, *sources: str) -> tuple[Notebook, Read]:
    one = notebook(folder, *sources)
    return one, examine(one)
