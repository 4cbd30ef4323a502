"""The files of binder/, as repo2docker and a shell read them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from jupyter_scale.clusters.manifest import validate
from jupyter_scale.export import binder
from jupyter_scale.export.docker import dockerfile
from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.kubernetes import cluster, slug
from jupyter_scale.export.lock import Lock, Pin
from jupyter_scale.export.notebook import examine, read
from jupyter_scale.export.roots import BASE

LOCK = Lock("3.11.7", (Pin("numpy", "2.4", "numpy==2.4"),))
TOP = Path(binder.__file__).parents[2]
NOTEBOOKS = sorted([*TOP.glob("notebooks/*.ipynb"), *TOP.glob("notebooks/course/*.ipynb")])
LEFT_OUT = {
    "09-neural-network-grid": {"torch", "keras", "skorch"},
    "10-data-parallel": {"torch", "xgboost", "lightgbm"},
}
"""Their first cell says so: PyTorch's builds on the index are for GPUs."""


def test_a_plain_notebook_needs_two_files() -> None:
    found = binder.files(LOCK)
    assert sorted(found) == [
        "binder/.dockerignore",
        "binder/requirements.txt",
        "binder/runtime.txt",
    ]
    assert found["binder/runtime.txt"] == ("python-3.11\n", False)
    assert "numpy==2.4\n" in found["binder/requirements.txt"][0]


def test_a_cluster_needs_its_dashboard_and_its_limits() -> None:
    found = binder.files(LOCK, dask=True, packages=["graphviz"], fetches=True)
    assert found["binder/apt.txt"][0] == "graphviz\n"
    assert found["binder/start"][1]
    assert found["binder/postBuild"][1]
    assert "python fetch.py" in found["binder/postBuild"][0]
    factory = yaml.safe_load(found["binder/labextension.yaml"][0])["labextension"]["factory"]
    assert (factory["module"], factory["class"]) == ("dask.distributed", "LocalCluster")


@pytest.mark.parametrize(
    ("limits", "link", "kwargs"),
    [
        ({}, "/proxy/{port}/status", None),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/a/"}, "/user/a/proxy/{port}/status", None),
        (
            {"CPU_LIMIT": "2.0", "MEM_LIMIT": "2147483648"},
            "/proxy/{port}/status",
            {"n_workers": 2, "memory_limit": 939524096},
        ),
        ({"CPU_LIMIT": "0.5", "MEM_LIMIT": "8000"}, "/proxy/{port}/status",
         {"n_workers": 1, "memory_limit": 7000}),
        ({"CPU_LIMIT": "x; touch y", "MEM_LIMIT": "2G"}, "/proxy/{port}/status", None),
    ],
)  # fmt: skip
def test_start_sets_what_dask_reads_and_goes_on(
    tmp_path: Path, limits: dict[str, str], link: str, kwargs: dict[str, int] | None
) -> None:
    start = tmp_path / "start"
    start.write_text(binder.START)
    script = "import dask, json; print(json.dumps([dask.config.get(name, None) for name in "
    script += "('distributed.dashboard.link', 'labextension.factory.kwargs')]))"
    done = subprocess.run(
        ["bash", str(start), sys.executable, "-c", script],
        env={"PATH": "/usr/bin:/bin", **limits}, capture_output=True, text=True, check=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert json.loads(done.stdout) == [link, kwargs]
    assert [path.name for path in tmp_path.iterdir()] == ["start"]


def test_post_build_puts_the_settings_where_dask_looks(tmp_path: Path) -> None:
    (tmp_path / "binder").mkdir()
    (tmp_path / "binder/labextension.yaml").write_text("x: 1")
    text = binder.post_build(dask=True, fetches=False)
    environment = {"PATH": "/usr/bin:/bin", "NB_PYTHON_PREFIX": str(tmp_path / "prefix")}
    subprocess.run(["bash", "-c", text], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "prefix/etc/dask/labextension.yaml").read_text() == "x: 1"


@given(st.text(min_size=1, max_size=20))
def test_whatever_is_in_apt_txt_is_one_word_of_shell(name: str) -> None:
    try:
        text = binder.apt([name])
    except ExportError:
        return
    assert text == f"{name}\n"
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789+.-")
    assert not name.startswith("-")


@pytest.mark.parametrize("name", ["graphviz", "libgl1", "g++", "libmagickwand-6.q16-6", "0ad"])
def test_debian_names_are_valid(name: str) -> None:
    assert binder.valid(name)


@pytest.mark.parametrize("name", ["a b", "a\n", "$(x)", "-y", "a;b", "A", "é", "a`b`", "", "a=1"])
def test_other_names_are_not(name: str) -> None:
    assert not binder.valid(name)


def test_a_dockerfile_has_the_same_packages_and_no_open_login() -> None:
    text = dockerfile(LOCK, "my notebook.ipynb", packages=["graphviz"], fetches=True)
    assert text.splitlines()[2] == "FROM python:3.11.7-slim"
    assert "install --yes --no-install-recommends graphviz" in text
    assert text.index("USER jovyan") < text.index("python fetch.py") < text.index("CMD")
    command = json.loads(text.splitlines()[-1].removeprefix("CMD "))
    assert command[-1] == "--ServerApp.default_url=/lab/tree/my notebook.ipynb"
    assert not any("token" in word for word in command)
    with pytest.raises(ExportError):
        dockerfile(LOCK, "x.ipynb", packages=["x; rm -rf /"])


def test_a_cluster_of_the_image_is_what_the_operator_reads() -> None:
    document = yaml.safe_load(cluster("my-notebook", "example.org/me/notebook:1"))
    validate([document])
    for role in ("scheduler", "worker"):
        [container] = document["spec"][role]["spec"]["containers"]
        assert container["image"] == "example.org/me/notebook:1"


@given(st.text(max_size=80))
def test_any_folder_gives_a_name_for_kubernetes(name: str) -> None:
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", slug(name))


def required() -> set[str]:
    """What `make binder` has written for this repository, by name."""
    text = (TOP / "binder/requirements.txt").read_text()
    lines = [line.partition("  #")[0] for line in text.splitlines() if line[:1] != "#"]
    assert "." in lines, "the package itself comes from the folder"
    return {"jupyter-scale", *(line.partition("==")[0] for line in lines if "==" in line)}


def test_binder_of_this_repository_is_one_that_repo2docker_takes() -> None:
    assert required() >= {"dask", "scikit-learn", "matplotlib"}
    assert (TOP / "binder/runtime.txt").read_text() == "python-3.11\n"
    assert (TOP / "binder/start").read_text() == binder.START
    assert (TOP / "binder/.dockerignore").read_text() == binder.IGNORED
    assert not (TOP / "index.html").exists(), "the notebooks stay where they are"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_binder_of_this_repository_has_what_its_notebooks_import(path: Path) -> None:
    owners = packages_distributions()
    code = examine(read(path))
    here = {file.stem for file in code.local}
    tops = {name.partition(".")[0] for name in code.places("imports")}
    there = required() | BASE
    missing = {
        top
        for top in tops - here - sys.stdlib_module_names
        if not there & {canonicalize_name(owner) for owner in owners.get(top, [top])}
    }
    assert missing == LEFT_OUT.get(path.stem, set())
    if any(name.startswith("jupyter_scale.export") for name in code.places("imports")):
        assert there >= {"detect-secrets", "jupyter-repo2docker", "uv"}
