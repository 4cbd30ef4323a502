"""Two runs of a notebook: what counts as a difference, and what does not."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.version import parse
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV

from jupyter_scale.export.compare import Comparison, compare
from jupyter_scale.export.tokens import compared, of_html, tokens
from jupyter_scale.search.report import Score, SearchReport

NOW = datetime(2026, 5, 4, 12, 0)


def shown(**data: Any) -> Any:
    kinds = {name.replace("__", "+").replace("_", "/"): value for name, value in data.items()}
    return new_output("display_data", data=kinds)


def printed(text: str, name: str = "stdout") -> Any:
    return new_output("stream", name=name, text=text)


def of(*outputs: Any, tags: tuple[str, ...] = (), count: int | None = 1, source: str = "f()"):
    cell = new_code_cell(
        source, outputs=list(outputs), execution_count=count, metadata={"tags": list(tags)}
    )
    return new_notebook(cells=[new_markdown_cell("# A title"), cell])


def between(saved: Any, found: Any) -> Comparison:
    return compare(of(saved), of(found), now=NOW)


# -- text


@pytest.mark.parametrize(
    ("saved", "found"),
    [
        ("0.1 0.2", "0.10000001   0.19999999"),
        ("[1.  2. ]", "[1.00000001 2.        ]"),
        ("-0.0 and 3e-17", "0.0 and -1e-18"),
        ("a\n-----", "a\n---------"),
        ("<object at 0x7f3a51c0>", "<object at 0x7f9912d0>"),
        ("tcp://127.0.0.1:35981", "tcp://10.0.0.7:1234"),
        ("Started local-7c31: 2 workers", "Started local-beef: 2 workers"),
        ("Closed hpc-cpu-7c31.", "Closed hpc-cpu-0a12."),
        ("local-84bc: 1 worker, 1 thread", "local-0000: 1 worker, 1 thread"),
        ("on record as 3f2a9c1d", "on record as 77b1aaaa"),
        ("http://127.0.0.1:8787/status", "http://localhost:41003/status"),
        ("/home/ada/work/x.py:12: a warning", "/srv/conda/lib/x.py:12: a warning"),
        ("id 01234567-89ab-cdef-0123-456789abcdef", "id 11234567-89ab-cdef-0123-456789abcdef"),
        ("took 1.2 s, 300 ms", "took 4.75 s, 21 ms"),
        ("CPU times: user 1.2 ms, total: 3 s", "CPU times: user 800 µs, total: 2 s"),
        ("10/10 [00:01<00:00,  9.12it/s]", "10/10 [00:03<00:00,  2.02it/s]"),
        ("now 2020-01-01 10:00:00", "now 2026-05-04 11:59:59.5"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("Wall time: 1min 3s", "Wall time: 58 s"),
        ("1%\r50%\r100%\n", "100%\n"),
        ("memory=7.74 GiB", "memory=3.10 GiB"),
    ],
)
def test_what_a_run_cannot_repeat_is_no_difference(saved: str, found: str) -> None:
    assert not between(printed(saved), printed(found)).differences


@pytest.mark.parametrize(
    ("saved", "found"),
    [
        ("0.1", "0.100001"),
        ("1000000", "1000001"),  # counted, not measured
        ("nan", "0.0"),
        ("a b", "a"),
        ("", "a"),
        ("3 s  4 s", "3 s"),
        ("3 rows", "4 rows"),
        ("x-1", "x-2"),
        ("item-7c31", "item-beef"),
        ("Started local-7c31: 2 workers", "Started local-7c31: 3 workers"),
        ("model_1", "model_2"),
        ("born 1815-12-10", "born 1815-12-11"),
        ("https://example.org/a", "https://example.org/b"),
        ("9f86d081884c7d65", "60303ae22b998861"),  # a digest is a result
    ],
)
def test_what_is_a_difference(saved: str, found: str) -> None:
    assert len(between(printed(saved), printed(found)).differences) == 1


def test_a_date_is_the_hour_only_when_it_is_that_of_the_run() -> None:
    far, near = NOW - timedelta(days=900), NOW + timedelta(hours=3)
    assert compared(str(far), str(near), now=NOW).equal
    assert not compared(str(far), str(far + timedelta(days=1)), now=NOW).equal


def test_a_difference_is_quoted_with_what_stands_before_it() -> None:
    (wrong,) = between(printed("loss 3 accuracy 0.91"), printed("loss 3 accuracy 0.87")).differences
    assert str(wrong) == ("cell 2 (f()), stdout: was loss 3 accuracy 0.91, is loss 3 accuracy 0.87")


def test_what_is_let_pass_is_said() -> None:
    found = between(printed("took 1 s at 0x7f3a51c0"), printed("took 2 s at 0x7f9912d0"))
    assert found.notes == ("cell 2: the same apart from 1 address, 1 duration",)


@given(st.text())
def test_a_text_is_equal_to_itself_and_nothing_is_let_pass(text: str) -> None:
    found = compared(text, text)
    assert found.equal
    assert not found.apart


@given(st.floats(-1e300, 1e300), st.floats(1e-3, 0.5))
def test_numbers_are_equal_to_the_tolerance(value: float, step: float) -> None:
    apart = value * (1 + step)
    assert compared(f"is {value!r}", f"is {value * (1 + 1e-8)!r}").equal
    assert compared(f"is {value!r}", f"is {apart!r}").equal == (abs(apart - value) <= 1e-12)


@given(st.text(alphabet="ab 0123456789.-/:", max_size=40))
def test_tokens_hold_all_that_is_no_blank(text: str) -> None:
    plain = "".join("".join(token.text for token in tokens(text)).split())
    assert len(plain) <= len("".join(text.split()))
    if "----" not in text:
        assert plain == "".join(text.split())


# -- streams


def test_the_pieces_of_a_stream_are_one() -> None:
    saved = of(printed("a"), printed("w", "stderr"), printed("b"))
    assert not compare(saved, of(printed("ab"), printed("w", "stderr"))).differences


def test_standard_error_is_told_and_not_held_against_a_cell() -> None:
    found = between(printed("DeprecationWarning: x", "stderr"), printed("", "stderr"))
    assert not found.differences
    assert found.equal == (2,)
    assert "standard error" in found.notes[0]


# -- tables, pages


def table(values: Any) -> Any:
    frame = pd.DataFrame(values)
    return shown(text_plain=repr(frame), text_html=frame.to_html())


def test_tables() -> None:
    values = {"a": [1.0, 2.5], "b": ["x", "y"]}
    nearly = {"a": [1.00000001, 2.5], "b": ["x", "y"]}
    assert not between(table(values), table(nearly)).differences
    other = between(table(values), table({"a": [1.0, 2.6], "b": ["x", "y"]})).differences
    assert {wrong.where for wrong in other} == {"text/plain", "text/html"}
    assert between(table(values), table({"a": [1.0], "b": ["x"]})).differences


def test_an_empty_cell_of_a_table_has_its_place() -> None:
    first = "<table><tr><td>1</td><td></td></tr></table>"
    second = "<table><tr><td></td><td>1</td></tr></table>"
    assert between(shown(text_html=first), shown(text_html=second)).differences


def test_of_a_page_what_it_says_counts() -> None:
    first = '<style>.a{color:red}</style><div id="a1">x &lt; 1</div>'
    second = '<style>.b{color:blue}</style><p id="b2" class="c">x &lt; 1</p>'
    assert not between(shown(text_html=first), shown(text_html=second)).differences
    assert of_html(first).text == "x < 1"


def test_a_picture_in_svg_is_drawn_by_its_attributes() -> None:
    page = '<svg><path id="{}" d="M 0 {}"/></svg>'
    one = shown(text_html=page.format("a", 1))
    assert not between(one, shown(text_html=page.format("b", 1))).differences
    assert between(one, shown(text_html=page.format("a", 2))).differences


def test_scripts_count_apart_from_the_names_that_they_draw_in() -> None:
    page = "<script>draw('{}', [1, {}])</script>"
    one = shown(text_html=page.format("a" * 32, 2))
    assert not between(one, shown(text_html=page.format("b" * 32, 2))).differences
    assert between(one, shown(text_html=page.format("a" * 32, 3))).differences


# -- our own pages, and scikit-learn's of a search


def searched(*, late: int = 0, score: float = 0.9, seconds: float = 0.01) -> Any:
    """The summary of a search, one of whose candidates came late."""
    report = SearchReport("GridSearchCV(Pipeline)", "2 workers (2 threads)", status="done")
    report.counts = {"b: PCA": [6, 2, 2], "c: SVC": [6, 6, 6]}
    report.n_cells = report.cells_done = 6
    for n, mean in enumerate((0.7, 0.8, score)):
        for fold in range(2):
            ended = n + fold / 2 + 9 * (n == late)
            report.scores.append(
                Score(n, fold, {"alpha": 10**n}, mean, fit_time=seconds * n, ended=ended)
            )
    steps = ["b: PCA", "c: SVC"]
    report.times = {step: seconds for step in (steps if late else reversed(steps))}
    report.seconds = report.seconds_spent = 90 * seconds
    report.seconds_saved = seconds
    report.refit = f"refit in {seconds:.1f} s on worker tls://127.0.0.1:{40000 + late}"
    return shown(text_plain=repr(report), text_html=report._repr_html_())


@pytest.mark.parametrize("changed", [{"late": 1}, {"late": 2}, {"seconds": 1.5}])
def test_when_the_cells_of_a_search_were_done_is_no_difference(changed: Any) -> None:
    found = between(searched(), searched(**changed))
    assert not found.differences
    if "late" in changed:
        assert "1 part that varies" in found.notes[0]


def test_another_score_of_a_search_is_one() -> None:
    found = between(searched(), searched(score=0.91)).differences
    assert {wrong.where for wrong in found} == {"text/plain", "text/html"}


def test_a_cluster_starts_with_as_many_words_as_it_takes() -> None:
    ends = "Started local-7c31: 2 workers"
    found = between(printed(f"local-7c31: starting\n{ends}"), printed(ends))
    assert not found.differences
    assert between(printed(f"local-7c31: failed\n{ends}"), printed(ends)).differences


def fitted(**times: float) -> Any:
    """scikit-learn's page of a search whose fits took so long."""
    search = GridSearchCV(DummyClassifier(), {"constant": [0, 1]}, cv=2)
    search.fit([[0], [1], [0], [1]], [0, 1, 0, 1])
    search.refit_time_ = times.get("refit", 0.5)
    results = search.cv_results_
    results["mean_fit_time"] = np.array([times.get("fit", 0.1), 0.2])
    results["mean_score_time"] = np.array([0.1, 0.2])
    results["mean_test_score"] = np.array([times.get("score", 0.5), 0.5])
    search.best_score_ = times.get("best", 0.5)
    return shown(text_html=search._repr_html_())


@pytest.mark.skipif(parse(sklearn.__version__) < parse("1.9"), reason="it shows no attributes yet")
def test_of_scikit_learns_page_the_times_do_not_count() -> None:
    assert not between(fitted(), fitted(refit=77.0)).differences
    assert not between(fitted(), fitted(fit=0.77)).differences
    assert between(fitted(), fitted(score=0.6)).differences
    assert between(fitted(), fitted(best=0.6)).differences


def test_what_says_that_it_varies_is_left_out_alone() -> None:
    page = "<b>{}</b><div data-varies>{}<div>x</div><br>{}</div><p>{}</p>"
    one = shown(text_html=page.format(1, 2, 3, 4))
    found = between(one, shown(text_html=page.format(1, 7, 8, 4)))
    assert not found.differences
    assert found.notes == ("cell 2: the same apart from 1 part that varies",)
    assert between(one, shown(text_html=page.format(0, 2, 3, 4))).differences
    assert between(one, shown(text_html=page.format(1, 2, 3, 5))).differences
    assert between(one, shown(text_html="<b>1</b><p>4</p>")).differences


@pytest.mark.parametrize("start", ["<img data-varies>", "<div data-varies>", "<div data-varies/>"])
def test_what_says_so_and_never_ends_hides_nothing(start: str) -> None:
    pages = (shown(text_html=f"{start}<p>{number}</p>") for number in (1, 2))
    assert between(*pages).differences


# -- JSON, widgets, errors


def test_json_by_its_values() -> None:
    one = shown(application_json={"a": [1.0, {"b": "x"}], "n": 1, "t": True})
    nearly = shown(application_json={"a": [1.00000001, {"b": "x"}], "n": 1, "t": True})
    assert not between(one, nearly).differences
    (wrong,) = between(
        one, shown(application_json={"a": [1.0, {"b": "y"}], "n": 1, "t": True})
    ).differences
    assert (wrong.saved, wrong.found) == ("a[1].b x", "y")
    for other in ({"a": [1.0]}, [1.0], {"a": [1.0, {"b": "x"}], "n": 2, "t": True}, None):
        assert between(one, shown(application_json=other)).differences


def test_a_widget_is_there_under_any_name() -> None:
    kind = "application/vnd.jupyter.widget-view+json"
    one, other = (
        new_output("display_data", data={kind: {"model_id": name}, "text/plain": "IntSlider()"})
        for name in ("a1", "b2")
    )
    assert not between(one, other).differences
    assert between(one, shown(text_plain="IntSlider()")).differences


def test_errors_by_their_words() -> None:
    def error(name: str, value: str, *traceback: str) -> Any:
        return new_output("error", ename=name, evalue=value, traceback=list(traceback))

    one = error("ValueError", "at 0x7f3a51c0", "line 1")
    assert not between(one, error("ValueError", "at 0x7f9912d0", "line 2")).differences
    assert between(one, error("TypeError", "at 0x7f3a51c0")).differences
    assert between(one, shown(text_plain="1")).differences


# -- pictures


@contextmanager
def drawn(**rc: Any) -> Iterator[None]:
    with matplotlib.rc_context(rc):
        yield


def plot(*, shift: float = 0.0, bar: float = 5.0, title: str = "Scores", point: float = 0.0) -> Any:
    figure = Figure(figsize=(6, 3), dpi=100)
    left, right = figure.subplots(1, 2)
    x = np.linspace(0, 10, 50)
    left.plot(x, np.sin(x) + shift)
    left.scatter([2, 5, 7], [0, point, 0], s=12)
    left.set_title(title)
    right.bar([1, 2, 3], [3, bar, 4])
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return shown(image_png=base64.b64encode(out.getvalue()).decode())


def test_letters_smoothed_otherwise_are_the_same_picture() -> None:
    one = plot()
    assert not between(one, plot(shift=1e-3)).differences
    with drawn(**{"text.hinting": "none"}):
        assert not between(one, plot()).differences
    with drawn(**{"text.antialiased": False}):
        assert not between(one, plot()).differences


@pytest.mark.parametrize(
    "changed", [{"shift": 0.1}, {"bar": 4.8}, {"title": "Losses"}, {"point": 0.9}]
)
def test_other_data_are_another_picture(changed: Any) -> None:
    (wrong,) = between(plot(), plot(**changed)).differences
    assert "the picture shows something else in" in str(wrong)


def test_pictures_of_another_size() -> None:
    figure = Figure(figsize=(2, 2))
    out = io.BytesIO()
    figure.savefig(out, format="png")
    other = shown(image_png=base64.b64encode(out.getvalue()).decode())
    (wrong,) = between(plot(), other).differences
    assert "was 600x300 pixels, is 200x200" in str(wrong)


def test_what_is_no_picture_is_a_difference() -> None:
    (wrong,) = between(plot(), shown(image_png="bm90IGEgcGljdHVyZQ==")).differences
    assert "not readable" in str(wrong)


def test_a_picture_in_a_page_is_looked_at() -> None:
    page = '<img src="data:image/png;base64,{}">'
    one, other = (
        shown(text_html=page.format(drawing.data["image/png"]))
        for drawing in (plot(), plot(bar=3.0))
    )
    assert not between(one, one).differences
    assert between(one, other).differences


# -- cells


@pytest.mark.parametrize("tag", ["not-compared", "nbval-ignore-output"])
def test_a_tag_leaves_a_cell_out_and_that_is_said(tag: str) -> None:
    found = compare(of(printed("1"), tags=(tag,)), of(printed("2"), tags=(tag,)))
    assert (found.differences, found.left_out) == ((), (2,))
    assert found.lines == ("1 cell: left out by a tag (2)",)


def test_a_search_that_was_answered_from_the_record_is_told_with_the_remedy() -> None:
    anew = SearchReport("GridSearchCV(Ridge)", "2 workers")
    recalled = SearchReport("GridSearchCV(Ridge)", "2 workers", cells_known=60)
    remedy = "cell 2: its search was answered from the record when it was saved: run it"
    saved, found = shown(text_plain=str(recalled)), shown(text_plain=str(anew))
    assert any(line.startswith(remedy) for line in between(saved, found).lines)
    assert between(saved, found).recalled == (2,)
    assert not between(found, saved).recalled
    assert not between(saved, saved).recalled


def test_a_cell_that_had_not_been_run_is_not_compared() -> None:
    found = compare(of(count=None), of(printed("2")))
    assert (found.equal, found.differences, found.unrun) == ((), (), (2,))


def test_a_cell_that_said_nothing_and_now_does() -> None:
    assert compare(of(), of(printed("2"))).differences
    assert compare(of(), of(shown(text_plain="2"))).differences


def test_another_source_is_another_cell() -> None:
    (wrong,) = compare(of(source="a"), of(source="b")).differences
    assert wrong.where == "source"
    longer = of()
    longer.cells.append(new_code_cell("g()"))
    assert compare(of(), longer).differences


def test_all_in_words() -> None:
    lines = between(printed("1"), printed("2")).lines
    assert lines == ("1 cell: other outputs", "cell 2 (f()), stdout: was 1, is 2")
