"""The repository that an exported folder is, or will be: its address on Binder, its last commit.

A badge names a commit, so that what was verified is what starts. A commit cannot name itself: the
badge is written by the export after it, and stays as long as nothing but the badge changes.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import quote, urlsplit

from jupyter_scale.export.finding import ExportError

__all__ = ["HUB", "badge", "committed", "launch", "spec"]

HUB = "https://mybinder.org"
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def spec(address: str) -> str:
    """Return how BinderHub calls a repository.

    Raises
    ------
    ExportError
        When it is none that it can read.

    Examples
    --------
    >>> spec("https://github.com/binder-examples/conda.git")
    'gh/binder-examples/conda'
    >>> spec("https://gitlab.com/group/sub/name"), spec("10.5281/zenodo.3242074")
    ('gl/group%2Fsub%2Fname', 'zenodo/10.5281/zenodo.3242074')
    """
    if re.fullmatch(r"10\.5281/zenodo\.\d+", address):
        return f"zenodo/{address}"
    parts = urlsplit(address)
    path = parts.path.strip("/").removesuffix(".git")
    names = path.split("/")
    if parts.scheme not in ("http", "https") or not parts.netloc or not path or "@" in parts.netloc:
        raise ExportError(
            f"--binder {address}: name the repository as https://github.com/OWNER/NAME"
        )
    if parts.netloc == "github.com" and len(names) == 2:
        return f"gh/{path}"
    if parts.netloc == "gitlab.com" and len(names) > 1:
        return f"gl/{quote(path, safe='')}"
    if parts.netloc == "gist.github.com" and len(names) == 2:
        return f"gist/{path}"
    return f"git/{quote(address, safe='')}"


def launch(address: str, commit: str, notebook: str, hub: str = HUB) -> str:
    """Return the address that starts a notebook of a commit in JupyterLab.

    Examples
    --------
    >>> launch("https://github.com/a/b", "0" * 40, "my notebook.ipynb").partition("?")[2]
    'urlpath=lab%2Ftree%2Fmy%2520notebook.ipynb'
    """
    path = quote(f"lab/tree/{quote(notebook)}", safe="")
    return f"{hub}/v2/{spec(address)}/{commit}?urlpath={path}"


def badge(address: str, commit: str, notebook: str) -> str:
    """Return the picture that starts a notebook of a commit, as Markdown."""
    return f"[![Binder]({HUB}/badge_logo.svg)]({launch(address, commit, notebook)})"


def committed(folder: Path, paths: list[str]) -> str:
    """Return the last commit of a folder's repository, if these files are in it as they are.

    Empty where there is none, or where the folder is not the top of the repository.
    """
    top = _said(folder, "rev-parse", "--show-toplevel")
    head = _said(folder, "rev-parse", "HEAD")
    if not top or Path(top).resolve() != folder.resolve() or not COMMIT.fullmatch(head):
        return ""
    known = set(_said(folder, "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0"))
    changed = _said(folder, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    return head if set(paths) <= known and not changed else ""


def commit(folder: Path, paths: list[str], message: str) -> str:
    """Commit files, in a repository that is made where there is none; return the commit.

    Raises
    ------
    ExportError
        With what git says.
    """
    if not (folder / ".git").exists():
        _git(folder, "init", "--quiet")
    _git(folder, "add", "--", *paths)
    if _said(folder, "status", "--porcelain", "--untracked-files=no", "--", *paths):
        _git(folder, "commit", "--quiet", "--message", message, "--", *paths)
    return _said(folder, "rev-parse", "HEAD")


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise ExportError(f"git cannot be run: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise ExportError(f"git {words[0]}: {lines[0] if lines else 'failed'}")
    return done.stdout.strip()


def _said(folder: Path, *words: str) -> str:
    try:
        return _git(folder, *words)
    except ExportError:
        return ""
