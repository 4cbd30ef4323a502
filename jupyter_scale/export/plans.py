"""A plan of an export: what would be written, and what is to be answered before."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from jupyter_scale.export import course, docker, kubernetes, thebe
from jupyter_scale.export.claim import Claim
from jupyter_scale.export.contents import Contents, Found, place
from jupyter_scale.export.finding import Finding, unanswered
from jupyter_scale.export.notebook import cleaned
from jupyter_scale.export.readme import readme
from jupyter_scale.export.report import Report
from jupyter_scale.export.repository import committed
from jupyter_scale.export.tree import REPORT, Tree, owned

__all__ = ["Plan"]

README = "README.md"


@dataclass(frozen=True, slots=True)
class Plan(Found):
    """What was found, what an export of it would write, and what is to be answered before.

    Attributes
    ----------
    findings : tuple of Finding
    tree : Tree
        Without the files that tell of the others.
    beside : Tree
        What is in the folder already and is needed to verify the rest.
    notes : tuple of str
    """

    findings: tuple[Finding, ...]
    tree: Tree
    beside: Tree
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Found, made: Contents, findings: tuple[Finding, ...]) -> Plan:
        """Return the plan of what was found, with its files and what is to be answered."""
        parts = (found, made)
        known = {field.name: getattr(one, field.name) for one in parts for field in fields(one)}
        return cls(**known, findings=findings)

    @property
    def names(self) -> tuple[str, ...]:
        """Where the notebooks are in the folder."""
        return tuple(place(one, self.folder) for one in self.notebooks)

    @property
    def _course(self) -> bool:
        """Whether there is an index page: several notebooks have one, but not where they are."""
        return self.options.course or (len(self.notebooks) > 1 and not self.in_place)

    def complete(self, claims: Sequence[Claim] = (), commit: str = "") -> tuple[Tree, Report]:
        """Return all files, with those that tell of the others, and the report."""
        tree = Tree(dict(self.tree.files))
        options = self.options
        parts = [path for path in (docker.PATH, kubernetes.PATH) if path in tree.files]
        if options.thebe or self._course:
            for path, page in self._pages(commit or "HEAD").items():
                tree.add(path, page)
                parts.append(path)
        if not self.in_place:
            text = readme(
                self.names,
                self.lock,
                self.roots,
                data=self.data,
                variables=[
                    one.id.partition(":")[2]
                    for one in self.findings
                    if one.id.startswith("variable:")
                ],
                claims=claims,
                binder=options.binder,
                commit=commit,
                parts=parts,
            )
            tree.add(README, text)
        report = Report(
            self.names,
            self.folder,
            self.lock.python,
            self.findings,
            unanswered(self.findings, options.accept, yes=options.yes),
            self.roots,
            len(self.lock.pins) + len(self.lock.conda),
            files=tree.digests(),
            claims=tuple(claims),
            notes=self.notes,
            commit=commit,
            places={place: cell for one in self.notebooks for place, cell in one.places().items()},
        )
        tree.add(REPORT, report.to_json())
        report = replace(report, changes=tree.changes(self.folder), next=self._next(tree, commit))
        return tree, report

    def _pages(self, commit: str) -> dict[str, bytes]:
        """Return the pages: one of a notebook, or those of a course."""
        options = self.options
        contents = {place(one, self.folder): cleaned(one) for one in self.notebooks}
        if self._course or len(contents) > 1:
            pages = course.files(
                contents,
                heading=self.folder.name,
                address=options.binder,
                commit=commit,
                live=options.thebe,
            )
        else:
            [content] = contents.values()
            pages = thebe.files(content, binder=options.binder, commit=commit)
        # their programs are in the tree already
        return {path: page for path, page in pages.items() if isinstance(page, bytes)}

    def report(self) -> Report:
        """Return what is known before anything is written."""
        return self.complete(commit=self.pinned())[1]

    def pinned(self) -> str:
        """Return the commit that the badge names: of these very files, or none."""
        if not self.options.binder or self.in_place:
            return ""
        ours = owned(self.folder)
        same = {key: value for key, value in ours.items() if key in self.tree.files}
        if same != self.tree.digests():
            return ""
        try:
            said = json.loads((self.folder / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return str(said.get("commit", "")) or committed(self.folder, sorted(same))

    def _next(self, tree: Tree, commit: str) -> tuple[str, ...]:
        if self.options.git:
            return ("git push",)
        paths = "." if not self.in_place else "binder provenance"
        commands = [f"cd {shlex.quote(str(self.folder))}"]
        commands += [] if (self.folder / ".git").exists() else ["git init"]
        commands += [
            f"git add {paths}",
            f"git commit -m {shlex.quote(f'Export of {self.names[0]}')}",
        ]
        commands += ["git push"]
        if self.options.binder and not commit and not self.in_place:
            commands += ["# then export once more: the badge in README.md names that commit"]
        return tuple(commands)
