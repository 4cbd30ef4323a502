"""The environment of an exported folder, built anew from its own files with uv.

Nothing of the environment in which this runs is taken over, except that a Python of the right
version may be. An environment.yml is built by `conda.py`. repo2docker installs a folder's packages
over its own, which no uv can build here: whether the two fit is resolved without installing
(`fit.py`).
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from jupyter_scale.export import buildpack, conda, step
from jupyter_scale.export.agreement import agreed
from jupyter_scale.export.claim import FAILED, NOT_VERIFIED
from jupyter_scale.export.pylock import uv
from jupyter_scale.export.step import Refused
from jupyter_scale.export.wanted import CONDA, REQUIREMENTS, pins, python_of, text

__all__ = ["Environment", "rebuild", "tool"]


@dataclass(frozen=True, slots=True)
class Environment:
    """What was built.

    Attributes
    ----------
    python : Path
        Its interpreter.
    version : str
        Of it.
    packages : int
        How many are there.
    seconds : float
        It took.
    notes : tuple of str
        What is not as in the image.
    """

    python: Path
    version: str
    packages: int
    seconds: float
    notes: tuple[str, ...] = ()


def rebuild(
    folder: Path, target: Path, show: Callable[[str], None] = lambda line: None
) -> Environment:
    """Build the environment of a folder, and have it checked for contradictions.

    Parameters
    ----------
    folder : Path
        With ``binder/requirements.txt`` or ``binder/environment.yml``.
    target : Path
        Where it is to be.
    show : callable, optional
        Is told the steps.

    Raises
    ------
    Refused
    """
    begun = time.monotonic()
    program = tool()
    if (folder / CONDA).is_file():
        interpreter, notes = conda.build(folder, target, program, show)
        notes += _with_kernel(folder, interpreter, program)
    else:
        interpreter, notes = _venv(folder, target, program, show)
    show("Checking what was installed for contradictions")
    done = step.run(program, "pip", "check", "--python", str(interpreter), cwd=folder)
    if done.returncode:
        raise Refused(FAILED, "The packages contradict one another:", *step.lines(done))
    installed = _installed(folder, interpreter, program)
    notes += agreed(folder, installed, target)
    version = step.run(str(interpreter), "-c", "import platform; print(platform.python_version())")
    seconds = time.monotonic() - begun
    return Environment(interpreter, version.stdout.strip(), len(installed), seconds, notes)


def tool() -> str:
    """Return where uv is.

    Raises
    ------
    Refused
    """
    found = uv()
    if found is None:
        raise Refused(NOT_VERIFIED, "uv is not here: pip install uv")
    return found


def _venv(
    folder: Path, target: Path, program: str, show: Callable[[str], None]
) -> tuple[Path, tuple[str, ...]]:
    python = python_of(folder)
    same = python == f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = str(Path(getattr(sys, "_base_executable", sys.executable))) if same else python
    show(f"Making an environment of Python {python}")
    done = step.run(program, "venv", "--quiet", "--python", wanted, str(target), cwd=folder)
    if done.returncode:
        missing = f"There is no Python {python} here: install it."
        raise Refused(NOT_VERIFIED, missing, *step.lines(done))
    windows = platform.system() == "Windows"
    interpreter = target / ("Scripts/python.exe" if windows else "bin/python")
    ours = pins(text(folder / REQUIREMENTS))
    show(f"Installing {len(ours)} packages from the lock")
    kernel = [] if "ipykernel" in ours else [_kernel(python)]
    done = step.run(
        program, "pip", "install", "--quiet", "--python", str(interpreter), "--requirement",
        REQUIREMENTS, *kernel, cwd=folder,
    )  # fmt: skip
    if done.returncode:
        raise Refused(step.status(done.stderr), "The lock cannot be installed:", *step.lines(done))
    notes = [_added(one) for one in kernel]
    if (folder / "binder/apt.txt").is_file():
        names = ", ".join(text(folder / "binder/apt.txt").split())
        notes.append(f"packages of the system are this machine's: {names}")
    return interpreter, tuple(notes)


def _with_kernel(folder: Path, interpreter: Path, program: str) -> tuple[str, ...]:
    """Install what a notebook needs to run, where its environment leaves that to repo2docker."""
    if not step.run(str(interpreter), "-c", "import ipykernel").returncode:
        return ()
    kernel = _kernel(python_of(folder))
    done = step.run(
        program, "pip", "install", "--quiet", "--python", str(interpreter), kernel, cwd=folder
    )  # fmt: skip
    if done.returncode:
        raise Refused(NOT_VERIFIED, f"{kernel} cannot be added:", *step.lines(done))
    return (_added(kernel),)


def _kernel(python: str) -> str:
    version = buildpack.base(python).get("ipykernel")
    return f"ipykernel=={version}" if version else "ipykernel"


def _added(kernel: str) -> str:
    return f"{kernel} added, which repo2docker has"


def _installed(folder: Path, interpreter: Path, program: str) -> dict[str, str]:
    done = step.run(
        program, "pip", "list", "--quiet", "--format", "json", "--python", str(interpreter),
        cwd=folder,
    )  # fmt: skip
    if done.returncode:
        raise Refused(NOT_VERIFIED, "uv cannot list what it has installed:", *step.lines(done))
    return {canonicalize_name(one["name"]): one["version"] for one in json.loads(done.stdout)}
