"""The outputs of two runs of one notebook, cell by cell.

The text of a cell's streams is one, as their pieces arrive at random; its standard error is where
warnings and progress bars go, so a difference there is told and not held against the cell. Each
representation of an output is compared as what it is: text and tables by tokens (`tokens`), JSON
by its values, pictures by what they show (`picture`). What is different "apart from" addresses,
times and the like is named. A cell is left out by one of `TAGS`, and that is said, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

from jupyter_scale.export import picture, tokens
from jupyter_scale.export.notebook import SKIPPED

__all__ = ["TAGS", "Comparison", "Difference", "compare", "heading"]

TAGS = ("not-compared", "nbval-ignore-output", "nbval-skip")
"""Tags of cells whose outputs are not compared; the latter two are nbval's."""

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURES = ("image/png", "image/jpeg")
PAGES = ("text/html", "image/svg+xml")
NONE = "nothing"
RECALLED = "are on record, and are not fitted again"  # as a search's report says it
SHOWN = 60  # characters of a cell's first line


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the second run said something else.

    Attributes
    ----------
    cell : int
        Its number among all cells of the notebook, from 1.
    title : str
        The cell's first line.
    where : str
        ``stdout``, ``source`` or a representation such as ``text/plain``.
    saved, found : str
        What either has there, shortened.
    """

    cell: int
    title: str
    where: str
    saved: str
    found: str

    def __str__(self) -> str:
        said = f"was {self.saved}, is {self.found}" if self.saved else self.found
        return f"cell {self.cell} ({self.title}), {self.where}: {said}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the cells of a notebook; all are counted from 1, among all cells.

    Attributes
    ----------
    equal : tuple of int
        Cells that have said the same.
    differences : tuple of Difference
    left_out : tuple of int
        By their tags.
    unrun : tuple of int
        That had not been run when the notebook was saved.
    notes : tuple of str
        What differs and is not held against a cell.
    recalled : tuple of int
        Of those with differences, the cells whose searches were answered from a record when the
        notebook was saved: a run that knows nothing fits more.
    """

    equal: tuple[int, ...] = ()
    differences: tuple[Difference, ...] = ()
    left_out: tuple[int, ...] = ()
    unrun: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    recalled: tuple[int, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it in words."""
        different = {found.cell for found in self.differences}
        said = [
            (len(self.equal), "the same outputs"),
            (len(different), "other outputs"),
            (len(self.left_out), f"left out by a tag{_listed(self.left_out)}"),
            (len(self.unrun), f"not compared, as not run when saved{_listed(self.unrun)}"),
        ]
        counts = [f"{_cells(count)} {what}" for count, what in said if count]
        remedies = [
            f"cell {number}: its search was answered from the record when it was saved: run it "
            "with %%scale --fresh, save, and export again"
            for number in self.recalled
        ]
        head = "; ".join(counts) or "no code cells"
        return (head, *map(str, self.differences), *remedies, *self.notes)


def compare(
    saved: Any, found: Any, *, rtol: float = tokens.RTOL, now: datetime | None = None
) -> Comparison:
    """Compare the outputs of a saved notebook with those of a new run.

    Parameters
    ----------
    saved, found : nbformat.NotebookNode
    rtol : float, optional
        How far two numbers may be apart, relative to them.
    now : datetime, optional
        When the new run was.
    """
    cells: dict[str, list[int]] = {"equal": [], "left_out": [], "unrun": [], "recalled": []}
    differences: list[Difference] = []
    notes: list[str] = []
    for number, (one, other) in enumerate(zip_longest(saved.cells, found.cells), 1):
        if "code" not in [cell.cell_type for cell in (one, other) if cell is not None]:
            continue
        title = heading(other if one is None else one)
        tags = {tag for cell in (one, other) if cell for tag in cell.metadata.get("tags", [])}
        if one is None or other is None or one.source != other.source:
            differences.append(Difference(number, title, "source", "", "is not the same cell"))
        elif SKIPPED in tags and _unrun(one):
            pass  # it did not run, and is not to: there is nothing that could be compared
        elif tags & {*TAGS, SKIPPED}:
            cells["left_out"].append(number)
        elif _unrun(one):
            cells["unrun"].append(number)
        else:
            judge = _Judge(rtol, now or datetime.now())
            wrong = [*judge.cell(one.get("outputs", []), other.get("outputs", []))]
            differences += [Difference(number, title, *different) for different in wrong]
            if not wrong:
                cells["equal"].append(number)
            elif _recalled(one) and not _recalled(other):
                cells["recalled"].append(number)
            notes += [f"cell {number}: {note}" for note in judge.notes]
    return Comparison(
        tuple(cells["equal"]),
        tuple(differences),
        tuple(cells["left_out"]),
        tuple(cells["unrun"]),
        tuple(notes),
        tuple(cells["recalled"]),
    )


def _unrun(cell: Any) -> bool:
    empty = cell.get("execution_count") is None and not cell.get("outputs")
    return empty and bool(cell.source.strip())


def _recalled(cell: Any) -> bool:
    texts = (output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", []))
    return any(RECALLED in text for text in texts)


class _Judge:
    """Compares the outputs of one cell, and counts what is not held against it."""

    def __init__(self, rtol: float, now: datetime) -> None:
        self._rtol, self._now = rtol, now
        self._apart: Counter[str] = Counter()
        self._notes: list[str] = []

    @property
    def notes(self) -> list[str]:
        """What differs and does not count."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._apart.items()))
        return [*self._notes, *([f"the same apart from {kinds}"] if kinds else [])]

    def cell(self, saved: list[Any], found: list[Any]) -> Iterator[tuple[str, str, str]]:
        """Return where the outputs differ, with what either has there."""
        if wrong := self.text(_stream(saved, "stdout"), _stream(found, "stdout")):
            yield "stdout", *wrong
        if not tokens.compared(_stream(saved, "stderr"), _stream(found, "stderr")).equal:
            self._notes.append("other text on standard error (warnings, progress), not compared")
        pairs = zip_longest(_shown(saved), _shown(found))
        for number, (one, other) in enumerate(pairs, 1):
            if one is None or other is None:
                name = _named(one or other)
                yield f"output {number}", *((NONE, name) if one is None else (name, NONE))
            elif one.output_type == "error" or other.output_type == "error":
                yield from self.error(one, other)
            else:
                yield from self.bundle(one.data, other.data)

    def error(self, saved: Any, found: Any) -> Iterator[tuple[str, str, str]]:
        """Compare two errors by their names and words: a traceback is of its environment."""
        if saved.output_type != found.output_type:
            yield "output", _named(saved), _named(found)
            return
        one, other = (f"{error.ename}: {error.evalue}" for error in (saved, found))
        if wrong := self.text(one, other):
            yield "error", *wrong

    def bundle(
        self, saved: Mapping[str, Any], found: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, str]]:
        """Compare one output in each of its representations."""
        for kind in sorted({*saved, *found}):
            if kind not in saved or kind not in found:
                there, missing = ("is there", "is not there")
                yield kind, *((missing, there) if kind not in saved else (there, missing))
            elif wrong := self.data(kind, saved[kind], found[kind]):
                yield kind, *wrong

    def data(self, kind: str, saved: Any, found: Any) -> tuple[str, str] | None:
        """Compare one representation."""
        if saved == found or kind == WIDGET:  # a widget's view is named at random
            return None
        if kind in PICTURES:
            return _pictured(saved, found)
        if kind in PAGES:
            return self.page(saved, found)
        if not isinstance(saved, str) or not isinstance(found, str):
            return self.json(saved, found)
        return self.text(saved, found)

    def page(self, saved: str, found: str) -> tuple[str, str] | None:
        """Compare what two pages say, and their pictures."""
        one, other = tokens.of_html(saved), tokens.of_html(found)
        if len(one.pictures) != len(other.pictures):
            return f"{len(one.pictures)} pictures", f"{len(other.pictures)}"
        for pair in zip(one.pictures, other.pictures, strict=True):
            if wrong := _pictured(*pair):
                return wrong
        wrong = self.text(one.text, other.text)
        if not wrong:
            apart = [a != b for a, b in zip(one.varying, other.varying, strict=False)]
            self._apart += Counter({"part that varies": sum(apart)} if any(apart) else {})
        return wrong

    def text(self, saved: str, found: str) -> tuple[str, str] | None:
        """Compare two texts."""
        result = tokens.compared(
            tokens.of_terminal(saved), tokens.of_terminal(found), rtol=self._rtol, now=self._now
        )
        self._apart += result.apart
        return None if result.equal else (result.saved or NONE, result.found or NONE)

    def json(self, saved: Any, found: Any, path: str = "") -> tuple[str, str] | None:
        """Compare two values of JSON."""
        where = f"{path} " if path else ""
        match saved, found:
            case dict(), dict() if saved.keys() == found.keys():
                pairs = [(f"{path}.{key}".lstrip("."), saved[key], found[key]) for key in saved]
            case list(), list() if len(saved) == len(found):
                pairs = [
                    (f"{path}[{index}]", *pair)
                    for index, pair in enumerate(zip(saved, found, strict=True))
                ]
            case str(), str():
                wrong = self.text(saved, found)
                return wrong and (f"{where}{wrong[0]}", wrong[1])
            case bool(), bool():
                return None if saved == found else (f"{where}{saved}", f"{found}")
            case int() | float(), int() | float():
                same = saved == found
                if not same and not (isinstance(saved, int) and isinstance(found, int)):
                    same = math.isclose(saved, found, rel_tol=self._rtol, abs_tol=tokens.TINY)
                    same |= math.isnan(saved) and math.isnan(found)
                return None if same else (f"{where}{saved}", f"{found}")
            case _:
                same = type(saved) is type(found) and saved == found
                return None if same else (f"{where}{_brief(saved)}", _brief(found))
        for name, one, other in pairs:
            if wrong := self.json(one, other, name):
                return wrong
        return None


def _pictured(saved: str, found: str) -> tuple[str, str] | None:
    different = picture.difference(saved, found)
    return ("", f"the picture {different}") if different else None


def _stream(outputs: list[Any], name: str) -> str:
    return "".join(
        _joined(output.text)
        for output in outputs
        if output.output_type == "stream" and output.name == name
    )


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)


def _shown(outputs: list[Any]) -> list[Any]:
    return [output for output in outputs if output.output_type != "stream"]


def _named(output: Any) -> str:
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return _brief(output.data.get("text/plain") or ", ".join(output.data))


def _brief(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def heading(cell: Any) -> str:
    """Return a cell's first line."""
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
    return _brief(lines[0]) if lines else "empty"


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}:"


def _listed(numbers: tuple[int, ...]) -> str:
    return f" ({', '.join(map(str, numbers))})"
