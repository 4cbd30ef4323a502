"""A notebook as an export sees it: its cells, the order they ran in, what its code asks for.

Read from the file alone; nothing runs. What the code says is found in `source.py`, in the notebook
and in the modules beside it that it imports, directly or through one another.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_scale.export.finding import ExportError, needed
from jupyter_scale.export.source import Said, read_cell, read_module

__all__ = [
    "Cell",
    "Notebook",
    "Read",
    "cleaned",
    "examine",
    "modules",
    "read",
    "serialised",
    "together",
]

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
"""The kernelspec that repo2docker's image has, whatever it was called here."""
LOADS = "%load_ext jupyter_scale"
SKIPPED = "skip-execution"
"""The tag by which nbclient leaves a cell out."""
NOT_COPIED = ("__pycache__", ".ipynb_checkpoints", ".git")


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell.

    Attributes
    ----------
    number : int
        From 1 among the code cells, as findings call it.
    source : str
    count : int or None
        When it ran.
    tags : tuple of str
    outputs : tuple of dict
        As in the file.
    notebook : str
        Its name, where there are several.
    """

    number: int
    source: str
    count: int | None = None
    tags: tuple[str, ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    notebook: str = ""

    @property
    def where(self) -> str:
        """What findings call it."""
        return f"{self.notebook} cell {self.number}".lstrip()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to run."""
        return not self.source.strip()

    @property
    def exports(self) -> bool:
        """Whether all that it does is to export: it is not to run where it was exported to."""
        lines = {line.strip() for line in self.source.splitlines() if line.strip()} - {LOADS}
        return bool(lines) and all(line.startswith("%scale export") for line in lines)


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook file.

    Attributes
    ----------
    path : Path
    content : dict
        Of the file, in version 4 of its format.
    cells : tuple of Cell
        Those of code.
    """

    path: Path
    content: Mapping[str, Any]
    cells: tuple[Cell, ...]

    @property
    def folder(self) -> Path:
        """Where it and what it reads are."""
        return self.path.parent

    @property
    def ran(self) -> bool:
        """Whether any of its cells ran."""
        return any(cell.count is not None or cell.outputs for cell in self.cells)

    def places(self) -> dict[str, str]:
        """Return the ids of cells by what findings call them, where the file has ids."""
        numbers = iter(self.cells)
        found = {}
        for number, cell in enumerate(self.content["cells"], 1):
            code = cell["cell_type"] == "code"
            found[next(numbers).where if code else f"text cell {number}"] = cell.get("id", "")
        return {place: cell for place, cell in found.items() if cell}

    @property
    def mimetypes(self) -> frozenset[str]:
        """Kinds of its outputs."""
        return frozenset(
            kind
            for cell in self.cells
            if not cell.exports
            for output in cell.outputs
            for kind in output.get("data", ())
        )


@dataclass(frozen=True, slots=True)
class Read:
    """What a notebook's code asks for, with the places: ``cell 3``, ``helper.py``.

    Attributes
    ----------
    said : tuple of (str, Said)
        Of each place.
    local : tuple of Path
        Files of the modules beside the notebook that it imports.
    mimetypes : frozenset of str
        Kinds of its outputs.
    """

    said: tuple[tuple[str, Said], ...]
    local: tuple[Path, ...] = ()
    mimetypes: frozenset[str] = frozenset()

    def places(self, kind: str) -> dict[str, tuple[str, ...]]:
        """Return what there is of a kind (an attribute of `Said`), and where."""
        found: dict[str, list[str]] = {}
        for place, said in self.said:
            for one in getattr(said, kind):
                where = found.setdefault(one, [])
                if place not in where:
                    where.append(place)
        return {one: tuple(where) for one, where in found.items()}


def read(path: Path) -> Notebook:
    """Read a notebook.

    Raises
    ------
    ExportError
        When there is none, or its language is not Python.
    """
    nbformat = needed("nbformat")
    try:
        content = nbformat.read(path, as_version=4)
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, AttributeError, nbformat.validator.ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ExportError(f"{path.name} is not a notebook: {reason}") from None
    language = content.metadata.get("kernelspec", {}).get("language", "python")
    if language.lower() != "python":
        raise ExportError(f"{path.name} is written in {language}; only Python can be exported.")
    return parsed(path, content)


def parsed(path: Path, content: Mapping[str, Any], name: str = "") -> Notebook:
    """Return the notebook of a content that was read already; places begin with the name."""
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    cells = tuple(
        Cell(
            number,
            "".join(cell["source"]),
            cell.get("execution_count"),
            tuple(cell["metadata"].get("tags", ())),
            tuple(cell.get("outputs", ())),
            name,
        )
        for number, cell in enumerate(code, 1)
    )
    return Notebook(path.resolve(), content, cells)


def examine(notebook: Notebook, more: Sequence[Path] = ()) -> Read:
    """Return what the code of a notebook and of its own modules asks for.

    Parameters
    ----------
    notebook : Notebook
    more : sequence of Path
        Files beside it that were imported without a name in the source.
    """
    said = [(cell.where, read_cell(cell.source)) for cell in notebook.cells if not cell.exports]
    names = {name for _, one in said for name in one.imports}
    local: dict[Path, None] = {}
    waiting = [*modules(notebook.folder, names), *more]
    while waiting:
        file = waiting.pop(0).resolve()
        if file in local:
            continue
        local[file] = None
        if file.suffix != ".py":
            continue
        relative = file.relative_to(notebook.folder)
        one = read_module(file.read_text(encoding="utf-8", errors="replace"), relative.parts[:-1])
        said.append((relative.as_posix(), one))
        waiting += modules(notebook.folder, one.imports)
    return Read(tuple(said), tuple(sorted(local)), notebook.mimetypes)


def together(reads: Sequence[Read]) -> Read:
    """Return what several notebooks ask for."""
    said = dict(pair for read in reads for pair in read.said)
    local = {path for read in reads for path in read.local}
    kinds = frozenset(kind for read in reads for kind in read.mimetypes)
    return Read(tuple(said.items()), tuple(sorted(local)), kinds)


def modules(folder: Path, names: Sequence[str] | frozenset[str] | set[str]) -> Iterator[Path]:
    """Yield the files beside a notebook that imports name: a module, or all of a package."""
    for top in sorted({name.partition(".")[0] for name in names}):
        module, package = folder / f"{top}.py", folder / top
        if (package / "__init__.py").is_file():
            yield from (
                path
                for path in sorted(package.rglob("*"))
                if path.is_file() and not set(NOT_COPIED) & set(path.parts)
            )
        elif module.is_file():
            yield module
        elif package.is_dir():  # a namespace package: what is named of it
            for name in sorted(name for name in names if name.startswith(f"{top}.")):
                file = folder.joinpath(*name.split(".")).with_suffix(".py")
                if file.is_file():
                    yield file


def cleaned(notebook: Notebook) -> dict[str, Any]:
    """Return the content that is published: another kernelspec; what exports does not run there."""
    content: dict[str, Any] = copy.deepcopy(dict(notebook.content))
    content["metadata"]["kernelspec"] = dict(KERNEL)
    numbers = iter(notebook.cells)
    for cell in content["cells"]:
        if cell["cell_type"] == "code" and next(numbers).exports:
            tags = cell["metadata"].setdefault("tags", [])
            if SKIPPED not in tags:
                tags.append(SKIPPED)
            # of what is written here they would be a part: no export would be like the one before
            cell.update(outputs=[], execution_count=None)
    return content


def serialised(content: Mapping[str, Any]) -> bytes:
    """Return a content as the bytes of a file, as nbformat writes them."""
    # nbformat splits lines, which makes differences between two exports readable
    text: str = needed("nbformat").writes(needed("nbformat").from_dict(content), version=4)
    json.loads(text)  # never half of it
    return (text if text.endswith("\n") else f"{text}\n").encode()
