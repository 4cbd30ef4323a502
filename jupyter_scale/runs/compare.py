"""Two runs side by side: what was changed, and what it did."""

from __future__ import annotations

import difflib
import html
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from jupyter_scale.runs.run import Cell, Run
from jupyter_scale.runs.scores import SCORE, by_metric
from jupyter_scale.runs.store import Store

__all__ = ["Comparison", "compare", "first_difference"]

TIMES = ("fit_time", "score_time")
SHOWN = 20  # lines of each part


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two runs.

    Attributes
    ----------
    before, after : Run
    code : list of str
        A unified diff of the cells' sources.
    options : dict of str to (str, str)
    data : bool
        Whether the data are others.
    environment, repository : list of str
        Lines that only one of them has, behind ``-`` or ``+``.
    added, removed : list of str
        Candidates that only one of them has.
    scores : list of (str, float, float)
        Candidates of both whose mean test scores differ, the largest difference first.
    same : int
        Candidates of both with equal scores on all folds.
    """

    before: Run
    after: Run
    code: list[str] = field(default_factory=list)
    options: dict[str, tuple[str, str]] = field(default_factory=dict)
    data: bool = False
    environment: list[str] = field(default_factory=list)
    repository: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    scores: list[tuple[str, float, float]] = field(default_factory=list)
    same: int = 0

    @property
    def verdict(self) -> str:
        """One sentence on what came out."""
        before, after = self.before.best, self.after.best
        if before is None or after is None:
            return "One of them has no score."
        if before == after:
            return f"Both come to {after:.6g}."
        way = "better" if after > before else "worse"
        return f"{self.after.id} is {way}: {after:.6g} instead of {before:.6g}."

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        before, after = self.before, self.after
        yield f"{before.id} -> {after.id}: {self.verdict}"
        yield _line("code", _limited(self.code) if self.code else ["the same"])
        changed = [f"{name}: {a} -> {b}" for name, (a, b) in self.options.items()]
        yield _line("options", changed or ["the same"])
        yield _line("data", ["others" if self.data else "the same"])
        yield _line("environment", _limited(self.environment) if self.environment else ["the same"])
        yield _line("repository", _limited(self.repository) if self.repository else ["the same"])
        candidates = [f"- {text}" for text in self.removed] + [f"+ {text}" for text in self.added]
        yield _line("candidates", _limited(candidates) if candidates else ["the same"])
        scores = [f"{a:.6g} -> {b:.6g}  {text}" for text, a, b in self.scores]
        equal = f"{self.same:,} candidates have equal scores"
        yield _line("scores", [*_limited(scores), equal] if scores else [equal])

    def _repr_html_(self) -> str:
        return f"<pre style='line-height:1.45'>{html.escape(str(self))}</pre>"


def _line(name: str, texts: list[str]) -> str:
    if len(texts) == 1:
        return f"  {name:<12} {texts[0]}"
    return "\n".join([f"  {name}", *(f"    {text}" for text in texts)])


def _limited(texts: list[str]) -> list[str]:
    more = len(texts) - SHOWN
    return [*texts[:SHOWN], f"and {more:,} more"] if more > 0 else texts


def compare(store: Store, before: Run, after: Run, other: Store | None = None) -> Comparison:
    """Compare two runs of a record, or the later one of another record."""
    place = other or store
    one, two = _scores(store, before), _scores(place, after)
    both = [key for key in one if key in two]
    changed = [(key, _mean(one[key]), _mean(two[key])) for key in both if one[key] != two[key]]
    changed.sort(key=lambda row: -abs(row[2] - row[1]) if math.isfinite(row[2] - row[1]) else 0.0)
    names = sorted(before.options.keys() | after.options.keys())
    options = {
        name: (str(before.options.get(name)), str(after.options.get(name)))
        for name in names
        if before.options.get(name) != after.options.get(name)
    }
    if before.where != after.where:
        options["where"] = (before.where, after.where)
    commits = [f"- commit {before.commit}", f"+ commit {after.commit}"]
    return Comparison(
        before,
        after,
        code=_diff(before.cell, after.cell),
        options=options,
        data=before.data != after.data,
        environment=_only(store.text(before.environment), place.text(after.environment))
        if before.environment and after.environment
        else ["not noted of both"],
        repository=[
            *(commits if before.commit != after.commit else []),
            *_diff(store.text(before.diff), place.text(after.diff)),
        ],
        added=[key for key in two if key not in one],
        removed=[key for key in one if key not in two],
        scores=changed,
        same=len(both) - len(changed),
    )


def first_difference(store: Store, before: Run, after: Run) -> str:
    """Return where two runs that should be equal first differ, in one line; nothing if nowhere.

    Scores are compared to the last bit, times are not.
    """
    if before.data != after.data:
        return "the data are others"
    cells = [
        {(cell.candidate, cell.fold): cell for cell in store.cells(run)} for run in (before, after)
    ]
    names = store.candidates(before)
    for place in sorted(cells[0].keys() | cells[1].keys()):
        one, other = cells[0].get(place), cells[1].get(place)
        where = f"candidate {place[0]} ({_named(names.get(place[0], {}))}) on fold {place[1]}"
        if one is None or other is None:
            return f"{where} is in one of them only"
        if one.error != other.error:
            return f"{where} has failed in one of them: {one.error or other.error}"
        if _exact(one) != _exact(other):
            return f"{where}: {_said(one)} became {_said(other)}"
    return ""


def _exact(cell: Cell) -> str:
    """Return the scores of a cell as text that tells every bit."""
    return repr({name: one for name, one in cell.scores.items() if name not in TIMES})


def _tested(cell: Cell) -> dict[str, float]:
    return by_metric(cell.scores.get("test_scores"))


def _said(cell: Cell) -> str:
    scores = _tested(cell)
    return str(scores.get(SCORE, scores) if len(scores) == 1 else scores)


def _named(parameters: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items()) or "no parameters"


def _scores(store: Store, run: Run) -> dict[str, dict[int, float]]:
    """Return the test scores of each candidate by fold, by the metric that ranks."""
    names = {number: _named(known) for number, known in store.candidates(run).items()}
    found: dict[str, dict[int, float]] = {}
    for cell in store.cells(run):
        scores = _tested(cell)
        score = scores.get(run.metric, next(iter(scores.values()), math.nan))
        name = names.get(cell.candidate, f"candidate {cell.candidate}")
        found.setdefault(name, {})[cell.fold] = score
    return found


def _mean(scores: Mapping[int, float]) -> float:
    return sum(scores.values()) / len(scores)


def _diff(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return [line for line in lines if not line.startswith(("---", "+++"))]


def _only(before: str, after: str) -> list[str]:
    one, other = before.splitlines(), after.splitlines()
    return sorted(
        [f"- {line}" for line in one if line not in other]
        + [f"+ {line}" for line in other if line not in one],
        key=lambda line: line[2:],
    )
