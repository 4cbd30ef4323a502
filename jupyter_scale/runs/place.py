"""Where the record's file is, as it is set."""

from __future__ import annotations

from pathlib import Path

import dask
from jupyter_core.paths import jupyter_data_dir

__all__ = ["SETTING", "RecordError", "default", "where"]

SETTING = "jupyter-scale.record"


class RecordError(Exception):
    """The record cannot be read or written; the message is one line with the remedy."""


def default() -> Path:
    """Return the file of this user."""
    return Path(jupyter_data_dir()) / "scale" / "runs.sqlite"


def where() -> Path | None:
    """Return the file that is set, or None if nothing is to be recorded.

    The setting ``jupyter-scale.record`` of Dask's configuration is true, false, ``beside`` (in the
    notebook's folder) or a path.

    Raises
    ------
    RecordError
        When it is none of these.
    """
    setting = dask.config.get(SETTING, None)
    if setting is None or setting is True:
        return default()
    if setting is False:
        return None
    if not isinstance(setting, str) or not setting:
        raise RecordError(f"{SETTING}: {setting!r}: write true, false, beside or a path")
    if setting == "beside":
        return Path.cwd() / ".jupyter-scale" / "runs.sqlite"
    return Path(setting).expanduser().absolute()
