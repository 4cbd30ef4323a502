"""What `%scale` and `jupyter scale` do about runs on record; like `actions`, for those.

What is returned shows itself in a notebook and prints as text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_scale import runs
from jupyter_scale.command import Arguments

__all__ = ["DONE", "RERUN", "RESUME", "concluded", "found", "log_all", "source"]

SHOWN = 20
RESUME, RERUN = "resume", "rerun"


def found(name: str) -> runs.Run:
    """Return the run that is meant.

    Raises
    ------
    RecordError
        When there is none, or more than one.
    """
    with runs.opened() as store:
        return store.find(name)


def source(run: runs.Run, *, fresh: bool = False) -> str:
    """Return the cell of a run, to be run again.

    Raises
    ------
    RecordError
        When it was not run from a cell.
    """
    first, _, rest = run.cell.partition("\n")
    if not first.startswith("%%scale"):
        raise runs.RecordError(f"{run.id} was not run by a cell that begins with %%scale.")
    if "[hidden]" in run.cell:
        raise runs.RecordError(
            f"The cell of {run.id} held a secret, which is not on record: run it in its notebook."
        )
    if fresh and "--fresh" not in first.split():
        first += " --fresh"
    return f"{first}\n{rest}"


def concluded(before: runs.Run, after: list[runs.Run]) -> str:
    """Say whether a run that was repeated came out equal."""
    again = next((run for run in after if run.name == before.name), None)
    if again is None:
        return f"The cell of {before.id} ran no such search again: {before.name}."
    with runs.opened() as store:
        again = store.find(again.id)
        difference = runs.first_difference(store, before, again)
    if not difference:
        return f"{again.id} equals {before.id}: all {again.cells_done:,} cells, to the last bit."
    unseeded = ", ".join(before.unseeded)
    why = f" Drawn without a seed: {unseeded} (--seed N seeds it)." if unseeded else ""
    more = f" %scale diff {before.id} {again.id} shows what was changed."
    return f"{again.id} differs from {before.id}: {difference}.{why}{more}"


def _runs(arguments: Arguments) -> Any:
    with runs.opened() as store:
        listed = store.runs(
            tags=arguments.tag or (),
            notebook=arguments.notebook,
            since=arguments.since or 0.0,
            until=arguments.until,
        )
    if arguments.json:
        return runs.as_json(listed)
    if arguments.file is not None:
        runs.save(arguments.file, [run.id for run in listed])
        return f"Wrote the cells of {len(listed):,} runs to {arguments.file}."
    shown = listed if arguments.all else listed[:SHOWN]
    return runs.Table(shown, len(listed) - len(shown))


def _show(arguments: Arguments) -> Any:
    with runs.opened() as store:
        run = store.find(arguments.run)
        return runs.Page(run, store.text(run.environment), store.text(run.diff))


def _diff(arguments: Arguments) -> Any:
    with runs.opened() as store:
        return runs.compare(store, store.find(arguments.run), store.find(arguments.other))


def _note(arguments: Arguments) -> str:
    with runs.opened() as store:
        run = store.find(arguments.run)
        tags = {*run.tags, *(arguments.tag or ())} - {*(arguments.untag or ())}
        store.annotate(run, note=arguments.text, tags=tags)
        run = store.find(run.id)
    tagged = f" [{' '.join(run.tags)}]" if run.tags else ""
    return f"{run.id}{tagged}: {run.note or 'no note'}"


def _rm(arguments: Arguments) -> str:
    with runs.opened() as store:
        if arguments.runs:
            going = [store.find(name) for name in arguments.runs]
        elif arguments.until is not None:
            going = store.runs(until=arguments.until)
        else:
            raise runs.RecordError("Which runs? Name them, or say --before DATE.")
        alive = [run.id for run in going if run.alive]
        if alive:
            raise runs.RecordError(f"{', '.join(alive)} still goes on: stop it first.")
        if not arguments.dry_run:
            store.remove(going)
    names = ", ".join(run.id for run in going[:10])
    more = f" and {len(going) - 10:,} more" if len(going) > 10 else ""
    word = "Would remove" if arguments.dry_run else "Removed"
    return f"{word} {names}{more}." if going else "Nothing to remove."


def _log(arguments: Arguments) -> str:
    trackers = _trackers(arguments.mlflow, arguments.experiment)
    if not trackers:
        raise runs.RecordError(
            "Where to? Say --mlflow URI, or set jupyter-scale.mlflow or jupyter-scale.callbacks."
        )
    run = found(arguments.run)
    return "\n".join(runs.log(run.id, tracker) for tracker in trackers)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _trackers(uri: str | None = None, experiment: str = "") -> list[runs.Tracker]:
    """Return what a line names, or else what the settings tell of every search."""
    server = runs.mlflow.configured(uri or "", experiment, show=_tell)
    return [*([server] if server else []), *([] if uri else runs.tracking.callbacks())]


def log_all(recorded: list[runs.Run], path: Path) -> None:
    """Tell those that are set of a cell's searches; what goes wrong costs a line and nothing else.

    Parameters
    ----------
    recorded : list of Run
    path : Path
        The record that they are in.
    """
    if not recorded:
        return
    again = "%scale log {} tries it again"
    try:
        trackers = _trackers()
    except Exception as error:
        _tell(f"Not logged: {error}. {again.format(recorded[-1].id)}.")
        return
    for run in recorded:
        for tracker in list(trackers):
            try:
                print(runs.log(run.id, tracker, runs.Store(path)))
            except KeyboardInterrupt:
                _tell(f"Not logged, by your wish. {again.format(run.id)}.")
                return
            except Exception as error:
                _tell(f"{run.id} is on record, and not logged: {error}. {again.format(run.id)}.")
                trackers.remove(tracker)  # a cell may search in a loop


DONE: dict[str, Callable[[Arguments], Any]] = {
    "runs": _runs,
    "show": _show,
    "diff": _diff,
    "note": _note,
    "log": _log,
    "rm": _rm,
}
