"""What identifies code: a class or a function, also from one kernel to the next.

Code that can be imported is its name and the version of its package. The user's own code is what
it does: its instructions and constants, what it refers to in its module and in the functions around
it, and for a class its methods and bases. So a function that is defined again is the same one, and
another one as soon as it, or a helper of it, was edited.
"""

from __future__ import annotations

import dis
import functools
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import numpy as np

__all__ = ["FUNCTIONS", "by_content", "by_name", "is_named", "is_own"]

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, np.ufunc)
_PREFIXES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_SITES = ("site-packages", "dist-packages")
# of a class: what the interpreter adds, and what says nothing of what it does
_BESIDE = {
    *("__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__"),
    *("__annotations_cache__", "__dict__", "__doc__", "__firstlineno__", "__module__"),
    *("__qualname__", "__slots__", "__static_attributes__", "__weakref__", "_abc_impl"),
    "__slotnames__",  # noted when an instance is first pickled
}
_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")


def is_named(value: Any) -> bool:
    """Tell whether the name of a class or function leads to it, in a module one can import."""
    module = _module(value)
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for part in _name(value).split("."):
        found = getattr(found, part, None)
    return found is value


def is_own(value: Any) -> bool:
    """Tell whether a class or function is the user's, and not of an installed package."""
    made = bool(value.__flags__ & _HEAP) if isinstance(value, type) else _has_code(value)
    return made and (not is_named(value) or not _installed(_module(value)))


_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement


def _has_code(value: Any) -> bool:
    return isinstance(value, types.FunctionType)


def by_name(value: Any) -> bytes:
    """Identify code by its name and the version of its package."""
    module = _module(value)
    return f"{module}:{_name(value)}:{_version(module.partition('.')[0])}".encode()


def by_content(value: Any, digest: Callable[[Any], bytes]) -> Iterator[bytes]:
    """Yield the byte strings that together determine a class or a function.

    Parameters
    ----------
    value : class or function
    digest : callable
        Identifies what the code refers to; called with values of any type, code too.
    """
    if isinstance(value, type):
        yield _name(value).encode()
        for base in value.__bases__:
            yield digest(base)
        for name, member in sorted(vars(value).items()):
            if name not in _BESIDE:
                yield name.encode()
                yield from _member(member, digest)
    else:
        yield from _function(value, digest)


def _member(member: Any, digest: Callable[[Any], bytes]) -> Iterator[bytes]:
    if isinstance(member, staticmethod | classmethod):
        yield type(member).__name__.encode()
        yield digest(member.__func__)
    elif isinstance(member, property):
        yield b"property"
        for function in (member.fget, member.fset, member.fdel):
            yield digest(function)
    elif isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType):
        yield b"slot"
    else:
        yield digest(member)


def _function(function: types.FunctionType, digest: Callable[[Any], bytes]) -> Iterator[bytes]:
    yield from _instructions(function.__code__, digest)
    yield digest(function.__defaults__)
    yield digest(function.__kwdefaults__)
    for cell in function.__closure__ or ():
        try:
            yield digest(cell.cell_contents)
        except ValueError:  # it is not set yet
            yield b"empty"
    known = function.__globals__
    for name in sorted(set(_globals(function.__code__))):
        if name in known:  # else built in, or wrong
            yield name.encode()
            yield digest(known[name])
    kept = {name: value for name, value in vars(function).items() if name != "__wrapped__"}
    yield digest(kept)


def _instructions(code: types.CodeType, digest: Callable[[Any], bytes]) -> Iterator[bytes]:
    yield code.co_code
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield digest((counts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    yield getattr(code, "co_exceptiontable", b"")
    constants = code.co_consts[1:] if _has_docstring(code) else code.co_consts
    for constant in constants:
        if isinstance(constant, types.CodeType):
            yield from _instructions(constant, digest)
        else:
            yield digest(constant)


def _has_docstring(code: types.CodeType) -> bool:
    """Tell whether the first constant is a text that no instruction uses."""
    return isinstance(next(iter(code.co_consts), None), str) and not any(
        instruction.opcode in dis.hasconst and instruction.arg == 0
        for instruction in dis.get_instructions(code)
    )


def _globals(code: types.CodeType) -> Iterator[str]:
    """Yield the names that code looks up in its module, code inside it too."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in _GLOBALS:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals(constant)


def _module(value: Any) -> str:
    return getattr(value, "__module__", None) or ("numpy" if isinstance(value, np.ufunc) else "")


def _name(value: Any) -> str:
    return str(getattr(value, "__qualname__", None) or value.__name__)


@functools.cache
def _installed(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return True  # built in, or without a file that could be edited
    return file.startswith(_PREFIXES) or any(site in file for site in _SITES)


@functools.cache
def _version(package: str) -> str:
    """Return the version of an installed package; the standard library's is Python's."""
    if package in sys.stdlib_module_names:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    version = getattr(sys.modules.get(package), "__version__", None)
    if isinstance(version, str):
        return version
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
