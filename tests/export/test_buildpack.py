"""repo2docker's classes, asked about folders that are good and that are not."""

from __future__ import annotations

import tarfile
from pathlib import Path

import folders
import pytest

from jupyter_scale.export import buildpack
from jupyter_scale.export.buildpack import base, judge
from jupyter_scale.export.claim import FAILED, VERIFIED
from jupyter_scale.export.verify import _accepted

CELL = folders.cell("1")


def test_a_good_folder_is_rendered_with_its_context(tmp_path: Path) -> None:
    start = '#!/bin/bash\nexec "$@"\n'
    files = {
        "binder/start": start,
        "binder/apt.txt": "graphviz\n",
        "binder/.dockerignore": ".git\n",
    }
    folder = folders.write(tmp_path / "a", CELL, files=files)
    packed = tmp_path / "context.tar"
    judged = judge(folder, context=packed)
    assert (judged.buildpack, judged.python) == ("PythonBuildPack", "3.11")
    assert (judged.error, judged.warnings) == ("", ())
    assert "a.ipynb" in judged.context
    assert "--no-install-recommends graphviz" in judged.dockerfile
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in judged.dockerfile
    with tarfile.open(packed) as tar:
        assert {"Dockerfile", "src/a.ipynb"} <= set(tar.getnames())
    assert _accepted(folder).status == VERIFIED


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ("3", "names no version"),
        ("3.11.7", "names no version"),
        ("3.99", "is not supported"),
    ],
)
def test_another_python_than_it_knows(tmp_path: Path, python: str, reason: str) -> None:
    claim = _accepted(folders.write(tmp_path, CELL, python=python))
    assert claim.status == FAILED
    assert reason in claim.details[0]


def test_what_hides_the_folder_is_found(tmp_path: Path) -> None:
    folder = folders.write(tmp_path, CELL, files={"binder/Dockerfile": "FROM scratch\n"})
    claim = _accepted(folder)
    assert claim.status == FAILED
    assert "DockerBuildPack takes it" in claim.details[0]


def test_a_notebook_that_the_image_would_miss(tmp_path: Path) -> None:
    folder = folders.write(tmp_path, CELL, files={"binder/.dockerignore": "*.ipynb\n"})
    assert "a.ipynb is not in the build context" in _accepted(folder).details[0]


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("#!/bin/bash\nexit 0\n", 0o644, "is not executable"),
        ("exit 0\n", 0o755, "does not begin with #!"),
        ("#!/bin/bash\nif true; then\n", 0o755, "syntax error"),
    ],
)
def test_scripts_that_cannot_run(tmp_path: Path, text: str, mode: int, reason: str) -> None:
    folder = folders.write(tmp_path, CELL, files={"binder/postBuild": text})
    (folder / "binder/postBuild").chmod(mode)
    claim = _accepted(folder)
    assert claim.status == FAILED
    assert reason in " ".join(claim.details)
    assert str(tmp_path) not in " ".join(claim.details)


def test_a_local_module_is_not_taken_for_one_of_pythons(tmp_path: Path) -> None:
    folder = folders.write(tmp_path, CELL, files={"tarfile.py": "1/0\n", "json.py": "1/0\n"})
    assert not judge(folder).error


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_the_packages_that_are_there_before(python: str) -> None:
    found = base(python)
    assert {"jupyterlab", "ipykernel", "notebook", "jupyterhub"} <= set(found)
    assert not {"python", "python-abi", "zeromq", "nodejs"} & set(found)


def test_without_repo2docker_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildpack, "find_spec", lambda name: None)
    assert buildpack.missing().endswith('pip install "jupyter-scale[export]"')
    assert base("3.11") == {}
