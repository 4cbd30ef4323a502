"""environment.yml built anew by py-rattler: real packages of a channel in a folder, offline.

The whole chain is the first test: a prefix of conda's, a notebook that runs in it, its export, and
the environment that is made of the exported folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import conda_prefix
import folders
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from test_rebuild import wheel

from jupyter_scale.export import Options, conda, export
from jupyter_scale.export.agreement import agreed
from jupyter_scale.export.claim import BASE, ENVIRONMENT
from jupyter_scale.export.conda import solve
from jupyter_scale.export.condarc import addresses
from jupyter_scale.export.fit import fits
from jupyter_scale.export.rebuild import rebuild
from jupyter_scale.export.report import Report
from jupyter_scale.export.step import Refused
from jupyter_scale.export.wanted import Wanted

OURS = ("conda-forge",)
DEPENDS = {"jupyterlab": ["tornado >=6.2"], "old": ["tornado <6"]}
MORE = (("old", "1", "h1_0"), ("tornado", "5.1", "h1_0"))
"""Listed besides repo2docker's own packages."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prefix, and with the mirror that it was made of."""
    folder: Path = tmp_path_factory.mktemp("conda")
    conda_prefix.make(folder)
    conda_prefix.with_base(folder / conda_prefix.CHANNEL, DEPENDS, MORE)
    return folder


@pytest.fixture(autouse=True)
def mirror(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this machine's configuration say where conda-forge is, and no program of conda's."""
    alias = (home / conda_prefix.CHANNEL).parent.as_uri()
    for name in ("CONDA_EXE", "MAMBA_EXE", "CONDA_CHANNEL_ALIAS"):
        monkeypatch.delenv(name, raising=False)
    configured(tmp_path, monkeypatch, channel_alias=alias)
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(home / "cache"))
    monkeypatch.setattr(conda, "PROGRAMS", ())


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch, **said: object) -> None:
    path = folder / "condarc"
    path.write_text(json.dumps(said))
    monkeypatch.setenv("CONDARC", str(path))


def written(folder: Path, *specs: str, lock: str = "", pip: str = "") -> Path:
    """Write a folder with an environment.yml."""
    entries = [f"python={conda_prefix.PYTHON}", *specs, *([{"pip": [pip]}] if pip else [])]
    said = {"channels": [*OURS], "dependencies": entries}
    files = {"binder/environment.yml": json.dumps(said), "provenance/conda.lock": lock}
    return folders.write(folder, folders.cell("1"), files=files)


# -- all of it


def test_a_prefix_is_exported_and_what_comes_of_it_is_reproducible(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = home / "prefix"
    report = exported(prefix, tmp_path, monkeypatch)
    claims = {claim.name: claim for claim in report.claims}
    assert {claim.status for claim in claims.values()} == {"verified"}, report.claims
    said = "\n".join(claims[ENVIRONMENT].details)
    assert "6 packages of conda's, resolved and installed by py-rattler" in said
    assert "ipykernel" in said
    assert "packages that repo2docker has installed before" in claims[BASE].details[0]
    assert "reproducible" in (tmp_path / "out" / "README.md").read_text().lower()


def exported(prefix: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Export a notebook whose kernel is in the prefix; it is run there first."""
    kernel = folder / "jupyter" / "kernels" / "toys"
    kernel.mkdir(parents=True)
    python = str(prefix / "bin/python")
    spec = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Toys",
        "language": "python",
        "env": {"PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"},
    }
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    subprocess.run([*uv, "ipykernel", "six==1.17.0"], check=True)
    cells = [
        new_code_cell("import six, toy\nprint(toy.__version__, six.__version__)"),
        new_code_cell("!draws"),
    ]
    (folder / "project").mkdir()
    path = folder / "project" / "nb.ipynb"
    metadata = {"kernelspec": {"name": "toys", "display_name": "Toys", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    accepted = tuple(f"channel:{name}" for name in ("toy", "draws", "inner"))
    return export(path, folder / "out", Options(accept=accepted, yes=True))


# -- against the locks


def test_a_wheel_beside_environment_yml_and_a_library_that_is_newer(tmp_path: Path) -> None:
    lock = "# libtoy-8-h1_0.tar.bz2#sha256:00\n"
    folder = written(tmp_path / "a", "toy=1.2", lock=lock, pip="./wheels/ours-1.0-py3-none-any.whl")
    wheel(folder, "ours")
    found = rebuild(folder, tmp_path / "env")
    assert found.version == conda_prefix.PYTHON
    assert "chosen anew, as binder/environment.yml does not name them: libtoy 8 -> 9" in found.notes
    said = subprocess.run(
        [str(found.python), "-c", "import ours, toy; print(ours.ANSWER, toy.__version__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "42 1.2\n"


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("# toy-1.1-h1_0.tar.bz2", "toy is 1.2, not 1.1"),
        ("# toy-1.2-h1_0.tar.bz2#sha256:00", "toy 1.2 is another archive than in"),
        ("# toy-1.2-h1_0.tar.bz2#00", "toy 1.2 is another archive than in"),
    ],
)
def test_what_the_lock_says_otherwise(home: Path, tmp_path: Path, lock: str, said: str) -> None:
    folder = written(tmp_path / "a", "toy=1.2", lock=f"@EXPLICIT\n{lock}\n")
    with pytest.raises(Refused) as caught:
        agreed(folder, {}, home / "prefix")
    assert caught.value.status == "failed"
    assert caught.value.details[1].startswith(said)


def test_a_package_that_is_not_there(home: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "a", "numpy=2.4", pip="six==1.17.0")
    with pytest.raises(Refused) as caught:
        agreed(folder, {}, home / "prefix")
    assert caught.value.details[1:] == ("six is not there", "numpy is not there")


def test_a_program_of_condas_goes_first_also_where_only_a_shell_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "micromamba"
    program.write_text('#!/bin/sh\necho "$* $MAMBA_ALWAYS_YES: connection refused" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("MAMBA_EXE", str(program))
    with pytest.raises(Refused) as caught:
        rebuild(written(tmp_path / "a", "toy=1.2"), tmp_path / "env")
    assert caught.value.status == "not verified"
    words = f"create --prefix {tmp_path / 'env'} --file binder/environment.yml true"
    assert caught.value.details == (
        "binder/environment.yml cannot be built:",
        f"{words}: connection refused",
    )


# -- channels


def test_a_version_that_no_channel_has_is_the_folders_fault(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        rebuild(written(tmp_path / "a", "toy=9.9"), tmp_path / "env")
    assert caught.value.status == "failed"
    assert "toy 9.9" in " ".join(caught.value.details)


def test_a_channel_that_does_not_answer_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, monkeypatch, channel_alias="http://127.0.0.1:9")
    with pytest.raises(Refused) as caught:
        rebuild(written(tmp_path / "a", "toy=1.2"), tmp_path / "env")
    assert caught.value.status == "not verified"


def test_a_version_that_cannot_be_read_is_the_folders_fault() -> None:
    error = refused(Wanted(OURS, ("toy>=1,,2",)))
    assert error.status == "failed"
    assert "1,,2" in " ".join(error.details)


def test_a_folder_that_is_not_there_is_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, monkeypatch, channel_alias="file:///nowhere")
    assert refused(Wanted(OURS, ("toy=1.2",))).status == "not verified"


def test_a_channel_that_nobody_has_is_the_folders_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as address:
        configured(tmp_path, monkeypatch, channel_alias=address)
        error = refused(Wanted(("nobody-has-it",), ("toy=1.2",)))
    assert error.status == "failed"
    assert "nobody-has-it" in " ".join(error.details)


def refused(wanted: Wanted) -> Refused:
    with pytest.raises(Refused) as caught:
        solve(wanted)
    return caught.value


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder, and give its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.long  # rattler asks a silent channel four times
def test_what_a_channel_has_said_is_enough_when_it_is_silent(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted(OURS, (f"python={conda_prefix.PYTHON}", "toy=1.2"))
    with serving((home / conda_prefix.CHANNEL).parent) as address:
        configured(tmp_path, monkeypatch, channel_alias=address)
        before = solve(wanted)
    after = solve(wanted)
    assert before.notes == ()
    assert after.packages == before.packages == {**before.packages, "toy": ("1.2", "h1_0")}
    assert after.notes == ("resolved by what rattler's cache knows, as a channel does not answer",)


def test_where_the_configuration_has_the_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR", "https://mirror.example")
    configured(
        tmp_path,
        monkeypatch,
        channel_alias="${MIRROR}/conda/",
        custom_channels={"ours": "https://ours.example/all"},
        default_channels=["main", "https://else.example/r"],
    )
    assert addresses(["defaults", "ours", "main", "https://a.example/b", "/srv/channel"]) == (
        "https://mirror.example/conda/main",
        "https://else.example/r",
        "https://ours.example/all/ours",
        "https://a.example/b",
        "file:///srv/channel",
    )


def test_a_configuration_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, monkeypatch)
    (tmp_path / "condarc").write_text("channel_alias: [")
    with pytest.raises(Refused, match="condarc cannot be read") as caught:
        addresses(OURS)
    assert caught.value.status == "not verified"


# -- repo2docker's own packages


def test_what_is_replaced_of_repo2dockers_packages_is_said(tmp_path: Path) -> None:
    said = fits(written(tmp_path / "a", "toy=1.2", pip="ipython==9.7.0"), tmp_path)
    assert said[0].startswith("resolved by py-rattler with ")
    assert f" -> {conda_prefix.PYTHON}" in said[1]
    assert said[2].startswith("by pip, replaced of them: ipython ")


@pytest.mark.parametrize(("spec", "pip"), [("old=1", ""), ("toy=1.2", "tornado==5.1.1")])
def test_what_breaks_repo2dockers_packages(tmp_path: Path, spec: str, pip: str) -> None:
    with pytest.raises(Refused) as caught:
        fits(written(tmp_path / "a", spec, pip=pip), tmp_path)
    assert caught.value.status == "failed"
    assert "tornado" in " ".join(caught.value.details)


def test_a_mirror_without_repo2dockers_packages(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "mirror" / "conda-forge"
    shutil.copytree(home / conda_prefix.CHANNEL / "linux-64", small / "linux-64")
    (small / "noarch").mkdir()
    (small / "noarch" / "repodata.json").write_text('{"info": {"subdir": "noarch"}}')
    configured(tmp_path, monkeypatch, channel_alias=small.parent.as_uri())
    with pytest.raises(Refused) as caught:
        fits(written(tmp_path / "a", "toy=1.2"), tmp_path)
    assert caught.value.status == "not verified"
    assert caught.value.details[0].startswith("The channels here have not what repo2docker")
