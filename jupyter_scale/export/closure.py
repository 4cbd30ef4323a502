"""All that some distributions require, directly or through others, by what is installed.

Of an extra, only what somebody asks for (``dask[array]``) is followed. What is required and not
installed is left out: it was not there when the notebook ran either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from jupyter_scale.export.snapshot import Distribution

__all__ = ["closure"]


def closure(
    names: Iterable[str],
    distributions: Mapping[str, Distribution],
    markers: Mapping[str, str],
) -> dict[str, tuple[str, ...]]:
    """Return the distributions, with who requires each, in the order they were met.

    Parameters
    ----------
    names : iterable of str
        Where to begin; ``name[extra]`` serves, too.
    distributions : mapping of str to Distribution
        What is installed.
    markers : mapping of str to str
        The environment.

    Examples
    --------
    >>> there = {name: Distribution(name, "1", requires) for name, requires in {
    ...     "a": ("b>1", "c; extra == 'x'"), "b": ("A",), "c": ()}.items()}
    >>> list(closure(["a"], there, {})), list(closure(["a[x]"], there, {}))
    (['a', 'b'], ['a', 'b', 'c'])
    """
    by: dict[str, list[str]] = {}
    done: set[tuple[str, str]] = set()
    waiting = [(one, "") for one in names]
    while waiting:
        text, origin = waiting.pop(0)
        asked = _requirement(text)
        if asked is None:
            continue
        name = canonicalize_name(asked.name)
        if name not in distributions:
            continue
        by.setdefault(name, [])
        if origin and origin not in by[name]:
            by[name].append(origin)
        for extra in ("", *sorted(asked.extras)):
            if (name, extra) in done:
                continue
            done.add((name, extra))
            waiting += [
                (required, name)
                for required in distributions[name].requires
                if _applies(required, extra, markers)
            ]
    return {name: tuple(origins) for name, origins in by.items()}


@lru_cache(maxsize=10_000)
def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None  # of a time before requirements had a form


def _applies(text: str, extra: str, markers: Mapping[str, str]) -> bool:
    requirement = _requirement(text)
    if requirement is None:
        return False
    if requirement.marker is None:
        return not extra
    with_extra = requirement.marker.evaluate({**markers, "extra": extra})
    # asked for by the extra alone, so that what is always required is followed once
    return with_extra and (not extra or not requirement.marker.evaluate({**markers, "extra": ""}))
