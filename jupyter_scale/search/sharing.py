"""Arrays, frames and lists that many fits read at once.

Invariant: whoever gets a shared object cannot change what the others see. ``freeze`` makes an
object read-only, ``view`` gives each reader an object of its own over the same memory, and
``private`` a copy that may be written. Memory layout survives every one of these, pickling
included (`Parcel`), because the order of summation, and so the last bit of a score, hangs on it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["Parcel", "aliased", "changed", "denied", "freeze", "private", "view"]


def _is_frame(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "iloc")


def _copies_on_write() -> bool:
    pandas = sys.modules["pandas"]  # whoever holds a frame has imported it
    return int(pandas.__version__.partition(".")[0]) >= 3


def _is_array(value: Any) -> bool:
    return type(value) in (np.ndarray, np.memmap, np.matrix)


def _parts(matrix: Any) -> dict[str, Any]:
    """Return the attributes of a sparse matrix that hold its elements."""
    return {
        name: part
        for name, part in vars(matrix).items()
        if isinstance(part, np.ndarray)
        or (isinstance(part, tuple) and part and isinstance(part[0], np.ndarray))
    }


def _buffers(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the arrays that hold the elements of an array or a sparse matrix."""
    if isinstance(value, np.ndarray):
        yield value
    elif sparse.issparse(value):
        for part in _parts(value).values():
            yield from part if isinstance(part, tuple) else (part,)


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    result = array.view()
    result.flags.writeable = False
    return result


def freeze(value: Any) -> Any:
    """Return `value` over the same memory, read-only where its type can be.

    The object itself is left as it is: it may belong to the user.
    """
    if _is_array(value):
        return _read_only(value)
    if sparse.issparse(value):
        result = copy.copy(value)
        for name, part in _parts(value).items():
            frozen = tuple(map(_read_only, part)) if isinstance(part, tuple) else _read_only(part)
            setattr(result, name, frozen)
        return result
    return value


def view(value: Any) -> Any:
    """Return an object of its own over the memory of a frozen `value`.

    Rebinding attributes, adding columns or appending to the view changes nothing for others.
    """
    if value is None or isinstance(value, str | bytes | int | float):
        return value
    if _is_array(value):
        return value.view()
    if sparse.issparse(value):
        return copy.copy(value)
    if type(value) is list:
        return list(value)
    if _is_frame(value):
        return value.copy(deep=not _copies_on_write())
    return copy.deepcopy(value)


def private(value: Any) -> Any:
    """Return a writeable copy of `value` with the same memory layout."""
    if _is_array(value):
        return _same_layout(value)
    if sparse.issparse(value):
        return value.copy()
    return copy.deepcopy(value)


def changed(seen: Any, original: Any) -> bool:
    """Tell whether the reader of view `seen` wrote into it.

    Arrays need no check: they are read-only. Frames and lists are compared by their values.
    """
    if _is_frame(original):
        return not bool(seen.equals(original))
    if type(original) is list:
        return len(seen) != len(original) or any(
            a is not b for a, b in zip(seen, original, strict=True)
        )
    return False


def denied(error: object) -> bool:
    """Tell whether an error says that something tried to write into shared data."""
    text = str(error)
    return "read-only" in text or "readonly" in text or "WRITEABLE" in text


def aliased(output: Any, source: Any) -> bool:
    """Tell whether writing into `output` may write into `source`; if in doubt, yes."""
    if output is source:
        return True
    mine, theirs = list(_buffers(output)), list(_buffers(source))
    if not mine:
        return not isinstance(output, list)
    return any(np.may_share_memory(a, b) for a in mine for b in theirs)


def _same_layout(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Copy an array with its strides, also where they are neither C nor Fortran."""
    if array.flags.c_contiguous or array.flags.f_contiguous or 0 in array.shape:
        return array.copy(order="K")
    start = np.lib.array_utils.byte_bounds(array)
    memory = np.empty(start[1] - start[0], dtype=np.uint8)
    offset = array.__array_interface__["data"][0] - start[0]
    result: np.ndarray[Any, Any] = np.ndarray(
        array.shape, array.dtype, buffer=memory, offset=offset, strides=array.strides
    )
    result[...] = array
    return result


def _strided(contiguous: np.ndarray[Any, Any], strides: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Lay the elements of a contiguous array out in memory with the given strides."""
    if contiguous.dtype.hasobject or any(stride == 0 for stride in strides):
        return contiguous
    reach = [(n - 1) * s for n, s in zip(contiguous.shape, strides, strict=True)]
    low = sum(r for r in reach if r < 0)
    size = sum(r for r in reach if r > 0) - low + contiguous.itemsize
    memory = np.empty(size, dtype=np.uint8)
    result: np.ndarray[Any, Any] = np.ndarray(
        contiguous.shape, contiguous.dtype, buffer=memory, offset=-low, strides=strides
    )
    result[...] = contiguous
    return result


class Parcel:
    """A value on its way to another process, with the memory layout it has here.

    Pickling turns a strided array into a C-contiguous one; a parcel restores the strides.
    """

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        value = self.value
        if (
            type(value) is np.ndarray
            and value.size
            and not value.flags.c_contiguous
            and not value.flags.f_contiguous
        ):
            return _unpack_strided, (np.ascontiguousarray(value), value.strides)
        return Parcel, (value,)


def _unpack_strided(array: np.ndarray[Any, Any], strides: tuple[int, ...]) -> Parcel:
    return Parcel(_strided(array, strides))
