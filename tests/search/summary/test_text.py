"""The summary as text: for terminals and logs."""

from __future__ import annotations

from made_scores import EVIL, Broken, grid, report_of, scores_of

from jupyter_scale.search.summary.text import WIDTH


def test_the_best_ten_stand_between_headline_and_steps() -> None:
    scores = scores_of(grid(step__a=[0.1, 1.0], step__b=["x", "y"]), lambda n, fold: n / 10)
    report = report_of(scores)
    report.counts = {"step": [12, 6, 6]}
    assert str(report).splitlines()[1:] == [
        "  rank  mean test score  step__a  step__b",
        "     1  0.3000 ± 0.0000  1        y",
        "     2  0.2000 ± 0.0000  1        x",
        "     3  0.1000 ± 0.0000  0.1      y",
        "     4  0.0000 ± 0.0000  0.1      x",
        "  step scikit-learn   merged    saved",
        "  step           12        6        6",
    ]


def test_it_is_not_too_wide() -> None:
    names = {f"a_step_with_a_name__parameter_{n}": [1, 2] for n in range(9)}
    names["value"] = ["x" * 500, Broken(), EVIL]
    text = str(report_of(scores_of(grid(**names)[:40])))
    lines = text.splitlines()[1:]
    assert max(map(len, lines)) <= WIDTH
    assert "parameter_0" not in lines[1]  # the first forty vary the last ones only
    assert "… 30 more candidates" in text


def test_what_is_left_out_is_counted() -> None:
    names = {f"parameter_{n:02}": [1, 2] for n in range(11)}
    text = str(report_of(scores_of(grid(**names))))
    assert "… 2,038 more candidates and " in text
    assert text.splitlines()[12].endswith(" more parameters")


def test_without_candidates_there_are_the_scores() -> None:
    text = str(report_of(scores_of([None], lambda n, fold: {"f1": 0.5, "auc": fold / 2})))
    assert text.splitlines()[1:3] == [
        "  test f1 0.5 ± 0 in 3 fits",
        "  test auc 0.5 ± 0.408248 in 3 fits",
    ]


def test_nothing_done_has_no_table() -> None:
    assert "rank" not in str(report_of([]))
