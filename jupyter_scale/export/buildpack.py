"""repo2docker's own classes judge a folder, without an engine that builds images.

They are asked as its application asks them: the first of its buildpacks that detects the folder
renders the Dockerfile and hands over the build context, which nothing builds here. They work in
the current folder and by a logger of their own, so they have a process of their own: this very
file, run as a program. That is also why it imports nothing of this package.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["CHANNELS", "Before", "Judged", "base", "conda", "distributions", "judge", "missing"]

USER = {"NB_USER": "jovyan", "NB_UID": "1000"}  # as Binder's
PACKAGE = re.compile(r"/(?P<name>[^/]+)-(?P<version>[^-/]+)-(?P<build>[^-/]+)\.(?:conda|tar\.bz2)#")
OTHERWISE = {
    "brotli-python": "brotli",
    "jupyterhub-base": "jupyterhub",
    "msgpack-python": "msgpack",
    "nbconvert-core": "nbconvert",
    "python-fastjsonschema": "fastjsonschema",
}
"""conda's names of packages that have others on PyPI."""
CHANNELS = ("conda-forge",)  # of its own packages


@dataclass(frozen=True, slots=True)
class Judged:
    """What repo2docker makes of a folder.

    Attributes
    ----------
    buildpack : str
        The class that takes it.
    python : str
        The version that it installs, such as ``3.11``; empty for a Dockerfile.
    dockerfile : str
        What would be built.
    context : tuple of str
        The folder's files in the build context.
    warnings : tuple of str
        What it says about the folder.
    error : str
        Why it refuses the folder; empty if it does not.
    """

    buildpack: str = ""
    python: str = ""
    dockerfile: str = ""
    context: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """What repo2docker installs before a folder's environment.yml.

    Attributes
    ----------
    platform : str
        As conda names it.
    specs : tuple of str
        What it asks for.
    packages : dict of str to (str, str)
        What it installs of that: version and build, by name.
    """

    platform: str
    specs: tuple[str, ...]
    packages: dict[str, tuple[str, str]]


def missing() -> str:
    """Return what is to be installed before anything can be judged, or nothing."""
    if find_spec("repo2docker"):
        return ""
    return 'repo2docker is not installed: pip install "jupyter-scale[export]"'


def judge(folder: Path, *, context: Path | None = None) -> Judged:
    """Have repo2docker render a folder.

    Parameters
    ----------
    folder : Path
    context : Path, optional
        Where the build context is to be written, as a tar file.

    Raises
    ------
    RuntimeError
        When repo2docker cannot be asked.
    """
    command = [sys.executable, "-P", "-W", "ignore", str(Path(__file__).resolve())]
    with tempfile.TemporaryDirectory() as home:
        answer = Path(home, "answer.json")
        asked = [*command, str(answer), *([str(context.resolve())] if context else [])]
        ended = subprocess.run(
            asked, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if not answer.exists():
            raise RuntimeError(f"repo2docker did not answer: {ended.stderr.strip()[-500:]}")
        found = json.loads(answer.read_text(encoding="utf-8"))
    for name in ("context", "warnings"):
        found[name] = tuple(found[name])
    return Judged(**found)


def base(python: str, platform: str = "linux-64") -> dict[str, str]:
    """Return the Python packages that repo2docker installs before a folder's own.

    Parameters
    ----------
    python : str
        Such as ``3.11``.
    platform : str, optional
        As conda names it.

    Returns
    -------
    dict of str to str
        Versions by PyPI's names; empty for a version that it does not know.

    Examples
    --------
    >>> base("2.4")
    {}
    """
    lock = _lock(python, platform)
    return distributions({one["name"]: (one["version"], one["build"]) for one in lock})


def distributions(packages: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return the Python packages among conda's, by PyPI's names.

    Examples
    --------
    >>> distributions({"nbconvert-core": ("7.16", "pyhd8ed1ab_0"), "zeromq": ("4.3", "h387f397_9")})
    {'nbconvert': '7.16'}
    """
    found = {}
    for name, (version, build) in packages.items():
        # a build for Python says so: pyhd8ed1ab_0, py311h8c3f59a_0
        if build.startswith("py") and name not in ("python", "python_abi"):
            found[re.sub(r"[-_.]+", "-", OTHERWISE.get(name, name)).lower()] = version
    return found


def conda(python: str, platform: str = "linux-64") -> Before:
    """Return what repo2docker installs before a folder's environment.yml.

    Parameters
    ----------
    python, platform : str
        As for `base`.
    """
    import yaml  # not of the program below

    folder = _folder()
    asked = folder / f"environment.py-{python}.yml" if folder else Path()
    said = yaml.safe_load(asked.read_text(encoding="utf-8")) if asked.is_file() else {}
    return Before(
        platform,
        # all but its Python, of which the folder says more
        tuple(one for one in said.get("dependencies", ()) if not one.startswith("python=")),
        {match["name"]: (match["version"], match["build"]) for match in _lock(python, platform)},
    )


def _lock(python: str, platform: str) -> Iterator[re.Match[str]]:
    folder = _folder()
    lock = folder / f"environment.py-{python}-{platform}.lock" if folder else Path()
    return PACKAGE.finditer(lock.read_text(encoding="utf-8") if lock.is_file() else "")


def _folder() -> Path | None:
    spec = find_spec("repo2docker")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "buildpacks" / "conda"


# -- the program, in the folder that is judged


class _Said(logging.Handler):
    """Keeps what repo2docker warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(" ".join(record.getMessage().split()))


class _Engine:
    """Is given a build context as an engine is, and builds nothing."""

    def __init__(self) -> None:
        self.context = b""

    def build(self, *, fileobj: io.BytesIO | None = None, **_: Any) -> Iterator[str]:
        if fileobj is not None:  # a Dockerfile is built where it is
            self.context = fileobj.getvalue()
        return iter(())


def _first(app: Any) -> Any:
    """Return the buildpack that takes the current folder."""
    for kind in app.buildpacks:
        pack = kind(base_image=app.base_image)
        pack.platform = app.platform
        if pack.detect():
            return pack
    raise LookupError("no file says what is to be installed, such as binder/requirements.txt")


def _judged(context: str) -> Judged:
    from repo2docker.app import Repo2Docker

    said = _Said()
    log = logging.getLogger("repo2docker")
    log.addHandler(said)
    log.propagate = False
    try:
        app = Repo2Docker()
        app.user_id, app.user_name = int(USER["NB_UID"]), USER["NB_USER"]
        pack = _first(app)
        engine = _Engine()
        for _ in pack.build(engine, "image", 0, dict(USER), [], {}, platform=app.platform):
            pass
        dockerfile = pack.render(dict(USER))
    except Exception as error:  # whatever it raises is its judgement
        return Judged(warnings=tuple(said.lines), error=f"{type(error).__name__}: {error}")
    names = []
    if engine.context:
        with tarfile.open(fileobj=io.BytesIO(engine.context)) as tar:
            names = [member.name for member in tar if member.isfile()]
    if context:
        Path(context).write_bytes(engine.context)
    return Judged(
        type(pack).__name__,
        str(getattr(pack, "python_version", "")),
        dockerfile,
        tuple(sorted(name.removeprefix("src/") for name in names if name.startswith("src/"))),
        tuple(said.lines),
    )


def _main(answer: str, context: str = "") -> None:
    warnings.simplefilter("ignore")  # of what repo2docker itself stands on
    os.environ.pop("DOCKER_HOST", None)
    found = json.dumps(asdict(_judged(context)))
    Path(answer).write_text(found, encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
