"""Exact versions of all that the roots require, and the files that say them.

What is pinned is what is installed here, never what an index offers today. Packages of
repo2docker's own base (`roots.BASE`) that no root names are left to it: a full list of this
environment would break them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import canonicalize_name
from packaging.version import Version

from jupyter_scale.export.closure import closure
from jupyter_scale.export.roots import BASE, Root
from jupyter_scale.export.snapshot import CondaPackage, Distribution, Snapshot

__all__ = [
    "Lock",
    "Pin",
    "conda_lock",
    "conda_locked",
    "environment",
    "locked",
    "plain",
    "requirements",
]

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
HEAD = "# Made by jupyter-scale: all that the notebook's packages require, as it was where it ran."
LINUX = {"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux"}
"""What markers are asked about: the image is Linux, wherever the notebook ran."""
PIPS = ("pip", "uv")
PACKAGE = re.compile(
    r"(?:^|/)(?P<name>[^/\s]+)-(?P<version>[^-/\s]+)-(?P<build>[^-/\s]+?)"
    r"(?P<suffix>\.conda|\.tar\.bz2)?$"
)
CHANNEL = re.compile(r"(?:^|/)(?P<name>[A-Za-z0-9_.-]+)(?:/(?:linux|osx|win|noarch)[\w-]*)?/?$")


@dataclass(frozen=True, slots=True)
class Pin:
    """A distribution at its version.

    Attributes
    ----------
    name, version : str
    line : str
        Of requirements.txt.
    by : tuple of str
        The distributions that require it; empty for a root.
    kind : str
        ``index``, ``wheel``, ``folder``, ``vcs`` or ``url``.
    digest : str
        SHA-256 of a wheel or an archive, where it is known.
    """

    name: str
    version: str
    line: str
    by: tuple[str, ...] = ()
    kind: str = "index"
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """What is written about an environment.

    Attributes
    ----------
    python : str
        Such as ``3.11.7``.
    pins : tuple of Pin
        Of requirements.txt, or of the pip section of environment.yml; by name.
    conda : tuple of CondaPackage
        Those of environment.yml.
    channels : tuple of str
    explicit : tuple of CondaPackage
        All of the prefix.
    """

    python: str
    pins: tuple[Pin, ...]
    conda: tuple[CondaPackage, ...] = ()
    channels: tuple[str, ...] = ()
    explicit: tuple[CondaPackage, ...] = ()

    @property
    def minor(self) -> str:
        """Python's version as runtime.txt has it."""
        return ".".join(self.python.split(".")[:2])


def locked(
    roots: Iterable[Root],
    snapshot: Snapshot,
    *,
    local: Mapping[str, str] | None = None,
    digests: Mapping[str, str] | None = None,
    programs: Iterable[str] = (),
) -> Lock:
    """Return the lock of some roots.

    Parameters
    ----------
    roots : iterable of Root
    snapshot : Snapshot
    local : mapping of str to str, optional
        Lines for distributions that are on this machine only, such as ``./binder/wheels/x.whl``.
    digests : mapping of str to str, optional
        SHA-256 of these wheels.
    programs : iterable of str
        That are called; those of conda packages are part of environment.yml.
    """
    names = [root.name for root in roots]
    markers = {**snapshot.markers, **LINUX}
    there = snapshot.distributions
    few = {
        name: (one if name not in BASE or name in names else _without_requirements(one))
        for name, one in there.items()
    }
    required = closure(names, few, markers)
    kept = {name: by for name, by in required.items() if name not in BASE or name in names}

    def pinned(names: Mapping[str, tuple[str, ...]]) -> tuple[Pin, ...]:
        pins = (_pin(there[name], by, local or {}) for name, by in sorted(names.items()))
        return tuple(replace(pin, digest=(digests or {}).get(pin.name, pin.digest)) for pin in pins)

    pins = pinned(kept)
    if snapshot.kind != "conda":
        return Lock(snapshot.python, pins)
    conda, mine = _conda(snapshot, kept, frozenset(programs))
    return Lock(
        snapshot.python,
        tuple(pin for pin in pins if pin.name not in mine),
        conda,
        _channels(snapshot.conda),
        snapshot.conda,
    )


def requirements(lock: Lock) -> str:
    """Return the text of requirements.txt.

    Examples
    --------
    >>> lock = Lock("3.11.7", (Pin("numpy", "2", "numpy==2", ("scipy",)),))
    >>> requirements(lock).splitlines()[-1]
    'numpy==2  # for scipy'
    """
    lines = [
        f"{pin.line}  # for {', '.join(pin.by[:3])}" if pin.by and pin.kind == "index" else pin.line
        for pin in lock.pins
    ]
    return "\n".join([HEAD, *lines, ""])


def environment(lock: Lock) -> str:
    """Return the text of environment.yml.

    No build strings: they are of one platform. ``python=X.Y.Z`` with one ``=``, or repo2docker
    takes a Python of its own.
    """
    lines = [HEAD, "channels:", *(f"  - {name}" for name in lock.channels), "dependencies:"]
    lines += [f"  - python={lock.python}"]
    lines += [f"  - {one.name}={one.version}" for one in lock.conda if one.name != "python"]
    if lock.pins:
        lines += ["  - pip", "  - pip:", *(f'      - "{_beside(pin)}"' for pin in lock.pins)]
    return "\n".join([*lines, ""])


def conda_lock(lock: Lock) -> str:
    """Return all packages of the prefix, as conda makes the same one of them again."""
    subdirs = {one.subdir for one in lock.explicit} - {"noarch", ""}
    lines = [f"# platform: {', '.join(sorted(subdirs)) or 'any'}", "@EXPLICIT"]
    for one in lock.explicit:
        digest = f"#sha256:{one.sha256}" if one.sha256 else (f"#{one.md5}" if one.md5 else "")
        if one.url.startswith(("http://", "https://")):
            lines.append(f"{plain(one.url)}{digest}")
        else:  # a folder of this machine
            suffix = PACKAGE.search(one.url)
            file = f"{one.name}-{one.version}-{one.build}{suffix['suffix'] if suffix else ''}"
            lines.append(f"# {file}{digest}")
    return "\n".join([*lines, ""])


def conda_locked(text: str) -> dict[str, CondaPackage]:
    """Return the packages of such a text, by name.

    Examples
    --------
    >>> found = conda_locked("@EXPLICIT" + chr(10) + "https://c.org/noarch/a-b-1.0-h1_0.conda#f00")
    >>> found["a-b"].version, found["a-b"].build, found["a-b"].md5
    ('1.0', 'h1_0', 'f00')
    """
    found = {}
    for line in text.splitlines():
        file, _, digest = line.removeprefix("# ").partition("#")
        match = PACKAGE.search(file)
        if match:
            kind, _, value = digest.rpartition(":")
            found[match["name"]] = CondaPackage(
                match["name"], match["version"], match["build"], url=file,
                sha256=value if kind == "sha256" else "", md5="" if kind == "sha256" else value,
            )  # fmt: skip
    return found


def plain(url: str) -> str:
    """Return an address without a user's name, a password or a channel's token.

    Examples
    --------
    >>> plain("https://me:secret@example.org/t/ab-12/main")
    'https://example.org/main'
    """
    scheme, _, rest = url.partition("://")
    parts = urlsplit(f"x://{rest}")
    if not parts.netloc:
        return url
    host = parts.netloc.rpartition("@")[2]
    path = re.sub(r"^/t/[^/]+/", "/", parts.path)
    return urlunsplit(("x", host, path, "", "")).replace("x://", f"{scheme}://", 1)


def _beside(pin: Pin) -> str:
    """Return the line of a pin in binder/: conda starts pip in the folder of environment.yml.

    Examples
    --------
    >>> _beside(Pin("a", "1", "./binder/wheels/a.whl", kind="wheel"))
    './wheels/a.whl'
    >>> _beside(Pin("a", "1", "./src", kind="folder")), _beside(Pin("a", "1", ".", kind="folder"))
    ('../src', '..')
    """
    if pin.kind not in ("wheel", "folder"):
        return pin.line
    path = posixpath.relpath(pin.line, "binder")
    return path if path.startswith("..") else f"./{path}"


def _without_requirements(one: Distribution) -> Distribution:
    return Distribution(one.name, one.version)


def _pin(one: Distribution, by: tuple[str, ...], local: Mapping[str, str]) -> Pin:
    if one.name in local:
        kind = "wheel" if local[one.name].endswith(".whl") else "folder"
        return Pin(one.name, one.version, local[one.name], by, kind)
    if one.commit:
        line = f"{one.name} @ {plain(one.url)}@{one.commit}"
        return Pin(one.name, one.version, line, by, "vcs")
    if one.url.startswith(("http://", "https://")):
        line = f"{one.name} @ {plain(one.url)}"
        return Pin(one.name, one.version, line, by, "url", one.digest)
    if not NAME.fullmatch(one.name):
        raise ValueError(f"{one.name!r} is not the name of a distribution")
    return Pin(one.name, one.version, f"{one.name}=={Version(one.version)}", by)


def _conda(
    snapshot: Snapshot, kept: Iterable[str], programs: frozenset[str]
) -> tuple[tuple[CondaPackage, ...], set[str]]:
    """Return the conda packages of environment.yml, and the distributions that they are."""
    names = set(kept)
    packages: list[CondaPackage] = []
    mine: set[str] = set()
    for one in snapshot.conda:
        # what pip has put over a conda package is pip's
        metadata = {canonicalize_name(name) for name in one.metadata}
        ours = {
            name
            for name in metadata & names
            if snapshot.distributions[name].installer not in PIPS
            and snapshot.distributions[name].version == one.version
        }
        asked = bool(one.requested) and not metadata and not _base(one.name)
        if ours or asked or programs & set(one.programs) - {"python"}:
            packages.append(one)
            mine |= ours
    return tuple(packages), mine


def _base(name: str) -> bool:
    return name in ("python", "pip", "conda", "mamba", "micromamba", *BASE)


def _channels(packages: Iterable[CondaPackage]) -> tuple[str, ...]:
    """Return the channels' names, the one of most packages first; a folder has none."""
    counts: dict[str, int] = {}
    for one in packages:
        channel = one.channel.rstrip("/")
        if channel.startswith("file:") or not channel:
            continue
        if match := CHANNEL.search(channel):
            name = "defaults" if "/pkgs/" in channel else match["name"]
            counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))) or ("conda-forge",)
