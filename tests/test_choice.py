"""Which cluster a kernel uses, in a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_scale import choice
from jupyter_scale.choice import PANEL, Choice


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_it_is_kept_by_kernel(runtime: Path) -> None:
    assert choice.read("a-1") == Choice()
    choice.write("a-1", Choice("local-3f2a", PANEL))
    choice.write("b-2", Choice("hpc-77aa"))
    assert choice.read("a-1") == Choice("local-3f2a", PANEL)
    assert choice.choices() == {
        "a-1": Choice("local-3f2a", PANEL),
        "b-2": Choice("hpc-77aa"),
    }
    assert {path.stat().st_mode & 0o777 for path in runtime.iterdir()} == {0o600}


def test_those_of_kernels_that_are_gone_are_removed(runtime: Path) -> None:
    (runtime / "kernel-a.json").touch()
    choice.write("a", Choice("x"))
    choice.write("b", Choice("x"))
    choice.prune()
    assert choice.choices() == {"a": Choice("x")}


@pytest.mark.parametrize("kernel", ["", "../a", "a/b", "a" * 101])
def test_what_is_no_id_reaches_no_file(kernel: str) -> None:
    assert choice.read(kernel) == Choice()
    with pytest.raises(ValueError, match="is not a kernel's id"):
        choice.write(kernel, Choice("x"))


def test_a_broken_file_is_no_choice(runtime: Path) -> None:
    (runtime / "choice-a.json").write_text("{")
    assert choice.read("a") == Choice()
