"""scikit-learn's own tests of its searches, as installed, run with every search merged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

SEEN_FROM_OUTSIDE = {
    # A worker has copies: what a scorer, an estimator or a registry notes there is not noted in
    # the objects that the test holds here.
    "test_multi_metric_search_forwards_metadata": "reads a registry that the scorers write into",
    "test_validation_functions_routing": "reads a registry that the estimators write into",
    "test_learning_curve_exploit_incremental_learning_routing": "reads such a registry",
    "test_cross_val_score_score_func": "reads a list that the scorer appends to",
    "test_base_estimator_inputs": "reads lists that the estimator appends to",
    "test_cv_results": "its scorer draws from one generator shared by all fits",
}


SAME = (
    "not csr_matrix and not csc_matrix and not coo_matrix and not (HalvingGridSearchCV and "
    "(aggressive_elimination or n_iterations or min_max_resources))"
)
"""Left out where the same is sent to workers as by a test beside it: sparse arrays stand for sparse
matrices, a random halving for one over a grid in counting rounds. In this process all are run."""


def run_suites(
    folder: Path, suites: tuple[str, ...], *, on: str | None, select: str = ""
) -> dict[str, str]:
    """Run scikit-learn's tests in a process of their own; return test -> outcome."""
    report = folder / "report.xml"
    under = ["-p", "under_merge"] if on else []
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"),
            *("--rootdir", str(folder), f"--junitxml={report}", *under, "-k", select, "--pyargs"),
            *(f"sklearn.model_selection.tests.{suite}" for suite in suites),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "MERGED_ON": on or ""},
        check=False,
        capture_output=True,
    )
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        states = {child.tag for child in case} - {"system-out", "system-err", "properties"}
        outcomes[case.attrib["name"]] = states.pop() if states else "passed"
    return outcomes


def failures_of_ours(folder: Path, on: str, suites: tuple[str, ...], least: int) -> set[str]:
    """Return the tests that fail under the backend and pass without it, of at least so many."""
    outcomes = run_suites(folder, suites, on=on, select=SAME if on == "cluster" else "")
    passed = sum(state == "passed" for state in outcomes.values())
    assert passed >= least, f"the suites did not run: {passed} passed"
    failed = {name for name, state in outcomes.items() if state in ("failure", "error")}
    if not failed:
        return failed
    names = sorted({name.partition("[")[0] for name in failed})
    plain = run_suites(folder, suites, on=None, select=" or ".join(names))
    return {name for name in failed if plain[name] == "passed"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("suite", "least"),
    [
        ("test_search", 100),
        pytest.param("test_successive_halving", 40, marks=pytest.mark.long),
        pytest.param("test_validation", 100, marks=pytest.mark.long),
    ],
)
def test_scikit_learns_tests_pass_in_this_process(tmp_path: Path, suite: str, least: int) -> None:
    assert failures_of_ours(tmp_path, "here", (suite,), least) == set()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.long
@pytest.mark.parametrize(
    ("suite", "least"),
    [("test_search", 100), ("test_successive_halving", 40), ("test_validation", 60)],
)
def test_scikit_learns_tests_pass_on_a_cluster(tmp_path: Path, suite: str, least: int) -> None:
    failed = failures_of_ours(tmp_path, "cluster", (suite,), least)
    assert {name.partition("[")[0] for name in failed} <= SEEN_FROM_OUTSIDE.keys()
