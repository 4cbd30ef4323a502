"""What was installed, held against what the folder's files say: all of them say the same.

pip's packages are all named, with those that they require, and so each has its version. Of conda's
those have theirs that environment.yml names; what these bring along is chosen by conda anew, here
as on Binder, and told where it is not what conda.lock has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_scale.export import probe
from jupyter_scale.export.claim import FAILED
from jupyter_scale.export.lock import conda_locked
from jupyter_scale.export.snapshot import CondaPackage
from jupyter_scale.export.step import SAID, Refused
from jupyter_scale.export.wanted import CONDA, CONDA_LOCK, conda, pinned, pylocked, text

__all__ = ["agreed", "equal"]


def agreed(folder: Path, installed: Mapping[str, str], prefix: Path) -> tuple[str, ...]:
    """Hold an environment against the locks, and return what they leave open.

    Parameters
    ----------
    folder : Path
    installed : mapping of str to str
        Versions of its distributions.
    prefix : Path
        Where it is.

    Raises
    ------
    Refused
        When something is not there, or another than they say.
    """
    named = pinned(folder)
    told = named | pylocked(folder)
    wrong = [
        f"{name} is {installed[name]}, not {version}"
        for name, version in sorted(told.items())
        if name in installed and not equal(installed[name], version)
    ]
    wrong += [f"{name} is not there" for name in sorted(named) if name not in installed]
    notes: tuple[str, ...] = ()
    if (folder / CONDA).is_file():
        found, notes = _conda(folder, {one["name"]: one for one in probe.conda(str(prefix))})
        wrong += found
    if wrong:
        raise Refused(FAILED, "What was installed is not what the locks say:", *wrong[:SAID])
    return notes


def equal(one: str, other: str) -> bool:
    """Whether two versions are the same.

    Examples
    --------
    >>> equal("1.0", "1"), equal("2024a", "2024b")
    (True, False)
    """
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _conda(
    folder: Path, there: Mapping[str, Mapping[str, Any]]
) -> tuple[list[str], tuple[str, ...]]:
    """Return what of conda's packages is wrong, and what is only other than in the lock."""
    named = conda(folder).versions
    locked = conda_locked(text(folder / CONDA_LOCK))
    wrong = [*_differing(there, named)]
    wrong += _differing(there, {name: locked[name].version for name in named if name in locked})
    wrong += [f"{name} is not there" for name in sorted(named) if name not in there]
    wrong += _replaced(there, locked)
    others = [
        f"{name} {one.version} -> {there[name]['version']}"
        for name, one in sorted(locked.items())
        if name in there and name not in named and one.version != there[name]["version"]
    ]
    if not others:
        return [*dict.fromkeys(wrong)], ()
    more = f" and {len(others) - SAID} more" if len(others) > SAID else ""
    said = f"chosen anew, as {CONDA} does not name them: {', '.join(others[:SAID])}{more}"
    return [*dict.fromkeys(wrong)], (said,)


def _differing(
    there: Mapping[str, Mapping[str, Any]], versions: Mapping[str, str]
) -> Iterator[str]:
    for name, version in sorted(versions.items()):
        found = str(there[name]["version"]) if name in there else version
        # python=3.11 is any of 3.11
        if not equal(found, version) and not found.startswith(f"{version}."):
            yield f"{name} is {found}, not {version}"


def _replaced(
    there: Mapping[str, Mapping[str, Any]], locked: Mapping[str, CondaPackage]
) -> Iterator[str]:
    """Yield the packages whose archive has the name that it has in the lock, and is another."""
    for name, one in sorted(locked.items()):
        found = there.get(name, {})
        same = str(found.get("url")).rpartition("/")[2] == one.url.rpartition("/")[2]
        for kind in ("sha256", "md5"):
            ours, theirs = getattr(one, kind), found.get(kind)
            if same and ours and theirs and ours != theirs:
                yield f"{name} {one.version} is another archive than in {CONDA_LOCK}: {kind}"
