"""The files of an export, of what was found: all but those that tell of the others.

Nothing is written here: a `Tree` is a plan of files. Where the notebook is in the folder already,
it and what it reads stay as they are, and are needed beside the tree only to verify the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyter_scale.export import binder, checks, docker, kubernetes, pylock, thebe, wheels
from jupyter_scale.export import roots as rooting
from jupyter_scale.export.data import FETCH, MANIFEST, Data, manifest
from jupyter_scale.export.lock import Lock, conda_lock
from jupyter_scale.export.notebook import Notebook, Read, cleaned, serialised
from jupyter_scale.export.options import Options
from jupyter_scale.export.roots import Root
from jupyter_scale.export.snapshot import Snapshot
from jupyter_scale.export.tree import Tree

__all__ = ["Contents", "Found", "contents", "place"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of some notebooks.

    Attributes
    ----------
    notebooks : tuple of Notebook
    folder : Path
        Where they are exported to.
    options : Options
    read : Read
    snapshot : Snapshot
    roots : tuple of Root
    lock : Lock
    data : tuple of Data
    built : mapping of str to (str, bytes)
        Wheels of packages that only this machine has: file and content, by package.
    hashes : pylock.Hashes or None
        Of an index; None for a prefix of conda's, which has its own.
    """

    notebooks: tuple[Notebook, ...]
    folder: Path
    options: Options
    read: Read
    snapshot: Snapshot
    roots: tuple[Root, ...]
    lock: Lock
    data: tuple[Data, ...]
    built: Mapping[str, tuple[str, bytes]]
    hashes: pylock.Hashes | None

    @property
    def in_place(self) -> bool:
        """Whether the notebook is in the folder: then it stays as it is, and so does README.md."""
        return self.notebooks[0].path.is_relative_to(self.folder.resolve())

    @property
    def fetched(self) -> bool:
        """Whether data files are to be fetched."""
        return any(not entry.copied for entry in self.data) and not self.in_place

    @property
    def downloads(self) -> bool:
        """Whether there are addresses to fetch them from."""
        return self.fetched and any(entry.source for entry in self.data)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages of the system."""
        return checks.packages(self.read, self.snapshot, self.lock)

    @property
    def dask(self) -> bool:
        """Whether there are clusters."""
        return rooting.clusters(self.read, self.snapshot)


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an export.

    Attributes
    ----------
    tree : Tree
    beside : Tree
        What is in the folder already and is needed to verify the rest.
    notes : tuple of str
    """

    tree: Tree
    beside: Tree
    notes: tuple[str, ...] = ()


def contents(found: Found) -> Contents:
    """Return the files of an export."""
    tree, beside = Tree(), Tree()
    _own(found, beside if found.in_place else tree)
    _data(found, tree)
    _binder(found, tree)
    _provenance(found, tree)
    _parts(found, tree)
    return Contents(tree, beside, tuple(_notes(found)))


def place(one: Notebook, folder: Path) -> str:
    """Return where a notebook is in the folder that it is exported to."""
    real = folder.resolve()
    return one.path.relative_to(real).as_posix() if one.path.is_relative_to(real) else one.path.name


def _own(found: Found, tree: Tree) -> None:
    """Add the notebooks, their modules and the data that is copied."""
    one = found.notebooks[0]
    base = Path(place(one, found.folder)).parent
    for path in found.read.local:
        tree.copy((base / path.relative_to(one.folder)).as_posix(), path)
    for entry in found.data:
        if entry.copied:
            tree.copy((base / entry.path).as_posix(), one.folder / entry.path)
    for each in found.notebooks:
        tree.add(place(each, found.folder), serialised(cleaned(each)))


def _data(found: Found, tree: Tree) -> None:
    if found.data and not found.in_place:
        tree.add(MANIFEST, manifest(found.data))
    if found.fetched:
        tree.add("fetch.py", FETCH)


def _binder(found: Found, tree: Tree) -> None:
    texts = binder.files(
        found.lock, packages=found.packages, dask=found.dask, fetches=found.downloads
    )
    for name, (text, executable) in texts.items():
        tree.add(name, text, executable=executable)
    for wheel, content in found.built.values():
        tree.add(f"{wheels.FOLDER}/{wheel}", content)


def _provenance(found: Found, tree: Tree) -> None:
    roots = json.dumps([asdict(root) for root in found.roots], indent=2) + "\n"
    tree.add("provenance/roots.json", roots)
    if found.hashes is None:
        tree.add("provenance/conda.lock", conda_lock(found.lock))
    else:
        private = [index.url for index in found.snapshot.indexes]
        tree.add("provenance/pylock.toml", pylock.pylock(found.lock, found.hashes, private))


def _parts(found: Found, tree: Tree) -> None:
    """Add what was asked for besides."""
    options = found.options
    if options.thebe:
        for program, source in thebe.programs():
            tree.copy(program, source)
    if options.docker:
        name = place(found.notebooks[0], found.folder)
        text = docker.dockerfile(found.lock, name, packages=found.packages, fetches=found.downloads)
        tree.add(docker.PATH, text)
    if options.kubernetes:
        name = kubernetes.slug(found.folder.name)
        tree.add(kubernetes.PATH, kubernetes.cluster(name, options.name or f"{name}:latest"))


def _notes(found: Found) -> list[str]:
    notes = []
    if found.hashes is not None and found.hashes.why:
        notes.append(f"Packages without hashes: {found.hashes.why}.")
    if found.dask and rooting.PROXY not in {root.name for root in found.roots}:
        notes.append(f"Without {rooting.PROXY}, which is not installed, no Dask dashboard is seen.")
    return notes
