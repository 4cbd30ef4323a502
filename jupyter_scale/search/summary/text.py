"""The summary of a search as plain text: for terminals, logs and a screen without HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jupyter_scale.search.summary.parameters import number, short, short_names
from jupyter_scale.search.summary.ranking import Ranking

__all__ = ["candidate_lines", "duration"]

BEST = 10
WIDTH = 100
LONGEST = 24
LONG = 200


def duration(seconds: float, *, decimals: int = 0) -> str:
    """Return a rough duration; with decimals, if it is less than a minute.

    Examples
    --------
    >>> duration(7.4), duration(754), duration(7540), duration(7.4, decimals=1)
    ('7 s', '12 min 34 s', '2 h 5 min', '7.4 s')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.{decimals}f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def candidate_lines(ranking: Ranking) -> Iterator[str]:
    """Yield the lines of a table of the best candidates, or of the scores without candidates."""
    if not len(ranking):
        return
    if not ranking.parameters:
        yield from _folds(ranking)
        return
    order = [int(n) for n in ranking.order[:BEST]]
    several = int(ranking.rounds.max()) > 0
    columns = [
        ("rank", [str(ranking.main.ranks[n]) for n in order]),
        (ranking.score_name, [ranking.score(n) for n in order]),
    ]
    if several:
        columns.append(("iter", [str(ranking.rounds[n]) for n in order]))
    parameters = ranking.varying or ranking.parameters
    names = {p.name: p.name for p in parameters}
    if _width(columns) + sum(2 + len(p.name) for p in parameters) > WIDTH:
        names = short_names(list(names))
    left_out = 0
    for parameter in parameters:
        values = [short(parameter.text(n), LONGEST) for n in order]
        column = (short(names[parameter.name], LONGEST), values)
        if _width([*columns, column]) <= WIDTH:
            columns.append(column)
        else:
            left_out += 1
    yield from _table(columns)
    more = len(ranking) - len(order)
    notes = [f"{more:,} more candidates"] if more else []
    notes += [f"{left_out} more parameters"] if left_out else []
    if notes:
        yield f"  … {' and '.join(notes)}"
    for error, count in ranking.failures:
        yield f"  failed, {count:,} candidates: {short(error, LONG)}"


def _width(columns: Sequence[tuple[str, list[str]]]) -> int:
    return sum(2 + max(len(name), *map(len, values)) for name, values in columns)


def _table(columns: Sequence[tuple[str, list[str]]]) -> Iterator[str]:
    widths = [max(len(name), *map(len, values)) for name, values in columns]
    rows = zip(*([name, *values] for name, values in columns), strict=True)
    for row in rows:
        # numbers of rank to the right, all else to the left
        first, *rest = row
        cells = [
            first.rjust(widths[0]),
            *(c.ljust(w) for c, w in zip(rest, widths[1:], strict=True)),
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def _folds(ranking: Ranking) -> Iterator[str]:
    count = int(ranking.folds_done[0])
    for name, metric in ranking.metrics.items():
        what = "test score" if name == "score" else f"test {name}"
        failed = ", a fit failed" if ranking.errors[0] else ""
        yield (
            f"  {what} {number(metric.means[0])} ± {number(metric.deviations[0])} "
            f"in {count} fits{failed}"
        )
