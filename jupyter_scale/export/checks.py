"""What keeps a notebook from running elsewhere: one small function for each kind of finding.

All pure: of what the notebook's file says, what the snapshot has, and what the lock says. Secrets
are `scan.py`'s, files that are in the way `tree.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from jupyter_scale.export.binder import valid
from jupyter_scale.export.data import Data
from jupyter_scale.export.finding import BLOCKER, WARNING, Finding
from jupyter_scale.export.lock import Lock, plain
from jupyter_scale.export.notebook import Notebook, Read
from jupyter_scale.export.roots import clusters
from jupyter_scale.export.snapshot import Distribution, Snapshot

__all__ = ["check", "lived", "packages"]

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
"""What repo2docker 2026.4 has a base for (its `SUPPORTED_PYTHON_VERSION`)."""
PUBLIC = re.compile(r"(?:^|\.)(?:anaconda\.(?:org|com)|prefix\.dev)$")
"""Where conda's channels are that everybody has."""
GPU = re.compile(
    r"nvidia-.*|cupy(-.*)?|jax-cuda.*|tensorflow-gpu|pycuda|rmm|cudf.*|cuml.*|numba-cuda"
)
ABSOLUTE = re.compile(r"(?:/(?:[\w. -]+/)*[\w. -]+|[A-Za-z]:[\\/].+|~/.*)")
ROOTS = ("/home", "/Users", "/mnt", "/media", "/data", "/tmp", "/root", "/opt", "/srv", "/scratch",
         "/work", "/var", "/Volumes", "/nfs", "/lustre", "/project")  # fmt: skip
USUAL = frozenset(
    """
    HOME PATH USER USERNAME LOGNAME SHELL LANG TERM PWD TMPDIR TEMP TMP HOSTNAME DISPLAY CI
    CPU_LIMIT MEM_LIMIT JUPYTERHUB_SERVICE_PREFIX PYTHONPATH VIRTUAL_ENV CONDA_PREFIX
    OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS
    """.split()  # noqa: SIM905  # read more easily
)
"""Variables that are everywhere, or whose absence is handled everywhere."""
SYSTEM = {
    "graphviz": "graphviz", "pydot": "graphviz", "pygraphviz": "graphviz",
    "pytesseract": "tesseract-ocr", "pdf2image": "poppler-utils", "opencv-python": "libgl1",
    "opencv-contrib-python": "libgl1", "ffmpeg-python": "ffmpeg", "pypandoc": "pandoc",
    "psycopg2": "libpq5", "mysqlclient": "libmariadb3", "pyaudio": "libportaudio2",
    "soundfile": "libsndfile1", "weasyprint": "libpango-1.0-0", "python-magic": "libmagic1",
    "wand": "libmagickwand-6.q16-6", "rtree": "libspatialindex6", "pycairo": "libcairo2",
}  # fmt: skip
"""What some distributions need of Debian, by their own documentation."""
PROGRAMS = {
    "dot": "graphviz", "neato": "graphviz", "git": "git", "pandoc": "pandoc", "ffmpeg": "ffmpeg",
    "convert": "imagemagick", "magick": "imagemagick", "tesseract": "tesseract-ocr",
    "pdftotext": "poppler-utils", "pdftoppm": "poppler-utils", "pdflatex": "texlive-latex-base",
    "java": "default-jre-headless", "gcc": "gcc", "g++": "g++", "make": "make", "curl": "curl",
    "wget": "wget", "unzip": "unzip", "zip": "zip", "tree": "tree", "jq": "jq", "R": "r-base-core",
    "sqlite3": "sqlite3", "less": "less", "cmake": "cmake",
}  # fmt: skip
"""Where Debian has what is not here, or was put here otherwise."""
EVERYWHERE = frozenset(
    ["git", "python", "python3", "pip", "jupyter", "wget", "unzip", "less", "node", "npm", "conda",
     "mamba"]
)  # fmt: skip
"""Programs of any image that repo2docker makes."""
PLAIN_LIBRARIES = re.compile(
    r"libc6.*|libgcc.*|libstdc\+\+.*|zlib1g|libssl.*|libffi.*|libbz2.*|liblzma.*|libncurses.*|libtinfo.*"
    r"|libuuid.*|libreadline.*|libsqlite3.*|libexpat.*|libgdbm.*|libdb5.*|libzstd.*|libcrypt.*|libnsl.*"
    r"|libtirpc.*|libgomp.*|libquadmath.*|libgfortran.*|libgssapi.*|libkrb5.*|libk5crypto.*|libcom-err.*"
    r"|libkeyutils.*|libmpdec.*|tzdata|libpython.*|python3.*|libnss.*|libselinux.*|libpcre.*|libblkid.*"
    r"|libmount.*|libresolv.*|libcap.*|libaudit.*|libpam.*|locales"
)
"""What any Python loads, or brings."""


def check(
    notebooks: Iterable[Notebook],
    read: Read,
    snapshot: Snapshot,
    lock: Lock,
    *,
    data: Iterable[Data] = (),
    unpublished: Iterable[Distribution] = (),
    wheels: bool = False,
    public: frozenset[str] | None = None,
) -> tuple[Finding, ...]:
    """Return all that is to be said, blockers first.

    Parameters
    ----------
    notebooks : iterable of Notebook
    read, snapshot, lock
        Of all of them.
    data : iterable of Data
    unpublished : iterable of Distribution
        Distributions of the lock that only this machine has, and the export does not.
    wheels : bool
        Whether they may be published as wheels.
    public : frozenset of str, optional
        Packages of the lock that the public index has, if it was asked and has answered.
    """
    each = list(notebooks)
    found = [
        *_python(snapshot),
        *_unpublished(unpublished, wheels=wheels),
        *_sources(lock, snapshot),
        *_indexes(snapshot, lock, public),
        *_channels(lock),
        *(finding for one in each for finding in _order(one)),
        *(finding for one in each for finding in _outputs(one)),
        *_installs(read),
        *_unreadable(read),
        *_missing(read, snapshot),
        *_absolute(read),
        *_programs(read, snapshot),
        *_libraries(lock, snapshot),
        *_versions(lock),
        *_data(data),
        *_luck(read),
        *_variables(read),
        *_elsewhere(snapshot),
        *_workers(read, snapshot),
    ]
    unique = {one.id: one for one in found}
    return tuple(sorted(unique.values(), key=lambda one: one.level != BLOCKER))


def lived(notebook: Notebook, history: Sequence[str]) -> tuple[Finding, ...]:
    """Return what of a saved notebook is not what its kernel has run.

    Parameters
    ----------
    notebook : Notebook
    history : sequence of str
        What ran in the kernel, by its count; the first is nothing.
    """
    found = []
    for cell in notebook.cells:
        if cell.count is None or cell.exports or cell.empty:
            continue
        ran = history[cell.count] if cell.count < len(history) else None
        if ran is None or ran.strip() != cell.source.strip():
            not_run = "this kernel has not run it"
            found.append(
                Finding(
                    f"kernel:{_slug(cell.where)}",
                    WARNING,
                    cell.where,
                    not_run if ran is None else "it is not what this kernel has run",
                    "save the notebook; or restart the kernel and run all cells",
                )
            )
    return tuple(found)


def packages(read: Read, snapshot: Snapshot, lock: Lock) -> tuple[str, ...]:
    """Return the Debian packages that an image needs, where their names can be written."""
    found = {_package(name, snapshot) for name in _called(read, snapshot)}
    found |= {SYSTEM[pin.name] for pin in lock.pins if pin.name in SYSTEM}
    return tuple(sorted(name for name in found if name and valid(name)))


def _slug(place: str) -> str:
    return place.replace(" ", "-")


def _python(snapshot: Snapshot) -> Iterator[Finding]:
    minor = ".".join(snapshot.python.split(".")[:2])
    if minor not in PYTHONS:
        yield Finding(
            f"python:{minor}", BLOCKER, "Python", f"repo2docker has no Python {minor}",
            f"run the notebook with one of {', '.join(PYTHONS)}",
        )  # fmt: skip
    if snapshot.implementation != "cpython":
        yield Finding(
            f"python:{snapshot.implementation}", BLOCKER, "Python",
            f"repo2docker has no {snapshot.implementation}", "run the notebook with CPython",
        )  # fmt: skip


def _unpublished(distributions: Iterable[Distribution], *, wheels: bool) -> Iterator[Finding]:
    for one in distributions:
        if not wheels:
            yield Finding(
                f"unpublished:{one.name}", BLOCKER, one.name,
                f"{one.name} {one.version} is on this machine only",
                "--wheels builds it and publishes its code with the notebook; "
                "or install a published version",
                "its code may be published",
            )  # fmt: skip
        elif one.changes:
            yield Finding(
                f"uncommitted:{one.name}", BLOCKER, one.name,
                "its source has changes that are not committed",
                "commit them, so that the wheel is a version that can be found again",
                "the code as it is now is what is meant",
            )  # fmt: skip


def _sources(lock: Lock, snapshot: Snapshot) -> Iterator[Finding]:
    for pin in lock.pins:
        url = snapshot.distributions[pin.name].url
        if pin.kind in ("vcs", "url") and plain(url) != url and "git@" not in url:
            yield Finding(
                f"login:{pin.name}", BLOCKER, pin.name, "it was installed with a login",
                "install it from where everybody can",
            )  # fmt: skip
        elif pin.kind == "vcs" and re.match(r"\w+\+(?:ssh|file)://|\w+\+[\w.-]+@", url):
            yield Finding(
                f"vcs:{pin.name}", BLOCKER, pin.name,
                f"it was installed from {plain(url)}, where only some can",
                "install it from an https address that everybody can read, or from an index",
            )  # fmt: skip


def _indexes(snapshot: Snapshot, lock: Lock, public: frozenset[str] | None) -> Iterator[Finding]:
    for index in snapshot.indexes:
        name = re.sub(r"^\w+://", "", index.url).partition("/")[0] or "a folder"
        if index.kind == "extra" and public is not None:
            for pin in lock.pins:
                if pin.kind == "index" and pin.name not in public:
                    yield Finding(
                        f"index:{pin.name}", BLOCKER, pin.name,
                        f"the public index does not have {pin.version}, another may ({name})",
                        "install a version that the public index has, and run the notebook again",
                        "everybody can install it",
                    )  # fmt: skip
        elif index.kind == "extra":
            yield Finding(
                "index:extra", BLOCKER, index.origin,
                f"packages may come from an index that others do not have ({name})",
                "install from the public index alone",
                "it holds nothing but what the public index has, too",
            )  # fmt: skip
        else:
            yield Finding(
                "index:mirror", WARNING, index.origin, f"packages come from a mirror ({name})",
                "it is taken for one of the public index, with the same files",
            )  # fmt: skip


def _channels(lock: Lock) -> Iterator[Finding]:
    for one in lock.conda:
        host = re.match(r"https?://([^/@]*@)?([^/]+)", one.channel)
        # a name alone is one of anaconda.org's
        if one.channel.startswith(("file:", "/")) or (host and not PUBLIC.search(host[2])):
            yield Finding(
                f"channel:{one.name}", BLOCKER, one.name,
                f"it is from {'a folder of this machine' if host is None else host[2]}",
                "install it from a channel that everybody has, such as conda-forge",
                "conda-forge has the same",
            )  # fmt: skip


def _order(notebook: Notebook) -> Iterator[Finding]:
    ran = [cell for cell in notebook.cells if not cell.empty and not cell.exports]
    if not notebook.ran:
        yield Finding(
            f"unrun:{notebook.path.name}", WARNING, notebook.path.name,
            "no cell has an output to compare with",
            "run all cells and save it",
        )  # fmt: skip
        return
    last = 0
    for cell in ran:
        if cell.count is None:
            yield Finding(
                f"unrun:{_slug(cell.where)}", WARNING, cell.where, "it did not run",
                "run it, or delete it",
            )  # fmt: skip
        elif cell.count < last:
            yield Finding(
                f"out-of-order:{_slug(cell.where)}", WARNING, cell.where,
                "it ran before the cell above it", "restart the kernel and run all cells",
            )  # fmt: skip
        last = max(last, cell.count or 0)


def _outputs(notebook: Notebook) -> Iterator[Finding]:
    for cell in notebook.cells:
        failed = any(output["output_type"] == "error" for output in cell.outputs)
        if failed and "raises-exception" not in cell.tags:
            yield Finding(
                f"error:{_slug(cell.where)}", WARNING, cell.where, "it has failed",
                'correct it, or tag it "raises-exception" if it is to fail',
            )  # fmt: skip


def _installs(read: Read) -> Iterator[Finding]:
    for line, places in read.places("installs").items():
        for place in places:
            where = _slug(place)
            if re.search(r"(?:^|\s)(?:-i|-f|--(?:extra-)?index-url|--find-links)\b", line):
                yield Finding(
                    f"index:{where}", BLOCKER, place, "it installs from an index of its own",
                    "install from the public index", "everybody can read that index",
                )  # fmt: skip
            yield Finding(
                f"pip:{where}", WARNING, place, "it installs packages while it runs",
                "delete the line: what it installed is in the exported environment",
            )  # fmt: skip


def _unreadable(read: Read) -> Iterator[Finding]:
    for place, said in read.said:
        if said.unreadable:
            yield Finding(
                f"unreadable:{_slug(place)}", WARNING, place,
                f"it is not Python ({said.unreadable})", "what it needs must be added by hand",
            )  # fmt: skip


def _missing(read: Read, snapshot: Snapshot) -> Iterator[Finding]:
    told = set()
    for name, places in read.places("imports").items():
        top = name.partition(".")[0]
        one = snapshot.imports.get(name)
        if one is not None and one.kind == "missing" and top not in told:
            told.add(top)
            yield Finding(
                f"missing:{top}", WARNING, places[0], f"{top} cannot be imported here",
                "install it and run the cell, or delete the import",
            )  # fmt: skip


def _absolute(read: Read) -> Iterator[Finding]:
    for text, places in read.places("strings").items():
        named = text.startswith(("~/", *(f"{root}/" for root in ROOTS))) or re.match(
            r"[A-Za-z]:[\\/]\w", text
        )
        if named and ABSOLUTE.fullmatch(text):
            for place in places:
                yield Finding(
                    f"absolute-path:{_slug(place)}", WARNING, place,
                    "it names a path of this machine",
                    "put the file beside the notebook and name it relative to that",
                )  # fmt: skip


def _called(read: Read, snapshot: Snapshot) -> Mapping[str, tuple[str, ...]]:
    """Return the programs that are called and are not of the environment itself."""
    return {
        name: places
        for name, places in read.places("programs").items()
        if name not in EVERYWHERE
        and not (name in snapshot.programs and snapshot.programs[name].distribution)
        and not any(name in one.programs for one in snapshot.conda)
    }


def _package(program: str, snapshot: Snapshot) -> str:
    there = snapshot.programs.get(program)
    return (there.package if there is not None else "") or PROGRAMS.get(program, "")


def _programs(read: Read, snapshot: Snapshot) -> Iterator[Finding]:
    for name, places in _called(read, snapshot).items():
        package = _package(name, snapshot)
        if not package:
            yield Finding(
                f"program:{name}", WARNING, places[0],
                f"the program {name} is of no Debian package",
                "have the notebook do without, or install it in a postBuild of your own",
            )  # fmt: skip
        elif not valid(package):
            yield Finding(
                f"apt:{name}", BLOCKER, places[0],
                f"the package of {name} has a name that a shell would read",
                "have the notebook do without it",
            )  # fmt: skip
        else:
            yield Finding(
                f"program:{name}", WARNING, places[0],
                f"the program {name} comes from Debian's {package}, whose version is not pinned",
                "binder/apt.txt installs it",
            )  # fmt: skip


def _libraries(lock: Lock, snapshot: Snapshot) -> Iterator[Finding]:
    for pin in lock.pins:
        if pin.name in SYSTEM:
            yield Finding(
                f"library:{pin.name}", WARNING, pin.name,
                f"it needs Debian's {SYSTEM[pin.name]}, whose version is not pinned",
                "binder/apt.txt installs it",
            )  # fmt: skip
    for name in snapshot.libraries:
        if not PLAIN_LIBRARIES.fullmatch(name):
            yield Finding(
                f"library:{name}", WARNING, "the kernel",
                f"it has loaded a library of the system, of the package {name}",
                "if the notebook needs it, use a package that brings it",
            )  # fmt: skip


def _versions(lock: Lock) -> Iterator[Finding]:
    for pin in lock.pins:
        if GPU.fullmatch(pin.name) or re.search(r"\+cu\d+", pin.version):
            yield Finding(
                f"gpu:{pin.name}", WARNING, pin.name, "it is for GPUs, and large",
                "Binder has none: install the version for CPUs, and run the notebook again",
            )  # fmt: skip
        elif "+" in pin.version and pin.kind == "index":
            yield Finding(
                f"local-version:{pin.name}", WARNING, pin.name,
                f"{pin.version} is not a version that the public index can have",
                "install one that it has, and run the notebook again",
            )  # fmt: skip


def _data(data: Iterable[Data]) -> Iterator[Finding]:
    for one in data:
        if one.result:
            yield Finding(
                f"result:{one.path}", WARNING, one.path,
                "it was written while the notebook ran: taken for a result, it is not copied",
                "if it is data, restart the kernel, run all cells and export again",
            )  # fmt: skip
        elif not one.copied and not one.source:
            yield Finding(
                f"large:{one.path}", WARNING, one.path,
                f"{one.size / 2**20:.0f} MiB are too much for a repository: it is not copied",
                f"put it where everybody can fetch it, and say so: --source {one.path}=ADDRESS",
            )  # fmt: skip


def _luck(read: Read) -> Iterator[Finding]:
    seeded = bool(read.places("seeds"))
    for place, said in read.said:
        calls = [
            name for name in said.draws
            if not (seeded and re.match(r"(?:np\.|numpy\.)?random\.", name))
        ]  # fmt: skip
        if calls:
            yield Finding(
                f"nondeterminism:{_slug(place)}", WARNING, place,
                f"{calls[0]} is another at each run",
                "seed it, or use numpy.random.default_rng(SEED)",
            )  # fmt: skip


def _variables(read: Read) -> Iterator[Finding]:
    for name, places in read.places("variables").items():
        if name not in USUAL:
            yield Finding(
                f"variable:{name}", WARNING, places[0], f"it reads the variable {name}",
                "have a default for it where nobody has set it",
            )  # fmt: skip


def _elsewhere(snapshot: Snapshot) -> Iterator[Finding]:
    for name, file in snapshot.elsewhere.items():
        yield Finding(
            f"module:{name}", WARNING, name,
            f"{Path(file).name} is neither beside the notebook nor of a package",
            "put it beside the notebook, or make a package of it",
        )  # fmt: skip


def _workers(read: Read, snapshot: Snapshot) -> Iterator[Finding]:
    for name, version in snapshot.differing.items():
        here = snapshot.distributions[name].version
        yield Finding(
            f"workers:{name}", WARNING, name, f"workers have {version}, the kernel {here}",
            "the kernel's is exported: have the same on both",
        )  # fmt: skip
    if clusters(read, snapshot) and not snapshot.workers:
        yield Finding(
            "workers", WARNING, "the cluster", "no worker was there to be asked",
            "what only workers import is missing in the environment: export while a cluster runs",
        )  # fmt: skip
