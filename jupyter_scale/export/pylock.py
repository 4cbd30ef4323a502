"""pylock.toml: every distribution with the hashes of its files, as an index says them.

uv asks the index. Without an answer the file holds names and versions, and the report says so. An
address that is not everybody's is left out; its hashes stay.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.utils import parse_wheel_filename

from jupyter_scale.export.lock import Lock, Pin

__all__ = ["Hashes", "ask", "known", "pylock", "uv"]

PATIENCE = 60.0  # seconds
ATTEMPTS = 6  # each without what the one before was refused for
EXTRA = ("UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS")


@dataclass(frozen=True, slots=True)
class Hashes:
    """What an index has answered.

    Attributes
    ----------
    files : mapping of str to tuple of (str, str, int, str)
        By distribution, of each file: its name, address, size and SHA-256.
    why : str
        Why there is nothing, or nothing of some.
    """

    files: Mapping[str, tuple[tuple[str, str, int, str], ...]]
    why: str = ""


def uv() -> str | None:
    """Return where uv is, or None."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def ask(lock: Lock) -> Hashes:
    """Ask the index for the files of a lock, for Linux and its Python; no other index is asked."""
    program = uv()
    environment = {name: value for name, value in os.environ.items() if name not in EXTRA}
    pins = [pin for pin in lock.pins if pin.kind == "index"]
    if program is None:
        return Hashes({}, "uv is not installed")
    if not pins:
        return Hashes({})
    command = [
        *(program, "pip", "compile", "--no-deps", "--no-header", "--quiet", "--no-progress"),
        *("--format", "pylock.toml", "--python-version", lock.python, "--universal"),
        *("--no-annotate", "-"),
    ]
    unknown: list[str] = []
    why = ""
    for _ in range(ATTEMPTS):
        listed = "\n".join(f"{pin.name}=={pin.version}" for pin in pins)
        try:
            done = subprocess.run(
                command,
                input=listed,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
                env=environment,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return Hashes({}, f"uv: {type(error).__name__}")
        if not done.returncode:
            return Hashes(dict(_files(tomllib.loads(done.stdout), lock.minor)), why)
        refused = [pin for pin in pins if f" {pin.name}=={pin.version}" in done.stderr]
        if not refused:
            break
        pins = [pin for pin in pins if pin not in refused]
        unknown += [pin.name for pin in refused]
        why = f"the index does not know {', '.join(unknown)}"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return Hashes({}, " ".join(lines[:2]) or "uv has failed")


def known(hashes: Hashes, extra: Iterable[str]) -> frozenset[str] | None:
    """Return the packages that the index has for everybody; None if it has not answered.

    Parameters
    ----------
    hashes : Hashes
    extra : iterable of str
        Addresses of other indexes, whose files do not count.
    """
    if hashes.why and not hashes.files:
        return None
    hosts = {urlsplit(url).netloc.rpartition("@")[2] for url in extra} - {""}
    return frozenset(
        name
        for name, files in hashes.files.items()
        if any(digest and _public(url, hosts) for _, url, _, digest in files)
    )


def _files(
    found: Mapping[str, Any], minor: str
) -> Iterable[tuple[str, tuple[tuple[str, str, int, str], ...]]]:
    for package in found.get("packages", ()):
        wheels = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        listed = []
        for one in wheels:
            url = one.get("url", "")
            name = one.get("name") or (url or one.get("path", "")).rpartition("/")[2]
            if _serves(name, minor):
                digest = one.get("hashes", {}).get("sha256", "")
                listed.append((name, url, int(one.get("size", 0)), digest))
        yield package["name"], tuple(listed)


def _serves(name: str, minor: str) -> bool:
    """Whether a file can be installed in a Python of that version, on some machine."""
    if not name.endswith(".whl"):
        return True
    tags = parse_wheel_filename(name)[3]
    ours = f"cp{minor.replace('.', '')}"
    return any(
        tag.abi == ours
        or (tag.abi == "abi3" and _number(tag.interpreter) <= _number(ours))
        or (tag.abi == "none" and tag.interpreter in ("py3", ours))
        for tag in tags
    )


def _number(tag: str) -> int:
    return int("".join(letter for letter in tag if letter.isdigit())[1:] or 0)


def pylock(lock: Lock, hashes: Hashes, private: Sequence[str] = ()) -> str:
    """Return the text of pylock.toml.

    Parameters
    ----------
    lock : Lock
    hashes : Hashes
    private : sequence of str
        Addresses of indexes that are not everybody's.
    """
    hosts = {urlsplit(url).netloc.rpartition("@")[2] for url in private} - {""}
    head = (
        'lock-version = "1.0"\ncreated-by = "jupyter-scale"\n'
        f'requires-python = "=={lock.minor}.*"\n'
    )
    blocks, notes = [], []
    for pin in lock.pins:
        files = hashes.files.get(pin.name, ()) if pin.kind == "index" else ()
        public = [one for one in files if one[3] and _public(one[1], hosts)]
        if public or pin.digest or pin.kind in ("folder", "vcs"):
            blocks.append(_package(pin, public))
            continue
        # the format has no packages without an address, nor archives without a hash
        notes.append(f"#   {pin.name}=={pin.version}")
        notes += [f"#     {name} sha256:{digest}" for name, _, _, digest in files if digest]
    if notes:
        notes = ["# Without an address that is everybody's:", *notes, ""]
    return "\n".join([head, *blocks, *notes])


def _package(pin: Pin, files: Iterable[tuple[str, str, int, str]]) -> str:
    lines = ["[[packages]]", f"name = {_quoted(pin.name)}", f"version = {_quoted(pin.version)}"]
    if pin.kind == "wheel":
        lines += ["[packages.archive]", f"path = {_quoted('../' + pin.line.removeprefix('./'))}"]
        lines += [f"hashes = {{ sha256 = {_quoted(pin.digest)} }}"]
    elif pin.kind == "folder":
        lines += ["[packages.directory]", f"path = {_quoted('../' + pin.line.removeprefix('./'))}"]
    elif pin.kind == "vcs":
        kind, _, rest = pin.line.partition(" @ ")[2].partition("+")
        url, _, commit = rest.rpartition("@")
        lines += ["[packages.vcs]", f"type = {_quoted(kind)}", f"url = {_quoted(url)}"]
        lines += [f"commit-id = {_quoted(commit)}"]
    elif pin.kind == "url":
        lines += ["[packages.archive]", f"url = {_quoted(pin.line.partition(' @ ')[2])}"]
        lines += [f"hashes = {{ sha256 = {_quoted(pin.digest)} }}"]
    for name, url, size, digest in files:
        wheel = name.endswith(".whl")
        lines += ["[[packages.wheels]]" if wheel else "[packages.sdist]", f"name = {_quoted(name)}"]
        lines += [f"url = {_quoted(url)}", *([f"size = {size}"] if size else ())]
        lines += [f"hashes = {{ sha256 = {_quoted(digest)} }}"]
    return "\n".join([*lines, ""])


def _public(url: str, hosts: Iterable[str]) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and "@" not in parts.netloc and parts.netloc not in hosts


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
