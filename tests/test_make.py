"""The commands: one line when something is missing, and nothing installed twice."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The variables by which a running make tells a nested one what to do are not for this one.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=inherited, capture_output=True, text=True
    )


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def installer(clone: Path) -> Path:
    """An environment whose Python does nothing but write down what it is asked."""
    log = clone / "log"
    environment(clone, log)
    return log


def environment(clone: Path, log: Path, *, failing: str = "none") -> None:
    """Make an environment whose Python logs its arguments, and fails for those that match."""
    body = f'echo "$*" >> {log}\ncase "$*" in {failing}) exit 1;; esac'
    script(clone / ".venv/bin/python", body)
    log.write_text("")


def installs(log: Path) -> list[str]:
    """Return the installer of each install of the package since the last call."""
    lines = log.read_text().splitlines()
    log.write_text("")
    return [line.split()[1] for line in lines if " install " in f" {line} " and " -e " in line]


@pytest.mark.parametrize("command", ["demo", "test", "lab", "check"])
def test_no_python_is_one_line_with_the_remedy(clone: Path, command: str):
    run = make(clone, command, "PYTHON=python-of-nowhere")
    assert run.returncode != 0
    assert run.stderr.count("\n") == 1
    assert "no python-of-nowhere here: install Python 3.11 or newer" in run.stderr
    assert f"make {command} PYTHON=" in run.stderr


def test_an_old_python_is_one_line_with_the_remedy(clone: Path):
    old = script(clone / "old", "exit 0")  # answers no question as Python 3.11 would
    run = make(clone, "test", f"PYTHON={old}")
    assert run.returncode != 0
    assert run.stderr.count("\n") == 1
    assert "older than Python 3.11" in run.stderr


def test_a_python_without_venv_is_one_line_with_the_remedy(clone: Path):
    bare = script(
        clone / "bare", f'case "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"'
    )
    run = make(clone, "test", f"PYTHON={bare}")
    assert run.returncode != 0
    assert run.stderr.count("\n") == 1
    assert "apt install python3-venv" in run.stderr
    assert not (clone / ".venv").exists()


def test_a_second_run_installs_nothing(clone: Path, installer: Path):
    assert make(clone, "demo").returncode == 0
    assert installs(installer) == ["uv"]
    assert make(clone, "demo").returncode == 0
    assert installs(installer) == []
    assert make(clone, "test").returncode == 0  # more packages than the demo's
    assert installs(installer) == ["uv"]
    assert make(clone, "demo").returncode == 0
    assert make(clone, "test").returncode == 0
    assert installs(installer) == []


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_installed_installs_again(clone: Path, installer: Path, changed: str):
    assert make(clone, "test").returncode == 0
    installs(installer)
    after = (clone / ".venv/.installed-dev").stat().st_mtime + 1
    os.utime(clone / changed, (after, after))
    assert make(clone, "test").returncode == 0
    assert installs(installer) == ["uv"]


@pytest.mark.parametrize(
    ("failing", "tried"),
    [
        ("-m?uv*|-m?pip*uv", ["pip"]),  # uv cannot be installed
        ("-m?uv?pip*", ["uv", "pip"]),  # uv is there and fails
    ],
)
def test_pip_takes_over_from_uv(clone: Path, installer: Path, failing: str, tried: list[str]):
    environment(clone, installer, failing=failing)
    assert make(clone, "test").returncode == 0
    assert installs(installer) == tried


def test_an_install_that_fails_is_not_taken_for_done(clone: Path, installer: Path):
    environment(clone, installer, failing="*-e*")
    run = make(clone, "demo")
    assert run.returncode != 0
    assert "The install failed" in run.stderr
    assert not list(clone.glob(".venv/.installed-*"))


def test_help_lists_every_command(clone: Path):
    phony = re.search(r"^\.PHONY: (.*)$", (clone / "Makefile").read_text(), re.M)
    assert phony
    listed = re.findall(r"^make ([\w-]+) +\S", make(clone).stdout, re.M)
    assert sorted(listed) == sorted(phony[1].split())
