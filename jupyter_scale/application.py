"""`jupyter scale`: the clusters of a user from the command line, as `%scale` has them.

The words, their help and what they do are those of the magic. What is started here has no owner: it
closes when it was idle for long, or by `jupyter scale down`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from IPython.core.error import UsageError

from jupyter_scale import actions, clusters, exports, records, runs
from jupyter_scale.clusters import registry
from jupyter_scale.command import CELL, Arguments, help_text, parse_words

__all__ = ["main"]

MAGIC, HERE = "%scale", "jupyter scale"
ALIASES = {"scale": "to"}
ONLY_IN_NOTEBOOKS = ("use", "watch", "dashboard", "resume", "rerun")
LINES = ("%%scale", "  %scale  ", *(f"  %scale {word}" for word in ONLY_IN_NOTEBOOKS))
"""Where a line of help is for notebooks only."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Examples
    --------
    >>> main(["to", "none"])
    2
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words:
        words[0] = ALIASES.get(words[0], words[0])
    try:
        arguments = parse_words(words)
        if arguments.command in (*ONLY_IN_NOTEBOOKS, CELL):
            raise UsageError(f"%scale {arguments.command} is for notebooks.")
        if arguments.help or arguments.command == "help":
            print(_here(help_text(arguments.command if arguments.help else "")))
            return 0
        print(_here(str(DONE[arguments.command or "list"](arguments))))
        return 0
    except (UsageError, clusters.ClusterError, runs.RecordError, exports.ExportError) as error:
        print(_here(str(error)), file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("Interrupted; what was starting is closed.", file=sys.stderr)
        return 130


def _up(arguments: Arguments) -> str:
    asked = clusters.profile(arguments.name)
    if asked.address:
        return f"{asked.address} runs already: %scale use {asked.name} in a notebook."
    connection = registry.launch(asked, actions.wish(arguments), show=_say)
    return f"Started {connection.id}: {connection.words}"


def _stage(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # it may quote a cell: as it is


def _say(line: str) -> None:
    print(_here(line), file=sys.stderr, flush=True)


def _export(arguments: Arguments) -> str:
    if len(arguments.places or ()) < 2:
        raise UsageError("%scale export: name a notebook and a folder: %scale export NOTEBOOK DIR")
    report = exports.export(arguments, show=_stage)
    if report.failed:
        raise exports.ExportError(str(report))
    return str(report)


DONE = {**actions.DONE, **records.DONE, "export": _export, "up": _up}


def _here(text: str) -> str:
    """Return a text with this command in place of the magic, without what is for notebooks only."""
    lines = [line for line in text.split("\n") if not any(word in line for word in LINES)]
    text = "\n".join(lines).replace(MAGIC, HERE)
    for word in ONLY_IN_NOTEBOOKS:
        text = text.replace(f"| {word} ", "")
    return text


if __name__ == "__main__":
    sys.exit(main())
