"""The files of binder/, as repo2docker reads them.

`binder/` hides every file of that kind in the folder itself, environment.yml makes runtime.txt and
requirements.txt ignored, apt.txt becomes a line of shell: so names are strict here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.lock import Lock, environment, requirements

__all__ = ["APT", "IGNORED", "START", "apt", "files", "post_build", "valid"]

APT = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""A Debian package's name, by Debian's policy; of a shell's letters there is none."""
IGNORED = """\
.git
**/.env*
**/.ipynb_checkpoints
**/.venv
**/__pycache__
**/node_modules
**/*.py[co]
"""
START = """\
#!/bin/bash
# Runs before the Jupyter server: Dask's dashboard is reached through it, and Dask's clusters are
# as large as what JupyterHub allows.
set -euo pipefail

export DASK_DISTRIBUTED__DASHBOARD__LINK="${JUPYTERHUB_SERVICE_PREFIX:-/}proxy/{port}/status"

workers=${CPU_LIMIT:-}
workers=${workers%%.*}
if ! [[ $workers =~ ^[0-9]+$ ]] || (( workers < 1 )); then
  workers=1
fi
if [[ ${MEM_LIMIT:-} =~ ^[0-9]+$ ]]; then
  # an eighth is the notebook's own
  memory=$(( MEM_LIMIT / 8 * 7 / workers ))
  export DASK_LABEXTENSION__FACTORY__KWARGS="{'n_workers': $workers, 'memory_limit': $memory}"
fi

exec "$@"
"""
LABEXTENSION = {
    "labextension": {
        "factory": {
            "module": "dask.distributed",
            "class": "LocalCluster",
            "args": [],
            "kwargs": {"n_workers": 1, "threads_per_worker": 1},
        },
        "default": {"workers": None, "adapt": None},
        "initial": [],
    }
}


def files(
    lock: Lock,
    *,
    packages: Iterable[str] = (),
    dask: bool = False,
    fetches: bool = False,
) -> dict[str, tuple[str, bool]]:
    """Return the texts by path, and whether each is a program.

    Parameters
    ----------
    lock : Lock
    packages : iterable of str
        Debian's, for apt.txt.
    dask : bool
        Whether the notebook works on a Dask cluster.
    fetches : bool
        Whether there are files to fetch.
    """
    found = {".dockerignore": (IGNORED, False)}
    if lock.explicit:
        found["environment.yml"] = (environment(lock), False)
    else:
        found["runtime.txt"] = (f"python-{lock.minor}\n", False)
        found["requirements.txt"] = (requirements(lock), False)
    if names := sorted(set(packages)):
        found["apt.txt"] = (apt(names), False)
    if dask:
        found["labextension.yaml"] = (yaml.safe_dump(LABEXTENSION, sort_keys=False), False)
        found["start"] = (START, True)
    if dask or fetches:
        found["postBuild"] = (post_build(dask=dask, fetches=fetches), True)
    return {f"binder/{name}": one for name, one in found.items()}


def valid(package: str) -> bool:
    """Whether a name can be in apt.txt.

    Examples
    --------
    >>> valid("libgl1"), valid("x; rm -rf /"), valid("$(x)"), valid("-y")
    (True, False, False, False)
    """
    return APT.fullmatch(package) is not None


def apt(names: Iterable[str]) -> str:
    """Return the text of apt.txt.

    Raises
    ------
    ExportError
        When a name is not one of a Debian package.
    """
    for name in names:
        if not valid(name):
            raise ExportError(f"{name!r} is not the name of a Debian package, for apt.txt.")
    return "".join(f"{name}\n" for name in names)


def post_build(*, dask: bool, fetches: bool) -> str:
    """Return the text of postBuild, which runs in the folder when all is installed."""
    lines = ["#!/bin/bash", "set -euo pipefail"]
    if dask:
        lines += [
            'mkdir -p "${NB_PYTHON_PREFIX}/etc/dask"',
            'cp binder/labextension.yaml "${NB_PYTHON_PREFIX}/etc/dask/labextension.yaml"',
        ]
    if fetches:
        lines += ["python fetch.py"]
    return "\n".join([*lines, ""])
