"""An export that is planned by a notebook which is being exported itself."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_scale.export import Options, plan

PLAN = """
from jupyter_scale.export import Options, plan
found = plan("inner.ipynb", "inner-out", Options(yes=True, wheels=True))
print(found.names, sorted(root.name for root in found.roots))
"""


@pytest.mark.long
def test_a_notebook_that_plans_an_export_can_be_exported(tmp_path: Path) -> None:
    for name, source in (("inner", "import six"), ("outer", PLAN)):
        notebook = new_notebook(cells=[new_code_cell(source)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    found = plan(tmp_path / "outer.ipynb", tmp_path / "out", Options(yes=True, wheels=True))
    (output,) = found.notebooks[0].content["cells"][0]["outputs"]
    assert "".join(output["text"]).startswith("('inner.ipynb',) [")
    assert "'six'" in "".join(output["text"])
