"""Which packages a notebook uses: of environments that are written here."""

from __future__ import annotations

from pathlib import Path

from environments import MARKERS, distributions, notebook, read, snapshot
from nbformat.v4 import new_output

from jupyter_scale.export import roots
from jupyter_scale.export.closure import closure
from jupyter_scale.export.notebook import examine, parsed


def test_an_import_is_a_root_with_its_places(tmp_path: Path) -> None:
    _, code = read(tmp_path, "import pandas as pd", "import pandas.io")
    found = roots.found(code, snapshot(imports={"pandas": "pandas", "pandas.io": "pandas"}))
    assert [(root.name, root.reasons) for root in found] == [
        ("pandas", ("imported in cell 1, cell 2",))
    ]


def test_a_lazy_engine_is_a_root_and_what_another_requires_is_none(tmp_path: Path) -> None:
    loaded = {name: (name,) for name in ("pandas", "numpy", "pyarrow", "tornado", "psutil")}
    _, code = read(tmp_path, "import pandas")
    found = roots.found(code, snapshot(imports={"pandas": "pandas"}, loaded=loaded))
    assert {root.name: root.reasons[0] for root in found} == {
        "pandas": "imported in cell 1",
        "pyarrow": "loaded, and required by no other: pyarrow",
    }


def test_what_only_workers_have_loaded_is_a_root(tmp_path: Path) -> None:
    _, code = read(tmp_path, "from dask.distributed import Client")
    there = snapshot(
        imports={"dask.distributed": "dask"},
        loaded={"dask": ("dask",), "distributed": ("distributed",)},
        on_workers={"distributed": ("distributed",), "pyarrow": ("pyarrow",)},
    )
    found = {root.name: root.reasons[0] for root in roots.found(code, there)}
    assert found["distributed"] == "imported in cell 1"
    assert found["pyarrow"] == "loaded only on workers: pyarrow"
    assert "jupyter-server-proxy" in found, "shows the dashboard"


def test_a_program_of_a_package_and_a_widget_are_reasons(tmp_path: Path) -> None:
    one = notebook(tmp_path, "!black x.py")
    cells = [dict(cell) for cell in one.content["cells"]]
    data = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "x"}
    cells[0]["outputs"] = [new_output("display_data", data)]
    one = parsed(one.path, {**one.content, "cells": cells})
    from jupyter_scale.export.snapshot import Program

    there = snapshot(programs={"black": Program("/env/bin/black", "black")})
    found = {root.name: root.reasons[0] for root in roots.found(examine(one), there)}
    assert found["black"] == "its program black is called in cell 1"
    assert {"ipywidgets", "jupyterlab-widgets"} <= found.keys()


def test_what_exports_needs_the_programs_of_an_export(tmp_path: Path) -> None:
    requires = ("6.6", "pyyaml", "pyyaml; extra == 'export'", "uv; extra == 'export'",
                "nbformat; extra == 'export'", "dask-ml; extra == 'large'")  # fmt: skip
    installed = {"jupyter-scale": requires, "pyyaml": ("6",), "uv": ("0.9",), "nbformat": ("5",),
                 "dask-ml": ("2025",)}  # fmt: skip
    imports = {"jupyter_scale": "jupyter-scale", "jupyter_scale.export": "jupyter-scale"}
    there = snapshot(distributions=distributions(installed), imports=imports)
    _, code = read(tmp_path, "from jupyter_scale.export import plan")
    found = {root.name: root.reasons for root in roots.found(code, there)}
    assert found == {
        "jupyter-scale": ("imported in cell 1",),
        "uv": ("jupyter_scale.export needs it",),
    }
    _, code = read(tmp_path, "%load_ext jupyter_scale", "import jupyter_scale.exporter")
    assert "uv" not in {root.name for root in roots.found(code, there)}


def test_of_a_circle_one_is_kept(tmp_path: Path) -> None:
    _, code = read(tmp_path, "1")
    circle = distributions({"a": ("1", "b"), "b": ("1", "a"), "ipykernel": ("7",)})
    there = snapshot(distributions=circle, loaded={"a": ("a",), "b": ("b",)})
    assert [root.name for root in roots.found(code, there)] == ["b"]


def test_a_closure_follows_markers_and_asked_extras() -> None:
    there = distributions()
    assert list(closure(["click"], there, MARKERS)) == ["click"]
    assert list(closure(["dask"], there, MARKERS)) == ["dask", "click"]
    assert set(closure(["dask[distributed]"], there, MARKERS)) == {
        "dask", "click", "distributed", "tornado",
    }  # fmt: skip
    by = closure(["pandas", "pyarrow"], there, MARKERS)
    assert by["numpy"] == ("pandas", "pyarrow")
    assert by["pandas"] == ()
