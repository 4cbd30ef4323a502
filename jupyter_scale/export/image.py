"""The image of an exported folder, built and run where docker, podman or buildah is.

What is built is what repo2docker renders, by whichever engine answers: the build context goes to a
folder, and the engine is given that. The notebook then runs inside, by the image's own nbconvert,
and its outputs are held against the saved ones as those of the rebuilt environment are.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_scale.export import buildpack
from jupyter_scale.export.claim import FAILED, IMAGE, NOT_VERIFIED, VERIFIED, Claim
from jupyter_scale.export.compare import compare
from jupyter_scale.export.finding import needed

__all__ = ["Engine", "build", "context", "engine", "executed", "imaged"]

PATIENCE = 3600.0  # seconds for a build
ASKED = 30.0  # ... and for an engine to say that it is there
SAID = 8  # lines of an engine that failed
NONE = "none of docker, podman and buildah answers here: install one, or start docker's service"
EXECUTE = ("jupyter", "nbconvert", "--to", "notebook", "--execute", "--stdout", "--log-level=ERROR")


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that builds images.

    Attributes
    ----------
    name : str
        ``docker``, ``podman`` or ``buildah``.
    program : str
        Where it is.
    """

    name: str
    program: str

    def building(self, folder: Path, tag: str) -> list[str]:
        """Return the command that builds a context."""
        arguments = [f"--build-arg={name}={value}" for name, value in buildpack.USER.items()]
        return [self.program, "build", *arguments, "--tag", tag, str(folder)]


def engine() -> Engine | None:
    """Return the first engine that answers, or None."""
    for name, words in (("docker", ["info"]), ("podman", ["info"]), ("buildah", ["info"])):
        program = shutil.which(name)
        if program is None:
            continue
        with suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run(
                [program, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=ASKED,
                check=False,
            )  # fmt: skip
            if asked.returncode == 0:
                return Engine(name, program)
    return None


def context(folder: Path, target: Path) -> buildpack.Judged:
    """Write what repo2docker would send to an engine.

    Raises
    ------
    RuntimeError
        When it refuses the folder.
    """
    with tempfile.TemporaryDirectory() as home:
        packed = Path(home, "context.tar")
        judged = buildpack.judge(folder, context=packed)
        if judged.error:
            raise RuntimeError(judged.error)
        with tarfile.open(packed) as tar:
            tar.extractall(target, filter="fully_trusted")  # our own, with links as they are
    return judged


def build(maker: Engine, folder: Path, tag: str) -> None:
    """Build an image of a context.

    Raises
    ------
    RuntimeError
        With the last lines of the engine.
    """
    _done(maker.building(folder, tag), PATIENCE)


def executed(maker: Engine, tag: str, name: str) -> Any:
    """Return a notebook as it is after a run in the image.

    Raises
    ------
    RuntimeError
        When it does not run to its end.
    """
    with _started(maker, tag) as command:
        text = _done([*command, *EXECUTE, name], PATIENCE)
    return needed("nbformat").reads(_json(text), as_version=4)


def _json(text: str) -> str:
    """Return a notebook's JSON, without what the scripts of an image's start have said before."""
    lines = text.splitlines()
    begin = next((index for index, line in enumerate(lines) if line.startswith("{")), None)
    if begin is None:
        raise RuntimeError("\n".join(["no notebook came out of the image:", *lines[-SAID:]]))
    return "\n".join(lines[begin:])


@contextmanager
def _started(maker: Engine, tag: str) -> Iterator[list[str]]:
    """Return the command that runs another in the image."""
    if maker.name != "buildah":
        yield [maker.program, "run", "--rm", tag]
        return
    container = _done([maker.program, "from", tag], ASKED * 10).strip()
    try:
        # it knows no entry point: that is to be named
        yield [maker.program, "run", container, "--", "/usr/local/bin/repo2docker-entrypoint"]
    finally:
        _done([maker.program, "rm", container], ASKED * 10)


def imaged(folder: Path, name: str, show: Callable[[str], None] = lambda line: None) -> Claim:
    """Build the image of a folder, run a notebook in it, and say what came of it."""
    maker = engine()
    if maker is None:
        return Claim(IMAGE, NOT_VERIFIED, (NONE,))
    if lacking := buildpack.missing():
        return Claim(IMAGE, NOT_VERIFIED, (lacking,))
    tag = f"jupyter-scale-{uuid4().hex[:8]}"
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            context(folder, Path(home))
            show(f"Building the image with {maker.name}, which takes minutes")
            build(maker, Path(home), tag)
        show(f"Running {name} in the image")
        found = executed(maker, tag, name)
    except RuntimeError as error:
        return Claim(IMAGE, FAILED, tuple(str(error).splitlines()))
    saved = needed("nbformat").read(folder / name, as_version=4)
    compared = compare(saved, found)
    status = FAILED if compared.differences else VERIFIED
    return Claim(IMAGE, status, (f"{tag}, built by {maker.name}; {name} in it:", *compared.lines))


def _done(words: Sequence[str], patience: float) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{Path(words[0]).name} {words[1]} took too long") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise RuntimeError("\n".join([f"{Path(words[0]).name} {words[1]} failed:", *lines[-SAID:]]))
    return done.stdout
