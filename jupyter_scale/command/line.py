"""Reads lines: one set of parsers for everything that says or completes `%scale` and `%%scale`.

The same argparse parsers check a line, print `--help`, are the text behind `%scale?`, and tell the
completer which words may follow. Wrong usage raises IPython's UsageError: one line with a
suggestion, a cell that fails, and never a SystemExit that would end the kernel.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shlex

from IPython.core.error import UsageError

from jupyter_scale.clusters import ClusterError, connections, profiles
from jupyter_scale.command import cell as cells
from jupyter_scale.command import clusters, export, runs, views
from jupyter_scale.command.arguments import Arguments
from jupyter_scale.command.cell import CELL, MERGES
from jupyter_scale.command.parser import Misused, Parser, new
from jupyter_scale.command.views import OFF, PLOTS, VIEWS

__all__ = ["complete", "help_text", "parse", "parse_words"]

_LINE_EPILOG = """\
examples:
  %scale                         status, and the next step
  %scale up                      a local cluster: one worker per CPU
  %scale up --workers 2 --memory 2GiB
  %scale up slurm --adapt 1 20   a cluster of the profile slurm, as large as the work
  %scale profiles                the clusters that can be started
  %scale list                    those that run, also from other notebooks
  %scale use local-3f2a          work on one of them; an address serves, too
  %scale to 4                    have 4 workers from now on
  %scale down                    close it
  %scale watch                   see its tasks and workers, live, whatever cell runs
  %scale dashboard               Dask's own plots
  %scale manifest k8s            the profile k8s as Kubernetes reads it
  %scale export DIR              this notebook as a repository that anybody can run
  %scale runs                    every search so far
  %scale resume last             go on with one that was broken off
  %scale log last --mlflow URI   write one to an MLflow server
  %%scale                        first line of a cell: run the cell merged
  %%scale --plan                 show what would be fitted, fit nothing
"""


def _line() -> Parser:
    line = new("%scale", "Run plain scikit-learn on a Dask cluster.", _LINE_EPILOG)
    line.usage = (
        "%%scale [up | list | use | to | adapt | down | watch | dashboard | profiles | manifest\n"
        "        | export | runs | show | diff | resume | rerun | note | log | rm\n"
        "        | help] [-h]"
    )
    return line


_PARSERS: dict[str, Parser] = {
    "": _line(),
    **clusters.parsers(),
    **views.parsers(),
    **runs.parsers(),
    "help": new("%scale help", "Explain %scale and %%scale."),
    CELL: cells.parser(),
    "export": export.parser(),  # --plan, said of no command, is rather a cell's
}
_COMMANDS = [name for name in _PARSERS if name not in ("", CELL)]


def parse(line: str, *, cell: bool = False) -> Arguments:
    """Parse what follows `%scale` (or `%%scale` when `cell`).

    Raises
    ------
    UsageError
        When the line is wrong; the message suggests what may be meant.

    Examples
    --------
    >>> parse("up --workers 2").workers
    2
    """
    return parse_words(_split(line), cell=cell)


def parse_words(words: list[str], *, cell: bool = False) -> Arguments:
    """Parse words that are split already, as a command line's are.

    Raises
    ------
    UsageError
        As `parse` does.
    """
    try:
        return _parsed(words, cell)
    except Misused as error:
        raise UsageError(_explain(error.prog, str(error))) from None


def _parsed(words: list[str], cell: bool) -> Arguments:
    command = CELL if cell else ""
    if not cell and words and words[0] in _PARSERS:
        command, words = words[0], words[1:]
    elif not cell and words and not words[0].startswith("-"):
        raise Misused("%scale", f"there is no command {words[0]!r}")
    parser = _PARSERS[command]
    if {"-h", "--help"} & set(words):
        return Arguments(command=command or None, help=True)
    arguments, extra = parser.parse_known_args(words, Arguments())
    if extra:
        raise Misused(parser.prog, f"unknown argument {extra[0]!r}")
    arguments.command = command or None
    return arguments


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise UsageError(f"%scale: {error} in {line!r}; write ' and \" in pairs.") from None


def help_text(command: str | None = None) -> str:
    """Return the text of `--help`; without a command, that of `%scale` and its parts."""
    if command is not None:
        return _PARSERS[command].format_help()
    return "\n".join(_PARSERS[name].format_help() for name in ("", "up", CELL))


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    # argparse has no public way to list what a parser knows.
    return parser._actions


def _explain(prog: str, message: str) -> str:
    """Add to an error the nearest word that is right, and where to read more."""
    quoted = re.findall(r"'([^']+)'", message)
    hint = _hint(prog, quoted[0]) if quoted else ""
    where = "%scale help" if prog == "%scale" else f"{prog} --help"
    return f"{prog}: {message}.{hint} See {where}"


def _hint(prog: str, word: str) -> str:
    own = next(parser for parser in _PARSERS.values() if parser.prog == prog)
    known = {name: prog for name in (*_words(own), *MERGES * (prog == "%%scale"))}
    if prog == "%scale":
        known |= dict.fromkeys(_COMMANDS, prog)
    # A word that is right elsewhere: `%scale --plan`, `%%scale up`.
    for parser in _PARSERS.values():
        for name in _words(parser):
            known.setdefault(name, parser.prog)
    for name in _COMMANDS:
        known.setdefault(name, "%scale")
    near = difflib.get_close_matches(word.split("=")[0], known, n=1)
    if not near:
        return ""
    place = known[near[0]]
    return f" Did you mean {near[0] if place == prog else f'{place} {near[0]}'}?"


def _words(parser: argparse.ArgumentParser) -> list[str]:
    words = [name for action in _options(parser) for name in action.option_strings]
    more = {"%scale watch": (*VIEWS, OFF), "%scale dashboard": PLOTS}.get(parser.prog, ())
    return [*words, *more]


def complete(line: str, *, cell: bool = False) -> tuple[str, list[str]]:
    """Return the word being typed at the end of a line, and what it may become.

    Parameters
    ----------
    line : str
        What stands between `%scale ` (or `%%scale `) and the cursor.
    cell : bool
        Whether it is the first line of a cell magic.

    Examples
    --------
    >>> complete("up --w")
    ('--w', ['--workers'])
    """
    *before, word = re.split(r"\s+", line.lstrip())
    command = CELL if cell else (before[0] if before else "")
    parser = _PARSERS.get(command)
    if parser is None:
        return word, []
    previous = next(
        (a for a in _options(parser) if before and before[-1] in a.option_strings), None
    )
    words: list[str]
    if previous is not None and previous.nargs != 0:
        words = [str(choice) for choice in previous.choices or ()]
    else:
        words = [
            name
            for action in _options(parser)
            for name in action.option_strings
            if not set(action.option_strings) & set(before)
        ]
        if not cell and not before:
            words = _COMMANDS + words
        elif command == "dashboard":
            words = [plot for plot in PLOTS if plot not in before] + words
        elif command == "watch":
            words = [view for view in (*VIEWS, OFF) if view not in before] + words
        elif any(action.dest == "name" for action in _options(parser)):
            words = _names(command) + words
    return word, [name for name in words if name.startswith(word)]


def _names(command: str) -> list[str]:
    """Return what can be named after a command: profiles to start, clusters that run."""
    try:
        if command in ("up", "manifest"):
            return list(profiles())
        return [connection.id for connection in connections()]
    except ClusterError:
        return []  # the command itself will say what is wrong
