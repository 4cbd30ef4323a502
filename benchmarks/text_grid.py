"""Wall times of one text grid search: scikit-learn, dask-ml and the merged search, side by side.

All run the same 12 candidates on the same 5 folds of the same documents (the notebook's), with one
process a core and one BLAS thread a process; scikit-learn once more with the Pipeline's own
``memory``, an empty folder each time. They take turns within each round, in an order that rotates,
after a small round that warms processes and imports; medians are compared.
The floor is what nobody can beat without fitting less: the distinct fits, transforms and scores,
written out by hand, run one after the other in this process, divided by the number of cores.
What is timed is the search. The refit of the best candidate is one and the same serial fit for all
of them, in this process; `--refit` adds it to each.

The run fails when scores differ in any bit; with `--check` also when the merged search is not
fast enough. Time nothing else on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from tempfile import TemporaryDirectory

import numpy as np
from distributed import Client
from recipes import FOLDS, Recipe
from recipes import TEXT_GRID as GRID
from recipes import TEXT_PIPELINE as PIPELINE
from recipes import text as recipe
from side_by_side import (
    CACHED,
    DASK_ML,
    OURS,
    SKLEARN,
    Claim,
    Contender,
    Result,
    Scores,
    Timing,
    differing,
    key,
    local_cluster,
    measured,
    parser,
    program,
    ranking,
    rivals,
    with_loky,
)
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import ParameterGrid

FLOOR = "floor"
TARGETS = {SKLEARN: 4.0, DASK_ML: 1.6}
EXAMPLES = """\
  python benchmarks/text_grid.py --check
  python benchmarks/text_grid.py --refit --labels 8"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    asked = parser("Compare wall times of one text grid search.", examples=EXAMPLES)
    add = asked.add_argument
    add("--documents", type=int, default=2000, help="about so many (default: %(default)s)")
    add("--labels", type=int, default=2, help="2 to 8; more make the model dearer (default: 2)")
    add("--refit", action="store_true", help="add the refit of the best candidate to each")
    options = asked.parse_args(argv)
    if options.quick:
        options.documents = min(options.documents, 60)
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Run every contender once a round, after a warm-up on a few documents."""
    data, few = recipe(options.documents, options.labels), recipe(80, 2)
    with local_cluster(options.workers) as client:
        small = _contenders(few, client, options)
        timings = measured(_contenders(data, client, options), small, options)
    what = "search and refit" if options.refit else "search without its refit"
    return judged(timings, f"{data.about}; {what}, {options.workers} processes")


def judged(timings: dict[str, Timing], about: str) -> Result:
    """Return what the timings say."""
    ours = timings[OURS].median
    return Result(
        about,
        [
            Claim.at_least(
                f"text grid: times faster than {name}", timings[name].median / ours, target
            )
            for name, target in TARGETS.items()
        ],
        ranking(timings, base=OURS, reference=SKLEARN),
        differing(timings, SKLEARN, (OURS, CACHED, FLOOR)),
        values={name: asdict(timing) for name, timing in timings.items()},
    )


def _contenders(data: Recipe, client: Client, options: argparse.Namespace) -> dict[str, Contender]:
    def cached_search(timing: Timing) -> None:
        with TemporaryDirectory() as folder:
            search = data.search(n_jobs=workers, refit=refit)
            search.estimator = clone(data.estimator).set_params(memory=folder)
            with_loky(search, data.X, data.y, timing)

    def floor(timing: Timing) -> float:
        started = time.perf_counter()
        distinct_work(data, timing)
        serial = time.perf_counter() - started
        last = refit_seconds(data, timing.scores) if refit else 0.0
        return serial / float(workers) + last

    workers, refit = options.workers, options.refit
    runs = rivals(data, client, workers=workers, refit=refit)
    return {**runs, CACHED: cached_search, FLOOR: floor}


def distinct_work(data: Recipe, timing: Timing) -> None:
    """Fit, transform and score each distinct thing once, one after the other."""
    documents, labels = (np.array(part, dtype=object) for part in (data.X, data.y))
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
                    scores.setdefault(key(params), []).append(float(score))
    timing.scores = scores


def refit_seconds(data: Recipe, scores: Scores) -> float:
    """Fit the best candidate on everything; return how long it took."""
    best = max(ParameterGrid(GRID), key=lambda params: np.mean(scores[key(params)]))
    started = time.perf_counter()
    clone(PIPELINE).set_params(**best).fit(data.X, data.y)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
