"""A plan is made of a notebook: what it is, what it needs, and what speaks against its export.

It reads, and at most runs the notebook in its kernel and builds wheels in a temporary folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from jupyter_scale.export import checks, kernel, pylock, thebe, wheels
from jupyter_scale.export import roots as rooting
from jupyter_scale.export.contents import Contents, Found, contents
from jupyter_scale.export.data import Data, files
from jupyter_scale.export.finding import ExportError, Finding
from jupyter_scale.export.lock import Lock, locked
from jupyter_scale.export.notebook import Notebook, Read, examine, parsed, read
from jupyter_scale.export.notebook import together as joined
from jupyter_scale.export.options import Options
from jupyter_scale.export.plans import Plan
from jupyter_scale.export.repository import spec
from jupyter_scale.export.roots import Root
from jupyter_scale.export.scan import private, scan, texts
from jupyter_scale.export.snapshot import Distribution, Snapshot, take, together

__all__ = ["plan"]

UNREAD = ("provenance/", f"{thebe.FOLDER}/")
"""Files where no secret of a notebook can be: hashes, and programs of others."""


def plan(
    notebook: str | Path | Sequence[str | Path],
    folder: str | Path,
    options: Options | None = None,
    *,
    live: bool = False,
    history: Sequence[str] | None = None,
    client: Any = None,
    snapshot: Snapshot | None = None,
    show: Callable[[str], None] = lambda line: None,
) -> Plan:
    """Find what it takes to run a notebook elsewhere.

    Parameters
    ----------
    notebook : str or Path, or a sequence of them
        What is exported; several lie in one folder, and are a course where they are brought to.
    folder : str or Path
        Where to.
    options : Options, optional
    live : bool
        Whether this process is the notebook's kernel; otherwise its own is started, and it is run.
    history : sequence of str, optional
        What a live notebook's kernel has run, by its count.
    client : distributed.Client, optional
        Of the cluster that a live notebook works on.
    snapshot : Snapshot, optional
        One that was taken already.
    show : callable, optional
        Is told each stage.

    Raises
    ------
    ExportError
        When there is nothing that can be exported.
    """
    options = options or Options()
    folder = Path(folder).expanduser().absolute()
    if options.binder:
        spec(options.binder)  # a wrong address ends it here
    show("Reading the notebook")
    several = () if isinstance(notebook, str | Path) else tuple(notebook)
    paths = [Path(path).expanduser() for path in several or (notebook,)]  # type: ignore[arg-type]  # one or several
    ones = [read(path) for path in paths]
    if len({one.folder for one in ones}) > 1 or len({one.path.name for one in ones}) < len(ones):
        raise ExportError("The notebooks of one export lie in one folder, each once.")
    if len(ones) > 1:
        ones = [parsed(one.path, one.content, one.path.name) for one in ones]
    reads = [examine(one) for one in ones]
    if snapshot is None and live:
        show("Looking at the kernel and its workers")
        snapshot = take(
            ones[0].folder,
            imports=reads[0].places("imports"),
            programs=reads[0].places("programs"),
            client=client,
        )
    elif snapshot is None:
        ones, snapshot = _ran(ones, reads, options, show)
    return _planned(ones, snapshot, folder=folder, options=options, history=history, show=show)


def _ran(
    ones: list[Notebook], reads: list[Read], options: Options, show: Callable[[str], None]
) -> tuple[list[Notebook], Snapshot]:
    """Run each in its kernel; those that have no outputs get those of this run."""
    snapshots = []
    after = []
    for one, code in zip(ones, reads, strict=True):
        show(f"Running {one.path.name} in its kernel")
        content, seen = kernel.run(one, code, timeout=options.timeout, show=show)
        snapshots.append(seen)
        named = one.path.name if len(ones) > 1 else ""
        after.append(one if one.ran else parsed(one.path, content, named))
    return after, together(snapshots)


def _planned(
    ones: list[Notebook],
    snapshot: Snapshot,
    *,
    folder: Path,
    options: Options,
    history: Sequence[str] | None,
    show: Callable[[str], None],
) -> Plan:
    beside = [path for path in snapshot.local if path.is_relative_to(ones[0].folder)]
    code = joined([examine(one, beside) for one in ones])
    show("Finding out which packages are used")
    used = rooting.found(code, snapshot)
    lock, unpublished, built = _locked(used, code, snapshot, folder, options, show)
    data = _data(ones[0], code, snapshot, folder, options)
    show("Asking the index for hashes")
    found = Found(
        tuple(ones),
        folder,
        options,
        code,
        snapshot,
        used,
        lock,
        tuple(entry for entry in data if not entry.result),
        built,
        None if lock.explicit else pylock.ask(lock),
    )
    made = contents(found)
    show("Looking for secrets and for what would not run elsewhere")
    findings = (
        *_secrets(found, made),
        *_checked(found, data, unpublished),
        *(checks.lived(ones[0], history) if history is not None else ()),
        *made.tree.findings(folder),
    )
    return Plan.of(found, made, findings)


def _data(
    one: Notebook, code: Read, snapshot: Snapshot, folder: Path, options: Options
) -> tuple[Data, ...]:
    """Return the data files, with those that the notebook itself has made."""
    others = [*one.folder.glob("*.ipynb")]
    if not one.path.is_relative_to(folder.resolve()):
        others.append(folder)  # an export before
    return files(
        one.folder,
        code.places("strings"),
        snapshot.opened,
        sources=dict(options.sources),
        large=options.large,
        leave=[*code.local, *others, *(one.folder / name for name in snapshot.made)],
        since=snapshot.since,
    )


def _checked(
    found: Found, data: Sequence[Data], unpublished: Sequence[Distribution]
) -> Iterable[Finding]:
    """Return what would not run elsewhere."""
    extra = [index.url for index in found.snapshot.indexes if index.kind == "extra"]
    return checks.check(
        list(found.notebooks),
        found.read,
        found.snapshot,
        found.lock,
        data=data,
        unpublished=unpublished,
        wheels=found.options.wheels,
        public=None if found.hashes is None else pylock.known(found.hashes, extra),
    )


def _secrets(found: Found, made: Contents) -> Iterable[Finding]:
    """Return the secrets in all that would be public; notebooks are looked at by cell."""
    names = {one.path.name for one in found.notebooks}
    places = [place for one in found.notebooks for place in texts(one, exported=found.in_place)]
    places += [
        (path, text)
        for path, text in (*made.tree.texts(), *made.beside.texts())
        if not path.startswith(UNREAD) and Path(path).name not in names
    ]
    home = found.notebooks[0].folder
    return scan(places, values=private(home), home=str(Path.home()))


def _locked(
    used: tuple[Root, ...],
    code: Read,
    snapshot: Snapshot,
    folder: Path,
    options: Options,
    show: Callable[[str], None],
) -> tuple[Lock, list[Distribution], dict[str, tuple[str, bytes]]]:
    """Return the lock, what of it only this machine has, and the wheels of that."""
    programs = code.places("programs")
    names = [pin.name for pin in locked(used, snapshot).pins]
    only_here = wheels.unpublished(names, snapshot)
    unpublished = [one for one in only_here if wheels.inner(one, folder) is None]
    built = {}
    if options.wheels and unpublished:
        show(f"Building wheels of {', '.join(one.name for one in unpublished)}")
        built = wheels.build(unpublished)
    lock = locked(
        used,
        snapshot,
        local=wheels.lines(only_here, built, folder),
        digests={name: hashlib.sha256(data).hexdigest() for name, (_, data) in built.items()},
        programs=programs,
    )
    return lock, unpublished, built
