"""Where a run took place: packages, the state of the repository. No secrets, no outputs.

Of the environment's variables only those in `VARIABLES` are looked at. What looks like a secret in
a cell's source, or in what was changed since the last commit, is replaced.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["environment", "packages", "redacted", "repository", "text_of"]

VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES", "CONDA_DEFAULT_ENV"),
)
LONGEST = 1_000_000  # bytes of changes since the last commit
PATIENCE = 10  # seconds for git
HIDDEN = "[hidden]"
_SECRETS = (
    re.compile(r"(?i)([?&]token=)[^\s&\"'<>]+"),
    re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s/:@\"']+:)[^\s/@\"']+(?=@)"),
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    re.compile(r"()\b(?:glpat-|xox[abprs]-|hf_|sk-|pypi-)[A-Za-z0-9_-]{16,}"),
    re.compile(r"()\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"),
    re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z)"),
    re.compile(
        r"(?i)(\b[\w.-]*(?:password|passwd|secret|token|api_?key|access_?key)[\w.-]*"
        r"[\"']?\s*[:=]\s*)(?P<quote>[\"'])(?:(?!(?P=quote)).)+(?P=quote)"
    ),
)


def redacted(text: str) -> str:
    """Return a text without what looks like a secret.

    Examples
    --------
    >>> redacted('connect("https://me:hunter2@host", token="abc")')
    'connect("https://me:[hidden]@host", token=[hidden])'
    """
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def packages() -> dict[str, str]:
    """Return the installed distributions with their versions, as ``pip freeze`` lists them."""
    return dict(_packages(tuple(_changed(folder) for folder in sys.path)))


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=1)  # reading 200 descriptions takes half a second
def _packages(changed: tuple[int, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(name.lower().replace("_", "-"), distribution.version)
    return dict(sorted(found.items()))


def environment() -> dict[str, Any]:
    """Return what this process runs in."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "prefix": "conda" if (Path(sys.prefix) / "conda-meta").is_dir() else "python",
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "packages": packages(),
    }


def text_of(known: Mapping[str, Any]) -> str:
    """Return an environment as lines: the same text for the same environment."""
    lines = [f"{key}: {known[key]}" for key in ("python", "platform", "machine", "prefix")]
    lines += [f"{name}={value}" for name, value in sorted(known["variables"].items())]
    lines += [f"{name}=={version}" for name, version in known["packages"].items()]
    return "\n".join(lines)


def repository(folder: Path) -> tuple[str, str]:
    """Return the commit of the repository around a folder, and what was changed since; or nothing.

    What git does not follow is named, and not read.
    """
    commit = _git(folder, "rev-parse", "HEAD").strip()
    if not commit:
        return "", ""
    changed = _git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv")
    new = _git(folder, "ls-files", "--others", "--exclude-standard", "--full-name")
    if new:
        changed += "".join(f"new, not added: {name}\n" for name in new.splitlines()[:200])
    return commit, redacted(changed[:LONGEST])


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def digest(text: str) -> str:
    """Return the name of a text in the record."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
