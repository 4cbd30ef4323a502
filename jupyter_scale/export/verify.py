"""What an exported folder claims, tried: each claim for itself, and nothing said that was not seen.

    repo2docker's classes -> its own packages -> the environment is built anew -> the notebook runs
    in it -> its outputs are compared with the saved ones -> its page runs cells, if there is one
    -> an image, where that was asked for

The folder is read only; all that is made is in a temporary folder that goes at the end.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_scale.export import buildpack, visit
from jupyter_scale.export.claim import (
    BASE,
    BUILDPACK,
    ENVIRONMENT,
    FAILED,
    NOT_VERIFIED,
    OUTPUTS,
    PAGE,
    RUN,
    VERIFIED,
    Claim,
)
from jupyter_scale.export.compare import Comparison, compare
from jupyter_scale.export.course import page_of
from jupyter_scale.export.finding import ExportError, needed
from jupyter_scale.export.fit import fits
from jupyter_scale.export.options import Options
from jupyter_scale.export.rebuild import Environment, rebuild
from jupyter_scale.export.run import IGNORED, Ran, run
from jupyter_scale.export.step import Refused
from jupyter_scale.export.thebe import FOLDER, INDEX
from jupyter_scale.export.wanted import CONDA, python_of

__all__ = ["verify"]

LOADED = re.compile(r'<(?:script|link)[^>]*?(?:src|href)="([^"]+)"')
ELSEWHERE = re.compile(r"(?:\w+:)?//")
SCRIPTS = ("binder/postBuild", "binder/start")
Show = Callable[[str], None]


def verify(
    folder: str | Path,
    options: Options | None = None,
    show: Show = lambda line: None,
    tell: Callable[[Claim], None] = lambda claim: None,
) -> tuple[Claim, ...]:
    """Try what a folder claims.

    Parameters
    ----------
    folder : path
        As `jupyter_scale.export.export` writes it.
    options : Options, optional
        ``timeout`` and ``image`` count.
    show : callable, optional
        Is told what is being done.
    tell : callable, optional
        Is told each claim as soon as it was tried.

    Returns
    -------
    tuple of Claim

    Raises
    ------
    ExportError
        When there is no notebook.
    """
    folder, options = Path(folder).resolve(), options or Options()
    names = [*notebooks(folder)]
    if not names:
        raise ExportError(f"There is no notebook in {folder}.")
    claims: list[Claim] = []

    def add(*found: Claim) -> None:
        for claim in found:
            claims.append(claim)
            tell(claim)

    # a space in it would break scripts' first lines
    with tempfile.TemporaryDirectory(prefix="scale-verify-", ignore_cleanup_errors=True) as home:
        scratch = Path(home)
        show("Asking repo2docker")
        add(_accepted(folder))
        add(_fitting(folder, scratch))
        claim, environment = _built(folder, scratch / "environment", show)
        add(claim)
        runs = []
        for number, name in enumerate(names):
            found = _tried(folder, name, environment, scratch / f"run-{number}", options, show)
            several = f"{name}: " if len(names) > 1 else ""
            add(*(replace(one, name=f"{several}{one.name}") for one in found))
            runs.append(found[0].status)
        if (folder / INDEX).is_file() and (folder / FOLDER).is_dir():
            python = environment.python if environment and {*runs} == {VERIFIED} else None
            add(_paged(folder, names, python, scratch / "page", options, show))
        if options.image:
            from jupyter_scale.export.image import imaged

            add(imaged(folder, names[0], show))
    return tuple(claims)


def notebooks(folder: Path) -> Iterator[str]:
    """Return the notebooks of a folder, without those of hidden folders."""
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part in IGNORED for part in parts):
            yield path.relative_to(folder).as_posix()


# -- repo2docker


def _accepted(folder: Path) -> Claim:
    if lacking := buildpack.missing():
        return Claim(BUILDPACK, NOT_VERIFIED, (lacking,))
    try:
        judged = buildpack.judge(folder)
        python = python_of(folder)
    except RuntimeError as error:
        return Claim(BUILDPACK, NOT_VERIFIED, (str(error),))
    except Refused as refused:
        return Claim(BUILDPACK, FAILED, refused.details)
    problems = [*_problems(folder, judged, python)]
    if problems:
        return Claim(BUILDPACK, FAILED, tuple(problems))
    lines = len(judged.dockerfile.splitlines())
    return Claim(
        BUILDPACK,
        VERIFIED,
        (
            f"{judged.buildpack} of Python {judged.python}: a Dockerfile of {lines} lines, "
            f"{len(judged.context)} files in its context",
        ),
    )


def _problems(folder: Path, judged: buildpack.Judged, python: str) -> Iterator[str]:
    if judged.error:
        yield f"repo2docker refuses it: {judged.error}"
        return
    yield from (f"repo2docker warns: {line}" for line in judged.warnings)
    expected = "CondaBuildPack" if (folder / CONDA).is_file() else "PythonBuildPack"
    if judged.buildpack != expected:
        yield f"{judged.buildpack} takes it, not {expected}: a file of another kind goes before"
    elif judged.python != python:
        yield f"it would have Python {judged.python}, not {python}"
    for name in notebooks(folder):
        if name not in judged.context:
            yield f"{name} is not in the build context: see binder/.dockerignore"
    for script in SCRIPTS:
        path = folder / script
        if path.is_file():
            yield from _unfit(path, script)


def _unfit(path: Path, script: str) -> Iterator[str]:
    if os.name == "posix" and not path.stat().st_mode & stat.S_IXUSR:
        yield f"{script} is not executable"
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if not first.startswith("#!"):
        yield f"{script} does not begin with #!, so that it cannot be run"
    elif first.endswith("sh") and os.name == "posix":
        checked = subprocess.run(
            ["bash", "-n", str(path)], capture_output=True, text=True, check=False
        )
        if checked.returncode:
            yield f"{script}: {checked.stderr.strip().replace(str(path), script)}"


def _fitting(folder: Path, scratch: Path) -> Claim:
    try:
        return Claim(BASE, VERIFIED, fits(folder, scratch))
    except Refused as refused:
        return Claim(BASE, refused.status, refused.details)


# -- environment, run, outputs


def _built(folder: Path, target: Path, show: Show) -> tuple[Claim, Environment | None]:
    try:
        found = rebuild(folder, target, show)
    except Refused as refused:
        return Claim(ENVIRONMENT, refused.status, refused.details), None
    said = (
        f"{found.packages} packages on Python {found.version} in {found.seconds:.0f} s, "
        "without contradictions"
    )
    return Claim(ENVIRONMENT, VERIFIED, (said, *found.notes)), found


def _tried(
    folder: Path,
    name: str,
    environment: Environment | None,
    scratch: Path,
    options: Options,
    show: Show,
) -> tuple[Claim, Claim]:
    waiting = Claim(OUTPUTS, NOT_VERIFIED, ("it did not run to its end",))
    if environment is None:
        return Claim(RUN, NOT_VERIFIED, ("there is no environment to run it in",)), waiting
    show(f"Running {name} in the new environment")
    python = environment.python
    try:
        ran = run(folder, name, python, scratch, timeout=options.timeout, show=show)
    except Refused as refused:
        return Claim(RUN, refused.status, refused.details), waiting
    saved = needed("nbformat").read(folder / name, as_version=4)
    return _ended(ran), _compared(compare(saved, ran.notebook, now=datetime.now()))


def _ended(ran: Ran) -> Claim:
    said = f"{ran.cells} cell{'s' * (ran.cells != 1)} in {ran.seconds:.0f} s"
    if not ran.left:
        return Claim(RUN, VERIFIED, (f"{said}; no process was left",))
    left = f"left running, and ended: {', '.join(ran.left)}"
    return Claim(RUN, FAILED, (said, left, "close clusters and processes in a last cell"))


def _compared(found: Comparison) -> Claim:
    if found.differences:
        tag = "a cell that cannot be the same twice is left out by the tag not-compared"
        return Claim(OUTPUTS, FAILED, (*found.lines, tag))
    if found.unrun or not found.equal:
        remedy = "run all cells and save, then export again"
        return Claim(OUTPUTS, NOT_VERIFIED, (*found.lines, remedy))
    return Claim(OUTPUTS, VERIFIED, found.lines)


# -- a web page


def _paged(
    folder: Path,
    names: Sequence[str],
    python: Path | None,
    scratch: Path,
    options: Options,
    show: Show,
) -> Claim:
    """Look for what the pages load, and have their cells run in a browser."""
    missing, asked = [], []
    for path in sorted(folder.glob("*.html")):
        own, contents = _parts(path.read_text(encoding="utf-8"))
        loaded = [(one, False) for one in LOADED.findall(own)]
        for address, is_output in [*loaded, *((one, True) for one in LOADED.findall(contents))]:
            if is_output and ELSEWHERE.match(address):
                asked.append(f"{path.name}: an output asks for {address}")
            elif not address.startswith("data:") and not _beside(folder, address):
                missing.append(f"{path.name} loads {address}, which is not beside it")
    if missing:
        return Claim(PAGE, FAILED, tuple(missing))
    if python is None:
        reason = "not tried, as its notebook was not seen to run in an environment built anew"
        return Claim(PAGE, NOT_VERIFIED, (reason, *asked))
    if lacking := visit.lacking():
        remedy = f"or open {INDEX} and press its button to see a cell run"
        return Claim(PAGE, NOT_VERIFIED, (f"its programs lie beside it; {lacking}", remedy, *asked))
    pages = _pages(folder, names)
    try:
        found = visit.visits(folder, pages, python, scratch, timeout=options.timeout, show=show)
    except Refused as refused:
        return Claim(PAGE, refused.status, refused.details)
    status = max((one.status for one in found), key=(VERIFIED, NOT_VERIFIED, FAILED).index)
    return Claim(PAGE, status, tuple(line for one in found for line in one.lines))


def _pages(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return the notebook of each page; an index of several has none."""
    read = needed("nbformat").read
    found = {page_of(name): name for name in names if (folder / page_of(name)).is_file()}
    first = None if found else read(folder / names[0], as_version=4)
    pages = {page: read(folder / name, as_version=4) for page, name in found.items()}
    return {INDEX: first, **pages}


def _parts(text: str) -> tuple[str, str]:
    """Return a page's own text and that of its notebook."""
    begin, end = text.find("<main>"), text.rfind("</main>")
    return (text[:begin] + text[end:], text[begin:end]) if 0 <= begin < end else (text, "")


def _beside(folder: Path, address: str) -> bool:
    return not ELSEWHERE.match(address) and (folder / address.partition("?")[0]).exists()
