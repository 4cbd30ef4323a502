"""The files of an export: made in memory, compared with a folder, put there whole or not at all.

Own files are known by the SHA-256 that the last export has noted in provenance/report.json. A file
that is not ours, or that somebody has changed since, is never overwritten; one of ours that is no
longer part of the export is removed. If anything fails half-way, all is again as it was before.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from jupyter_scale.export.finding import BLOCKER, ExportError, Finding

__all__ = ["REPORT", "Change", "Content", "Tree", "owned"]

REPORT = "provenance/report.json"
SHOWN = 40  # lines of a difference
Kind = Literal["new", "changed", "same", "removed", "foreign"]


@dataclass(frozen=True, slots=True)
class Content:
    """What a file has: bytes, or those of another file.

    Attributes
    ----------
    data : bytes or None
    source : Path or None
    executable : bool
    """

    data: bytes | None = None
    source: Path | None = None
    executable: bool = False

    def digest(self) -> str:
        """Return its SHA-256."""
        if self.data is not None:
            return hashlib.sha256(self.data).hexdigest()
        assert self.source is not None
        return _digest(self.source)

    def put(self, path: Path) -> None:
        """Write it, to a path where nothing is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.data is not None:
            path.write_bytes(self.data)
        else:
            assert self.source is not None
            shutil.copyfile(self.source, path)
        path.chmod(0o755 if self.executable else 0o644)

    def text(self) -> str | None:
        """Return its text, or None for what is none."""
        data = self.data
        if data is None:
            assert self.source is not None
            data = self.source.read_bytes()
        try:
            return None if b"\0" in data[:8000] else data.decode()
        except UnicodeDecodeError:
            return None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one file.

    Attributes
    ----------
    path : str
    kind : str
        ``new``, ``changed``, ``same``, ``removed``, or ``foreign``: not ours, and in the way.
    difference : tuple of str
        Lines, for a text that has changed.
    """

    path: str
    kind: Kind
    difference: tuple[str, ...] = ()


@dataclass
class Tree:
    """Files by their paths, relative to the folder, with ``/``.

    Examples
    --------
    >>> tree = Tree()
    >>> tree.add("binder/runtime.txt", "python-3.11")
    >>> list(tree.files)
    ['binder/runtime.txt']
    """

    files: dict[str, Content] = field(default_factory=dict)

    def add(self, path: str, text: str | bytes, *, executable: bool = False) -> None:
        """Add a file that is written."""
        data = text.encode() if isinstance(text, str) else text
        self.files[_checked(path)] = Content(data, executable=executable)

    def copy(self, path: str, source: Path) -> None:
        """Add a file that is copied."""
        self.files[_checked(path)] = Content(source=source)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file."""
        return {path: content.digest() for path, content in sorted(self.files.items())}

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the files that are text."""
        for path, content in sorted(self.files.items()):
            text = content.text()
            if text is not None:
                yield path, text

    def changes(self, folder: Path) -> tuple[Change, ...]:
        """Return what would become of each file in a folder."""
        ours = owned(folder)
        found = [self._change(folder, path, ours) for path in sorted(self.files)]
        for path, digest in sorted(ours.items()):
            here = folder / path
            if path not in self.files and here.is_file() and _digest(here) == digest:
                found.append(Change(path, "removed"))
        return tuple(found)

    def _change(self, folder: Path, path: str, ours: Mapping[str, str]) -> Change:
        here, content = folder / path, self.files[path]
        if not os.path.lexists(here):
            above = [folder / one for one in PurePosixPath(path).parents if str(one) != "."]
            blocked = any(one.is_file() or one.is_symlink() for one in above)
            return Change(path, "foreign" if blocked else "new")
        if not here.is_file() or here.is_symlink() or not _below(here, folder):
            return Change(path, "foreign")
        digest = _digest(here)
        if digest == content.digest():
            return Change(path, "same")
        if path == REPORT:  # it names the others; there is none of its own in it
            return Change(path, "changed" if ours else "foreign")
        if ours.get(path) != digest:
            return Change(path, "foreign")
        told = not path.startswith("provenance/")  # thousands of hashes
        return Change(path, "changed", _difference(here, content, path) if told else ())

    def findings(self, folder: Path) -> tuple[Finding, ...]:
        """Return a blocker for each file that is in the way."""
        if folder.exists() and not folder.is_dir():
            return (_foreign(folder.name, "it is a file"),)
        return tuple(
            _foreign(change.path, "it is there, and not as an export has written it")
            for change in self.changes(folder)
            if change.kind == "foreign"
        )

    @contextmanager
    def staged(self, folder: Path) -> Iterator[Path]:
        """Write all of it to a new folder beside the one that is meant, which goes at the end."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
            stage = Path(name) / "new"
            self.write(stage)
            yield stage

    def write(self, folder: Path) -> None:
        """Write all files below a folder of our own."""
        for path, content in self.files.items():
            (folder / path).unlink(missing_ok=True)
            content.put(folder / path)

    def late(self, stage: Path, paths: tuple[str, ...]) -> None:
        """Write again those files of a staged tree that have changed meanwhile."""
        Tree({path: self.files[path] for path in paths if path in self.files}).write(stage)

    def publish(self, stage: Path, folder: Path) -> tuple[Change, ...]:
        """Move what was staged to its place.

        Raises
        ------
        ExportError
            When a file is in the way; nothing is changed then.
        """
        changes = self.changes(folder)
        if in_the_way := [change.path for change in changes if change.kind == "foreign"]:
            raise ExportError(f"{', '.join(in_the_way)}: not written by an export, and in the way")
        # what names the files comes last: until then they are known by the one before
        ordered = sorted(changes, key=lambda change: (change.path == REPORT, change.path))
        _move(ordered, stage, folder, stage.parent / "old")
        with suppress(OSError):  # an empty folder more is no harm
            for change in changes:
                if change.kind == "removed":
                    _prune((folder / change.path).parent, folder)
        return changes


def _move(changes: list[Change], stage: Path, folder: Path, old: Path) -> None:
    done: list[Change] = []
    made: list[Path] = []
    try:
        for change in changes:
            if change.kind == "same":
                continue
            here, before = folder / change.path, old / change.path
            made += _made(here.parent)
            if change.kind != "new":
                before.parent.mkdir(parents=True, exist_ok=True)
                os.replace(here, before)
            done.append(change)
            if change.kind != "removed":
                os.replace(stage / change.path, here)
    except BaseException:
        for change in reversed(done):
            here, before = folder / change.path, old / change.path
            here.unlink(missing_ok=True)
            if before.exists():
                os.replace(before, here)
        for path in reversed(made):
            path.rmdir()
        raise


def _prune(path: Path, top: Path) -> None:
    """Remove folders that nothing is left in."""
    while path != top and path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        path = path.parent


def _made(folder: Path) -> list[Path]:
    """Make a folder and return those that were not there, the outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    for path in missing:
        path.mkdir()
    return missing


def owned(folder: Path) -> dict[str, str]:
    """Return what the last export has written to a folder: SHA-256 by path."""
    try:
        found = json.loads((folder / REPORT).read_text(encoding="utf-8"))["files"]
        return {_checked(path): str(digest) for path, digest in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _checked(path: str) -> str:
    """Return a path that stays in its folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError(f"{path!r} is not a path in a folder")
    return path


def _below(path: Path, folder: Path) -> bool:
    """Whether no link leads from a folder to elsewhere."""
    return path.resolve() == folder.resolve() / path.relative_to(folder)


def _foreign(path: str, why: str) -> Finding:
    return Finding(
        f"foreign:{path}", BLOCKER, path, why, "move it away, or export to another folder"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _difference(here: Path, content: Content, path: str) -> tuple[str, ...]:
    before, after = Content(source=here).text(), content.text()
    if before is None or after is None:
        return ()
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), path, path, lineterm="", n=1
    )
    found = list(lines)[2:]
    more = [f"... and {len(found) - SHOWN} more lines"] if len(found) > SHOWN else []
    return tuple([*found[:SHOWN], *more])
