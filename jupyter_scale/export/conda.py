"""environment.yml, built anew: by micromamba, mamba or conda, else by py-rattler.

conda's own programs go first: they follow all of the user's configuration, and repo2docker calls
mamba. py-rattler comes from PyPI and needs neither an installation of conda nor its rights.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_scale.export import condarc, step
from jupyter_scale.export.claim import FAILED, NOT_VERIFIED, Status
from jupyter_scale.export.step import Refused
from jupyter_scale.export.wanted import CONDA, Wanted, conda

__all__ = ["REMEDY", "Solved", "build", "solve"]

PROGRAMS = ("micromamba", "mamba", "conda")
REMEDY = "pip install py-rattler, or install micromamba"
ASSENT = {"CONDA_ALWAYS_YES": "true", "MAMBA_ALWAYS_YES": "true"}
FAULTS = ("InvalidChannelError", "InvalidMatchSpecError", "SolverError")
"""What rattler says of an environment.yml; all else is of this machine."""
NOWHERE = "could not find subdir"  # rattler, of a channel that answers and has nothing


@dataclass(frozen=True, slots=True)
class Solved:
    """What py-rattler has found.

    Attributes
    ----------
    packages : mapping of str to (str, str)
        Version and build, by name.
    notes : tuple of str
    """

    packages: Mapping[str, tuple[str, str]]
    notes: tuple[str, ...] = ()


def build(
    folder: Path, target: Path, tool: str, show: Callable[[str], None]
) -> tuple[Path, tuple[str, ...]]:
    """Build environment.yml of a folder.

    Parameters
    ----------
    folder, target : Path
    tool : str
        uv, for what pip installs.
    show : callable
        Is told the steps.

    Returns
    -------
    Path, tuple of str
        Its interpreter, and what built it.

    Raises
    ------
    Refused
    """
    program = _program()
    if program is not None:
        notes = _by_program(folder, target, program, show)
    elif find_spec("rattler"):
        notes = _by_rattler(folder, target, tool, show)
    else:
        raise Refused(
            NOT_VERIFIED,
            f"None of {', '.join(PROGRAMS)} and py-rattler is here to build {CONDA} with: {REMEDY}",
        )
    return _interpreter(target), notes


def solve(
    wanted: Wanted,
    *,
    target: Path | None = None,
    platform: str = "",
    kept: Mapping[str, tuple[str, str]] | None = None,
) -> Solved:
    """Have py-rattler find the packages that an environment.yml stands for.

    Parameters
    ----------
    wanted : Wanted
    target : Path, optional
        A folder that they are installed in.
    platform : str, optional
        As conda names it, such as ``linux-64``, for repo2docker's image; this machine by default.
    kept : mapping of str to (str, str), optional
        Versions and builds that are there already, and stay if they can.

    Raises
    ------
    Refused
    """
    if not wanted.channels:
        raise Refused(FAILED, f"{CONDA} names no channel")
    channels = condarc.addresses(wanted.channels)
    asked = {
        "channels": channels,
        "specs": wanted.specs,
        "target": str(target or ""),
        "platform": platform,
        "kept": kept or {},
    }
    found = _asked(asked)
    if "error" in found:
        status = _status(found["kind"], found["error"], channels)
        raise Refused(status, f"{CONDA} cannot be resolved:", *step.first(found["error"]))
    packages = {name: (version, build) for name, (version, build) in found["packages"].items()}
    return Solved(packages, tuple(found["notes"]))


def _asked(question: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        asked, answer = Path(home, "question.json"), Path(home, "answer.json")
        asked.write_text(json.dumps(question), encoding="utf-8")
        program = str(Path(__file__).with_name("solver.py").resolve())
        done = step.run(sys.executable, "-P", "-W", "ignore", program, str(asked), str(answer))
        if not answer.exists():
            raise Refused(NOT_VERIFIED, "py-rattler did not answer:", *step.lines(done))
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def _status(kind: str, said: str, channels: Iterable[str]) -> Status:
    if kind == "InstallerError":
        return step.status(said)
    if kind == "GatewayError" and NOWHERE in said:
        # a folder that is not there is this machine's, a channel that nobody has is not
        here = any(one.startswith("file:") and one in said for one in channels)
        return NOT_VERIFIED if here else FAILED
    return FAILED if kind in FAULTS else NOT_VERIFIED


def _program() -> str | None:
    """Return a program of conda's, also of a shell that has it as a function only."""
    found = next((there for name in PROGRAMS if (there := shutil.which(name))), None)
    named = (os.environ.get(variable, "") for variable in ("MAMBA_EXE", "CONDA_EXE"))
    return found or next((path for path in named if path and Path(path).is_file()), None)


def _by_program(
    folder: Path, target: Path, program: str, show: Callable[[str], None]
) -> tuple[str, ...]:
    name = Path(program).name
    show(f"Building {CONDA} with {name}")
    words = ["create"] if name == "micromamba" else ["env", "create"]
    done = step.run(
        program, *words, "--prefix", str(target), "--file", CONDA, cwd=folder,
        env={**os.environ, **ASSENT},
    )  # fmt: skip
    if done.returncode:
        raise Refused(step.status(done.stderr), f"{CONDA} cannot be built:", *step.lines(done))
    return (f"built by {name}",)


def _by_rattler(
    folder: Path, target: Path, tool: str, show: Callable[[str], None]
) -> tuple[str, ...]:
    wanted = conda(folder)
    show(f"Building {CONDA} with py-rattler")
    solved = solve(wanted, target=target)
    if wanted.pip:
        show("Installing what pip has over it")
        listed = target.with_name(f"{target.name}-pip.txt")
        listed.write_text("\n".join([*wanted.pip, ""]), encoding="utf-8")
        done = step.run(
            tool, "pip", "install", "--quiet", "--python", str(_interpreter(target)),
            "--requirement", str(listed), cwd=(folder / CONDA).parent,
        )  # fmt: skip # where conda's programs start pip
        if done.returncode:
            what = f"What pip installs over {CONDA} cannot be installed:"
            raise Refused(step.status(done.stderr), what, *step.lines(done))
    count = len(solved.packages)
    return (f"{count} packages of conda's, resolved and installed by py-rattler", *solved.notes)


def _interpreter(target: Path) -> Path:
    return target / ("python.exe" if platform.system() == "Windows" else "bin/python")
