"""What the parsers of all commands have in common: how they are made, what their values may be."""

from __future__ import annotations

import argparse
import keyword
from datetime import datetime
from typing import NoReturn

__all__ = ["Misused", "Parser", "address", "day", "new", "seed", "variable", "whole"]


class Misused(Exception):
    """A line that cannot be read.

    Attributes
    ----------
    prog : str
        The command, such as ``%scale up``.
    """

    def __init__(self, prog: str, message: str) -> None:
        super().__init__(message)
        self.prog = prog


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises `Misused` and neither prints nor exits."""

    def error(self, message: str) -> NoReturn:
        raise Misused(self.prog, message.removeprefix("argument "))


def whole(text: str) -> int:
    """Return a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def seed(text: str) -> int:
    """Return a seed of NumPy's."""
    number = whole(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and {2**32 - 1}")
    return number


def variable(text: str) -> str:
    """Return the name of a variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text


def day(text: str) -> float:
    """Return the seconds at which a day began."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-11-26") from None


def address(text: str) -> tuple[str, str]:
    """Return a path, and the address that it is fetched from."""
    path, equals, found = text.partition("=")
    if not equals or not path or not found.startswith(("https://", "http://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not PATH=ADDRESS")
    return path, found


def new(prog: str, description: str, epilog: str | None = None) -> Parser:
    """Return a parser that knows --help, and nothing else."""
    parser = Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    # Python 3.14 colours help with escape codes; docstrings and HTML show them raw.
    parser.color = False  # type: ignore[attr-defined,unused-ignore]  # new in 3.14
    parser.add_argument("-h", "--help", action="store_true", help="show this text")
    return parser
