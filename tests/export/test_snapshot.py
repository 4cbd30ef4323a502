"""What a process has: this one, and workers of a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from jupyter_scale.export import opened, probe
from jupyter_scale.export.snapshot import SOURCE, Snapshot, expression, take


@pytest.fixture(scope="module")
def here() -> Snapshot:
    names = ["sklearn.svm", "jupyter_scale", "json", "no_such_module", "packaging.version"]
    return take(Path(__file__).parent, imports=names, programs=["git", "pytest", "no-such-program"])


def test_imports_are_told_apart(here: Snapshot) -> None:
    kinds = {name: (one.kind, one.distribution) for name, one in here.imports.items()}
    assert kinds == {
        "sklearn.svm": ("distribution", "scikit-learn"),
        "jupyter_scale": ("distribution", "jupyter-scale"),
        "json": ("standard", ""),
        "no_such_module": ("missing", ""),
        "packaging.version": ("distribution", "packaging"),
    }


def test_an_editable_install_is_known_with_its_source(here: Snapshot) -> None:
    one = here.distributions["jupyter-scale"]
    assert one.editable
    assert one.local
    assert one.source == Path(probe.__file__).parents[2]


def test_programs_have_their_owners(here: Snapshot) -> None:
    assert here.programs["pytest"].distribution == "pytest"
    assert here.programs["no-such-program"].path == ""
    assert here.programs["git"].path.endswith("/git")


def test_versions_and_requirements_are_those_of_the_metadata(here: Snapshot) -> None:
    from importlib.metadata import version

    one = here.distributions["scikit-learn"]
    assert one.version == version("scikit-learn")
    assert any(text.startswith("joblib") for text in one.requires)
    assert here.python == ".".join(map(str, sys.version_info[:3]))
    assert here.kind == "venv"


def test_loaded_modules_belong_to_distributions(here: Snapshot) -> None:
    assert "pytest" in here.loaded
    assert here.loaded["distributed"][0].startswith("distributed")
    assert not any("site-packages" in file for file in here.elsewhere.values())


def test_a_snapshot_survives_json(here: Snapshot) -> None:
    assert Snapshot.from_json(here.to_json()) == here
    assert json.loads(here.to_json())["python"] == here.python


def test_any_python_can_be_asked_by_an_expression() -> None:
    before = set(globals())
    asked = expression("probe", str(Path(__file__).parent), ["numpy"], ["git"])
    seen = json.loads(eval(asked))
    assert seen["imports"]["numpy"]["distribution"] == "numpy"
    assert set(globals()) == before


def test_where_no_client_is_there_are_no_workers() -> None:
    # in a process of its own: here other tests may have a cluster
    program = f"print({expression('on_workers', SOURCE)})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == []


def test_modules_beside_the_notebook_are_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_the_notebook.py").write_text("x = 1")
    module = types.ModuleType("beside_the_notebook")
    module.__file__ = str(tmp_path / "beside_the_notebook.py")
    monkeypatch.setitem(sys.modules, "beside_the_notebook", module)
    stray = types.ModuleType("stray")
    stray.__file__ = str(tmp_path.parent / "stray.py")
    monkeypatch.setitem(sys.modules, "stray", stray)
    snapshot = take(tmp_path, imports=["beside_the_notebook"])
    assert snapshot.local == (tmp_path / "beside_the_notebook.py",)
    assert snapshot.imports["beside_the_notebook"].kind == "local"
    assert "stray" in snapshot.elsewhere


def test_indexes_are_read_without_their_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nextra-index-url = https://me:secret@pypi.example.org/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mirror.example.org/simple")
    indexes = {(one.kind, one.url) for one in take(tmp_path).indexes}
    assert ("extra", "https://pypi.example.org/simple") in indexes
    assert ("index", "https://mirror.example.org/simple") in indexes


def test_what_only_workers_import_is_seen() -> None:
    def imports() -> None:
        import xgboost  # noqa: F401  # loaded there, not here

    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.submit(imports).result()
        snapshot = take(Path.cwd(), client=client)
        tops = probe.tops_on_workers()
    assert snapshot.workers == 1
    assert "xgboost-cpu" in snapshot.on_workers or "xgboost" in snapshot.on_workers
    assert "xgboost" in tops
    assert not snapshot.differing


def test_files_that_are_read_are_kept_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "in.csv").write_text("a")
    (tmp_path / "outside.csv").write_text("a")
    opened.watch(folder)
    try:
        monkeypatch.chdir(folder)
        for name in ("in.csv", folder / "in.csv", tmp_path / "outside.csv"):
            Path(name).read_text()
        (folder / "out.csv").write_text("b")
        (folder / "out.csv").read_text()
        (folder / "code.py").write_text("")
        assert opened.files() == ["in.csv"]
        assert opened.made() == ["out.csv"]
        assert opened.since() > 0
    finally:
        opened.stop()
    (folder / "in.csv").read_text()
    assert opened.files() == []
