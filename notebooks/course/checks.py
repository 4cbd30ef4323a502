"""Checks of the course's exercises: one friendly line each, and nothing that gets in the way.

A check prints that an exercise is done, or what is missing. It never raises: in a notebook that is
run from its first cell to its last, an exercise that nobody has done yet is no error. What a check
says stays in the saved notebook, so that

    python checks.py */1-why-merged.ipynb

tells of many notebooks which exercises are done, and executes none of them. (Whoever wants to can
write such a line without doing the exercise: it is for learning, not for marks.) To a teacher,

    python checks.py --solve 1-why-merged.ipynb solved.ipynb

gives the notebook with its folded solutions in the place of the three dots.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["done_in", "main", "solved"]

DONE = re.compile(r"^Exercise (\w+): done\.", re.MULTILINE)
ASKED = re.compile(r"^Exercise (\w+): ", re.MULTILINE)
CODE = re.compile(r"```python\n(.*?)\s*```", re.DOTALL)


class NotYet(Exception):
    """What is missing, in a sentence to whoever does the exercise."""


def require(condition: object, missing: str) -> None:
    """Go on if something holds.

    Raises
    ------
    NotYet
        If it does not.
    """
    if not condition:
        raise NotYet(missing)


def exercise(name: str) -> Callable[[Callable[..., str]], Callable[..., None]]:
    """Make a function that returns what to say, or raises `NotYet`, a check that prints it."""

    def made(check: Callable[..., str]) -> Callable[..., None]:
        @functools.wraps(check)
        def checked(*answers: Any) -> None:
            try:
                blank = any(answer is ... for answer in answers)
                require(not blank, "Put your answer in the place of the three dots.")
                said = check(*answers)
            except NotYet as missing:
                print(f"Exercise {name}: not yet. {missing}")
            except Exception as error:  # an answer may be anything
                print(f"Exercise {name}: not yet. The check cannot read your answer ({error!r}).")
            else:
                print(f"Exercise {name}: done. {said}")

        return checked

    return made


def planned(search: Any, X: Any, y: Any) -> Any:
    """Return the plan of a search; nothing is fitted."""
    from jupyter_scale import PlanOnly, merged

    try:
        with merged(plan_only=True):
            search.fit(X, y)
    except PlanOnly as only:
        return only.plan
    raise NotYet("There is no search to plan.")


# -- lesson 1


@exercise("1a")
def fits(asked: int, needed: int, search: Any, X: Any, y: Any) -> str:
    """Compare two counts with the plan's."""
    plan = planned(search, X, y)
    require(
        asked == plan.fits_requested,
        f"scikit-learn does not fit {asked} times: multiply candidates, folds and steps.",
    )
    require(
        needed == plan.fits_distinct,
        f"{needed} is not how many differ. How many scalers are there? How many PCAs of each fold?",
    )
    return f"{plan.fits_saved} of {asked} fits would be for nothing."


@exercise("1b")
def larger(grid: Any, search: Any, X: Any, y: Any) -> str:
    """Look for a grid of twice the candidates and not one PCA more."""
    from sklearn.base import clone
    from sklearn.model_selection import ParameterGrid

    before, candidates = planned(search, X, y), len(ParameterGrid(grid))
    require(
        candidates >= 2 * len(ParameterGrid(search.param_grid)),
        f"{candidates} candidates are not yet twice as many.",
    )
    after = planned(clone(search).set_params(param_grid=grid), X, y)
    step = "pca: PCA"
    more = after.counts[step][1] - before.counts[step][1]
    require(more <= 0, f"That takes {more} PCAs more: which parameter belongs to a later step?")
    return f"{candidates} candidates, and still {after.counts[step][1]} PCAs."


@exercise("1c")
def forests(search: Any, X: Any, y: Any) -> str:
    """Look for a search over numbers of trees that one fit answers."""
    plan = planned(search, X, y)
    require(
        "n_estimators" in search.param_grid, "The grid has no n_estimators: give it at least two."
    )
    require(not plan.unseeded, "The forest draws anew for each fit: give it a random_state.")
    (counts,) = plan.grown.values() or [[0, 0]]
    require(counts[1] < counts[0], "Give the grid several numbers of trees.")
    return f"{counts[1]} trees grow instead of {counts[0]}."


# -- lesson 2


@exercise("2a")
def workers(client: Any, number: int = 2) -> str:
    """Count the workers of a cluster, and give them a moment."""
    found = len(client.scheduler_info(n_workers=-1)["workers"])
    if found < number:
        try:
            client.wait_for_workers(number, timeout=20)
        except TimeoutError:
            raise NotYet(f"{found} of {number} workers: %scale to {number}") from None
    return f"{number} workers, and the kernel went on."


@exercise("2b")
def ran(report: Any) -> str:
    """Look whether a search ran on a cluster."""
    require(report.searches, "No search is in the report: does its cell begin with %%scale -o?")
    search = report.searches[-1]
    require("worker" in search.where, f"It ran on {search.where}: leave --local out.")
    require(search.cells_done == search.n_cells, "It has not ended: run it again.")
    return f"{search.cells_done} cells on {search.where}."


@exercise("2c")
def profile(name: str) -> str:
    """Look for a profile that is small enough for this machine."""
    from jupyter_scale import clusters

    found = clusters.profiles().get(name)
    require(found is not None, f"There is no profile {name!r} in Dask's configuration.")
    require(found is not None and found.workers == 1, "It should have one worker (workers: 1).")
    return f"%scale up {name} would start it."


# -- lesson 3


@exercise("3a")
def failed(value: Any, report: Any) -> str:
    """Look whether this is the value whose candidates failed."""
    errors = {
        score.parameters["pca__n_components"]: score.error for score in report.scores if score.error
    }
    require(value in errors, f"{value!r} did not fail. The report's results have a column `error`.")
    return str(errors[value])


@exercise("3b")
def grown(report: Any) -> str:
    """Look for a search of which a part was on record."""
    require(report.searches, "Run the larger search below %%scale -o larger.")
    search = report.searches[-1]
    new = search.cells_done - search.cells_known
    require(search.cells_known, "Nothing of it was known: keep all values of the first grid.")
    require(new, "All of it was known: add a value.")
    return f"{search.cells_known} cells were on record, {new} were fitted."


@exercise("3c")
def matters(name: str, report: Any) -> str:
    """Compare a parameter with the one that explains most of the scores' variance."""
    shown = report.results
    share = {}
    for column in filter(lambda each: each.startswith("param_"), shown):
        means = shown.groupby(column).mean_test_score.mean()
        share[column.removeprefix("param_")] = means.max() - means.min()
    most = max(share, key=lambda each: share[each])
    require(name in share, f"The parameters are {', '.join(share)}.")
    require(name == most, f"{name} changes little. Look at the plot of the importance again.")
    return f"The others matter less than {name}."


# -- lesson 4


@exercise("4a")
def seeded(first: Any, second: Any) -> str:
    """Compare two runs of a cell that draws."""
    require(first.searches and second.searches, "Run both cells.")
    require(not second.searches[-1].unseeded, "It still draws without a seed: %%scale --seed 0 ...")
    mine, again = (
        [score.test_scores for score in sorted(one.scores, key=lambda s: (s.candidate, s.fold))]
        for one in (first, second)
    )
    require(mine == again, "The scores differ: both cells need the same seed.")
    return "Two runs, the same scores."


@exercise("4b")
def pinned(line: str, plan: Any) -> str:
    """Compare a line of requirements with the plan of an export."""
    name, _, version = str(line).partition("==")
    known = {root.name: root.version for root in plan.roots}
    require(version, "A pinned package is written as name==1.2.3.")
    require(name in known, f"The notebook does not use {name}. It uses {', '.join(known)}.")
    require(known[name] == version, f"It ran with another version of {name}.")
    return f"{line}: others get what you had."


# -- of saved notebooks


def done_in(path: Path) -> tuple[set[str], set[str]]:
    """Return the exercises that a saved notebook shows as done, and all that it shows.

    Raises
    ------
    ValueError
        If this is no notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [
            "".join(output.get("text", ""))
            for cell in cells
            for output in cell.get("outputs", [])
            if output["output_type"] == "stream"
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} is no notebook") from None
    said = "\n".join(texts)
    return set(DONE.findall(said)), set(ASKED.findall(said))


def solved(notebook: Any) -> Any:
    """Put into each exercise the code of its solution, and return the notebook."""
    cells = {cell["id"]: cell for cell in notebook["cells"]}
    for name, cell in cells.items():
        if name.startswith("exercise-"):
            text = "".join(cells[name.replace("exercise", "solution", 1)]["source"])
            (cell["source"],) = CODE.findall(text)
    return notebook


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line per notebook, and return 1 if one cannot be read."""
    paths = sys.argv[1:] if arguments is None else arguments
    if len(paths) == 3 and paths[0] == "--solve":
        source, target = map(Path, paths[1:])
        notebook = solved(json.loads(source.read_text(encoding="utf-8")))
        target.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")
        return 0
    if not paths:
        print("Name saved notebooks: python checks.py NOTEBOOK ...", file=sys.stderr)
        return 2
    unread = 0
    for path in map(Path, paths):
        try:
            done, asked = done_in(path)
        except (OSError, ValueError) as error:
            unread = 1
            print(f"{path}: {error}", file=sys.stderr)
            continue
        missing = f"; not yet {', '.join(sorted(asked - done))}" if asked - done else ""
        print(f"{path}: {len(done)} of {len(asked)} done{missing}" if asked else f"{path}: not run")
    return unread


if __name__ == "__main__":
    sys.exit(main())
