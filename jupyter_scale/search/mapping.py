"""Data in a file that the processes of one machine map into memory, so that it is held once.

The client writes what it pickles: the large buffers (arrays, the parts of sparse matrices, the
blocks of frames) lie aligned in the file, and a process that opens it reads them where they are,
read-only. Nothing is copied, memory layout is kept, and a lost worker's successor opens the file
again. What is a part of a file already (`numpy.memmap`) is mapped from that file.

The files lie in an owner-only folder per fit, locked while its process lives: it is removed when
the fit ends, or, if the process was killed, by the next fit of the same user on this machine.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import secrets
import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import numpy as np

from jupyter_scale.search.sharing import Parcel

__all__ = ["Elsewhere", "Folder", "Handle", "Mapped", "reader"]

_PREFIX = "jupyter-scale-data-"
_TOKEN = "token"
_LOCK = "lock"
_ALIGNED = 64  # bytes, as numpy's widest vector instructions like it
_ASIDE = 2**16  # bytes; smaller buffers stay in the pickle


class Elsewhere(OSError):
    """A file that this process cannot read: it is on another machine, or has gone."""


@dataclass(frozen=True, slots=True)
class Handle:
    """Where a value lies: `spans` are (offset, bytes) of the pickle and of each large buffer."""

    path: str
    token: bytes
    spans: tuple[tuple[int, int], ...]


class Mapped:
    """A parcel that is opened where its value is first asked for, and travels as its handle."""

    __slots__ = ("__weakref__", "_lock", "_parcel", "handle")

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self._parcel: Parcel | None = None
        self._lock = threading.Lock()

    @property
    def value(self) -> Any:
        """The value, over the memory of the file.

        Raises
        ------
        Elsewhere
            If the file cannot be read in this process.
        """
        with self._lock:
            if self._parcel is None:
                self._parcel = _opened(self.handle)
            return self._parcel.value

    def __reduce__(self) -> tuple[Any, ...]:
        return Mapped, (self.handle,)


def _opened(handle: Handle) -> Parcel:
    try:
        with open(handle.path, "rb") as file:
            memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise Elsewhere(f"{handle.path} cannot be read here") from error
    if memory[: len(handle.token)] != handle.token:
        raise Elsewhere(f"{handle.path} is another file here")
    pickled, *buffers = (memory[start : start + size] for start, size in handle.spans)
    parcel: Parcel = pickle.loads(pickled, buffers=buffers)
    return parcel


class Folder:
    """The files of one fit.

    Raises
    ------
    OSError
        If there is no place for it.
    """

    def __init__(self) -> None:
        parent = dask.config.get("temporary-directory") or tempfile.gettempdir()
        _prune(parent)
        # under its final name there is never a folder without a lock
        fresh = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=parent))
        self._lock = os.open(fresh / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.token = secrets.token_bytes(_ALIGNED)
        with _created(fresh / _TOKEN) as file:
            file.write(self.token)
        self.path = fresh.rename(fresh.with_name(fresh.name[1:]))
        self._written = 0
        self.close = weakref.finalize(self, _remove, self.path, self._lock, os.getpid())

    def write(self, value: Any, size: int) -> Handle:
        """Write a value of about `size` bytes; a part of a file is not copied.

        Raises
        ------
        OSError
            If there is no room.
        """
        if _place(value) is None and shutil.disk_usage(self.path).free < size + size // 4:
            raise OSError(f"no room for {size:,} bytes in {self.path.parent}")
        self._written += 1
        path = self.path / f"data-{self._written}"
        buffers: list[memoryview] = []

        def aside(buffer: pickle.PickleBuffer) -> bool:
            memory = buffer.raw()
            if memory.nbytes < _ASIDE:
                return True
            buffers.append(memory)
            return False

        with _created(path) as file:
            file.write(self.token)
            _Pickler(file, protocol=5, buffer_callback=aside).dump(Parcel(value))
            spans = [(_ALIGNED, file.tell() - _ALIGNED)]
            for buffer in buffers:
                file.write(bytes(-file.tell() % _ALIGNED))
                spans.append((file.tell(), buffer.nbytes))
                file.write(buffer)
        return Handle(str(path), self.token, tuple(spans))


def _created(path: Path) -> Any:
    return open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _remove(path: Path, lock: int, process: int) -> None:
    if os.getpid() == process:  # and not in a copy of it
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _prune(parent: str) -> None:
    """Remove the folders of processes that were killed."""
    for path in Path(parent).glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            lock = os.open(path, os.O_RDWR)
        except OSError:  # somebody else's, or just gone
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
        except OSError:  # its process lives
            pass
        finally:
            os.close(lock)


def reader(folder: str, token: bytes) -> int:
    """Return the number of this process if it can read that very folder, else 0."""
    try:
        return os.getpid() if (Path(folder) / _TOKEN).read_bytes() == token else 0
    except OSError:
        return 0


# -- arrays that are a part of a file already


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
    """Pickles arrays that are mapped from a file as their place in it."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Parcel) and _place(obj.value) is not None:
            return Parcel, (obj.value,)
        if isinstance(obj, np.ndarray):
            place = _place(obj)
            if place is not None:
                return _from_file, place
        return super().reducer_override(obj)


def _place(array: Any) -> tuple[Any, ...] | None:
    """Return where in a file an array lies, or None."""
    root = array
    while type(root) is np.ndarray and isinstance(root.base, np.ndarray):
        root = root.base
    memory = getattr(root, "_mmap", None)
    if not isinstance(root, np.memmap) or memory is None or root.mode == "c":
        return None
    if type(array) not in (np.ndarray, np.memmap) or array.dtype.hasobject:
        return None
    path = str(root.filename or "")
    start = np.frombuffer(memory, dtype=np.uint8).__array_interface__["data"][0]
    first = root.offset - root.offset % mmap.ALLOCATIONGRANULARITY
    offset = array.__array_interface__["data"][0] - start + first
    try:
        return path, _identity(path), offset, array.dtype, array.shape, array.strides
    except OSError:
        return None


def _identity(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size


def _from_file(
    path: str,
    identity: tuple[int, ...],
    offset: int,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> np.ndarray[Any, Any]:
    try:
        if _identity(path) != identity:
            raise Elsewhere(f"{path} is another file here")
        with open(path, "rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise Elsewhere(f"{path} cannot be read here") from error
    return np.ndarray(shape, dtype, buffer=memory, offset=offset, strides=strides)
