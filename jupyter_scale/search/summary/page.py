"""The summary of a search as static HTML: what a cell's output keeps, and nbconvert shows.

All of it can be read without scripts, styles or a kernel; a few lines of script make the table
sortable where they may run. Invariants: every value is escaped; no text has a fixed colour on the
page's own ground; however large the search, the page stays below some 150 kB; what shows in which
order it was done carries `data-varies`, by which a comparison of runs knows it (`export.tokens`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from jupyter_scale.search.plan import StepCount
from jupyter_scale.search.summary import charts, picture, series
from jupyter_scale.search.summary.parameters import Parameter, number, short
from jupyter_scale.search.summary.ranking import Ranking
from jupyter_scale.search.summary.svg import ACCENT, BEST, escaped
from jupyter_scale.search.summary.tree import Tree

if TYPE_CHECKING:
    from jupyter_scale.search.report import SearchReport

__all__ = ["page"]

FIRST, MORE = 10, 100
"""Candidates in the table, and below it."""
COLUMNS = 12
ROOM = 50_000
"""Characters of markup in which the candidates below have to find room."""
PANELS = 8
TEXT = 60
"""Characters of a value in the table."""

STYLE = f"""\
.jupyter-scale{{color:var(--jp-ui-font-color1,inherit);\
font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45}}
.jupyter-scale p{{margin:0 0 .5em}}
.jupyter-scale table{{border-collapse:collapse;margin:.3em 0;font-size:12px;\
font-variant-numeric:tabular-nums}}
.jupyter-scale caption{{caption-side:top;text-align:left;white-space:nowrap;padding:.2em 0;\
color:inherit}}
.jupyter-scale th,.jupyter-scale td{{padding:.2em .7em;text-align:right;vertical-align:top;\
border:0;border-bottom:1px solid var(--jp-border-color2,#8884);max-width:24em;\
overflow-wrap:anywhere}}
.jupyter-scale table th.t,.jupyter-scale table td.t{{text-align:left}}
.jupyter-scale tbody tr.best{{box-shadow:inset 3px 0 {BEST}}}
.jupyter-scale th button{{all:unset;cursor:pointer;font-weight:inherit}}
.jupyter-scale th button:hover{{text-decoration:underline}}
.jupyter-scale th button:focus-visible,.jupyter-scale summary:focus-visible,\
.jupyter-scale .pan:focus-visible{{outline:2px solid {ACCENT};outline-offset:2px}}
.jupyter-scale th[aria-sort=ascending] button::after{{content:" \\25b4"}}
.jupyter-scale th[aria-sort=descending] button::after{{content:" \\25be"}}
.jupyter-scale details{{margin:.35em 0}}
.jupyter-scale summary{{cursor:pointer;font-weight:600}}
.jupyter-scale .row{{display:flex;flex-wrap:wrap;gap:.4em 1.2em;align-items:flex-start}}
.jupyter-scale .pan{{overflow:auto;max-width:100%;max-height:26em}}
.jupyter-scale .bar{{display:inline-block;height:.75em;border-radius:2px;background:{ACCENT}}}
.jupyter-scale .halo{{paint-order:stroke;stroke:var(--jp-layout-color0,Canvas);stroke-width:3px}}
.jupyter-scale small{{opacity:.8}}"""

# Sorts the rows of both tables of candidates as one: the first ten stay in sight.
SCRIPT = """\
for (const root of document.querySelectorAll(".jupyter-scale:not([data-sortable])")) {
  root.dataset.sortable = "";
  const tables = [...root.querySelectorAll("table.candidates")];
  const bodies = tables.map((table) => table.tBodies[0]);
  const sizes = bodies.map((body) => body.rows.length);
  const heads = tables.map((table) => [...table.tHead.rows[0].cells]);
  const key = (row, n) => row.cells[n].dataset.v ?? row.cells[n].textContent;
  const sort = (n) => {
    const up = heads[0][n].getAttribute("aria-sort") !== "ascending";
    const rows = bodies.flatMap((body) => [...body.rows]);
    rows.sort((a, b) => {
      const [x, y] = [key(a, n), key(b, n)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const by = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return up ? by : -by;
    });
    bodies.forEach((body, i) => body.append(...rows.splice(0, sizes[i])));
    for (const cells of heads) cells.forEach((cell, i) => {
      if (i === n) cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
  };
  for (const cells of heads) cells.forEach((cell, n) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    button.addEventListener("click", () => sort(n));
    cell.append(button);
  });
}"""


def page(report: SearchReport) -> str:
    """Return the summary of a search."""
    ranking = report.ranking()
    parts = [f"<p><strong>{escaped(report.headline)}</strong></p>"]
    if len(ranking):
        parts += _scores(ranking) if ranking.parameters else _folds(ranking)
    parts += _plan(report.tree)
    parts += _times(_in_order(report.times, report.counts))
    parts.append(_steps(report.steps))
    remarks = "".join(f"<li>{escaped(note)}</li>" for note in report.notes)
    parts.append(f"<ul>{remarks}</ul>" if remarks else "")
    sortable = f"<script>\n{SCRIPT}\n</script>" if len(ranking) > 1 else ""
    return (
        f"<style>\n{STYLE}\n</style><div class='jupyter-scale'>{''.join(filter(None, parts))}</div>"
        f"{sortable}"
    )


def _details(title: str, content: str, *, shown: bool = False) -> str:
    return (
        f"<details{' open' if shown else ''}><summary>{escaped(title)}</summary>{content}</details>"
    )


def _small(note: str) -> str:
    return f"<p><small>{escaped(note)}</small></p>"


def _pan(label: str, content: str) -> str:
    """Return a region that scrolls, by the keyboard too."""
    return (
        f"<div class='pan' tabindex='0' role='region' aria-label='{escaped(label)}'>{content}</div>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Return a table whose first column names its rows; values are text."""
    titles = "".join(
        f"<th scope='col'{'' if n else ' class=t'}>{escaped(short(title, TEXT))}</th>"
        for n, title in enumerate(head)
    )
    body = "".join(
        f"<tr><th scope='row' class='t'>{escaped(short(row[0], TEXT))}</th>"
        + "".join(f"<td>{escaped(value)}</td>" for value in row[1:])
        + "</tr>"
        for row in rows
    )
    shown = f"<caption>{escaped(caption)}</caption>" if caption else ""
    return f"<table>{shown}<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


# -- candidates


def _scores(ranking: Ranking) -> Iterator[str]:
    yield _candidates(ranking)
    if ranking.scored.sum() < 2:
        return
    varying = ranking.varying
    if varying:
        yield _against(ranking)
    if len(varying) == 2:
        yield _two(ranking, *series.two(ranking, *(p.name for p in varying)))
    elif len(varying) > 2:
        drawn = _pan("parallel coordinates", charts.parallel(ranking))
        left_out = len(varying) - charts.AXES
        note = _small(f"{left_out} more parameters are left out.") if left_out > 0 else ""
        legend = _small(
            "A line is a candidate, the stronger the better; the thick one is the best."
        )
        yield _details("All parameters together", drawn + legend + note, shown=True)
    drawn = charts.best_over_time(ranking)
    if drawn:
        rises = series.best_over_time(ranking)
        rows = [(f"{s:.1f}", ranking.written(score), str(n)) for s, score, n in rises[-20:]]
        table = _table(["after seconds", f"best {ranking.score_name}", "candidate"], rows)
        whole = drawn + _details("As a table", table)
        yield _details("Best score over time", f"<div data-varies>{whole}</div>")
    if len(varying) > 1:
        yield _importance(series.importance(ranking))


def _candidates(ranking: Ranking) -> str:
    """Return the tables of the best candidates."""
    order = [int(n) for n in ranking.order[: FIRST + MORE]]
    varying = ranking.varying
    shown = varying[:COLUMNS]
    several = int(ranking.rounds.max()) > 0
    titles = ["rank", ranking.score_name, *(["iter"] if several else [])]
    titles += [*(parameter.name for parameter in shown), "fit time", "candidate"]
    starts = 2 + several
    head = "".join(
        f"<th scope='col'{_sorted(ranking, n)}"
        f"{' class=t' if starts <= n < starts + len(shown) else ''}>{escaped(title)}</th>"
        for n, title in enumerate(short(title, TEXT) for title in titles)
    )
    rows: list[str] = []
    size = 0
    for n in order:
        rows.append(_row(ranking, n, shown, several, first=n == order[0]))
        size += len(rows[-1])
        if size > ROOM and len(rows) >= FIRST:
            break
    constant = [p for p in ranking.parameters if len(p.levels) == 1]
    lines = []
    if constant:
        same = ", ".join(f"{p.name} = {short(p.levels[0], TEXT)}" for p in constant[:COLUMNS])
        lines.append(_small(f"The same in all candidates: {same}"))
    if len(varying) > COLUMNS:
        more = ", ".join(p.name for p in varying[COLUMNS:])
        lines.append(_small(f"Not in the table: {short(more, 400)}"))

    for error, count in ranking.failures:
        lines.append(_small(f"Failed, {count:,} candidates: {short(error, 4 * TEXT)}"))

    def table(chosen: list[str], caption: str) -> str:
        return (
            f"<table class='candidates'><caption>{escaped(caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(chosen)}</tbody></table>"
        )

    n = len(ranking)
    best = f"The best {FIRST} of {n:,} candidates" if n > FIRST else "Candidates, the best first"
    if ranking.halving and several:
        best += ", the last round first"
    parts = [_pan("candidates", table(rows[:FIRST], best))]
    if len(rows) > FIRST:
        below = f"The next {len(rows) - FIRST} candidates"
        parts.append(_details(below, _pan(below, table(rows[FIRST:], below))))
    return "".join([*parts, *lines])


def _sorted(ranking: Ranking, column: int) -> str:
    by_rank = column == 0 and not (ranking.halving and ranking.rounds.max() > 0)
    return " aria-sort='ascending'" if by_rank else ""


def _row(
    ranking: Ranking, n: int, shown: Sequence[Parameter], several: bool, *, first: bool
) -> str:
    cells = [
        _cell(str(ranking.main.ranks[n])),
        _cell(ranking.score(n), float(ranking.means[n])),
        *([_cell(str(ranking.rounds[n]))] if several else []),
        *(_cell(p.text(n), _sort_key(p, n), left=True) for p in shown),
        _cell(f"{float(ranking.fit_times[n, 0]):.3g} s", float(ranking.fit_times[n, 0])),
        _cell(str(n)),
    ]
    return f"<tr{' class=best' if first else ''}>{''.join(cells)}</tr>"


def _sort_key(parameter: Parameter, n: int) -> float | None:
    return None if parameter.numbers is None else float(parameter.numbers[n])


def _cell(content: str, key: float | None = None, *, left: bool = False) -> str:
    """Return a cell; what it is sorted by, if that is not its text."""
    by = ""
    if key is not None:
        by = f" data-v='{key:.9g}'" if math.isfinite(key) else " data-v=''"
    title = f" title='{escaped(short(content, 4 * TEXT))}'" if len(content) > TEXT else ""
    shown = escaped(short(content, TEXT) if left else content)
    return f"<td{' class=t' if left else ''}{by}{title}>{shown}</td>"


def _against(ranking: Ranking) -> str:
    parameters = ranking.varying
    order = [name for name, _ in series.importance(ranking).shares]
    parameters = sorted(
        parameters, key=lambda p: order.index(p.name) if p.name in order else len(order)
    )[:PANELS]
    limit = max(60, charts.DOTS * 3 // max(3, len(parameters)))
    panels = "".join(charts.against(ranking, p, limit=limit) for p in parameters)
    tables = "".join(
        _table(
            [p.name, "candidates", f"best {ranking.score_name}", "mean of them"],
            [
                (v.text, f"{v.candidates:,}", ranking.written(v.best), ranking.written(v.mean))
                for v in found
            ],
        )
        for p in parameters
        if (found := series.levels(ranking, p))
    )
    left_out = len(ranking.varying) - len(parameters)
    legend = "A dot is a candidate, the large one the best; lines show the best of each value."
    if ranking.halving:
        legend += " Scores of earlier rounds are on less of the resource."
    if left_out:
        legend += f" {left_out} more parameters are left out."
    content = f"<div class='row'>{panels}</div>{_small(legend)}"
    if tables:
        content += _details("As tables", f"<div class='row'>{tables}</div>")
    title = "Score by parameter"
    return _details(title, content, shown=True)


def _two(ranking: Ranking, x: Parameter, y: Parameter) -> str:
    if max(len(x.levels), len(y.levels)) > charts.CELLS:
        drawn = _pan("candidates by two parameters", charts.pairs(ranking, x, y))
        return _details("Both parameters together", drawn, shown=True)
    heat = series.heat(ranking, x, y)
    rows = [
        [text, *("" if math.isnan(v) else ranking.written(float(v)) for v in heat.best[row])]
        for row, text in enumerate(heat.y)
    ]
    table = _table([f"{y.name} \\ {x.name}", *heat.x], rows)
    drawn = _pan("heat map", charts.heat_map(ranking, x, y))
    return _details("Both parameters together", drawn + _details("As a table", table), shown=True)


def _importance(found: series.Importance) -> str:
    title = "Importance of parameters"
    if found.why:
        return _details(title, f"<p>Not meaningful here: {escaped(found.why)}.</p>")
    note = _small(series.METHOD_LONG)
    if found.left_out:
        note += _small(f"Not for {', '.join(found.left_out)}: no value was tried twice.")
    rows = [(name, share, f"{share:.0%}") for name, share in found.shares[:20]]
    return _details(title, _bars(["parameter", "", "share"], rows, largest=1.0) + note, shown=True)


def _bars(head: Sequence[str], rows: Sequence[tuple[str, float, str]], *, largest: float) -> str:
    """Return a table with a bar in each row."""
    titles = "".join(f"<th scope='col' class='t'>{escaped(title)}</th>" for title in head)
    body = "".join(
        f"<tr><th scope='row' class='t'>{escaped(short(name, TEXT))}</th><td class='t'>"
        f"<span class='bar' style='width:{160 * value / largest if largest else 0:.0f}px'></span>"
        f"</td><td>{escaped(shown)}</td></tr>"
        for name, value, shown in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _folds(ranking: Ranking) -> Iterator[str]:
    """Yield the scores of one estimator on several folds, where there are no candidates."""
    names = list(ranking.metrics)
    first = ranking.main
    values = [float(v) for v in first.splits[0][ranking.done[0]]]
    rows = []
    for name in names:
        metric = ranking.metrics[name]
        finite = metric.splits[0][ranking.done[0]]
        low, high = (finite.min(), finite.max()) if len(finite) else (math.nan, math.nan)
        rows.append(
            (
                "test score" if name == "score" else name,
                *(number(float(v)) for v in (metric.means[0], metric.deviations[0], low, high)),
            )
        )
    yield _table(["", "mean", "std", "lowest", "highest"], rows, caption=f"{len(values)} fits")
    if ranking.errors[0]:
        yield f"<p>A fit failed: {escaped(short(ranking.errors[0], 4 * TEXT))}</p>"
    if len(values) > 1:
        table = _table(
            ["fit", "test score"], [(str(n), number(v)) for n, v in enumerate(values[:100])]
        )
        drawn = charts.folds(values, float(first.means[0]))
        yield _details("Score of each fit", drawn + _details("As a table", table), shown=True)


# -- the plan and the time


def _plan(tree: Tree | None) -> Iterator[str]:
    if tree is None or tree.merged >= tree.unmerged:
        return
    folds = f"one of {tree.folds} folds" if tree.folds > 1 else "the only fold"
    fits = f"{tree.candidates:,} candidates on {folds}"
    drawn = (
        "<div class='row' style='flex-wrap:nowrap'>"
        f"<div>Unmerged: {tree.unmerged:,} fits<br>{picture.unmerged(tree)}</div>"
        f"<div>Merged: {tree.merged:,} fits<br>{picture.merged(tree)}</div></div>"
    )
    legend = "A box is a fit; a dashed one needs none, as the one before it answers it."
    if all(box.fitted or box.left_out for box in tree.boxes):
        legend = "A box is a fit."
    whole = _pan("the plan, unmerged and merged", drawn) + _small(legend)
    yield _details(f"The plan: {fits}", whole, shown=True)


def _in_order(times: dict[str, float], steps: Iterable[str]) -> dict[str, float]:
    """Return times in the order of the steps: theirs is that in which the first fits were done."""
    return {step: times[step] for step in steps if step in times} | times


def _times(times: dict[str, float]) -> Iterator[str]:
    if not times:
        return
    largest = max(times.values())
    rows = [(name, seconds, f"{seconds:.2f} s") for name, seconds in list(times.items())[:40]]
    yield _details("Time per step", _bars(["step", "", "seconds"], rows, largest=largest))


def _steps(steps: Sequence[StepCount]) -> str:
    rows = [(s.label, f"{s.requested:,}", f"{s.distinct:,}", f"{s.saved:,}") for s in steps]
    return _table(["step", "scikit-learn", "merged", "saved"], rows, caption="Fits per step")
