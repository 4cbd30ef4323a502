"""Environments built anew, by a real uv."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import folders
import pytest

from jupyter_scale.export import conda
from jupyter_scale.export.fit import fits
from jupyter_scale.export.rebuild import rebuild
from jupyter_scale.export.step import Refused
from jupyter_scale.export.wanted import pins, python_of

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
CELL = folders.cell("1")


def wheel(folder: Path, name: str, requires: str = "") -> str:
    """Write a wheel of one module; return its path as requirements.txt has it."""
    info = f"{name}-1.0.dist-info"
    path = folder / "binder" / "wheels" / f"{name}-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": "ANSWER = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return f"./binder/wheels/{path.name}\n"


def test_a_lock_with_a_wheel_of_its_own(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "a", CELL, python=HERE)
    line = wheel(folder, "ours", "six>=1.10")
    (folder / "binder/requirements.txt").write_text(folders.SIX + line)
    lines: list[str] = []
    found = rebuild(folder, tmp_path / "env", lines.append)
    assert found.version.startswith(HERE)
    assert any("ipykernel" in note for note in found.notes)
    assert lines[0] == f"Making an environment of Python {HERE}"
    said = subprocess.run(
        [str(found.python), "-c", "import ours, six; print(ours.ANSWER, six.__version__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "42 1.17.0\n"

    assert not list(folder.rglob("*.egg-info"))


def refused(folder: Path, target: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        rebuild(folder, target)
    return caught.value


def test_a_version_that_is_nowhere(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "a", CELL, requirements="six==0.0.999\n", python=HERE)
    error = refused(folder, tmp_path / "env")
    assert error.status == "failed"
    assert "six==0.0.999" in " ".join(error.details)


def test_packages_that_contradict_one_another(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "a", CELL, python=HERE)
    line = wheel(folder, "ours", "six<1.10")
    (folder / "binder/requirements.txt").write_text(folders.SIX + line)
    error = refused(folder, tmp_path / "env")
    assert error.status == "failed"
    assert "six" in " ".join(error.details)


def test_locks_that_say_something_else(tmp_path: Path) -> None:
    lock = 'lock-version = "1.0"\n[[packages]]\nname = "six"\nversion = "1.16.0"\n'
    files = {"provenance/pylock.toml": lock}
    folder = folders.write(tmp_path / "a", CELL, python=HERE, files=files)
    error = refused(folder, tmp_path / "env")
    assert error.details[1] == "six is 1.17.0, not 1.16.0"


def test_a_python_that_is_not_here(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "a", CELL, python="3.7")
    error = refused(folder, tmp_path / "env")
    assert error.status == "not verified"
    assert error.details[0] == "There is no Python 3.7 here: install it."


def test_an_index_that_does_not_answer_is_not_the_folders_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    folder = folders.write(tmp_path / "a", CELL, python=HERE)
    assert refused(folder, tmp_path / "env").status == "not verified"


def test_a_conda_environment_without_conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yml = "channels: [conda-forge]\ndependencies:\n- python=3.11.7\n- pip\n- pip: [six==1.17.0]\n"
    folder = folders.write(tmp_path / "a", CELL, files={"binder/environment.yml": yml})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(conda, "find_spec", lambda name: None)
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    assert python_of(folder) == "3.11"
    error = refused(folder, tmp_path / "env")
    assert error.status == "not verified"
    assert "install micromamba" in error.details[0]


@pytest.mark.parametrize("entry", ["python>=3.12", "python 3.12.*", "python"])
def test_what_repo2docker_would_misread_is_no_version(tmp_path: Path, entry: str) -> None:
    yml = f"dependencies:\n- {entry}\n"
    folder = folders.write(tmp_path, CELL, files={"binder/environment.yml": yml})
    with pytest.raises(Refused, match="names no version"):
        python_of(folder)


def test_the_lock_over_repo2dockers_own_packages(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "a", CELL, requirements="ipython==9.7.0\nsix==1.17.0\n")
    said = fits(folder, tmp_path)
    assert "packages that repo2docker has installed before" in said[0]
    assert said[1] == "replaced of them: ipython 9.6.0 -> 9.7.0"


def test_a_lock_that_breaks_repo2dockers_own_packages(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "a", CELL, requirements="jupyter-server==1.24.0\n")
    with pytest.raises(Refused) as caught:
        fits(folder, tmp_path)
    assert caught.value.status == "failed"
    assert "jupyter-server" in " ".join(caught.value.details)


def test_pins_are_exact_versions_only() -> None:
    text = "A_b==1.0\nc[x]==2 ; python_version > '3'\nd>=3\n# e==4\n-r f\n./g-1-py3-none-any.whl\n"
    assert pins(text) == {"a-b": "1.0", "c": "2"}
