"""`%scale runs` and its like, in a shell and on the command line."""

from __future__ import annotations

import json
from typing import Any

import dask
import pytest
from IPython.core.error import UsageError

from jupyter_scale import runs
from jupyter_scale.application import main

ABOVE = """
import numpy as np
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV

draw = np.random.default_rng(0)
X, y = draw.normal(size=(60, 3)), np.arange(60) % 2
search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
"""
CELL = "%%scale --local -o report\nsearch.fit(X, y)"


@pytest.fixture
def ran(shell: Any) -> Any:
    """A shell in which a cell has searched."""
    shell.run_cell(ABOVE).raise_error()
    shell.run_cell(CELL).raise_error()
    return shell


def said(shell: Any, line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    shell.run_line_magic("scale", line)
    return capsys.readouterr().out


def known(shell: Any) -> int:
    report: Any = shell.user_ns["report"]
    return int(report.searches[-1].cells_known)


def test_a_cell_that_ran_is_known(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert known(ran) == 0
    ran.run_cell(CELL).raise_error()
    assert known(ran) == 4
    ran.run_cell(CELL.replace("--local", "--local --fresh")).raise_error()
    assert known(ran) == 0
    capsys.readouterr()
    ran.run_cell(CELL.replace("--local", "--local --plan")).raise_error()
    assert "4 cells are on record, and are not fitted again (--fresh does)" in (
        capsys.readouterr().out
    )
    assert len(runs.runs()) == 3, "a plan is no run"


def test_runs_are_listed_and_shown(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.runs().index[0]
    table = said(ran, "runs", capsys).splitlines()
    assert table[0].split() == list(runs.listing.COLUMNS)
    assert table[1].startswith(f"{run}  ")
    assert "GridSearchCV(LogisticRegression)" in table[1]
    page = said(ran, "show last", capsys)
    assert f"{run}: GridSearchCV(LogisticRegression)" in page
    assert "    search.fit(X, y)" in page
    assert "local=True" in page
    (entry,) = json.loads(said(ran, "runs --json", capsys))
    assert entry["id"] == run
    assert said(ran, "runs --since 2999-01-01", capsys).startswith("No run is on record")
    assert said(ran, "runs --notebook other.ipynb", capsys).startswith("No run is on record")


def test_a_run_is_repeated(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert " equals " in said(ran, "rerun last", capsys)
    assert known(ran) == 0
    ran.user_ns["y"] = 1 - ran.user_ns["y"]
    assert "differs" in (text := said(ran, "rerun last", capsys))
    assert "the data are others" in text


def test_a_run_without_a_seed_differs_and_says_why(
    ran: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ran.run_cell("search = GridSearchCV(SGDClassifier(), {'alpha': [1e-4, 1e-3]}, cv=2)")
    ran.run_cell(CELL).raise_error()
    ran.user_ns["np"].random.seed(1)
    text = said(ran, "rerun last", capsys)
    assert "differs" in text
    assert "Drawn without a seed: SGDClassifier (random_state) (--seed N seeds it)" in text


def test_a_run_is_resumed(ran: Any) -> None:
    ran.run_line_magic("scale", "resume last")
    assert known(ran) == 4
    del ran.user_ns["search"]
    with pytest.raises(UsageError, match=r"name 'search' is not defined.* Run the cells above it"):
        ran.run_line_magic("scale", "resume last")
    with pytest.raises(UsageError, match="No run nonsense is on record: %scale runs lists them"):
        ran.run_line_magic("scale", "resume nonsense")


def test_runs_are_compared(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first = runs.runs().index[0]
    ran.run_cell("search.param_grid = {'C': [1.0, 1e-6]}")
    ran.run_cell(f"{CELL}  # changed").raise_error()
    text = said(ran, f"diff {first} last", capsys)
    assert "- C=0.1" in text
    assert "+ C=1e-06" in text
    assert "+search.fit(X, y)  # changed" in text
    assert "1 candidates have equal scores" in text
    assert "data         the same" in text


def test_notes_and_tags(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "[a b]: with care" in said(ran, "note last 'with care' --tag b --tag a", capsys)
    assert "[b]: with care" in said(ran, "note last --untag a", capsys)
    assert "GridSearchCV" in said(ran, "runs --tag b", capsys)
    assert said(ran, "runs --tag a", capsys).startswith("No run is on record")


def test_runs_are_removed(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.runs().index[0]
    assert said(ran, f"rm {run} --dry-run", capsys) == f"Would remove {run}.\n"
    assert said(ran, f"rm {run[:3]}", capsys) == f"Removed {run}.\n"
    assert said(ran, "rm --before 2999-01-01", capsys) == "Nothing to remove.\n"
    with pytest.raises(UsageError, match="Which runs"):
        ran.run_line_magic("scale", "rm")
    ran.run_cell(CELL).raise_error()
    assert known(ran) == 0


def test_the_command_line_has_them_too(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert "GridSearchCV(LogisticRegression)" in capsys.readouterr().out
    assert main(["show", "last"]) == 0
    assert "search.fit(X, y)" in capsys.readouterr().out
    assert main(["show", "nonsense"]) == 1
    assert "jupyter scale runs lists them" in capsys.readouterr().err
    assert main(["rerun", "last"]) == 2
    assert "for notebooks" in capsys.readouterr().err


def test_frames(ran: Any) -> None:
    ran.run_cell("search.set_params(scoring=['accuracy', 'f1'], refit='f1')")
    ran.run_cell(CELL).raise_error()
    table = runs.runs()
    assert list(table["metric"]) == ["f1", ""]
    cells = runs.cells("last")
    assert list(cells["param_C"]) == ["0.1", "0.1", "1.0", "1.0"]
    found = ran.user_ns["search"].cv_results_
    for candidate in (0, 1):
        mine = cells[cells["candidate"] == candidate].sort_values("fold")
        for fold in (0, 1):
            assert mine["test_f1"].iloc[fold] == found[f"split{fold}_test_f1"][candidate]


def test_nothing_is_recorded_if_it_is_set_so(shell: Any) -> None:
    import dask

    shell.run_cell(ABOVE).raise_error()
    with dask.config.set({"jupyter-scale.record": False}):
        shell.run_cell(CELL).raise_error()
    assert len(runs.runs()) == 0
    assert shell.user_ns["report"].searches[0].run == ""


def test_a_secret_in_a_cell_is_not_on_record(ran: Any) -> None:
    ran.run_cell(f"{CELL}\npassword = 'a word of mine'").raise_error()
    assert "a word of mine" not in runs.runs()["cell"].iloc[0]
    with pytest.raises(UsageError, match="held a secret, which is not on record"):
        ran.run_line_magic("scale", "rerun last")


def test_another_metric_of_a_cell_that_keeps_predictions(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell(ABOVE).raise_error()
    shell.run_cell(CELL.replace("--local", "--local --keep-predictions")).raise_error()
    assert "keep_predictions=True" in said(shell, "show last", capsys)
    shell.run_cell("search.set_params(scoring='roc_auc')")
    shell.run_cell(CELL.replace("--local", "--local --plan")).raise_error()
    assert "4 of them by another metric: scored from predictions that were kept" in (
        capsys.readouterr().out
    )
    shell.run_cell(CELL).raise_error()
    assert shell.user_ns["report"].searches[-1].cells_rescored == 4
    with dask.config.set({"jupyter-scale.record": False}):
        shell.run_cell(CELL.replace("--local", "--local --keep-predictions")).raise_error()
    assert "No predictions are kept, for nothing is on record" in capsys.readouterr().err
