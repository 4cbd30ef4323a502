"""What is told of clusters, searches and exports: plain dictionaries, without keys to anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from jupyter_scale.clusters import Connection, Profile, default, profiles
from jupyter_scale.clusters.dashboard import proxied
from jupyter_scale.clusters.limits import ClusterError
from jupyter_scale.clusters.parity import differing
from jupyter_scale.export.note import Note
from jupyter_scale.journal import Entry
from jupyter_scale.runs import Run

__all__ = ["cluster", "export", "profiled", "run", "search"]


def cluster(connection: Connection) -> dict[str, Any]:
    """Return what is told of a cluster."""
    return {
        "id": connection.id,
        "profile": connection.profile,
        "state": connection.state,
        "words": connection.words,
        # a kernel knows the path in the file system only
        "notebook": PurePath(connection.notebook).name,
        "created": connection.created,
        "ended": connection.ended,
        "workers": connection.workers,
        "adapt": connection.adapt and asdict(connection.adapt),
        "present": connection.present,
        "threads": connection.threads,
        "memory": connection.memory,
        "limit": connection.limit,
        "dashboard": proxied(connection.dashboard),
        "address": connection.scheduler,
        "here": connection.host.here,
        "differs": list(map(str, differing(connection.packages))),
    }


def search(entry: Entry, notebooks: Mapping[str, str]) -> dict[str, Any]:
    """Return what is told of a cell's search.

    Parameters
    ----------
    entry : Entry
    notebooks : mapping of str to str
        Paths by kernel: a notebook may have been renamed since.
    """
    names = (
        "id", "name", "status", "kernel", "cell", "cluster", "cluster_id", "started", "updated",
        "cells", "cells_done", "fits", "fits_done", "fits_saved", "seconds", "seconds_left",
        "run", "count",
    )  # fmt: skip
    best = None
    if entry.score is not None:
        best = {"score": entry.score, "parameters": entry.parameters}
    return {
        **{name: getattr(entry, name) for name in names},
        "notebook": notebooks.get(entry.kernel, ""),
        "best": best,
        "failures": list(entry.failures),
    }


def export(note: Note, root: str) -> dict[str, Any]:
    """Return what is told of a kernel's export.

    Parameters
    ----------
    note : Note
    root : str
        What the server shows: files are named relative to it, and not at all outside of it.
    """
    names = ("id", "kernel", "cell", "options", "status", "stage", "started", "error")
    report = note.report and {
        **note.report,
        "findings": [{**one, "file": below(one["file"], root)} for one in note.report["findings"]],
    }
    return {
        **{name: getattr(note, name) for name in names},
        "folder": note.folder,
        "path": below(note.folder, root),
        "claims": list(note.claims),
        "report": report,
    }


def below(path: str, root: str) -> str | None:
    """Return a path as the server's contents name it, or None.

    Examples
    --------
    >>> below("/home/ada/a/out", "/home/ada"), below("/home/ada", "/home/ada"), below("/a", "/b")
    ('a/out', '', None)
    """
    if not path or not root or not PurePath(path).is_relative_to(root):
        return None
    found = PurePath(path).relative_to(root).as_posix()
    return "" if found == "." else found


def run(run: Run) -> dict[str, Any]:
    """Return what a list tells of a run on record."""
    names = ("id", "name", "status", "started", "best", "tags")
    notebook = PurePath(run.notebook).name
    return {**{name: getattr(run, name) for name in names}, "notebook": notebook}


def profiled() -> dict[str, Any]:
    """Return what can be started, or what is wrong with the configuration."""
    try:
        known, chosen = profiles(), default()
    except ClusterError as error:
        return {"default": "", "profiles": [], "error": str(error)}
    return {"default": chosen, "profiles": list(map(_profile, known.values())), "error": ""}


def _profile(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "kind": profile.address or str(profile.factory),
        "size": profile.size or ("1 worker a CPU" if profile.local else ""),
        "origin": profile.origin,
        "missing": profile.missing,
        "local": profile.local,
        "tested": profile.tested,
        "workers": profile.workers,
        "adapt": profile.adapt and asdict(profile.adapt),
    }
