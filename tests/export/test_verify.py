"""Folders written by hand, verified: real environments, real kernels, a real Dask cluster."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import folders
import nbformat
import psutil
import pytest

from jupyter_scale.export.claim import (
    BASE,
    BUILDPACK,
    ENVIRONMENT,
    NAMES,
    OUTPUTS,
    RUN,
    Claim,
    reproducible,
    verdict,
)
from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.options import Options
from jupyter_scale.export.rebuild import Environment, rebuild
from jupyter_scale.export.run import MARK, Ran, run
from jupyter_scale.export.step import Refused
from jupyter_scale.export.verify import _paged, verify

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
GONE = """\
import subprocess, sys
p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """One environment for the notebooks that need nothing of their own."""
    home = tmp_path_factory.mktemp("environment")
    folder = folders.write(home / "folder", folders.cell("1"), python=HERE)
    return rebuild(folder, home / "env")


def ran(tmp_path: Path, environment: Environment, *cells, files=None, timeout: float = 60) -> Ran:
    folder = folders.write(tmp_path / "folder", *cells, files=files)
    scratch = tmp_path / "scratch"
    return run(folder, "a.ipynb", environment.python, scratch, timeout=timeout)


def printed(found: Ran, index: int = 0) -> str:
    return "".join(output.text for output in found.notebook.cells[index].outputs)


def status(claims: tuple[Claim, ...]) -> dict[str, str]:
    return {claim.name: claim.status for claim in claims}


# -- all of it


def test_a_folder_that_holds_what_it_claims(tmp_path: Path) -> None:
    folder = folders.write(
        tmp_path / "folder",
        folders.cell("import six, helper\nprint(six.__version__)", "1.17.0\n"),
        folders.cell("helper.mean('data/x.csv')", folders.value("2.0000000001")),
        python=HERE,
        files={
            "helper.py": "def mean(p):\n    return sum(map(float, open(p))) / 3\n",
            "data/x.csv": "1\n2\n3\n",
        },
    )
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    lines: list[str] = []
    claims = verify(folder, Options(), lines.append)
    assert [claim.name for claim in claims] == list(NAMES[:5])
    assert {*status(claims).values()} == {"verified"}, claims
    assert verdict(claims).startswith("Reproducible")
    assert "[2/2] helper.mean('data/x.csv')" in lines
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_what_differs_is_said_cell_by_cell(tmp_path: Path) -> None:
    folders.write(
        tmp_path,
        folders.cell("print('the same')", "the same\n"),
        folders.cell("1 / 4", folders.value("0.26")),
        folders.cell(
            "import random; random.random()", folders.value("0.5"), tags=("not-compared",)
        ),
        python=HERE,
    )
    folders.write(tmp_path, folders.cell("print(1)", run=False), python=HERE, name="unrun.ipynb")
    claims = verify(tmp_path)
    found = status(claims)
    assert found[f"a.ipynb: {RUN}"] == found[f"unrun.ipynb: {RUN}"] == "verified"
    outputs, unrun = (claim for claim in claims if claim.name.endswith(OUTPUTS))
    assert (outputs.status, unrun.status) == ("failed", "not verified")
    assert "cell 2 (1 / 4), text/plain: was 0.26, is 0.25" in outputs.details
    assert "left out by a tag (3)" in outputs.details[0]
    assert unrun.details[-1].startswith("run all cells and save")
    assert "eproducible" not in verdict(claims)


@pytest.mark.long
def test_a_lock_that_misses_a_package_is_found(tmp_path: Path) -> None:
    folder = folders.write(
        tmp_path, folders.cell("import yaml", run=False), requirements="six==1.17.0\n", python=HERE
    )
    claims = verify(folder)
    assert status(claims) == {
        BUILDPACK: "verified",
        BASE: "verified",
        ENVIRONMENT: "verified",
        RUN: "failed",
        OUTPUTS: "not verified",
    }
    assert "ModuleNotFoundError: No module named 'yaml'" in claims[3].details[0]


def test_without_an_environment_nothing_runs(tmp_path: Path) -> None:
    folder = folders.write(tmp_path, folders.cell("1"), requirements="six==0.0.999\n", python=HERE)
    found = status(verify(folder))
    assert (found[ENVIRONMENT], found[RUN], found[OUTPUTS]) == (
        *("failed", "not verified", "not verified"),
    )


def test_no_notebook_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no notebook"):
        verify(tmp_path)


@pytest.mark.long
@pytest.mark.slow
def test_a_dask_cluster_is_part_of_it(tmp_path: Path) -> None:
    cluster = (
        "from distributed import Client, LocalCluster\n"
        "cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=':0')\n"
        "client = Client(cluster)\nclient"
    )
    html = "<b>Client-01234567-89ab-cdef-0123-456789abcdef</b>"
    folder = folders.write(
        tmp_path,
        folders.cell(cluster, tags=("not-compared",)),
        folders.cell("import helper\nclient.gather(client.map(helper.square, [1, 2, 3]))",
                     folders.value("[1, 4, 9]")),
        folders.cell("client.close(); cluster.close()"),
        requirements=f"distributed=={version('distributed')}\n",
        files={"helper.py": "def square(x):\n    return x * x\n", "notes.html": html},
        python=HERE,
    )  # fmt: skip
    claims = verify(folder)
    assert status(claims)[RUN] == "verified", claims
    assert status(claims)[OUTPUTS] == "verified", claims
    assert "no process was left" in claims[3].details[0]


# -- a clean run


def test_nothing_of_this_user_is_there(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_MINE", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = ran(
        tmp_path,
        environment,
        folders.cell("import os; print(sorted(os.environ))"),
        folders.cell("print(os.listdir(os.path.expanduser('~')), os.getcwd())"),
        folders.cell("import sys; print(sys.prefix)"),
    )
    assert "A_SECRET_OF_MINE" not in printed(found)
    assert "PYTHONPATH" not in printed(found)
    assert str(Path.home()) not in printed(found, 1)
    assert printed(found, 2).strip() == str(environment.python.parent.parent)


def test_a_program_of_the_environment_is_found_first(
    tmp_path: Path, environment: Environment
) -> None:
    found = ran(tmp_path, environment, folders.cell("!command -v python"))
    assert printed(found).strip() == str(environment.python)


def test_a_process_that_outlives_the_kernel_is_ended_and_told(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_scale.export.run.ENDING", 0.5)
    found = ran(tmp_path, environment, folders.cell(f"{GONE}print(p.pid)"))
    (left,) = found.left
    assert "import time" in left
    assert not psutil.pid_exists(int(printed(found)))


def test_a_cell_that_raises_is_quoted(tmp_path: Path, environment: Environment) -> None:
    with pytest.raises(Refused) as caught:
        ran(tmp_path, environment, folders.cell("x = 1"), folders.cell("x / 0"))
    assert caught.value.status == "failed"
    assert caught.value.details[0] == "A cell raised ZeroDivisionError: division by zero"


def test_a_cell_may_say_that_it_raises(tmp_path: Path, environment: Environment) -> None:
    found = ran(tmp_path, environment, folders.cell("1 / 0", tags=("raises-exception",)))
    assert found.notebook.cells[0].outputs[0].ename == "ZeroDivisionError"


def test_a_cell_that_takes_too_long(tmp_path: Path, environment: Environment) -> None:
    with pytest.raises(Refused, match="timed out"):
        ran(tmp_path, environment, folders.cell("import time; time.sleep(60)"), timeout=1)
    assert not [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and str(tmp_path) in " ".join(_words(process))
    ]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_kernel_that_dies(tmp_path: Path, environment: Environment) -> None:
    with pytest.raises(Refused) as caught:
        ran(tmp_path, environment, folders.cell("import os; os._exit(3)"))
    assert caught.value.details == ("Kernel died",)


def test_data_files_are_fetched_first(tmp_path: Path, environment: Environment) -> None:
    fetch = "from pathlib import Path\nPath('data.csv').write_text('7')\n"
    found = ran(
        tmp_path, environment, folders.cell("print(open('data.csv').read())"),
        files={"fetch.py": fetch},
    )  # fmt: skip
    assert printed(found) == "7\n"
    assert not (tmp_path / "folder" / "data.csv").exists()


def test_data_that_cannot_be_fetched_is_not_the_folders_fault(
    tmp_path: Path, environment: Environment
) -> None:
    with pytest.raises(Refused) as caught:
        ran(tmp_path, environment, folders.cell("1"), files={"fetch.py": "raise SystemExit('no')"})
    assert caught.value.status == "not verified"
    assert caught.value.details == ("fetch.py cannot fetch the data files:", "no")


@pytest.mark.long
def test_widgets_are_there_when_it_is_run_again(tmp_path: Path) -> None:
    kind = "application/vnd.jupyter.widget-view+json"
    source = "import ipywidgets\nipywidgets.IntSlider(value=3)"
    view = {kind: {"model_id": "a" * 32, "version_major": 2, "version_minor": 0}}
    folder = folders.write(
        tmp_path,
        folders.cell(source, folders.value("IntSlider(value=3)", **view)),
        requirements=f"ipywidgets=={version('ipywidgets')}\n",
        python=HERE,
    )
    claims = verify(folder)
    assert verdict(claims).startswith("Reproducible"), claims
    assert MARK not in str(claims)
    assert (
        nbformat.read(folder / "a.ipynb", as_version=4).cells[0].outputs[0].data[kind] == view[kind]
    )


# -- a page


def test_a_page_needs_what_it_loads(tmp_path: Path) -> None:
    script = '<script src="thebe/a.js?x=1"></script><script src="data:,"></script>'
    folders.write(tmp_path, folders.cell("1"), files={"index.html": script, "thebe/a.js": ""})
    assert paged(tmp_path).status == "not verified"
    (tmp_path / "thebe/a.js").unlink()
    claim = paged(tmp_path)
    assert (claim.status, claim.details) == (
        "failed",
        ("index.html loads thebe/a.js?x=1, which is not beside it",),
    )
    script = '<script src="https://cdn.example.org/x.js"></script>'
    (tmp_path / "index.html").write_text(script)
    claim = paged(tmp_path)
    assert (claim.status, claim.details) == (
        "failed",
        ("index.html loads https://cdn.example.org/x.js, which is not beside it",),
    )
    (tmp_path / "index.html").write_text(f"<main>{script}</main>")
    claim = paged(tmp_path)
    assert claim.status == "not verified"
    assert claim.details[1] == "index.html: an output asks for https://cdn.example.org/x.js"


def paged(folder: Path) -> Claim:
    """What is claimed of a page whose notebook did not run."""
    return _paged(folder, ["a.ipynb"], None, folder, Options(), print)


# -- claims


def test_the_word_is_said_only_after_run_and_comparison() -> None:
    good = [Claim(name, "verified") for name in NAMES[:5]]
    assert reproducible(good)
    for name in (ENVIRONMENT, RUN, OUTPUTS):
        for other in ("failed", "not verified"):
            claims = [Claim(one.name, other) if one.name == name else one for one in good]  # type: ignore[arg-type]
            assert "eproducible" not in verdict(claims)
        assert "eproducible" not in verdict([one for one in good if one.name != name])
    assert "eproducible" not in verdict([])


def test_a_claim_and_its_json() -> None:
    claim = Claim(RUN, "failed", ("a", "b"))
    assert Claim.of(claim.as_dict()) == claim
    assert str(claim) == f"! {RUN}: failed\n    a\n    b"
    with pytest.raises(ValueError, match="choose one of"):
        Claim(RUN, "perhaps")  # type: ignore[arg-type]
