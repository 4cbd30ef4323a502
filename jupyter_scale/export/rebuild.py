"""The environment of an exported folder, built anew from its own files with uv.

Nothing of the environment in which this runs is taken over, except that a Python of the right
version may be. repo2docker installs a folder's packages over its own, which no uv can build here:
whether the two fit is resolved without installing (`fits`). What the index does not answer is not
the folder's fault, and told apart from what it refuses.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

from jupyter_scale.export import buildpack
from jupyter_scale.export.claim import FAILED, NOT_VERIFIED, Status
from jupyter_scale.export.pylock import uv

__all__ = ["Environment", "Refused", "fits", "pins", "python_of", "rebuild"]

REQUIREMENTS, RUNTIME = "binder/requirements.txt", "binder/runtime.txt"
CONDA = "binder/environment.yml"
PYLOCK = "provenance/pylock.toml"
CONDAS = ("micromamba", "mamba", "conda")
PATIENCE = 1800.0  # seconds
PIN = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*\])?\s*==\s*([^\s;#\\]+)")
UNREACHED = re.compile(
    r"(dns|connection|connect|network|tunnel|certificate|timed out|timeout|error sending request"
    r"|failed to fetch|offline|proxy|temporary failure)",
    re.IGNORECASE,
)
SAID = 6  # lines of what uv says


class Refused(Exception):
    """A step that did not succeed.

    Attributes
    ----------
    status : str
        ``failed`` when the folder is at fault, ``not verified`` when this machine is.
    details : tuple of str
    """

    def __init__(self, status: Status, *details: str) -> None:
        super().__init__("\n".join(details))
        self.status = status
        self.details = details


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
    tool = _tool()
    python = python_of(folder)
    if (folder / CONDA).is_file():
        interpreter, notes = _conda(folder, target, tool, show)
    else:
        interpreter, notes = _venv(folder, target, python, tool, show)
    show("Checking what was installed for contradictions")
    done = _run(tool, "pip", "check", "--python", str(interpreter), cwd=folder)
    if done.returncode:
        raise Refused(FAILED, "The packages contradict one another:", *_lines(done))
    installed = _installed(tool, interpreter, folder)
    _same(folder, installed)
    version = _run(str(interpreter), "-c", "import platform; print(platform.python_version())")
    seconds = time.monotonic() - begun
    return Environment(interpreter, version.stdout.strip(), len(installed), seconds, notes)


def python_of(folder: Path) -> str:
    """Return the version of Python that a folder asks for, such as ``3.11``.

    Raises
    ------
    Refused
        When it says none.
    """
    if (folder / CONDA).is_file():
        for entry in _dependencies(folder):
            match = re.match(r"python\s*=+\s*(\d+\.\d+)", entry) if isinstance(entry, str) else None
            if match:
                return match[1]
        raise Refused(FAILED, f"{CONDA} names no version of Python, as in: python=3.11.7")
    text = _text(folder / RUNTIME).strip()
    match = re.fullmatch(r"python-(\d+\.\d+)", text)
    if not match:
        raise Refused(FAILED, f"{RUNTIME} names no version of Python, as in: python-3.11")
    return match[1]


def pins(text: str) -> dict[str, str]:
    """Return the exact versions in a text of requirements.

    Examples
    --------
    >>> pins("Six==1.17.0  # via x" + chr(10) + "./binder/wheels/a-1-py3-none-any.whl")
    {'six': '1.17.0'}
    """
    found = (PIN.match(line) for line in text.splitlines())
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def fits(folder: Path, scratch: Path) -> tuple[str, ...]:
    """Resolve a folder's requirements together with what repo2docker installs before them.

    pip replaces what they pin otherwise, so of repo2docker's own packages those count that they
    do not name: each must accept the versions that are then there.

    Returns
    -------
    tuple of str
        What was found, in words.

    Raises
    ------
    Refused
    """
    python = python_of(folder)
    base = buildpack.base(python)
    if not base:
        raise Refused(FAILED, buildpack.missing() or f"repo2docker has no Python {python}")
    ours = pins(_text(folder / REQUIREMENTS))
    kept = {name: version for name, version in base.items() if name not in ours}
    done = _resolved(folder, scratch, python, kept)
    if done.returncode and _refused(done.stderr):
        # pip also replaces what the requirements' own requirements need otherwise
        alone = _resolved(folder, scratch, python, {})
        needed = pins(alone.stdout)
        kept = {name: version for name, version in kept.items() if name not in needed}
        done = _resolved(folder, scratch, python, kept)
    if done.returncode:
        status = _status(done.stderr)
        if "no version of" in done.stderr and not any(
            f"no version of {name}=={version}" in done.stderr for name, version in ours.items()
        ):
            status = NOT_VERIFIED  # the index here lacks what conda installs there
        raise Refused(status, "Together with repo2docker's own packages:", *_lines(done))
    there = pins(done.stdout)
    replaced = [
        f"{name} {base[name]} -> {there[name]}"
        for name in sorted(base)
        if name in there and not _equal(base[name], there[name])
    ]
    said = f"resolved with {len(base)} packages that repo2docker has installed before"
    return (said, f"replaced of them: {', '.join(replaced)}") if replaced else (said,)


def _resolved(
    folder: Path, scratch: Path, python: str, kept: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Have uv resolve a folder's requirements together with exact versions of others."""
    others = scratch / "base.in"
    lines = [f"{name}=={version}" for name, version in sorted(kept.items())]
    others.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return _run(
        _tool(),
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--python-version", python, "--python-platform", "linux"),
        *(REQUIREMENTS, str(others)),
        cwd=folder,
    )


def _tool() -> str:
    found = uv()
    if found is None:
        raise Refused(NOT_VERIFIED, "uv is not here: pip install uv")
    return found


def _venv(
    folder: Path, target: Path, python: str, tool: str, show: Callable[[str], None]
) -> tuple[Path, tuple[str, ...]]:
    same = python == f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = str(Path(getattr(sys, "_base_executable", sys.executable))) if same else python
    show(f"Making an environment of Python {python}")
    done = _run(tool, "venv", "--quiet", "--python", wanted, str(target), cwd=folder)
    if done.returncode:
        raise Refused(NOT_VERIFIED, f"There is no Python {python} here: install it.", *_lines(done))
    interpreter = _interpreter(target)
    ours = pins(_text(folder / REQUIREMENTS))
    show(f"Installing {len(ours)} packages from the lock")
    kernel = _kernel(python, ours)
    done = _run(
        tool, "pip", "install", "--quiet", "--python", str(interpreter), "--requirement",
        REQUIREMENTS, *kernel, cwd=folder,
    )  # fmt: skip
    if done.returncode:
        raise Refused(_status(done.stderr), "The lock cannot be installed:", *_lines(done))
    notes = [f"{' '.join(kernel)} added, which repo2docker has"] if kernel else []
    if (folder / "binder/apt.txt").is_file():
        names = ", ".join(_text(folder / "binder/apt.txt").split())
        notes.append(f"packages of the system are this machine's: {names}")
    return interpreter, tuple(notes)


def _kernel(python: str, ours: dict[str, str]) -> list[str]:
    """Return what else a notebook needs to run, where its lock leaves that to repo2docker."""
    if "ipykernel" in ours:
        return []
    version = buildpack.base(python).get("ipykernel")
    return [f"ipykernel=={version}" if version else "ipykernel"]


def _conda(
    folder: Path, target: Path, tool: str, show: Callable[[str], None]
) -> tuple[Path, tuple[str, ...]]:
    program = next((found for name in CONDAS if (found := shutil.which(name))), None)
    if program is None:
        raise Refused(
            NOT_VERIFIED,
            f"None of {', '.join(CONDAS)} is here to build {CONDA} with: install micromamba.",
        )
    show(f"Building {CONDA} with {Path(program).name}")
    words = ["create", "--yes"] if Path(program).name == "micromamba" else ["env", "create"]
    done = _run(program, *words, "--prefix", str(target), "--file", CONDA, cwd=folder)
    if done.returncode:
        raise Refused(_status(done.stderr), f"{CONDA} cannot be built:", *_lines(done))
    interpreter = _interpreter(target)
    if _run(str(interpreter), "-c", "import ipykernel").returncode:
        _run(tool, "pip", "install", "--python", str(interpreter), "ipykernel", cwd=folder)
        return interpreter, ("ipykernel added, which repo2docker has",)
    return interpreter, ()


def _same(folder: Path, installed: dict[str, str]) -> None:
    """Hold what was installed against the locks: all of them say the same."""
    told = pins(_text(folder / REQUIREMENTS))
    if (folder / PYLOCK).is_file():
        told |= _pylocked(folder / PYLOCK)
    wrong = [
        f"{name} is {installed[name]}, not {version}"
        for name, version in sorted(told.items())
        if name in installed and not _equal(installed[name], version)
    ]
    pinned = pins(_text(folder / REQUIREMENTS))
    wrong += [f"{name} is not there" for name in sorted(pinned) if name not in installed]
    if wrong:
        raise Refused(FAILED, "What was installed is not what the locks say:", *wrong[:SAID])


def _pylocked(path: Path) -> dict[str, str]:
    import tomllib

    try:
        packages: list[dict[str, Any]] = tomllib.loads(_text(path)).get("packages", [])
    except tomllib.TOMLDecodeError as error:
        raise Refused(FAILED, f"{PYLOCK} cannot be read: {error}") from None
    return {
        canonicalize_name(one["name"]): str(one["version"]) for one in packages if "version" in one
    }


def _equal(one: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _installed(tool: str, interpreter: Path, folder: Path) -> dict[str, str]:
    done = _run(
        tool, "pip", "list", "--quiet", "--format", "json", "--python", str(interpreter), cwd=folder
    )
    if done.returncode:
        raise Refused(NOT_VERIFIED, "uv cannot list what it has installed:", *_lines(done))
    return {canonicalize_name(one["name"]): one["version"] for one in json.loads(done.stdout)}


def _interpreter(target: Path) -> Path:
    if platform.system() == "Windows":
        return target / "Scripts" / "python.exe"
    return target / "bin" / "python"


def _dependencies(folder: Path) -> list[Any]:
    try:
        found = yaml.safe_load(_text(folder / CONDA))
        return list(found["dependencies"])
    except (yaml.YAMLError, KeyError, TypeError):
        raise Refused(FAILED, f"{CONDA} has no list of dependencies") from None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _status(said: str) -> Status:
    return NOT_VERIFIED if UNREACHED.search(said) and not _refused(said) else FAILED


def _refused(said: str) -> bool:
    return "No solution found" in said or "unsatisfiable" in said


def _lines(done: subprocess.CompletedProcess[str]) -> tuple[str, ...]:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    more = (f"... and {len(lines) - SAID} lines more",) if len(lines) > SAID else ()
    return (*lines[:SAID], *more)


def _run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Refused(NOT_VERIFIED, f"{' '.join(words[:3])} took more than half an hour") from None
    except OSError as error:
        raise Refused(NOT_VERIFIED, f"{words[0]} cannot be run: {error}") from None
