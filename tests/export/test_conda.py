"""A conda prefix, made offline, is exported as an environment.yml that repo2docker takes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import conda_prefix
import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_scale.export import Options, buildpack, plan, write
from jupyter_scale.export.snapshot import Snapshot, expression

SOURCES = ("import toy, replaced, piponly", "!draws a picture")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = conda_prefix.make(tmp_path_factory.mktemp("conda"))
    return made


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("project") / "nb.ipynb"
    cells = [new_code_cell(source, execution_count=n) for n, source in enumerate(SOURCES, 1)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture(scope="module")
def snapshot(prefix: Path, notebook: Path) -> Snapshot:
    """Of the prefix's Python, which has nothing of this package."""
    asked = expression(
        "probe", str(notebook.parent), ["toy", "replaced", "piponly"], ["draws"], False
    )
    code = f"import toy, replaced, piponly; print({asked})"
    done = subprocess.run(
        [str(prefix / "bin/python"), "-c", code], capture_output=True, text=True, check=True
    )
    return Snapshot.of(json.loads(done.stdout))


def test_a_prefix_is_told_with_what_was_asked_for(snapshot: Snapshot) -> None:
    assert snapshot.kind == "conda"
    records = {one.name: one for one in snapshot.conda}
    assert records["toy"].requested
    assert records["toy"].metadata == ("toy",)
    assert not records["libtoy"].requested
    assert records["draws"].programs == ("draws",)
    assert snapshot.distributions["toy"].url == "", "not the folder of who has built it"
    assert snapshot.imports["toy"].distribution == "toy"


def test_environment_yml_has_what_is_used_and_pip_goes_over_conda(
    notebook: Path, snapshot: Snapshot, tmp_path: Path
) -> None:
    made = plan(notebook, tmp_path / "out", snapshot=snapshot)
    text = made.tree.files["binder/environment.yml"].text() or ""
    found = yaml.safe_load(text)
    assert found["dependencies"] == [
        f"python={conda_prefix.PYTHON}", "draws=3.1", "inner=0.5", "toy=1.2", "pip",
        {"pip": ["piponly==4.0", "replaced==2.1"]},
    ]  # fmt: skip
    assert "h1_0" not in text
    assert "runtime.txt" not in made.tree.files
    lock = made.tree.files["provenance/conda.lock"].text() or ""
    assert "# libtoy-9-h1_0.tar.bz2#sha256:" in lock
    assert str(tmp_path.parent) not in lock
    ids = {finding.id for finding in made.findings}
    assert {"channel:toy", "channel:draws", "channel:inner"} <= ids
    assert not any(one.startswith("program:") for one in ids), "conda brings it"


def test_repo2docker_takes_it_with_that_python(
    notebook: Path, snapshot: Snapshot, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    accepted = tuple(f"channel:{name}" for name in ("toy", "draws", "inner"))
    options = Options(accept=accepted, yes=True, verify=False)
    report = write(plan(notebook, out, options, snapshot=snapshot))
    assert report.written
    judged = buildpack.judge(out)
    assert (judged.buildpack, judged.error) == ("CondaBuildPack", "")
    assert judged.python == ".".join(conda_prefix.PYTHON.split(".")[:2])
    assert "conda env create" in (out / "README.md").read_text()
