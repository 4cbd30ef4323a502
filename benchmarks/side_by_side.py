"""What the benchmarks have in common: turns, medians, tables, a cluster, the machine's description.

Each program beside this one measures one claim of the README with ratios taken in one run: the
contenders take turns within a round, in an order that rotates, after a warm-up, and medians are
compared. A program hands `program` its options and a function that returns a `Result`; printing,
JSON and the exit status are here, and `run` turns the JSON of all of them into one page. So are the
contenders of a recipe (`rivals`) and their turns (`measured`).

A wrong result (other scores, other counts) always fails; a claim that is not kept fails with
``--check``. Time nothing else on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import joblib
import psutil
from distributed import Client
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

import jupyter_scale
from jupyter_scale import clusters

if TYPE_CHECKING:
    from recipes import Recipe

OURS, SKLEARN, CACHED, DASK_ML = "jupyter-scale", "scikit-learn", "with memory=", "dask-ml"
PACKAGES = ("scikit-learn", "dask", "distributed", "dask-ml", "joblib", "numpy", "scipy", "pandas")

Scores = dict[str, list[float]]
Row = tuple[str, ...]


@dataclass
class Timing:
    """The runs of one contender.

    Parameters
    ----------
    seconds : list of float
        Wall time of each round.
    fits : int or None
        Fits of one search, where the contender counts them.
    scores : dict of str to list of float
        The last round's score of every fold, by candidate.
    """

    seconds: list[float] = field(default_factory=list)
    fits: int | None = None
    scores: Scores = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


Contender = Callable[[Timing], float | None]
"""Runs once; returns its seconds where they are not the wall time that has passed."""


@dataclass(frozen=True)
class Claim:
    """What is promised, what was measured, and whether that keeps the promise."""

    claim: str
    target: str
    measured: str
    passed: bool

    @classmethod
    def at_most(cls, claim: str, value: float, limit: float, unit: str = "") -> Claim:
        """Promise that a value stays at or under a limit."""
        return cls(claim, f"at most {limit:g}{unit}", f"{value:.3g}{unit}", value <= limit)

    @classmethod
    def at_least(cls, claim: str, value: float, limit: float, unit: str = "") -> Claim:
        """Promise that a value reaches a limit."""
        return cls(claim, f"at least {limit:g}{unit}", f"{value:.3g}{unit}", value >= limit)

    @property
    def row(self) -> Row:
        return self.claim, self.target, self.measured, "pass" if self.passed else "FAIL"


@dataclass
class Result:
    """What a benchmark found.

    Parameters
    ----------
    about : str
        What was measured, in a sentence.
    claims : list of Claim
    rows : list of tuple of str
        A table, its header first.
    problems : list of str
        Wrong results, which no speed makes good.
    notes : list of str
        What a reader should know about the numbers.
    values : dict
        Everything measured, as JSON can hold it.
    """

    about: str
    claims: list[Claim] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        heads = ("claim", "target", "measured", "")
        claims = table([heads, *(claim.row for claim in self.claims)]) if self.claims else ""
        parts = [self.about, table(self.rows), "\n".join(self.notes), claims]
        return "\n\n".join(part for part in parts if part)

    def failures(self, *, check: bool) -> list[str]:
        """Return what is wrong and, if asked, the claims that are not kept."""
        broken = [c for c in self.claims if check and not c.passed]
        return [*self.problems, *(f"{c.claim}: {c.measured}, not {c.target}" for c in broken)]


def parser(text: str, *, examples: str, rounds: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    result = argparse.ArgumentParser(
        description=text,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--rounds", type=int, default=rounds, help="measured rounds (default: %(default)s)")
    add("--workers", type=int, default=cores(), help="processes (default: all cores)")
    add("--quick", action="store_true", help="tiny sizes, to see that it runs: judge nothing by it")
    add("--json", action="store_true", help="print everything measured as JSON")
    add("--check", action="store_true", help="fail when a claim is not kept")
    return result


def program(options: argparse.Namespace, measure: Callable[[argparse.Namespace], Result]) -> int:
    """Measure with one BLAS thread, print, and return 1 when a promise is not kept."""
    if options.quick:
        options.rounds = 1
    with threadpool_limits(1):
        result = measure(options)
    if options.json:
        print(json.dumps({**asdict(result), "machine": machine()}, indent=2))
    else:
        print(result)
    failures = result.failures(check=options.check)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def measured(
    contenders: Mapping[str, Contender],
    small: Mapping[str, Contender],
    options: argparse.Namespace,
) -> dict[str, Timing]:
    """Let contenders take turns, after a warm-up with `small` ones that ``--quick`` leaves out."""
    for run in () if options.quick else small.values():
        run(Timing())
    return interleaved(contenders, rounds=options.rounds)


def interleaved(contenders: Mapping[str, Contender], *, rounds: int) -> dict[str, Timing]:
    """Let every contender run once a round, in an order that rotates."""
    timings = {name: Timing() for name in contenders}
    names = list(contenders)
    for _ in range(rounds):
        for name in names:
            started = time.perf_counter()
            counted = contenders[name](timings[name])
            passed = time.perf_counter() - started
            timings[name].seconds.append(passed if counted is None else counted)
        names.append(names.pop(0))
    return timings


@contextmanager
def local_cluster(workers: int, *, threads: int = 1) -> Iterator[Client]:
    """Start the cluster that ``%scale up`` starts, for all contenders; end it, and loky's.

    Each worker has one BLAS thread.
    """
    cluster = clusters.start("local", clusters.Wish(workers=workers, threads=threads))
    try:
        yield cluster.client
    finally:
        clusters.close()
        get_reusable_executor().shutdown(wait=True)


def rivals(
    data: Recipe, client: Client, *, workers: int, refit: bool = False
) -> dict[str, Contender]:
    """Return a recipe's search merged, as dask-ml runs it, and as scikit-learn does."""

    def ours(timing: Timing) -> None:
        merged(data.search(refit=refit), data.X, data.y, timing, client)

    def dask_ml(timing: Timing) -> None:
        with_dask_ml(data.search(refit=refit), data.X, data.y, timing, client)

    def sklearn(timing: Timing) -> None:
        with_loky(data.search(refit=refit, n_jobs=workers), data.X, data.y, timing)
        timing.fits = data.fits

    return {OURS: ours, DASK_ML: dask_ml, SKLEARN: sklearn}


def merged(search: Any, X: Any, y: Any, timing: Timing, client: Client | None) -> Any:
    """Run a search of scikit-learn's merged; return its report."""
    with jupyter_scale.merged(client):
        search.fit(X, y)
    timing.scores, timing.fits = scores(search), search.scale_report.fits_done
    return search.scale_report


def with_loky(search: Any, X: Any, y: Any, timing: Timing) -> None:
    """Run a search as scikit-learn does, on processes with one BLAS thread each."""
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        search.fit(X, y)
    timing.scores = scores(search)


def with_dask_ml(search: GridSearchCV, X: Any, y: Any, timing: Timing, client: Client) -> None:
    """Run the same search as dask-ml does, on a cluster."""
    import dask_ml.model_selection  # slow, and the workers that import this module need it not

    options = search.get_params(deep=False)
    names = ("estimator", "param_grid", "cv", "refit")
    search = dask_ml.model_selection.GridSearchCV(**{name: options[name] for name in names})
    with client.as_current(), dask.config.set(scheduler=client):
        search.fit(X, y)
    timing.scores = scores(search)


def scores(search: Any) -> Scores:
    """Return the test scores of every candidate, fold by fold."""
    results = search.cv_results_
    folds = [results[f"split{i}_test_score"] for i in range(search.n_splits_)]
    return {
        key(params): [float(fold[i]) for fold in folds]
        for i, params in enumerate(results["params"])
    }


def key(params: Mapping[str, Any]) -> str:
    """Name a candidate."""
    return repr(sorted(params.items()))


def differing(timings: Mapping[str, Timing], reference: str, names: Iterable[str]) -> list[str]:
    """Return a sentence for each contender whose scores differ in any bit."""
    return [
        f"{name} has other scores than {reference}"
        for name in names
        if timings[name].scores != timings[reference].scores
    ]


def ranking(timings: Mapping[str, Timing], *, base: str, reference: str) -> list[Row]:
    """Return the medians, their ratios to the base's, fits and equality of scores."""
    rows: list[Row] = [("", "median", "rounds", "ratio", "fits", "scores")]
    for name, timing in timings.items():
        equal = timing.scores == timings[reference].scores
        rows.append(
            (
                name,
                f"{timing.median:.2f} s",
                " ".join(f"{seconds:.2f}" for seconds in timing.seconds),
                f"{timing.median / timings[base].median:.2f}",
                str(timing.fits or ""),
                "reference" if name == reference else "equal" if equal else "differ",
            )
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return rows as text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def markdown(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table, the header first."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Describe what was measured on, by what bears on the numbers and nothing else."""
    return {
        "cores": cores(),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
