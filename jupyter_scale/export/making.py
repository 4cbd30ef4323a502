"""An export, step by step: a plan of what would be written, then the thin part that writes it.

A plan reads, and at most runs the notebook in its kernel and builds wheels in a temporary folder.
What it would write is written beside the folder first, verified there, and then moved to its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from jupyter_scale.export import (
    binder,
    checks,
    course,
    docker,
    kernel,
    kubernetes,
    pylock,
    thebe,
    wheels,
)
from jupyter_scale.export import roots as rooting
from jupyter_scale.export.claim import Claim
from jupyter_scale.export.data import FETCH, MANIFEST, Data, files, manifest
from jupyter_scale.export.finding import ExportError, Finding, unanswered
from jupyter_scale.export.lock import Lock, conda_lock, locked
from jupyter_scale.export.notebook import (
    Notebook,
    Read,
    cleaned,
    examine,
    parsed,
    read,
    serialised,
)
from jupyter_scale.export.notebook import together as joined
from jupyter_scale.export.options import Options
from jupyter_scale.export.readme import readme
from jupyter_scale.export.report import Blocked, Report
from jupyter_scale.export.repository import commit, committed, spec
from jupyter_scale.export.roots import Root
from jupyter_scale.export.scan import private, scan, texts
from jupyter_scale.export.snapshot import Snapshot, take, together
from jupyter_scale.export.tree import REPORT, Tree, owned
from jupyter_scale.export.verify import verify

__all__ = ["Plan", "export", "plan"]

README = "README.md"
UNREAD = ("provenance/", f"{thebe.FOLDER}/")
"""Files where no secret of a notebook can be: hashes, and programs of others."""


def _quiet(line: str) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an export would write, and what is to be answered before.

    Attributes
    ----------
    notebooks : tuple of Notebook
    folder : Path
    options : Options
    read : Read
    snapshot : Snapshot
    roots : tuple of Root
    lock : Lock
    data : tuple of Data
    findings : tuple of Finding
    tree : Tree
        Without the files that tell of the others.
    beside : Tree
        What is in the folder already and is needed to verify the rest.
    notes : tuple of str
    """

    notebooks: tuple[Notebook, ...]
    folder: Path
    options: Options
    read: Read
    snapshot: Snapshot
    roots: tuple[Root, ...]
    lock: Lock
    data: tuple[Data, ...]
    findings: tuple[Finding, ...]
    tree: Tree
    beside: Tree
    notes: tuple[str, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether the notebook is in the folder: then it stays as it is, and so does README.md."""
        return bool(self.beside.files)

    @property
    def names(self) -> tuple[str, ...]:
        """Where the notebooks are in the folder."""
        return tuple(_name(one, self.folder) for one in self.notebooks)

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
        contents = {_name(one, self.folder): cleaned(one) for one in self.notebooks}
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
        commands = [f"cd {_shell(str(self.folder))}"]
        commands += [] if (self.folder / ".git").exists() else ["git init"]
        commands += [f"git add {paths}", f"git commit -m {_shell(f'Export of {self.names[0]}')}"]
        commands += ["git push"]
        if self.options.binder and not commit and not self.in_place:
            commands += ["# then export once more: the badge in README.md names that commit"]
        return tuple(commands)


def plan(
    notebook: str | Path | Sequence[str | Path],
    folder: str | Path,
    options: Options | None = None,
    *,
    live: bool = False,
    history: Sequence[str] | None = None,
    client: Any = None,
    snapshot: Snapshot | None = None,
    show: Callable[[str], None] = _quiet,
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
    beside = [path for path in snapshot.local if path.is_relative_to(ones[0].folder)]
    return _planned(ones, beside, folder, options, snapshot, history, show)


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
    beside_them: list[Path],
    folder: Path,
    options: Options,
    snapshot: Snapshot,
    history: Sequence[str] | None,
    show: Callable[[str], None],
) -> Plan:
    code = joined([examine(one, beside_them) for one in ones])
    home = ones[0].folder
    show("Finding out which packages are used")
    used = rooting.found(code, snapshot)
    lock, unpublished, built = _locked(used, code, snapshot, folder, options, show)
    found_data = files(
        home,
        code.places("strings"),
        snapshot.opened,
        sources=dict(options.sources),
        large=options.large,
        leave=[
            *code.local,
            *_others(ones[0], folder),
            *(home / name for name in snapshot.made),
        ],
        since=snapshot.since,
    )
    data = tuple(entry for entry in found_data if not entry.result)
    show("Asking the index for hashes")
    hashes = None if lock.explicit else pylock.ask(lock)
    tree, beside, notes = _tree(
        ones, code, snapshot, used, lock, data, folder, options, built, hashes
    )
    show("Looking for secrets and for what would not run elsewhere")
    extra = [index.url for index in snapshot.indexes if index.kind == "extra"]
    found = checks.check(
        ones,
        code,
        snapshot,
        lock,
        data=found_data,
        unpublished=unpublished,
        wheels=options.wheels,
        public=None if hashes is None else pylock.known(hashes, extra),
    )
    in_place = bool(beside.files)
    places = [place for one in ones for place in texts(one, exported=in_place)]
    places += _scanned(tree, ones, beside)
    found = (
        *scan(places, values=private(home), home=str(Path.home())),
        *found,
        *(checks.lived(ones[0], history) if history is not None else ()),
        *tree.findings(folder),
    )
    return Plan(
        tuple(ones), folder, options, code, snapshot, used, lock, data, found, tree, beside, notes
    )


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


def _locked(
    used: tuple[Root, ...],
    code: Read,
    snapshot: Snapshot,
    folder: Path,
    options: Options,
    show: Callable[[str], None],
) -> tuple[Lock, list[Any], dict[str, tuple[str, bytes]]]:
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


def _tree(
    ones: list[Notebook],
    code: Read,
    snapshot: Snapshot,
    used: tuple[Root, ...],
    lock: Lock,
    data: tuple[Data, ...],
    folder: Path,
    options: Options,
    built: dict[str, tuple[str, bytes]],
    hashes: pylock.Hashes | None,
) -> tuple[Tree, Tree, tuple[str, ...]]:
    tree, beside = Tree(), Tree()
    notes: list[str] = []
    one = ones[0]
    in_place = one.path.is_relative_to(folder.resolve())
    target = beside if in_place else tree
    base = Path(_name(one, folder)).parent
    for path in code.local:
        target.copy((base / path.relative_to(one.folder)).as_posix(), path)
    for entry in data:
        if entry.copied:
            target.copy((base / entry.path).as_posix(), one.folder / entry.path)
    fetched = any(not entry.copied for entry in data) and not in_place
    if data and not in_place:
        tree.add(MANIFEST, manifest(data))
        if fetched:
            tree.add("fetch.py", FETCH)
    for each in ones:
        target.add(_name(each, folder), serialised(cleaned(each)))
    packages = checks.packages(code, snapshot, lock)
    dask = rooting.clusters(code, snapshot)
    downloads = any(entry.source for entry in data) and fetched
    texts = binder.files(lock, packages=packages, dask=dask, fetches=downloads)
    for name, (text, executable) in texts.items():
        tree.add(name, text, executable=executable)
    for wheel, content in built.values():
        tree.add(f"{wheels.FOLDER}/{wheel}", content)
    tree.add("provenance/roots.json", json.dumps([asdict(root) for root in used], indent=2) + "\n")
    if hashes is None:
        tree.add("provenance/conda.lock", conda_lock(lock))
    else:
        private = [index.url for index in snapshot.indexes]
        tree.add("provenance/pylock.toml", pylock.pylock(lock, hashes, private))
        notes += [f"Packages without hashes: {hashes.why}."] if hashes.why else []
    if options.thebe:
        for program, source in thebe.programs():
            tree.copy(program, source)
    if options.docker:
        tree.add(
            docker.PATH,
            docker.dockerfile(lock, _name(one, folder), packages=packages, fetches=downloads),
        )
    if options.kubernetes:
        name = kubernetes.slug(folder.name)
        tree.add(kubernetes.PATH, kubernetes.cluster(name, options.name or f"{name}:latest"))
    if dask and rooting.PROXY not in {root.name for root in used}:
        notes.append(f"Without {rooting.PROXY}, which is not installed, no Dask dashboard is seen.")
    return tree, beside, tuple(notes)


def _name(one: Notebook, folder: Path) -> str:
    real = folder.resolve()
    return one.path.relative_to(real).as_posix() if one.path.is_relative_to(real) else one.path.name


def _others(one: Notebook, folder: Path) -> list[Path]:
    """Return what beside a notebook is not its data: other notebooks, and the export itself."""
    found = [path for path in one.folder.glob("*.ipynb")]
    return found if one.path.is_relative_to(folder.resolve()) else [*found, folder]


def _scanned(tree: Tree, ones: list[Notebook], beside: Tree) -> list[tuple[str, str]]:
    """Return the texts of files that may have secrets; the notebook's are looked at by cell."""
    both = [*tree.texts(), *beside.texts()]
    names = {one.path.name for one in ones}
    return [
        (path, text)
        for path, text in both
        if not path.startswith(UNREAD) and Path(path).name not in names
    ]


def _shell(text: str) -> str:
    import shlex

    return shlex.quote(text)
