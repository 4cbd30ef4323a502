"""Where the record's file is, as it is set."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import dask
from dask.utils import parse_bytes
from jupyter_core.paths import jupyter_data_dir

__all__ = ["SETTING", "RecordError", "default", "places", "remember", "room", "where"]

SETTING = "jupyter-scale.record"
PREDICTIONS = "jupyter-scale.predictions"
ROOM = 256 * 2**20  # bytes of predictions of a run
BESIDE = Path(".jupyter-scale") / "runs.sqlite"
MOST = 200  # records beside notebooks that are remembered


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
        return Path.cwd() / BESIDE
    return Path(setting).expanduser().absolute()


def room(wanted: bool = False) -> int:
    """Return how many bytes of predictions are kept of each run; 0 for none.

    The setting ``jupyter-scale.predictions`` of Dask's configuration is true, false, or a
    size.

    Parameters
    ----------
    wanted : bool
        Keep them even if the setting does not say so.

    Raises
    ------
    RecordError
        When it is none of these.
    """
    setting = dask.config.get(PREDICTIONS, None)
    if isinstance(setting, bool) or setting is None:
        return ROOM if setting or wanted else 0
    try:
        size = parse_bytes(setting) if isinstance(setting, str | int) else -1
    except ValueError:
        size = -1
    if size < 0:
        raise RecordError(f"{PREDICTIONS}: {setting!r}: write true, false or a size like 1 GiB")
    return size


def places(folders: Iterable[Path] = ()) -> list[Path]:
    """Return every file that the setting may mean: with ``beside``, one in each folder.

    Parameters
    ----------
    folders : iterable of Path
        With notebooks. The present one is looked at in any case, and those that are remembered.
    """
    place = where() or default()
    if dask.config.get(SETTING, None) != "beside":
        return [place]
    found = [*(folder.absolute() / BESIDE for folder in folders), *_remembered()[-MOST:]]
    return [place, *(path for path in dict.fromkeys(found) if path != place and path.exists())]


def remember(path: Path) -> None:
    """Note that a record is beside a notebook, so that it is found from elsewhere."""
    if not path.match(str(BESIDE)) or path in _remembered():
        return
    with suppress(OSError):  # it is found by whoever is there
        index = _index()
        index.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with index.open("a", encoding="utf-8") as file:
            file.write(f"{path}\n")


def _remembered() -> list[Path]:
    try:
        return [Path(line) for line in _index().read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return []


def _index() -> Path:
    return default().with_name("beside.txt")
