"""What a kernel and its workers have: taken at once, nothing is run again.

`probe.py` looks, in the kernel and on the workers; this is what it saw, typed, to and from JSON. A
snapshot says nothing of its machine but what an environment is made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from jupyter_scale.export import probe

__all__ = [
    "SOURCE",
    "CondaPackage",
    "Distribution",
    "Imported",
    "Index",
    "Program",
    "Snapshot",
    "expression",
    "take",
    "together",
]

SOURCE = object()


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution.

    Attributes
    ----------
    name : str
        Canonical.
    version : str
    requires : tuple of str
        As it says itself.
    url, commit : str
        Where it was installed from, if not from an index; of a repository, which state.
    editable : bool
    changes : bool
        Whether there is something uncommitted where it is from.
    installer : str
    digest : str
        SHA-256 of the archive that it was installed from.
    """

    name: str
    version: str
    requires: tuple[str, ...] = ()
    url: str = ""
    commit: str = ""
    editable: bool = False
    changes: bool = False
    installer: str = ""
    digest: str = ""

    @property
    def local(self) -> bool:
        """Whether its code is on this machine only."""
        return self.url.startswith("file:") and not self.commit

    @property
    def source(self) -> Path | None:
        """The folder or the file that a local one is from."""
        from urllib.parse import unquote, urlparse

        return Path(unquote(urlparse(self.url).path)) if self.local else None


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """A package of a conda prefix, as conda-meta says it."""

    name: str
    version: str
    build: str = ""
    subdir: str = ""
    channel: str = ""
    url: str = ""
    sha256: str = ""
    md5: str = ""
    depends: tuple[str, ...] = ()
    requested: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import in the source is: ``standard``, ``local``, ``distribution``, ``elsewhere``."""

    kind: str
    distribution: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is called: where it is, and whose."""

    path: str = ""
    distribution: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """Where packages are looked for (``index``), or also (``extra``)."""

    kind: str
    url: str
    origin: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a kernel and its workers have.

    Attributes
    ----------
    python, implementation : str
    kind : str
        ``conda``, ``venv`` or ``system``.
    markers : mapping of str to str
        The environment that markers of requirements are about.
    distributions : mapping of str to Distribution
        By canonical name; of workers, those that are not here.
    conda : tuple of CondaPackage
    loaded : mapping of str to tuple of str
        Distributions of which modules are loaded, with some of these.
    local : tuple of Path
        Loaded modules beside the notebook.
    elsewhere : mapping of str to str
        Loaded modules that are neither, and their files.
    imports, programs : mapping
        Of the notebook's code, by the name there.
    libraries : tuple of str
        Debian packages of the system's libraries that are loaded.
    labextensions : mapping of str to str
        JupyterLab's extensions, and their distributions.
    indexes : tuple of Index
    opened : tuple of str
        Files that were read, in the notebook's folder, relative to it.
    made : tuple of str
        Files that were written there before they were read.
    since : float
        From when on anybody looked for these, in seconds since the epoch; 0 for nobody.
    workers : int
        How many workers were asked.
    on_workers : mapping of str to tuple of str
        As `loaded`, of them.
    differing : mapping of str to str
        Distributions whose version is another there.
    """

    python: str
    implementation: str = "cpython"
    kind: str = "venv"
    markers: Mapping[str, str] = field(default_factory=dict)
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    conda: tuple[CondaPackage, ...] = ()
    loaded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    local: tuple[Path, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, Imported] = field(default_factory=dict)
    programs: Mapping[str, Program] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    labextensions: Mapping[str, str] = field(default_factory=dict)
    indexes: tuple[Index, ...] = ()
    opened: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    since: float = 0.0
    workers: int = 0
    on_workers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    differing: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Return that of a text."""
        found = json.loads(text)
        for name, kind in (("distributions", Distribution), ("imports", Imported),
                           ("programs", Program)):  # fmt: skip
            found[name] = {key: _of(kind, one) for key, one in found[name].items()}
        for name in ("loaded", "on_workers"):
            found[name] = {key: tuple(one) for key, one in found[name].items()}
        found["conda"] = tuple(_of(CondaPackage, one) for one in found["conda"])
        found["indexes"] = tuple(_of(Index, one) for one in found["indexes"])
        found["local"] = tuple(map(Path, found["local"]))
        for name in ("libraries", "opened", "made"):
            found[name] = tuple(found[name])
        return cls(**found)

    @classmethod
    def of(cls, seen: Mapping[str, Any], workers: Sequence[Mapping[str, Any]] = ()) -> Snapshot:
        """Return what probes have seen, in the kernel and on workers."""
        here = {one.name: one for one in map(_distribution, seen["distributions"])}
        there = [one for seen in workers for one in map(_distribution, seen["distributions"])]
        differing = {
            one.name: one.version
            for one in there
            if one.name in here and here[one.name].version != one.version
        }
        on_workers: dict[str, tuple[str, ...]] = {}
        for one in workers:
            on_workers |= _canonical(one["loaded"])
        return cls(
            python=seen["python"],
            implementation=seen["implementation"],
            kind=seen["kind"],
            markers=seen["markers"],
            distributions={one.name: one for one in there} | here,
            conda=tuple(_of(CondaPackage, one) for one in seen["conda"]),
            loaded=_canonical(seen["loaded"]),
            local=tuple(map(Path, seen["local"])),
            elsewhere=seen["elsewhere"],
            imports={
                name: Imported(one["kind"], _name(one.get("distribution")), one.get("file", ""))
                for name, one in seen["imports"].items()
            },
            programs={
                name: Program(one["path"], _name(one.get("distribution")), one.get("package", ""))
                for name, one in seen["programs"].items()
            },
            libraries=tuple(seen["libraries"]),
            labextensions={key: _name(one) for key, one in seen["labextensions"].items()},
            indexes=tuple(Index(one["kind"], one["url"], one["from"]) for one in seen["indexes"]),
            opened=tuple(seen["opened"]),
            made=tuple(seen["made"]),
            since=seen["since"],
            workers=len(workers),
            on_workers=on_workers,
            differing=differing,
        )


def take(
    folder: Path, *, imports: Iterable[str] = (), programs: Iterable[str] = (), client: Any = None
) -> Snapshot:
    """Take a snapshot of this process and of the workers of a Dask client.

    Parameters
    ----------
    folder : Path
        The notebook's.
    imports, programs : iterable of str
        Of its code.
    client : distributed.Client, optional
        This process's current one by default, if there is one.
    """
    seen = probe.probe(str(folder), list(imports), list(programs))
    return Snapshot.of(seen, probe.on_workers(text(), client))


def together(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return the snapshot of several kernels of one environment."""
    first, *others = snapshots
    for one in others:
        first = replace(
            first,
            distributions={**one.distributions, **first.distributions},
            loaded={**one.loaded, **first.loaded},
            local=tuple(sorted({*first.local, *one.local})),
            elsewhere={**first.elsewhere, **one.elsewhere},
            imports={**first.imports, **one.imports},
            programs={**first.programs, **one.programs},
            libraries=tuple(sorted({*first.libraries, *one.libraries})),
            opened=tuple(sorted({*first.opened, *one.opened} - {*first.made, *one.made})),
            made=tuple(sorted({*first.made, *one.made})),
            since=min(first.since, one.since),
            workers=max(first.workers, one.workers),
            on_workers={**first.on_workers, **one.on_workers},
            differing={**first.differing, **one.differing},
        )
    return first


def expression(call: str, *arguments: Any) -> str:
    """Return a Python expression that calls the probe in any kernel; its value is JSON.

    It leaves no name behind and needs nothing of this package. `SOURCE` among the arguments stands
    for the probe's own text.
    """
    asked = ", ".join("s" if one is SOURCE else repr(one) for one in arguments)
    return (
        f"(lambda n, s: (exec(s, n), n['json'].dumps(n[{call!r}]({asked})))[1])"
        f"({{'__name__': 'probe'}}, {text()!r})"
    )


@cache
def text() -> str:
    """Return the source of the probe."""
    return Path(probe.__file__).read_text(encoding="utf-8")


def _name(name: str | None) -> str:
    return canonicalize_name(name) if name else ""


def _canonical(loaded: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {canonicalize_name(name): tuple(modules) for name, modules in loaded.items()}


def _of(kind: type[Any], found: Mapping[str, Any]) -> Any:
    known = {one.name for one in fields(kind)}
    return kind(
        **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in found.items()
            if key in known
        }
    )


def _distribution(found: Mapping[str, Any]) -> Distribution:
    # what conda has built says where that was: a folder of its builder's
    direct = (found["direct_url"] if found["installer"] != "conda" else None) or {}
    vcs = direct.get("vcs_info", {})
    url = direct.get("url", "")
    return Distribution(
        canonicalize_name(found["name"]),
        found["version"],
        tuple(found["requires"]),
        url=f"{vcs['vcs']}+{url}" if vcs else url,
        commit=vcs.get("commit_id", ""),
        editable=bool(direct.get("dir_info", {}).get("editable")),
        changes=found["changes"] and bool(direct),
        installer=found["installer"],
        digest=_sha256(direct.get("archive_info", {})),
    )


def _sha256(archive: Mapping[str, Any]) -> str:
    kind, _, value = str(archive.get("hash", "")).partition("=")
    return str(archive.get("hashes", {}).get("sha256") or (value if kind == "sha256" else ""))
