"""What is claimed of an exported folder, and how far that was shown.

A claim is "verified" when it was tried here and held, "failed" when it was tried and did not, and
"not verified" when it was not tried: its details say why, and what would let it be. The word
"reproducible" is said by `verdict` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = [
    "BASE",
    "BUILDPACK",
    "ENVIRONMENT",
    "IMAGE",
    "NAMES",
    "OUTPUTS",
    "PAGE",
    "RUN",
    "Claim",
    "Status",
    "reproducible",
    "verdict",
]

Status = Literal["verified", "not verified", "failed"]
VERIFIED: Status = "verified"
NOT_VERIFIED: Status = "not verified"
FAILED: Status = "failed"

BUILDPACK = "repo2docker accepts it"
BASE = "the lock fits repo2docker's own packages"
ENVIRONMENT = "its environment can be built anew"
RUN = "it runs there from its first cell to its last"
OUTPUTS = "its outputs are the saved ones"
IMAGE = "its image can be built"
PAGE = "its page runs a cell in a browser"
NAMES = (BUILDPACK, BASE, ENVIRONMENT, RUN, OUTPUTS, IMAGE, PAGE)
"""In the order in which they are shown."""

NEEDED = (ENVIRONMENT, RUN, OUTPUTS)
SIGNS = {"verified": "+", "not verified": "-", "failed": "!"}


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that is said of a folder.

    Attributes
    ----------
    name : str
        One of `NAMES`; with the notebook before it where there are several.
    status : str
        ``verified``, ``not verified`` or ``failed``.
    details : tuple of str
        What was seen, line by line; for the other two, why, and the remedy.

    Examples
    --------
    >>> print(Claim(IMAGE, "not verified", ("docker, podman and buildah are not here.",)))
    - its image can be built: not verified
        docker, podman and buildah are not here.
    """

    name: str
    status: Status
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"{self.status!r}: choose one of {', '.join(get_args(Status))}")

    def __str__(self) -> str:
        head = f"{SIGNS[self.status]} {self.name}: {self.status}"
        return "\n".join([head, *(f"    {line}" for line in self.details)])

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"name": self.name, "status": self.status, "details": list(self.details)}

    @classmethod
    def of(cls, found: dict[str, Any]) -> Claim:
        """Return the claim that `as_dict` has made this of."""
        return cls(found["name"], found["status"], tuple(found["details"]))


def reproducible(claims: Iterable[Claim]) -> bool:
    """Whether the notebook was run in an environment built anew, with the saved outputs."""
    claims = list(claims)
    return all(
        found and all(claim.status == VERIFIED for claim in found)
        for found in ([one for one in claims if one.name.endswith(name)] for name in NEEDED)
    )


def verdict(claims: Iterable[Claim]) -> str:
    """Return all of it in one line.

    Examples
    --------
    >>> verdict([Claim(RUN, "failed")])
    'Failed: it runs there from its first cell to its last.'
    """
    claims = list(claims)
    failed = [claim.name for claim in claims if claim.status == FAILED]
    if failed:
        return f"Failed: {'; '.join(failed)}."
    if reproducible(claims):
        return "Reproducible: run in an environment built anew, with the outputs that were saved."
    seen = [claim.name for claim in claims if claim.status == VERIFIED]
    others = [claim.name for claim in claims if claim.status != VERIFIED]
    missing = [name for name in NEEDED if not any(name in other for other in (*seen, *others))]
    told = f"Verified: {'; '.join(seen)}. " if seen else ""
    return f"{told}Not verified: {'; '.join([*others, *missing])}."
