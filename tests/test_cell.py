"""A `%%scale` cell in a real shell behaves as an ordinary cell, and is left when it ends."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from joblib.parallel import get_active_backend

from jupyter_scale.cell import rewrite
from jupyter_scale.magics import load_ipython_extension, unload_ipython_extension

SEARCH = """
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
X, y = load_iris(return_X_y=True)
search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 2]}, cv=2)
"""


def merging() -> bool:
    """Whether searches of this thread run merged now."""
    return type(get_active_backend()[0]).__module__.split(".")[0] != "joblib"


@pytest.fixture
def run(shell: Any) -> Any:
    shell.user_ns["merging"] = merging
    assert shell.run_cell(SEARCH).success
    assert not merging()
    yield lambda code, **options: shell.run_cell(code, store_history=True, **options)
    assert not merging()


def test_only_the_first_line_is_rewritten_and_no_line_is_moved() -> None:
    assert rewrite(["%%scale --plan\n", "a\n", "b\n"]) == [
        "get_ipython().run_line_magic('scale', 'cell --plan')\n",
        "a\n",
        "b\n",
    ]


@pytest.mark.parametrize("first", ["%%scale?\n", "%%scale --help\n", "%%scaled\n", "%%time\n", ""])
def test_other_cells_are_left_alone(first: str) -> None:
    assert rewrite([first, "%%scale\n"]) == [first, "%%scale\n"]


def test_variables_and_the_last_expression(run: Any, shell: Any, capsys: Any) -> None:
    result = run("%%scale --local\nscore = search.fit(X, y).best_score_\nmerging(), score")
    assert result.success
    assert result.result == (True, shell.user_ns["score"])
    assert shell.user_ns["_"] == result.result
    assert "Out[" in capsys.readouterr().out


def test_a_trailing_semicolon_hides_the_value(run: Any, capsys: Any) -> None:
    assert run("%%scale --local\nmerging();").success
    assert "Out[" not in capsys.readouterr().out


def test_a_traceback_points_into_the_cell(run: Any, capsys: Any) -> None:
    result = run("%%scale --local\na = 1\n\n1 / 0")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert result.error_in_exec.__traceback__.tb_next.tb_lineno == 4
    assert "line 4" in capsys.readouterr().out


def test_a_syntax_error_enters_nothing(run: Any, shell: Any) -> None:
    result = run("%%scale --local --seed 1 -o never\na = (")
    assert isinstance(result.error_before_exec, SyntaxError)
    assert "never" not in shell.user_ns


@pytest.mark.parametrize("error", ["1/0", "raise KeyboardInterrupt", "raise SystemExit", "("])
@pytest.mark.filterwarnings("ignore:To exit. use 'exit':UserWarning")
def test_the_context_is_left_whatever_ends_the_cell(run: Any, error: str) -> None:
    assert not run(f"%%scale --local\n{error}").success
    assert not merging()


def test_top_level_await(run: Any) -> None:
    result = run("%%scale --local\nimport asyncio\nawait asyncio.sleep(0)\nmerging()")
    assert result.result is True


def test_indented_cells_and_remarks(run: Any) -> None:
    assert run("\n\n    %%scale --local  # a remark\n    merging()").result is True


@pytest.mark.parametrize("order", ["%%time\n%%scale --local", "%%scale --local\n%%time"])
def test_beside_another_cell_magic(run: Any, order: str, capsys: Any) -> None:
    assert run(f"{order}\nb = 3\nmerging()").result is True
    assert "Wall time" in capsys.readouterr().out


def test_timeit_enters_again_and_again_and_leaves_once(run: Any) -> None:
    assert run("%%timeit -n2 -r2\n%%scale --local\nassert merging()").success
    assert not merging()


def test_line_magics_inside(run: Any, shell: Any) -> None:
    assert run("%%scale --local\n%time c = merging()\nd = !echo hello").success
    assert shell.user_ns["c"] is True
    assert shell.user_ns["d"] == ["hello"]


def test_capture(run: Any, shell: Any) -> None:
    assert run("%%capture kept\n%%scale --local\nsearch.fit(X, y)\nprint(merging())").success
    assert "True" in shell.user_ns["kept"].stdout
    assert "GridSearchCV" in shell.user_ns["kept"].stdout


@pytest.mark.parametrize("inner", ["1", "", "   ", "(", "1/0", "%%scale --local\\nmerging()"])
def test_a_cell_run_from_the_cell_does_not_end_it(run: Any, shell: Any, inner: str) -> None:
    run(f"%%scale --local\nget_ipython().run_cell('{inner}')\nafter = merging()")
    assert shell.user_ns["after"] is True
    assert not merging()


def test_a_cell_in_another_thread_does_not_end_it(run: Any) -> None:
    code = """%%scale --local
import threading
seen = []
def other():
    seen.append(merging())
    events = get_ipython().events
    events.trigger("post_execute")
    events.trigger("post_run_cell", None)
thread = threading.Thread(target=other)
thread.start()
thread.join()
seen, merging()"""
    assert run(code).result == ([False], True)


def test_a_run_that_the_kernel_cancelled_is_left(run: Any) -> None:
    # ipykernel's words for it: the run has ended, and there is no result.
    code = "%%scale --local\nget_ipython().events.trigger('post_run_cell', None)\nmerging()"
    assert run(code).result is False


def test_a_silent_cell_is_left_too(run: Any, shell: Any) -> None:
    assert run("%%scale --local\nquiet = merging()", silent=True).success
    assert shell.user_ns["quiet"] is True


def test_called_as_a_cell_magic_by_other_code(run: Any, shell: Any) -> None:
    assert run("get_ipython().run_cell_magic('scale', '--local', 'e = merging()')").success
    assert shell.user_ns["e"] is True
    result = run("get_ipython().run_cell_magic('scale', '--local', '1/0')\nnever = 1")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert "never" not in shell.user_ns


def test_a_plan_ends_the_cell_quietly_and_fits_nothing(run: Any, shell: Any, capsys: Any) -> None:
    code = """%%scale --plan
f = 1
try:
    search.fit(X, y)
except Exception:
    f = 2
f = 3"""
    result = run(code)
    assert result.success
    assert shell.user_ns["f"] == 1
    assert not hasattr(shell.user_ns["search"], "best_score_")
    captured = capsys.readouterr()
    assert "GridSearchCV" in captured.out
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize("above", ["%%time\n", "%%capture kept\n"])
def test_a_plan_below_another_magic(run: Any, shell: Any, above: str) -> None:
    assert run(f"{above}%%scale --plan\ng = 1\nsearch.fit(X, y)\ng = 2").success
    assert shell.user_ns["g"] == 1


def test_a_plan_without_a_search_says_so(run: Any, capsys: Any) -> None:
    assert run("%%scale --plan\nh = 1").success
    assert "No search in this cell" in capsys.readouterr().out
    assert not run("%%scale --plan\n1/0").success
    assert "No search in this cell" not in capsys.readouterr().out


def test_a_plan_keeps_handlers_of_exceptions_that_others_set(run: Any, shell: Any) -> None:
    seen = []
    shell.set_custom_exc((ZeroDivisionError,), lambda *_, **__: seen.append(1))
    before = shell.custom_exceptions, shell.CustomTB
    run("%%scale --plan\n1/0")
    run("%%scale --plan\nsearch.fit(X, y)")
    assert seen == [1]
    assert (shell.custom_exceptions, shell.CustomTB) == before


@pytest.mark.parametrize("last", ["pass", "1/0"])
def test_the_report_is_kept_also_when_the_cell_fails(run: Any, shell: Any, last: str) -> None:
    run(f"%%scale --local -o report\nsearch.fit(X, y)\n{last}")
    [search] = shell.user_ns["report"].searches
    assert search.status == "done"
    assert search.name.startswith("GridSearchCV")


def test_a_seed_repeats_and_leaves_the_generators_as_they_were(run: Any) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    draw = "%%scale --local --seed 5\nimport random, numpy\nrandom.random(), numpy.random.rand()"
    first, second = run(draw).result, run(draw).result
    assert first == second
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_wrong_usage_stops_the_cell(run: Any, shell: Any, capsys: Any) -> None:
    result = run("%%scale --sed 3\nnever = 1")
    assert type(result.error_in_exec).__name__ == "UsageError"
    assert "never" not in shell.user_ns
    assert "Did you mean --seed?" in capsys.readouterr().err


def test_help_does_not_run_the_cell(run: Any, shell: Any, capsys: Any) -> None:
    assert run("%%scale --help\nnever = 1").success
    assert "never" not in shell.user_ns
    assert "usage: %%scale" in capsys.readouterr().out


def test_loading_twice_and_unloading(run: Any, shell: Any) -> None:
    load_ipython_extension(shell)
    assert shell.input_transformers_cleanup.count(rewrite) == 1
    matchers = len(shell.Completer.custom_matchers)
    assert run("%%scale --local\n%unload_ext jupyter_scale.magics\n").success
    unload_ipython_extension(shell)
    unload_ipython_extension(shell)
    assert not merging()
    assert rewrite not in shell.input_transformers_cleanup
    assert len(shell.Completer.custom_matchers) == matchers - 1
    assert shell.find_line_magic("scale") is None
    assert shell.find_cell_magic("scale") is None
    assert not run("%%scale --local\n1").success
