"""What an export has to say: findings, and the error that ends it.

A blocker stops the export, a warning waits for an acknowledgement. Ids are stable from one export
to the next, as answers name them (`Options.accept`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

__all__ = ["BLOCKER", "WARNING", "ExportError", "Finding", "Level", "needed", "unanswered"]

Level = Literal["blocker", "warning"]
BLOCKER: Level = "blocker"
WARNING: Level = "warning"


class ExportError(Exception):
    """An export cannot be done; the message says why and what helps."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that keeps a notebook from being run elsewhere, or from being published.

    Attributes
    ----------
    id : str
        Its kind and what it is about, such as ``absolute-path:cell-3``; no spaces.
    level : str
        ``blocker`` or ``warning``.
    where : str
        ``cell 3``, a file, or a package.
    what, remedy : str
        One line each; never the secret itself.
    answer : str
        What accepting a blocker says, such as "it is no secret"; empty where nothing but the
        remedy helps. Every warning can be accepted.
    """

    id: str
    level: Level
    where: str
    what: str
    remedy: str
    answer: str = ""

    def __str__(self) -> str:
        return f"{self.level} {self.id}: {self.where}: {self.what}; {self.remedy}"


def unanswered(
    findings: Iterable[Finding], accept: Iterable[str] = (), *, yes: bool = False
) -> tuple[Finding, ...]:
    """Return the findings that still stop an export.

    Parameters
    ----------
    findings : iterable of Finding
    accept : iterable of str
        Ids, or their kinds (what stands before the colon).
    yes : bool
        Accept every warning. No blocker is accepted unless it is named.

    Examples
    --------
    >>> found = Finding("large:data/x.csv", "warning", "data/x.csv", "90 MB", "fetch it")
    >>> len(unanswered([found])), len(unanswered([found], ["large"]))
    (1, 0)
    """
    named = set(accept)

    def open_(found: Finding) -> bool:
        if found.level == WARNING:
            return not (yes or named & {found.id, found.id.partition(":")[0]})
        # a blocker is answered one by one: a word for all of a kind would let the next one pass
        return not (found.answer and found.id in named)

    return tuple(found for found in findings if open_(found))


def needed(module: str) -> Any:
    """Import an optional dependency.

    Raises
    ------
    ExportError
        When it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{error.name} is not installed, which an export needs: "
            'pip install "jupyter-scale[export]"'
        ) from None
