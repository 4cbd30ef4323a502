"""Wall times of one text grid search: scikit-learn, dask-ml and the merged search, side by side.

    python benchmarks/text_grid.py --rounds 5 --check

The three run the same 12 candidates on the same 5 folds of the same documents (the notebook's),
with one process a core and one BLAS thread a process. They take turns within each round, in an
order that rotates, after a small round that warms processes and imports; medians are compared.
The floor is what nobody can beat without fitting less: the distinct fits, transforms and scores,
written out by hand, run one after the other in this process, divided by the number of cores.
What is timed is the search. The refit of the best candidate is one and the same serial fit for all
of them, in this process; `--refit` adds it to each.

The run fails when scores differ in any bit; with `--check` also when the merged search is not
fast enough. Time nothing else on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask_ml.model_selection
import joblib
import numpy as np
from distributed import Client, LocalCluster
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

import jupyter_scale

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "notebooks"))
from corpus import load

PIPELINE = Pipeline(
    [
        ("counts", CountVectorizer()),
        ("tfidf", TfidfTransformer()),
        ("model", SGDClassifier(random_state=0)),
    ]
)
GRID: dict[str, list[Any]] = {
    "counts__ngram_range": [(1, 2), (1, 3)],
    "tfidf__norm": ["l1", "l2"],
    "model__alpha": [1e-3, 1e-4, 1e-5],
}
FOLDS = StratifiedKFold(5)

OURS, SKLEARN, DASK_ML, FLOOR = "jupyter-scale", "scikit-learn", "dask-ml", "floor"
TARGETS = {SKLEARN: 4.0, DASK_ML: 1.6}

Scores = dict[str, list[float]]
Data = tuple[list[str], list[str]]


@dataclass
class Timing:
    """The runs of one contender.

    Parameters
    ----------
    seconds : list of float
        Wall time of each round.
    fits : int or None
        Step fits of one search, where the contender counts them.
    scores : dict of str to list of float
        The last round's score of every fold, by candidate.
    """

    seconds: list[float] = field(default_factory=list)
    fits: int | None = None
    scores: Scores = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    options = _parser().parse_args(argv)
    data, description = _documents(options.documents, labels=options.labels)
    if not options.json:
        what = "search and refit" if options.refit else "search without its refit"
        print(
            f"{description}\n{what}, {options.workers} cores, {options.rounds} rounds\n", flush=True
        )
    with threadpool_limits(1):
        timings = measure(data, workers=options.workers, rounds=options.rounds, refit=options.refit)
    problems = failures(timings, check=options.check)
    print(as_json(timings, options, description) if options.json else table(timings))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def measure(data: Data, *, workers: int, rounds: int, refit: bool) -> dict[str, Timing]:
    """Run every contender once a round, after a warm-up on a few documents."""
    few, _ = _documents(80, labels=2)
    with (  # whose nannies give each worker one BLAS thread
        _loky_ends(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        contenders: dict[str, Callable[[Data, Timing], None]] = {
            OURS: lambda data, timing: merged(data, timing, client, refit=refit),
            DASK_ML: lambda data, timing: dask_ml_search(data, timing, refit=refit),
            SKLEARN: lambda data, timing: sklearn_search(data, timing, workers, refit=refit),
            FLOOR: distinct_work,
        }
        for run in contenders.values():
            run(few, Timing())
        timings = {name: Timing() for name in contenders}
        names = list(contenders)
        for _ in range(rounds):
            for name in names:
                started = time.perf_counter()
                contenders[name](data, timings[name])
                timings[name].seconds.append(time.perf_counter() - started)
            timings[FLOOR].seconds[-1] /= workers
            if refit:
                timings[FLOOR].seconds[-1] += refit_seconds(data, timings[FLOOR].scores)
            names.append(names.pop(0))
    return timings


def merged(data: Data, timing: Timing, client: Client, *, refit: bool) -> None:
    """Search with scikit-learn's GridSearchCV, merged."""
    search = GridSearchCV(PIPELINE, GRID, cv=FOLDS, refit=refit)
    with jupyter_scale.merged(client):
        search.fit(*data)
    timing.scores = _scores(search)
    timing.fits = search.scale_report.fits_done


def dask_ml_search(data: Data, timing: Timing, *, refit: bool) -> None:
    """Search with dask-ml, which runs on the current client."""
    search = dask_ml.model_selection.GridSearchCV(PIPELINE, GRID, cv=FOLDS, refit=refit)
    search.fit(*data)
    timing.scores = _scores(search)


def sklearn_search(data: Data, timing: Timing, workers: int, *, refit: bool) -> None:
    """Search with scikit-learn, on as many processes as cores."""
    search = GridSearchCV(PIPELINE, GRID, cv=FOLDS, n_jobs=workers, refit=refit)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        search.fit(*data)
    timing.scores = _scores(search)
    timing.fits = len(search.cv_results_["params"]) * search.n_splits_ * len(PIPELINE)


def distinct_work(data: Data, timing: Timing) -> None:
    """Fit, transform and score each distinct thing once, one after the other."""
    documents, labels = (np.array(part, dtype=object) for part in data)
    scores: Scores = {}
    timing.fits = 0
    for train, test in FOLDS.split(documents, labels):
        for ngrams in GRID["counts__ngram_range"]:
            counter = CountVectorizer(ngram_range=ngrams)
            counts = counter.fit_transform(documents[train])
            test_counts = counter.transform(documents[test])
            timing.fits += 1
            for norm in GRID["tfidf__norm"]:
                weighing = TfidfTransformer(norm=norm)
                weights = weighing.fit_transform(counts)
                test_weights = weighing.transform(test_counts)
                timing.fits += 1
                for alpha in GRID["model__alpha"]:
                    model = SGDClassifier(alpha=alpha, random_state=0)
                    model.fit(weights, labels[train].astype(str))
                    score = model.score(test_weights, labels[test].astype(str))
                    timing.fits += 1
                    params = {
                        "counts__ngram_range": ngrams,
                        "tfidf__norm": norm,
                        "model__alpha": alpha,
                    }
                    scores.setdefault(_key(params), []).append(float(score))
    timing.scores = scores


def refit_seconds(data: Data, scores: Scores) -> float:
    """Fit the best candidate on everything; return how long it took."""
    best = max(ParameterGrid(GRID), key=lambda params: np.mean(scores[_key(params)]))
    started = time.perf_counter()
    clone(PIPELINE).set_params(**best).fit(*data)
    return time.perf_counter() - started


def failures(timings: dict[str, Timing], *, check: bool) -> list[str]:
    """Return what is not as promised: equal scores and, if asked, the ratios."""
    found = [
        f"{name} has other scores than {SKLEARN}"
        for name in (OURS, FLOOR)
        if timings[name].scores != timings[SKLEARN].scores
    ]
    for name, target in TARGETS.items() if check else ():
        ratio = timings[name].median / timings[OURS].median
        if ratio < target:
            found.append(f"{ratio:.2f} times faster than {name}: {target} was promised")
    return found


def table(timings: dict[str, Timing]) -> str:
    """Return the medians, their ratios to the merged search's, fits and equality of scores."""
    rows = [("", "median", "rounds", "ratio", "fits", "scores")]
    for name, timing in timings.items():
        equal = timing.scores == timings[SKLEARN].scores
        rows.append(
            (
                name,
                f"{timing.median:.2f} s",
                " ".join(f"{seconds:.2f}" for seconds in timing.seconds),
                f"{timing.median / timings[OURS].median:.2f}",
                str(timing.fits or ""),
                "reference" if name == SKLEARN else "equal" if equal else "differ",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def as_json(timings: dict[str, Timing], options: argparse.Namespace, description: str) -> str:
    """Return everything measured, with the versions it was measured on."""
    packages = ("scikit-learn", "dask", "distributed", "dask-ml", "joblib", "numpy", "scipy")
    return json.dumps(
        {
            "corpus": description,
            "cores": options.workers,
            "python": platform.python_version(),
            "versions": {name: version(name) for name in packages},
            "timings": {
                name: asdict(timing) | {"median": timing.median} for name, timing in timings.items()
            },
            "ratios": {name: timings[name].median / timings[OURS].median for name in TARGETS},
        },
        indent=2,
    )


@contextmanager
def _loky_ends() -> Iterator[None]:
    """End scikit-learn's worker processes, which joblib would keep for later."""
    try:
        yield
    finally:
        get_reusable_executor().shutdown(wait=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare wall times of one text grid search.")
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="measured rounds (default: %(default)s)")
    add("--documents", type=int, default=2000, help="about so many (default: %(default)s)")
    add("--labels", type=int, default=2, help="2 to 8; more make the model dearer (default: 2)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: cores)")
    add("--refit", action="store_true", help="add the refit of the best candidate to each")
    add("--json", action="store_true", help="print everything measured as JSON")
    add("--check", action="store_true", help=f"fail below these ratios: {TARGETS}")
    return parser


def _documents(n: int, *, labels: int) -> tuple[Data, str]:
    """Return docstrings, whatever the network: two runs are comparable only on the same text."""
    documents, answers, description = load(-(-n // labels), labels, source="docstrings")
    return (documents, answers), description


def _scores(search: Any) -> Scores:
    results = search.cv_results_
    folds = [results[f"split{i}_test_score"] for i in range(FOLDS.get_n_splits())]
    return {
        _key(params): [float(fold[i]) for fold in folds]
        for i, params in enumerate(results["params"])
    }


def _key(params: dict[str, Any]) -> str:
    return repr(sorted(params.items()))


if __name__ == "__main__":
    sys.exit(main())
