"""Whether a folder's packages fit those that repo2docker has installed before them.

Nothing is installed: uv resolves pip's packages together with repo2docker's, py-rattler conda's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from jupyter_scale.export import buildpack, step
from jupyter_scale.export.agreement import equal
from jupyter_scale.export.claim import FAILED, NOT_VERIFIED
from jupyter_scale.export.conda import Solved, solve
from jupyter_scale.export.rebuild import tool
from jupyter_scale.export.step import Refused
from jupyter_scale.export.wanted import CONDA, REQUIREMENTS, Wanted, conda, pins, python_of, text

__all__ = ["fits"]

BEFORE = "packages that repo2docker has installed before"


def fits(folder: Path, scratch: Path) -> tuple[str, ...]:
    """Resolve a folder's requirements together with what repo2docker installs before them.

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
        return _conda(conda(folder), python, folder=folder, scratch=scratch)
    there = _over(base, text(folder / REQUIREMENTS), python, cwd=folder, scratch=scratch)
    return (f"resolved with {len(base)} {BEFORE}", *_replaced(base, there))


def _conda(ours: Wanted, python: str, *, folder: Path, scratch: Path) -> tuple[str, ...]:
    """Resolve environment.yml with what repo2docker has: what it asks for itself must stay.

    mamba updates the environment there, and the packages in it are free to change; then pip
    installs over them.
    """
    before = buildpack.conda(python)
    found = _solved(ours, before)
    base = {name: version for name, (version, _) in before.packages.items()}
    there = {name: version for name, (version, _) in found.packages.items()}
    said = f"resolved by py-rattler with {len(base)} {BEFORE}"
    lines = (said, *_replaced(base, there), *found.notes)
    if not ours.pip:
        return lines
    # what was not needed to resolve it is still there
    left = {name: found.packages.get(name, one) for name, one in before.packages.items()}
    kept = buildpack.distributions(left)
    cwd = (folder / CONDA).parent
    over = _over(kept, "\n".join(ours.pip), python, cwd=cwd, scratch=scratch)
    return (*lines, *(f"by pip, {line}" for line in _replaced(kept, over)))


def _solved(ours: Wanted, before: buildpack.Before) -> Solved:
    if not find_spec("rattler"):
        raise Refused(NOT_VERIFIED, f"{CONDA} is resolved by py-rattler: pip install py-rattler")
    channels = tuple(dict.fromkeys((*ours.channels, *buildpack.CHANNELS)))
    both = Wanted(channels, (*ours.specs, *before.specs))
    try:
        return solve(both, platform=before.platform, kept=before.packages)
    except Refused as refused:
        if refused.status == FAILED:
            _had(before, channels)
        raise


def _had(before: buildpack.Before, channels: tuple[str, ...]) -> None:
    """Look whether the channels have what repo2docker asks for; a small mirror has not."""
    try:
        solve(Wanted(channels, before.specs), platform=before.platform)
    except Refused as refused:
        said = "The channels here have not what repo2docker installs from them:"
        raise Refused(NOT_VERIFIED, said, *refused.details[1:]) from None


def _over(
    base: Mapping[str, str], requirements: str, python: str, *, cwd: Path, scratch: Path
) -> dict[str, str]:
    """Return what is there after pip has installed requirements over other packages.

    It replaces what they pin otherwise, so of the others those count that they do not name: each
    must accept the versions that are then there.
    """
    ours = pins(requirements)
    listed = scratch / "ours.in"
    listed.write_text(requirements + "\n", encoding="utf-8")

    def resolved(kept: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return _resolved(listed, kept, python, cwd)

    kept = {name: version for name, version in base.items() if name not in ours}
    done = resolved(kept)
    if done.returncode and step.contradicts(done.stderr):
        # pip also replaces what the requirements' own requirements need otherwise
        needed = pins(resolved({}).stdout)
        done = resolved({name: one for name, one in kept.items() if name not in needed})
    if done.returncode:
        status = step.status(done.stderr)
        if "no version of" in done.stderr and not any(
            f"no version of {name}=={version}" in done.stderr for name, version in ours.items()
        ):
            status = NOT_VERIFIED  # the index here lacks what conda installs there
        raise Refused(status, "Together with repo2docker's own packages:", *step.lines(done))
    return pins(done.stdout)


def _resolved(
    listed: Path, kept: Mapping[str, str], python: str, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Have uv resolve a file's requirements together with exact versions of others."""
    others = listed.with_name("base.in")
    lines = [f"{name}=={version}" for name, version in sorted(kept.items())]
    others.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return step.run(
        tool(),
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--python-version", python, "--python-platform", "linux"),
        *(str(listed), str(others)),
        cwd=cwd,
    )


def _replaced(base: Mapping[str, str], there: Mapping[str, str]) -> tuple[str, ...]:
    found = [
        f"{name} {base[name]} -> {there[name]}"
        for name in sorted(base)
        if name in there and not equal(base[name], there[name])
    ]
    return (f"replaced of them: {', '.join(found)}",) if found else ()
