"""A step of a verification: a program that is run, and whose fault it is where it does not succeed.

What an index or a channel does not answer is not the folder's fault, and told apart from what it
refuses.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from jupyter_scale.export.claim import FAILED, NOT_VERIFIED, Status

__all__ = ["SAID", "Refused", "contradicts", "first", "lines", "run", "status"]

PATIENCE = 1800.0  # seconds
UNREACHED = re.compile(
    r"(dns|connection|connect|network|tunnel|certificate|timed out|timeout|error sending request"
    r"|failed to fetch|offline|proxy|temporary failure)",
    re.IGNORECASE,
)
SAID = 6  # lines of what a program says


class Refused(Exception):
    """A step that did not succeed.

    Attributes
    ----------
    status : str
        ``failed`` when the folder is at fault, ``not verified`` when this machine is.
    details : tuple of str
    """

    def __init__(self, status: Status, *details: str) -> None:
        super().__init__("\n".join(details))
        self.status = status
        self.details = details


def run(
    *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    Raises
    ------
    Refused
        When it cannot be started, or does not end.
    """
    try:
        return subprocess.run(
            words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Refused(NOT_VERIFIED, f"{' '.join(words[:3])} took more than half an hour") from None
    except OSError as error:
        raise Refused(NOT_VERIFIED, f"{words[0]} cannot be run: {error}") from None


def lines(done: subprocess.CompletedProcess[str]) -> tuple[str, ...]:
    """Return the first lines of what a program has said, and how many there are more."""
    return first(done.stderr or done.stdout)


def first(text: str) -> tuple[str, ...]:
    """Return the first lines of a text, and how many there are more."""
    found = [line.strip() for line in text.splitlines() if line.strip()]
    more = (f"... and {len(found) - SAID} lines more",) if len(found) > SAID else ()
    return (*found[:SAID], *more)


def status(said: str) -> Status:
    """Return whose fault it is, by what a program has said.

    Examples
    --------
    >>> status("error sending request for url"), status("No solution found: a proxy needs b")
    ('not verified', 'failed')
    """
    return NOT_VERIFIED if UNREACHED.search(said) and not contradicts(said) else FAILED


def contradicts(said: str) -> bool:
    """Whether requirements were found to contradict one another."""
    return "No solution found" in said or "unsatisfiable" in said
