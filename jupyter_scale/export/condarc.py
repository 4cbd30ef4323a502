"""Where this machine has conda's channels: what its configuration says.

A mirror, or a folder on a machine without a network, stands in conda's configuration and not in
what is exported. conda's own programs read it themselves; py-rattler reads only addresses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from jupyter_scale.export.claim import NOT_VERIFIED
from jupyter_scale.export.step import Refused

__all__ = ["addresses"]

ALIAS = "https://conda.anaconda.org"
DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


def addresses(channels: Iterable[str]) -> tuple[str, ...]:
    """Return where some channels are, each once.

    Parameters
    ----------
    channels : iterable of str
        As environment.yml names them: ``conda-forge``, ``defaults``, an address, a folder.

    Raises
    ------
    Refused
        When a configuration cannot be read.
    """
    known = _configuration()
    found = (address for name in channels for address in _addresses(name, known))
    return tuple(dict.fromkeys(found))


def _addresses(name: str, known: Mapping[str, Any]) -> Iterator[str]:
    if "://" in name:
        yield name
    elif name.startswith((".", "/", "~")):
        yield Path(name).expanduser().absolute().as_uri()
    elif name == "defaults":
        for one in known.get("default_channels") or DEFAULTS:
            yield from _addresses(_text(one), {**known, "default_channels": ()})
    else:
        own = (known.get("custom_channels") or {}).get(name)
        base = own or os.environ.get("CONDA_CHANNEL_ALIAS") or known.get("channel_alias") or ALIAS
        yield f"{_text(base).rstrip('/')}/{name}"


def _configuration() -> dict[str, Any]:
    """Return what all files say; the first that has a key is heard."""
    found: dict[str, Any] = {}
    for path in _files():
        try:
            said = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = str(error).partition("\n")[0]
            raise Refused(NOT_VERIFIED, f"{path} cannot be read: {reason}") from None
        if isinstance(said, dict):
            found = {**said, **found}
    return found


def _files() -> Iterator[Path]:
    """Yield the files of conda's configuration, those first that it follows before others."""
    here, home = os.environ, Path.home()
    if named := here.get("CONDARC"):
        yield Path(named).expanduser()
    yield Path(here.get("CONDA_PREFIX", sys.prefix), ".condarc")
    for name in (".condarc", ".mambarc", ".conda/.condarc"):
        yield home / name
    yield Path(here.get("XDG_CONFIG_HOME", home / ".config"), "conda", ".condarc")
    for variable in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX"):
        if root := here.get(variable):
            yield Path(root, ".condarc")
    yield Path("/etc/conda/.condarc")


def _text(value: Any) -> str:
    return os.path.expandvars(str(value))
