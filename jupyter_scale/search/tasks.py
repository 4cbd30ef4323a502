"""What runs on a worker, or in this process: a task of some cells, some calls, or some nodes.

A task is self-contained: whatever nodes its cells need and were not given, it makes. So splitting
the work differently never changes a result, only what is made twice; `schedule` sees to it that
nothing is.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from jupyter_scale.search import internals
from jupyter_scale.search.cell import Reached, run_cell
from jupyter_scale.search.plan import Call, Cell, Fold, Node, Ref, Setup
from jupyter_scale.search.store import Made, Splits, Store

__all__ = [
    "Bundle",
    "CarriedError",
    "Outcome",
    "RemoteTraceback",
    "Task",
    "Warned",
    "distinct",
    "make",
    "run",
]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """What all tasks of a plan read: small, and sent to each worker once."""

    setups: tuple[Setup, ...]
    folds: tuple[Fold, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Cells to run (or calls); `nodes` are those that its cells pass.

    Or nodes to make, ``until[i]`` on the way of ``cells[i]``.
    """

    cells: tuple[Cell, ...] = ()
    calls: tuple[Call, ...] = ()
    nodes: dict[int, Node] = field(default_factory=dict)
    until: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning that a fit gave."""

    message: Warning
    category: type[Warning]
    filename: str
    lineno: int


@dataclass(slots=True, eq=False)
class Outcome:
    """What a task found.

    `results` by call number; `seconds` of each cell; `made`: seconds of each node made;
    `error`: the exception that ended the task, with the number of its call.
    """

    results: dict[int, Any] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    made: dict[int, float] = field(default_factory=dict)
    warned: list[Warned] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    error: BaseException | CarriedError | None = None
    failed: int = -1
    alone: list[int] = field(default_factory=list)
    """Cells that had to be run on data of their own, against the plan."""
    unplanned: list[str] = field(default_factory=list)
    """Labels of fits that the plan had answered by another one."""
    nbytes: int = 0
    """Size of a node that was made, and of those with it; 0 where it is not to be kept."""
    kept: dict[int, bytes] = field(default_factory=dict)
    """What cells have predicted, where it is to be kept."""
    worker: str = ""
    """Address of the worker; empty for this process."""


class RemoteTraceback(Exception):
    """Carries the traceback of an error on a worker, as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def run(
    task: Task,
    bundle: Bundle,
    data: Mapping[int, Any],
    given: Mapping[int, Made] | None = None,
    *,
    splits: Splits | None = None,
    nested: Callable[[], Any] = nullcontext,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int, Outcome], None] = lambda number, outcome: None,
    say: Callable[..., None] | None = None,
) -> Outcome:
    """Run the cells and calls of a task, one after the other.

    Parameters
    ----------
    task, bundle, data
        What to run, and what it reads.
    given : mapping of int to Made
        Nodes that are made already.
    splits : Splits, optional
        What other tasks of the plan have cut in this process.
    nested : callable
        Gives the context that inner uses of joblib run in.
    stopped : callable
        Asked between cells; True ends the task early.
    progress : callable
        Called with each finished call's number.
    say : callable
        Where scikit-learn's ``verbose`` lines go; by default they are kept in the outcome.

    Returns
    -------
    Outcome
    """
    store = _store(task, given, splits)
    store.expect(task.cells)
    outcome = Outcome()
    warned: list[warnings.WarningMessage] = []
    tell = say or (lambda *values, **_: outcome.lines.append(" ".join(map(str, values))))
    current = -1
    try:
        with nested():
            for place, cell in enumerate(task.cells):
                if stopped():
                    break
                current = cell.number
                start = time.perf_counter()
                before = sum(store.fresh.values())
                outcome.results[current] = _in_setup(
                    cell, bundle, data, store, say=tell, warned=warned, kept=outcome.kept
                )
                own = time.perf_counter() - start - (sum(store.fresh.values()) - before)
                outcome.seconds[current] = max(own, 0.0)
                store.drop(place)
                progress(current, outcome)
            for call in task.calls:
                if stopped():
                    break
                current = call.number
                start = time.perf_counter()
                outcome.results[current] = _run_call(call, data, warned)
                outcome.seconds[current] = time.perf_counter() - start
                progress(current, outcome)
    except Exception as error:
        outcome.error, outcome.failed = error, current
    _account(outcome, store, warned)
    return outcome


def make(
    task: Task,
    bundle: Bundle,
    data: Mapping[int, Any],
    given: Mapping[int, Made] | None = None,
    *,
    splits: Splits | None = None,
    nested: Callable[[], Any] = nullcontext,
) -> tuple[dict[int, Made], Outcome]:
    """Make the nodes ``task.until``; return them, what their cells need besides, the outcome."""
    store = _store(task, given, splits)
    outcome = Outcome()
    warned: list[warnings.WarningMessage] = []
    made: dict[int, Made] = {}
    with nested():
        for cell, number in zip(task.cells, task.until, strict=True):
            found = _make(cell, number, task, bundle, data, store, warned)
            made = {**found, **made, number: found[number]}
            if found[number].transformer is not None:
                outcome.nbytes = sum(one.nbytes for one in found.values())
    _account(outcome, store, warned)
    return made, outcome


def _make(
    cell: Cell,
    number: int,
    task: Task,
    bundle: Bundle,
    data: Mapping[int, Any],
    store: Store,
    warned: list[warnings.WarningMessage],
) -> dict[int, Made]:
    """Make a node on the way of a cell; return it with those that are needed with it."""
    before = cell.path[: cell.path.index(number)] if number in cell.path else ()
    if not any(store.made[n].not_shared for n in before if n in store.made):
        try:
            _in_setup(cell, bundle, data, store, until=number, warned=warned)
        except Reached:
            pass
        except Exception as error:  # the cells will meet it again, and treat it as theirs
            store.made.setdefault(number, Made(error=error, trace=error.__traceback__))
    failed = next((store.made[n] for n in before if n in store.made and store.made[n].error), None)
    store.made.setdefault(number, failed or Made(not_shared=True))
    # a family is needed for what is derived from it only; that needs its training rows too
    kept = [n for n in before if n in store.made and task.nodes[n].role != "family"]
    source = task.nodes[number].parent if task.nodes[number].role == "family" else None
    made = {
        n: (store.made[n] if n == source else store.made[n].without_train()).portable()
        for n in kept
    }
    made[number] = store.made[number].portable()
    return made


def _store(task: Task, given: Mapping[int, Made] | None, splits: Splits | None) -> Store:
    made = {number: made.mine() for number, made in (given or {}).items()}
    return Store(task.nodes, splits or Splits(), made)


def _account(outcome: Outcome, store: Store, warned: list[warnings.WarningMessage]) -> None:
    outcome.made = dict(store.fresh)
    outcome.alone = store.alone
    outcome.unplanned = store.unplanned
    outcome.warned = distinct(warned)


def _in_setup(
    cell: Cell, bundle: Bundle, data: Mapping[int, Any], store: Store, **options: Any
) -> dict[str, Any]:
    setup = bundle.setups[cell.setup]
    run_it = internals.configured(run_cell, setup.config, setup.warning_filters)
    result: dict[str, Any] = run_it(cell, setup, bundle.folds[cell.fold], data, store, **options)
    return result


def _run_call(call: Call, data: Mapping[int, Any], warned: list[warnings.WarningMessage]) -> Any:
    def value(argument: Any) -> Any:
        return data[argument.number] if isinstance(argument, Ref) else argument

    def recorded(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings(record=True) as log:
            try:
                return call.function(*args, **kwargs)
            finally:
                warned.extend(log)

    function = internals.configured(recorded, call.config, call.warning_filters)
    return function(
        *map(value, call.args), **{name: value(item) for name, item in call.kwargs.items()}
    )


def distinct(log: list[warnings.WarningMessage]) -> list[Warned]:
    """Keep one of each warning: shared work gives it once, and a grid need not repeat it."""
    found: dict[tuple[Any, ...], Warned] = {}
    for entry in log:
        key = (entry.category, str(entry.message), entry.filename, entry.lineno)
        message = entry.message
        if not isinstance(message, Warning):
            message = entry.category(message)
        found.setdefault(key, Warned(message, entry.category, entry.filename, entry.lineno))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class CarriedError:
    """An exception on its way to the client, whatever its ``__init__`` asks for."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: dict[str, Any]
    text: str

    @classmethod
    def of(cls, error: BaseException) -> CarriedError:
        """Pack an exception; one that cannot be pickled becomes a RuntimeError that quotes it."""
        text = "".join(traceback.format_exception(error))
        carried = cls(type(error), error.args, dict(vars(error)), text)
        try:
            cloudpickle.dumps(carried)
        except Exception:
            return cls(RuntimeError, (f"{type(error).__name__}: {error}",), {}, text)
        return carried

    def revive(self) -> BaseException:
        """Return the exception, its traceback on the worker as its cause."""
        error = self.kind.__new__(self.kind, *self.args)
        error.args = self.args
        vars(error).update(self.state)
        error.__cause__ = RemoteTraceback(self.text)
        return error
