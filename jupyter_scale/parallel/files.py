"""A checkpoint in a file: whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from jupyter_scale.parallel.context import Saved
from jupyter_scale.parallel.training import TrainingError

__all__ = ["read", "write"]

MAGIC = b"jupyter-scale checkpoint\n"


def write(path: Path, saved: Saved) -> None:
    """Put a checkpoint in the place of the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"epoch": saved.epoch, "step": saved.step}).encode() + b"\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([MAGIC, head, saved.state])
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read(path: Path) -> Saved | None:
    """Return the checkpoint that a file holds; None where there is no file.

    Raises
    ------
    TrainingError
        When it holds something else.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrainingError(f"The checkpoint {path} cannot be read: {error.strerror}") from None
    try:
        magic, head, state = content.split(b"\n", 2)
        known = json.loads(head)
        if magic + b"\n" != MAGIC:
            raise ValueError
        return Saved(int(known["epoch"]), int(known["step"]), state)
    except (KeyError, TypeError, ValueError):
        raise TrainingError(
            f"{path} holds no checkpoint of jupyter-scale: name another file as checkpoint="
        ) from None
