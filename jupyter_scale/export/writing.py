"""An export is written: the thin part that carries out a plan.

What it would write is written beside the folder first, verified there, and then moved to its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from jupyter_scale.export.claim import Claim
from jupyter_scale.export.options import Options
from jupyter_scale.export.planning import plan
from jupyter_scale.export.plans import Plan
from jupyter_scale.export.report import Blocked, Report
from jupyter_scale.export.repository import commit
from jupyter_scale.export.snapshot import Snapshot
from jupyter_scale.export.tree import Tree, owned
from jupyter_scale.export.verify import verify

__all__ = ["export", "write"]


def _quiet(line: str) -> None:
    """Show nothing."""


class How(TypedDict, total=False):
    """What can be said of an export besides its options: as `plan` has it."""

    live: bool
    history: Sequence[str] | None
    client: Any
    snapshot: Snapshot | None
    show: Callable[[str], None]


def export(
    notebook: str | Path | Sequence[str | Path],
    folder: str | Path,
    options: Options | None = None,
    **how: Unpack[How],
) -> Report:
    """Write a notebook to a folder, with all that it takes to run it elsewhere, and verify that.

    Parameters
    ----------
    notebook, folder, options, **how
        As for `plan`.

    Raises
    ------
    Blocked
        When findings are to be answered first; nothing is written then.
    ExportError
        When there is nothing that can be exported.
    """
    return write(plan(notebook, folder, options, **how), how.get("show", _quiet))


def write(
    made: Plan,
    show: Callable[[str], None] = _quiet,
    tell: Callable[[Claim], None] = lambda claim: None,
) -> Report:
    """Carry out a plan; `tell` is told each claim as soon as it was tried."""
    before = made.report()
    if before.blocked:
        raise Blocked(before)
    pinned = made.pinned()
    show("Writing the files")
    tree, report = made.complete(commit=pinned)
    with tree.staged(made.folder) as stage:
        made.beside.write(stage)
        claims, notes = _verified(made, stage, show, tell)
        made = replace(made, notes=(*made.notes, *notes))
        tree, report = made.complete(claims, pinned)
        tree.late(stage, tuple(tree.files.keys() - made.tree.files.keys()))
        changes = tree.publish(stage, made.folder)
    if made.options.git:
        made, report = _commit(made, tree, report, claims, pinned)
    show("Done")
    return replace(report, changes=changes, written=True)


def _verified(
    made: Plan, stage: Path, show: Callable[[str], None], tell: Callable[[Claim], None]
) -> tuple[tuple[Claim, ...], tuple[str, ...]]:
    if not made.options.verify:
        return (), ("Not verified, as was asked.",)
    if any(pin.kind == "folder" for pin in made.lock.pins):
        return (), ("Not verified: a package is installed from this folder itself.",)
    hidden = {str(stage): ".", str(Path.home()): "~"}

    def plain(claim: Claim) -> Claim:
        return replace(claim, details=_without(claim.details, hidden))

    claims = verify(stage, made.options, show, lambda claim: tell(plain(claim)))
    return tuple(map(plain, claims)), ()


def _without(lines: Sequence[str], hidden: dict[str, str]) -> tuple[str, ...]:
    for path, name in hidden.items():
        if len(path) > 1:
            lines = [line.replace(path, name) for line in lines]
    return tuple(lines)


def _commit(
    made: Plan, tree: Tree, report: Report, claims: Sequence[Claim], pinned: str
) -> tuple[Plan, Report]:
    """Commit what was written; with an address, once more for the badge that names the commit."""
    paths = sorted(tree.files)
    removed = sorted(path for path in owned(made.folder) if path not in tree.files)
    first = commit(made.folder, [*paths, *removed], f"Export of {made.names[0]}")
    if made.options.binder and not pinned and not made.in_place:
        tree, report = made.complete(claims, first)
        with tree.staged(made.folder) as stage:
            tree.publish(stage, made.folder)
        commit(made.folder, paths, "README: the badge names the commit that was exported")
    return made, report
