"""Which cluster a kernel is to use: picked in the side panel, read when `%%scale` runs.

A small file for each kernel in Jupyter's runtime directory. The panel writes what was picked, the
kernel what it uses; so nothing is executed in a kernel behind anybody's back, and the panel shows
what is true.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyter_scale.clusters.connection import folder, written

__all__ = ["Choice", "choices", "kernel_id", "prune", "read", "write"]

PREFIX = "choice-"
PANEL, KERNEL = "panel", "kernel"
_ID = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Choice:
    """A cluster, and who has said it.

    Attributes
    ----------
    cluster : str
        Its id, or address; empty for none.
    by : {"panel", "kernel"}
    """

    cluster: str = ""
    by: str = KERNEL


def read(kernel: str) -> Choice:
    """Return what a kernel uses, or is to use next."""
    with suppress(OSError, ValueError, TypeError):  # a terminal has no id
        return Choice(**json.loads(_path(kernel).read_text(encoding="utf-8")))
    return Choice()


def write(kernel: str, choice: Choice) -> None:
    """Write it, for a kernel that has an id.

    Raises
    ------
    ValueError
        If this is no kernel's id.
    """
    if read(kernel) != choice:
        written(_path(kernel), json.dumps(asdict(choice)))


def prune() -> None:
    """Remove what is written for kernels that are not there any more."""
    for kernel in choices():
        if not (folder() / f"kernel-{kernel}.json").exists():
            _path(kernel).unlink(missing_ok=True)


def choices() -> dict[str, Choice]:
    """Return the choices by kernel."""
    found = folder().glob(f"{PREFIX}*.json")
    names = [path.stem.removeprefix(PREFIX) for path in found]
    return {name: read(name) for name in names}


def kernel_id(connection_file: str) -> str:
    """Return the id by which a Jupyter server knows the kernel of a connection file.

    Examples
    --------
    >>> kernel_id("/run/user/1000/jupyter/kernel-4f1c.json")
    '4f1c'
    """
    return Path(connection_file).stem.removeprefix("kernel-")


def _path(kernel: str) -> Path:
    if not _ID.fullmatch(kernel):
        raise ValueError(f"{kernel!r} is not a kernel's id")
    return folder() / f"{PREFIX}{kernel}.json"
