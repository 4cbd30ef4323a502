"""What an exported folder wants to have installed, as its files say it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

from jupyter_scale.export.claim import FAILED
from jupyter_scale.export.step import Refused

__all__ = [
    "CONDA",
    "CONDA_LOCK",
    "REQUIREMENTS",
    "Wanted",
    "conda",
    "pinned",
    "pins",
    "pylocked",
    "python_of",
    "text",
]

REQUIREMENTS, RUNTIME = "binder/requirements.txt", "binder/runtime.txt"
CONDA = "binder/environment.yml"
PYLOCK, CONDA_LOCK = "provenance/pylock.toml", "provenance/conda.lock"
PIN = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*\])?\s*==\s*([^\s;#\\]+)")
NODEFAULTS = "nodefaults"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An environment.yml.

    Attributes
    ----------
    channels : tuple of str
        Their names, the first before the others.
    specs : tuple of str
        Conda's packages, such as ``numpy=2.4.1``.
    pip : tuple of str
        What pip installs over them; paths are relative to the file's folder.
    """

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    pip: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """The versions that are named, by name.

        Examples
        --------
        >>> Wanted((), ("python=3.11.7", "b >=2", "pip")).versions
        {'python': '3.11.7'}
        """
        found = (re.fullmatch(r"([\w.-]+)\s*=+\s*([^\s=*<>,|]+)", one) for one in self.specs)
        return {match[1].lower(): match[2] for match in found if match}


def python_of(folder: Path) -> str:
    """Return the version of Python that a folder asks for, such as ``3.11``.

    Raises
    ------
    Refused
        When it says none.
    """
    if (folder / CONDA).is_file():
        for entry in conda(folder).specs:
            if match := re.match(r"python\s*=+\s*(\d+\.\d+)", entry):
                return match[1]
        raise Refused(FAILED, f"{CONDA} names no version of Python, as in: python=3.11.7")
    match = re.fullmatch(r"python-(\d+\.\d+)", text(folder / RUNTIME).strip())
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


def pinned(folder: Path) -> dict[str, str]:
    """Return the exact versions of what pip installs, whichever file they are in."""
    if (folder / CONDA).is_file():
        return pins("\n".join(conda(folder).pip))
    return pins(text(folder / REQUIREMENTS))


def conda(folder: Path) -> Wanted:
    """Read environment.yml.

    Raises
    ------
    Refused
        When it cannot be read, or wants what only some of conda's programs know.
    """
    try:
        found = yaml.safe_load(text(folder / CONDA))
        channels = [str(one) for one in found.get("channels") or ("defaults",)]
        entries = list(found["dependencies"])
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise Refused(FAILED, f"{CONDA} has no list of dependencies") from None
    specs = tuple(one for one in entries if isinstance(one, str))
    others = [one for one in entries if not isinstance(one, str)]
    if any(not isinstance(one, dict) or {*one} != {"pip"} for one in others):
        raise Refused(FAILED, f"{CONDA} has dependencies that are neither conda's nor pip's")
    return Wanted(
        tuple(one for one in channels if one != NODEFAULTS),
        specs,
        tuple(str(line) for one in others for line in one["pip"] or ()),
    )


def pylocked(folder: Path) -> dict[str, str]:
    """Return the versions of pylock.toml.

    Raises
    ------
    Refused
    """
    try:
        found: Iterable[dict[str, Any]] = tomllib.loads(text(folder / PYLOCK)).get("packages", [])
    except tomllib.TOMLDecodeError as error:
        raise Refused(FAILED, f"{PYLOCK} cannot be read: {error}") from None
    return {
        canonicalize_name(one["name"]): str(one["version"]) for one in found if "version" in one
    }


def text(path: Path) -> str:
    """Return what a file says; nothing, where there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""
