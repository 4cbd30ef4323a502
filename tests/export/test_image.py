"""Images: what an engine is given, and what is said where there is none. A real one is built by
`make test-image`.
"""

from __future__ import annotations

from pathlib import Path

import folders
import pytest

from jupyter_scale.export import image
from jupyter_scale.export.image import Engine, context, engine, imaged


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_without_an_engine_it_is_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    claim = imaged(tmp_path, "a.ipynb")
    assert (claim.status, claim.details) == ("not verified", (image.NONE,))


def test_an_engine_is_one_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", "echo no daemon >&2; exit 1")
    program(tmp_path, "podman", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine() == Engine("podman", str(tmp_path / "podman"))


def test_the_context_is_that_of_repo2docker(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "a", folders.cell("1"))
    context(folder, tmp_path / "context")
    dockerfile = (tmp_path / "context" / "Dockerfile").read_text()
    for line in dockerfile.splitlines():
        if line.startswith("COPY"):
            source = line.split()[-2].lstrip("/")
            assert (tmp_path / "context" / source).exists(), line
    assert (tmp_path / "context" / "src" / "a.ipynb").is_file()


def test_what_repo2docker_refuses_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders.write(tmp_path / "a", folders.cell("1"), python="3.99")
    monkeypatch.setattr(image, "engine", lambda: Engine("podman", "/nowhere/podman"))
    claim = imaged(folder, "a.ipynb")
    assert claim.status == "failed"
    assert "is not supported" in claim.details[0]


def test_an_engine_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folders.write(tmp_path / "a", folders.cell("1"))
    tools = tmp_path / "tools"
    tools.mkdir()
    program(tools, "podman", 'case "$1" in info) exit 0;; esac; echo "$*"; echo full >&2; exit 125')
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    claim = imaged(folder, "a.ipynb")
    assert (claim.status, claim.details) == ("failed", ("podman build failed:", "full"))


def test_the_command_is_of_binders_user(tmp_path: Path) -> None:
    words = Engine("buildah", "/usr/bin/buildah").building(tmp_path, "t")
    assert words == [
        *("/usr/bin/buildah", "build", "--build-arg=NB_USER=jovyan", "--build-arg=NB_UID=1000"),
        *("--tag", "t", str(tmp_path)),
    ]
