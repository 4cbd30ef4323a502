"""Notebooks on disk become folders: with real kernels, and the real index where one answers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from jupyter_scale.application import main
from jupyter_scale.export import Blocked, ExportError, Options, export, plan
from jupyter_scale.export.repository import committed, launch, spec


@pytest.fixture(autouse=True)
def as_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip is told on this machine is no finding of the tests' notebooks."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX",
                 "UV_EXTRA_INDEX_URL", "UV_INDEX"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, *sources: str, name: str = "nb.ipynb") -> Path:
    folder.mkdir(exist_ok=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / name)
    return folder / name


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A notebook with a module, data, a program, and an import that nobody has written."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data/x.csv").write_text("a,b\n1,2\n")
    (folder / "helper.py").write_text("def total(table):\n    return table.a.sum()\n")
    (folder / ".env").write_text("KEY=never-to-be-seen\n")
    return written(
        folder,
        "import click\nfrom helper import total",
        "import importlib\ntoml = importlib.import_module('yaml')",
        "import csv\nrows = list(csv.DictReader(open('data/x.csv')))\nrows",
    )


def test_a_folder_has_what_repo2docker_needs_and_says_why(project: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    out = tmp_path / "out"
    report = export(project, out, Options(verify=False), show=stages.append)
    assert report.written
    assert contents(out) == {
        "nb.ipynb", "helper.py", "data/x.csv", "MANIFEST.json", "README.md", "binder/.dockerignore",
        "binder/requirements.txt", "binder/runtime.txt", "provenance/roots.json",
        "provenance/pylock.toml", "provenance/report.json",
    }  # fmt: skip
    roots = {
        root["name"]: root["reasons"]
        for root in json.loads((out / "provenance/roots.json").read_text())
    }
    assert roots["click"] == ["imported in cell 1"]
    assert roots["pyyaml"] == ["imported in cell 2"]
    assert "nbclient" not in roots
    notebook = nbformat.read(out / "nb.ipynb", as_version=4)
    assert notebook.cells[2].outputs[0]["data"]["text/plain"] == "[{'a': '1', 'b': '2'}]"
    assert tomllib.loads((out / "provenance/pylock.toml").read_text())["lock-version"] == "1.0"
    text = (out / "README.md").read_text()
    assert "it was exported without verification" in text
    assert "eproducible" not in text
    assert "eproducible" not in str(report)
    for path in out.rglob("*"):
        assert path.is_dir() or b"never-to-be-seen" not in path.read_bytes()
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes()
    assert any(stage.startswith("[2/3] import importlib") for stage in stages)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_only_after_a_clean_run_is_it_called_reproducible(project: Path, tmp_path: Path) -> None:
    report = export(project, tmp_path / "out")
    assert not report.failed, report
    assert {claim.status for claim in report.claims} == {"verified"}
    text = (tmp_path / "out/README.md").read_text()
    assert "Reproducible: run in an environment built anew" in text
    again = json.loads((tmp_path / "out/provenance/report.json").read_text())
    assert len(again["claims"]) == len(report.claims)
    assert str(tmp_path) not in json.dumps(again)


def test_the_saved_outputs_are_what_is_published(tmp_path: Path) -> None:
    path = written(tmp_path / "project", "print(2)")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].outputs = [new_output("stream", name="stdout", text="1\n")]
    notebook.cells[0].execution_count = 1
    nbformat.write(notebook, path)
    export(path, tmp_path / "out", Options(verify=False))
    saved = nbformat.read(tmp_path / "out/nb.ipynb", as_version=4)
    assert saved.cells[0].outputs[0]["text"] == "1\n"


def test_what_only_workers_import_is_found_though_the_cluster_has_gone(tmp_path: Path) -> None:
    path = written(
        tmp_path / "project",
        "from dask.distributed import Client, LocalCluster\n"
        "cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)\n"
        "client = Client(cluster)",
        "def f():\n    import importlib\n"
        "    return len(importlib.import_module('json' + 'patch').__name__)\n"
        "client.submit(f).result()",
        "client.close()\ncluster.close()",
    )
    made = plan(path, tmp_path / "out")
    roots = {root.name: root.reasons for root in made.roots}
    assert roots["distributed"] == ("imported in cell 1",)
    assert roots["jsonpatch"] == ("loaded only on workers: jsonpatch",)
    assert "jsonpointer==" in (made.tree.files["binder/requirements.txt"].text() or "")
    assert "binder/start" in made.tree.files
    assert not any(one.id == "workers" for one in made.findings)


def test_optional_parts_are_beside_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "project", "1 + 1")
    more = {"thebe": True, "docker": True, "kubernetes": True, "name": "example.org/x:1"}
    options = Options(verify=False, yes=True, binder="https://github.com/a/b", **more)  # type: ignore[arg-type]  # by name
    report = export(path, tmp_path / "out", options)
    there = contents(tmp_path / "out")
    assert {"index.html", "docker/Dockerfile", "kubernetes/cluster.yaml"} <= there
    programs = [name for name in there if name.startswith("thebe/")]
    assert f"  + thebe/ ({len(programs)} files)\n" in str(report)
    assert str(report).count("thebe/") == 1
    assert "image: example.org/x:1" in (tmp_path / "out/kubernetes/cluster.yaml").read_text()
    assert "a web page, whose cells run" in (tmp_path / "out/README.md").read_text()
    assert not (tmp_path / "out/Dockerfile").exists(), "repo2docker would take it for all"
    again = export(path, tmp_path / "out", Options(verify=False, yes=True), snapshot=None)
    assert not {"index.html", "docker/Dockerfile"} & contents(tmp_path / "out")
    assert not (tmp_path / "out/docker").exists()
    assert len(again.changes) == len(report.changes)


def test_a_course_is_one_folder_of_several_notebooks(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    first = written(folder, "import click", name="1 first.ipynb")
    second = written(folder, "import yaml", "1 / 1", name="2 second.ipynb")
    out = tmp_path / "my course"
    options = Options(verify=False, yes=True, binder="https://github.com/a/b", thebe=True)
    report = export([first, second], out, options)
    assert report.notebooks == ("1 first.ipynb", "2 second.ipynb")
    assert {"1 first.ipynb", "2 second.ipynb", "index.html", "1-first.html"} <= contents(out)
    roots = {root.name: root.reasons for root in report.roots}
    assert roots["click"] == ("imported in 1 first.ipynb cell 1",)
    assert roots["pyyaml"] == ("imported in 2 second.ipynb cell 1",)
    assert "my course" in (out / "index.html").read_text()
    elsewhere = written(tmp_path / "other", "1")
    with pytest.raises(ExportError, match="in one folder"):
        plan([first, elsewhere], out)


def test_several_notebooks_where_they_are_are_one_environment(tmp_path: Path) -> None:
    first = written(tmp_path / "tour", "import click", name="1.ipynb")
    second = written(tmp_path / "tour", "import yaml", name="2.ipynb")
    before = {path: path.read_bytes() for path in (first, second)}
    options = Options(verify=False, yes=True)
    report = export([first, second], tmp_path, options)
    assert report.notebooks == ("tour/1.ipynb", "tour/2.ipynb")
    assert {root.name for root in report.roots} == {"click", "pyyaml"}
    assert {name.partition("/")[0] for name in contents(tmp_path)} == {
        "binder", "provenance", "tour",
    }  # fmt: skip
    assert {path: path.read_bytes() for path in before} == before
    export([first, second], tmp_path, replace(options, course=True))
    assert "tour/2.ipynb" in (tmp_path / "index.html").read_text()


def test_a_search_that_is_on_record_is_fitted_all_the_same(tmp_path: Path) -> None:
    cell = "import os\nprint(os.environ['DASK_JUPYTER_SCALE__RECORD'])"
    notebook = written(tmp_path / "recorded", cell)
    found = plan(notebook, tmp_path / "out", Options(yes=True))
    (said,) = found.notebooks[0].content["cells"][0]["outputs"]
    record = Path(said["text"].strip())
    assert record.name == "runs.sqlite"
    assert not record.parent.exists(), "it ends with the kernel"


def test_a_blocker_leaves_nothing_behind(tmp_path: Path) -> None:
    secret = "AKIA" + "IOSFODNN7EXAMPL1"
    path = written(tmp_path / "project", f"key = '{secret}'", "%pip --version")
    with pytest.raises(Blocked) as raised:
        export(path, tmp_path / "out", Options(yes=True, verify=False))
    [finding] = raised.value.report.open
    assert finding.id.startswith("secret:cell-1:")
    assert secret not in str(raised.value)
    assert secret not in raised.value.report.html()
    assert [one.name for one in tmp_path.iterdir()] == ["project"]
    assert "--accept secret:cell-1:" in str(raised.value)


def test_a_warning_waits_for_an_answer_and_the_badge_for_a_commit(tmp_path: Path) -> None:
    path = written(tmp_path / "project", "import os\nos.environ.get('MY_PLACE')")
    out, url = tmp_path / "out", "https://github.com/owner/name"
    seen = plan(path, out)
    snapshot = seen.snapshot
    with pytest.raises(Blocked, match="variable:MY_PLACE"):
        export(path, out, Options(verify=False), snapshot=snapshot)
    options = Options(verify=False, accept=("variable", "unrun"), binder=url)
    first = export(path, out, options, snapshot=snapshot)
    assert "No link to Binder yet" in (out / "README.md").read_text()
    assert "git init" in first.next
    git = ["git", "-C", str(out), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    head = committed(out, ["nb.ipynb"])
    second = export(path, out, options, snapshot=snapshot)
    assert second.commit == head
    assert launch(url, head, "nb.ipynb") in (out / "README.md").read_text()
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    third = export(path, out, options, snapshot=snapshot)
    assert {change.kind for change in third.changes} == {"same"}, "the badge stays"


def test_the_folder_can_be_committed_by_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "n")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "e@example.org")
    path = written(tmp_path / "project", "1 + 1")
    out = tmp_path / "out"
    options = Options(verify=False, yes=True, git=True, binder="https://gitlab.com/a/b")
    snapshot = plan(path, out).snapshot
    report = export(path, out, options, snapshot=snapshot)
    log = subprocess.run(["git", "-C", str(out), "log", "--format=%H"], capture_output=True,
                         text=True, check=True).stdout.split()  # fmt: skip
    assert len(log) == 2
    assert report.commit == log[1]
    assert f"/v2/gl/a%2Fb/{log[1]}?" in (out / "README.md").read_text()
    status = subprocess.run(["git", "-C", str(out), "status", "--porcelain"], capture_output=True,
                            text=True, check=True).stdout  # fmt: skip
    assert status == ""


def test_in_its_own_repository_a_notebook_stays_and_only_what_is_needed_is_written(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "notebooks", "import helper")
    (tmp_path / "notebooks/helper.py").write_text("")
    (tmp_path / "README.md").write_text("mine")
    before = path.read_bytes()
    report = export(path, tmp_path, Options(verify=False, yes=True))
    assert path.read_bytes() == before
    assert (tmp_path / "README.md").read_text() == "mine"
    assert contents(tmp_path) == {
        "README.md", "notebooks/nb.ipynb", "notebooks/helper.py", "binder/.dockerignore",
        "binder/requirements.txt", "binder/runtime.txt", "provenance/roots.json",
        "provenance/pylock.toml", "provenance/report.json",
    }  # fmt: skip
    assert report.next[-3:-1] == (
        "git add binder provenance",
        "git commit -m 'Export of notebooks/nb.ipynb'",
    )


@pytest.mark.parametrize(
    ("source", "kernel", "says"),
    [
        ("1 / 0", "python3", "ZeroDivisionError"),
        ("1", "no-such-kernel", "There is no kernel 'no-such-kernel'"),
        ("import os; os._exit(1)", "python3", "its kernel died"),
    ],
)
def test_a_notebook_that_does_not_run_is_one_line(
    tmp_path: Path, source: str, kernel: str, says: str
) -> None:
    path = written(tmp_path / "project", source)
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec.name = kernel
    nbformat.write(notebook, path)
    with pytest.raises(ExportError, match=says) as raised:
        export(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(str(raised.value).splitlines()) == 1


def test_the_command_line_shows_a_plan_and_writes(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["export", str(project), out, "--plan", "--docker"]) == 0
    told = capsys.readouterr()
    assert "nothing was written; this would go to" in told.out
    assert "+ docker/Dockerfile" in told.out
    assert "click" in told.out
    assert "imported in cell 1" in told.out
    assert "[1/3] import click" in told.err
    assert not Path(out).exists()
    assert main(["export", str(project)]) == 2
    assert main(["export", str(tmp_path / "none.ipynb"), out]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_an_interrupt_ends_the_kernel_and_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    os.mkfifo(note)
    source = f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    path = written(tmp_path / "project", source)
    command = [sys.executable, "-m", "jupyter_scale.application", "export", str(path)]
    words = [*command, str(tmp_path / "out")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        kernel = int(note.read_text())  # it waits until the cell runs
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not psutil.pid_exists(kernel)
    assert not (tmp_path / "out").exists()


def test_a_notebook_can_be_exported_from_another(tmp_path: Path) -> None:
    path = written(tmp_path / "project", "1 + 1")

    async def cell() -> str:
        return str(plan(path, tmp_path / "out").report())

    assert "nothing was written" in asyncio.run(cell())


@pytest.mark.parametrize(
    "address", ["", "owner/name", "git@github.com:a/b", "https://me:pw@x.org/a"]
)
def test_a_repository_must_have_an_address_that_everybody_can_read(address: str) -> None:
    with pytest.raises(ExportError, match="--binder"):
        spec(address)


def test_fetch_gets_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    from hashlib import sha256

    from jupyter_scale.export.data import FETCH

    (tmp_path / "source.bin").write_bytes(b"right")
    source = (tmp_path / "source.bin").as_uri()
    entries: list[dict[str, Any]] = [
        {"path": "data/x.bin", "sha256": sha256(b"right").hexdigest(), "source": source},
        {"path": "y.bin", "sha256": sha256(b"other").hexdigest(), "source": source},
    ]
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"files": entries}))
    (tmp_path / "fetch.py").write_text(FETCH)
    done = subprocess.run(
        [sys.executable, "fetch.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "data/x.bin fetched",
        "y.bin is another file at its source",
    ]
    assert done.returncode == 1
    assert (tmp_path / "data/x.bin").read_bytes() == b"right"
    assert not (tmp_path / "y.bin").exists()
