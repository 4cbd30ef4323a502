"""The notebook's own modules, sent to the workers, and again when they have changed.

A function of a file beside the notebook travels by its name: a worker must be able to import that
file, as it is now. Every worker gets the files, also those that come later.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from distributed import Client, Worker, WorkerPlugin

from jupyter_scale.clusters.connection import Process
from jupyter_scale.clusters.limits import ClusterError

__all__ = ["Files", "Sent", "found"]

NAME = "jupyter-scale-modules"
MOST = 20 * 2**20  # bytes
OURS = frozenset({"__main__", "jupyter_scale"})


def found(folder: Path, modules: Mapping[str, ModuleType] | None = None) -> dict[str, bytes]:
    """Return the source files of the imported modules that lie in a folder.

    Parameters
    ----------
    folder : Path
    modules : mapping of str to module, optional
        ``sys.modules`` by default.

    Returns
    -------
    dict of str to bytes
        Paths as they are imported from, such as ``package/module.py``.

    Raises
    ------
    ClusterError
        When they are too large to be sent.
    """
    folder = folder.resolve()
    files: dict[str, bytes] = {}
    for name, module in list((sys.modules if modules is None else modules).items()):
        source = getattr(module, "__file__", None)
        if "." in name or name in OURS or not source or not source.endswith(".py"):
            continue
        path = Path(source).resolve()
        if not path.is_relative_to(folder) or _installed(path):
            continue
        root = path.parent.parent if path.name == "__init__.py" else path.parent
        package = path.parent.rglob("*.py") if path.name == "__init__.py" else [path]
        for file in sorted(package):
            files[file.relative_to(root).as_posix()] = file.read_bytes()
    size = sum(map(len, files.values()))
    if size > MOST:
        raise ClusterError(
            f"The modules beside the notebook are {size // 2**20} MiB, too much to be sent to each "
            "worker: install them there, and move them out of this folder"
        )
    return files


def _installed(path: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(path.parts))


def digest(files: Mapping[str, bytes]) -> str:
    """Return what tells one state of the files from another."""
    hashed = hashlib.sha256()
    for name, content in sorted(files.items()):
        hashed.update(f"{name}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()[:16]


class Files(WorkerPlugin):
    """Writes the files into the worker's directory, and has them imported from there."""

    name = NAME
    idempotent = False

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.origin = Process.this()

    def setup(self, worker: Worker) -> None:
        """Do it on a worker: Dask calls this on all at once, and on each that comes."""
        if self.origin.same(Process.this()):
            return  # a worker in the notebook's process has the notebook's modules
        folder = Path(worker.local_directory) / f"modules-{digest(self.files)}"
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        earlier = str(folder.parent / "modules-")
        sys.path[:] = [str(folder), *(one for one in sys.path if not one.startswith(earlier))]
        tops = {name.partition("/")[0].removesuffix(".py") for name in self.files}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]
        importlib.invalidate_caches()


class Sent:
    """What one client has sent."""

    def __init__(self) -> None:
        self._digest = digest({})

    def send(self, client: Client, folder: Path) -> None:
        """Send what has changed since the last time."""
        files = found(folder)
        if (now := digest(files)) != self._digest:
            client.register_plugin(Files(files))
            self._digest = now
