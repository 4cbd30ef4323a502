"""`jupyter scale` on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from processes import close_clusters, family

from jupyter_scale.application import main
from jupyter_scale.clusters import registry


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    try:
        yield tmp_path
    finally:
        close_clusters(str(tmp_path))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "jupyter"), "scale", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.long
def test_a_cluster_from_the_command_line_outlives_the_command() -> None:
    started = run("up", "--workers", "1", "--memory", "1GiB")
    assert (started.returncode, started.stdout[:14]) == (0, "Started local-")
    name = started.stdout.split()[1].rstrip(":")
    listed = run("list").stdout
    assert f"{name}  running  1 worker with 1 thread" in listed
    assert "60 idle minutes" in listed
    assert run("scale", "2").stdout.startswith(f"{name}: 2 workers")
    assert run("adapt", "1", "2", name).stdout.startswith(f"{name}: 1 to 2 workers")
    [connection] = registry.connections()
    processes = family(connection.host.pid)
    assert len(processes) > 1
    assert run("down").stdout == f"Closed {name}.\n"
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert not alive
    assert run("down").stdout == "No cluster is running.\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["upp"], 2, "there is no command 'upp'. Did you mean up? See jupyter scale help"),
        (["up", "nope"], 1, "There is no cluster profile 'nope'"),
        (["up", "--workers", "0"], 1, "at least 1 worker"),
        (["use", "local"], 2, "jupyter scale use is for notebooks."),
        (["watch"], 2, "jupyter scale watch is for notebooks."),
        (["down", "local-0000"], 1, "There is no cluster 'local-0000': none is running"),
        (["to", "2"], 1, "Which cluster? none is running"),
    ],
)
def test_wrong_words_are_one_line(
    words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    out, err = capsys.readouterr()
    assert says in err
    assert (out, err.count("\n")) == ("", 1)


def test_a_manifest_is_shown_or_written_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = {"module": "dask_kubernetes.operator", "class": "KubeCluster"}
    file = str(tmp_path / "cluster.yaml")
    with dask.config.set({"jupyter-scale.profiles": {"k8s": {"factory": kube, "workers": 2}}}):
        assert main(["manifest", "k8s"]) == main(["manifest", "k8s", "-o", file]) == 0
        shown = capsys.readouterr().out
        assert "kind: DaskCluster" in shown
        assert f"kubectl apply -f {file}" in shown
        assert main(["manifest", "k8s", "-o", file]) == 0, "the same again"
        assert main(["manifest", "k8s", "--namespace", "course", "-o", file]) == 1
        assert "is there already and differs" in capsys.readouterr().err
    assert main(["manifest", "--helm"]) == 0
    assert "# helm install --repo" in capsys.readouterr().out


def test_help_speaks_of_this_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main(["up", "--help"]) == main(["profiles"]) == 0
    text = capsys.readouterr().out
    assert "jupyter scale up slurm --adapt 1 20" in text
    assert "%" not in text
    assert "distributed.LocalCluster  1 worker a CPU" in text
