"""What an export has found, written and verified: as text, as HTML, as JSON.

The JSON is provenance/report.json. It names no path of this machine, and by it the next export
knows its own files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from jupyter_scale.export.claim import Claim, verdict
from jupyter_scale.export.finding import BLOCKER, ExportError, Finding
from jupyter_scale.export.roots import Root
from jupyter_scale.export.thebe import FOLDER
from jupyter_scale.export.tree import Change

__all__ = ["Blocked", "Report"]

MARKS = {"new": "+", "changed": "~", "removed": "-"}
SHOWN = 12
PROGRAMS = f"{FOLDER}/"


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The result of a plan, or of an export.

    Attributes
    ----------
    notebooks : tuple of str
        Names of their files.
    folder : Path
    python : str
    findings : tuple of Finding
    open : tuple of Finding
        Those that nobody has answered.
    roots : tuple of Root
    pinned : int
        Packages in the lock.
    changes : tuple of Change
    written : bool
        Whether the folder has them now.
    files : mapping of str to str
        SHA-256 by path.
    claims : tuple of Claim
    notes : tuple of str
        What else there is to know, one line each.
    next : tuple of str
        Commands, to be run in the folder.
    commit : str
        That the badge names.
    places : mapping of str to str
        Ids of the notebook's cells by what findings call them.
    """

    notebooks: tuple[str, ...]
    folder: Path
    python: str
    findings: tuple[Finding, ...] = ()
    open: tuple[Finding, ...] = ()
    roots: tuple[Root, ...] = ()
    pinned: int = 0
    changes: tuple[Change, ...] = ()
    written: bool = False
    files: Mapping[str, str] | None = None
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    commit: str = ""
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        """Whether something must be answered before it is written."""
        return bool(self.open)

    @property
    def failed(self) -> bool:
        """Whether something that was tried did not hold."""
        return any(claim.status == "failed" for claim in self.claims)

    @property
    def answers(self) -> str:
        """The flags that would accept all that can be accepted."""
        named = [f"--accept {one.id}" for one in self.open if one.level == BLOCKER and one.answer]
        warnings = any(one.level != BLOCKER for one in self.open)
        return " ".join([*named, *(["--yes"] if warnings else [])])

    @property
    def head(self) -> str:
        """All of it in one line."""
        names = ", ".join(self.notebooks)
        if self.blocked:
            count = f"{len(self.open)} finding{'s' if len(self.open) > 1 else ''}"
            accept = f" (to accept all that can be: {self.answers})" if self.answers else ""
            return f"{names}: not exported, {count} to be answered{accept}"
        if self.written:
            return f"{names}: exported to {self.place}"
        return f"{names}: nothing was written; this would go to {self.place}"

    @property
    def place(self) -> str:
        """The folder, relative to the one in use where it is below that."""
        here = Path.cwd()
        below = self.folder.is_relative_to(here)
        return str(self.folder.relative_to(here) if below else self.folder)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.html()

    def _lines(self) -> list[str]:
        lines = [self.head]
        if self.findings:
            lines += ["", "Findings"]
            for one in sorted(self.findings, key=lambda one: (one not in self.open,)):
                state = one.level if one in self.open else "accepted"
                lines += [f"  {state:<8}  {one.id}", f"            {one.where}: {one.what}"]
                lines += [f"            {one.remedy}"] if one in self.open else []
                if one in self.open and one.level == BLOCKER and one.answer:
                    lines += [f"            or --accept {one.id} if {one.answer}"]
        lines += ["", f"Packages: Python {self.python}, {self.pinned} in the lock, for"]
        width = max([len(f"{root.name} {root.version}") for root in self.roots], default=0)
        lines += [
            f"  {f'{root.name} {root.version}':<{width}}  {'; '.join(root.reasons)}"
            for root in self.roots
        ]
        lines += ["", *self._files()]
        if self.claims:
            lines += ["", "Verification", *(f"  {line}" for claim in self.claims
                                            for line in str(claim).splitlines())]  # fmt: skip
            lines += [f"  {verdict(self.claims)}"]
        lines += ["", *self.notes] if self.notes else []
        if self.written and self.next:
            lines += ["", "Next", *(f"  {command}" for command in self.next)]
        return lines

    def _files(self) -> list[str]:
        same = sum(change.kind == "same" for change in self.changes)
        lines = [f"Files ({same} as they were)" if same else "Files"]
        for change, path in self._shown():
            lines.append(f"  {MARKS[change.kind]} {path}")
            lines += [f"      {line}" for line in change.difference[:SHOWN]]
        return lines

    def _shown(self) -> list[tuple[Change, str]]:
        """Return what is to be told of files: a page's programs are hundreds, and one line."""
        told = [change for change in self.changes if change.kind in MARKS]
        shown = [(one, one.path) for one in told if not one.path.startswith(PROGRAMS)]
        for kind in MARKS:
            alike = [one for one in told if one.kind == kind and one.path.startswith(PROGRAMS)]
            if alike:
                shown.append((replace(alike[0], difference=()), f"{PROGRAMS} ({len(alike)} files)"))
        return shown

    def as_dict(self) -> dict[str, Any]:
        """Return what provenance/report.json says."""
        return {
            "made-by": "jupyter-scale",
            "notebooks": list(self.notebooks),
            "python": self.python,
            "commit": self.commit,
            "verdict": verdict(self.claims) if self.claims else "Not verified.",
            "claims": [claim.as_dict() for claim in self.claims],
            "findings": [asdict(one) for one in self.findings],
            "notes": list(self.notes),
            "roots": [asdict(root) for root in self.roots],
            "files": dict(self.files or {}),
        }

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(self.as_dict(), indent=2) + "\n"

    def with_claims(self, claims: tuple[Claim, ...]) -> Report:
        """Return the same with what was verified."""
        return replace(self, claims=claims)

    def html(self) -> str:
        """Return it as a part of a page; everything that a notebook says is escaped."""
        parts = [f"<p><strong>{escape(self.head)}</strong></p>"]
        if self.findings:
            rows = [
                (
                    one.level if one in self.open else "accepted",
                    f"<code>{escape(one.id)}</code>",
                    escape(f"{one.where}: {one.what}"),
                    escape(one.remedy),
                )
                for one in sorted(self.findings, key=lambda one: (one not in self.open,))
            ]
            parts.append(_table("Findings", ("level", "id", "what", "remedy"), rows))
        rows3 = [
            (escape(root.name), escape(root.version), escape("; ".join(root.reasons)))
            for root in self.roots
        ]
        head = f"Packages: Python {escape(self.python)}, {self.pinned} in the lock"
        parts.append(_table(head, ("package", "version", "why"), rows3))
        files = [
            (MARKS[change.kind], f"<code>{escape(path)}</code>") for change, path in self._shown()
        ]
        parts.append(_table("Files", ("", "path"), files))
        if self.claims:
            claims = [
                (escape(one.name), escape(one.status), "<br>".join(map(escape, one.details)))
                for one in self.claims
            ]
            parts.append(_table("Verification", ("claim", "status", "details"), claims))
            parts.append(f"<p><strong>{escape(verdict(self.claims))}</strong></p>")
        parts += [f"<p>{escape(note)}</p>" for note in self.notes]
        if self.written and self.next:
            parts.append(f"<pre>{escape(chr(10).join(self.next))}</pre>")
        return "".join(parts)


class Blocked(ExportError):
    """An export that has stopped at its findings; nothing was written.

    Attributes
    ----------
    report : Report
    """

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


def _table(caption: str, head: tuple[str, ...], rows: list[Any]) -> str:
    if not rows:
        return ""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<details open><summary>{caption}</summary><table><thead><tr>{columns}</tr></thead>"
        f"<tbody>{body}</tbody></table></details>"
    )
