"""Whether a folder's packages fit those that repo2docker has installed before them.

Nothing is installed: uv resolves pip's packages together with repo2docker's, py-rattler conda's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from jupyter_scale.export import buildpack, step
from jupyter_scale.export.agreement import equal
from jupyter_scale.export.claim import FAILED, NOT_VERIFIED
from jupyter_scale.export.conda import REMEDY, solve
from jupyter_scale.export.rebuild import tool
from jupyter_scale.export.step import Refused
from jupyter_scale.export.wanted import CONDA, REQUIREMENTS, Wanted, conda, pins, python_of, text

__all__ = ["fits"]


def fits(folder: Path, scratch: Path) -> tuple[str, ...]:
    """Resolve a folder's requirements together with what repo2docker installs before them.

    pip replaces what they pin otherwise, so of repo2docker's own packages those count that they
    do not name: each must accept the versions that are then there.

    Returns
    -------
    tuple of str
        What was found, in words.

    Raises
    ------
    Refused
    """
    python = python_of(folder)
    base = buildpack.base(python)
    if not base:
        raise Refused(FAILED, buildpack.missing() or f"repo2docker has no Python {python}")
    if (folder / CONDA).is_file():
        return _conda(conda(folder), python)
    ours = pins(text(folder / REQUIREMENTS))
    kept = {name: version for name, version in base.items() if name not in ours}
    done = _resolved(folder, scratch, python, kept)
    if done.returncode and step.contradicts(done.stderr):
        # pip also replaces what the requirements' own requirements need otherwise
        alone = _resolved(folder, scratch, python, {})
        needed = pins(alone.stdout)
        kept = {name: version for name, version in kept.items() if name not in needed}
        done = _resolved(folder, scratch, python, kept)
    if done.returncode:
        status = step.status(done.stderr)
        if "no version of" in done.stderr and not any(
            f"no version of {name}=={version}" in done.stderr for name, version in ours.items()
        ):
            status = NOT_VERIFIED  # the index here lacks what conda installs there
        raise Refused(status, "Together with repo2docker's own packages:", *step.lines(done))
    there = pins(done.stdout)
    return _said(base, there, "resolved")


def _said(base: Mapping[str, str], there: Mapping[str, str], how: str) -> tuple[str, ...]:
    replaced = [
        f"{name} {base[name]} -> {there[name]}"
        for name in sorted(base)
        if name in there and not equal(base[name], there[name])
    ]
    said = f"{how} with {len(base)} packages that repo2docker has installed before"
    return (said, f"replaced of them: {', '.join(replaced)}") if replaced else (said,)


def _conda(ours: Wanted, python: str) -> tuple[str, ...]:
    """Resolve environment.yml with what repo2docker has: what it asks for itself must stay.

    mamba updates the environment there, and the packages in it are free to change.
    """
    if not find_spec("rattler"):
        raise Refused(NOT_VERIFIED, f"py-rattler is not here to resolve {CONDA}: {REMEDY}")
    before = buildpack.conda(python)
    both = replace(
        ours,
        channels=tuple(dict.fromkeys((*ours.channels, *buildpack.CHANNELS))),
        specs=(*ours.specs, *before.specs),
    )
    try:
        found = solve(both, platform=before.platform, kept=before.packages)
    except Refused as refused:
        if refused.status == FAILED:
            _had(before, both.channels)
        raise
    base = {name: version for name, (version, _) in before.packages.items()}
    there = {name: version for name, (version, _) in found.packages.items()}
    pip = ("what pip installs over them is not part of that",) if ours.pip else ()
    return (*_said(base, there, "resolved by py-rattler"), *found.notes, *pip)


def _had(before: buildpack.Before, channels: tuple[str, ...]) -> None:
    """Look whether the channels have what repo2docker asks for; a small mirror has not."""
    try:
        solve(Wanted(channels, before.specs), platform=before.platform)
    except Refused as refused:
        said = "The channels here have not what repo2docker installs from them:"
        raise Refused(NOT_VERIFIED, said, *refused.details[1:]) from None


def _resolved(
    folder: Path, scratch: Path, python: str, kept: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Have uv resolve a folder's requirements together with exact versions of others."""
    others = scratch / "base.in"
    lines = [f"{name}=={version}" for name, version in sorted(kept.items())]
    others.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return step.run(
        tool(),
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--python-version", python, "--python-platform", "linux"),
        *(REQUIREMENTS, str(others)),
        cwd=folder,
    )
