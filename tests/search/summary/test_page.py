"""The summary as HTML: well formed, escaped, readable on any ground, small, and true."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from made_scores import EVIL, Broken, Evil, grid, report_of, scores_of
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from jupyter_scale import merged
from jupyter_scale.search.report import SearchReport
from jupyter_scale.search.summary.page import FIRST, MORE, page
from jupyter_scale.search.summary.tree import Box, Tree

X, y = make_classification(n_samples=60, n_features=5, random_state=0)
VOID = ("br", "rect", "path", "circle")


class Page(HTMLParser):
    """Checks that every element is closed, and keeps what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "br":
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def shown(report: SearchReport) -> Page:
    """The page of a report, checked for what holds for every page."""
    html = page(report)
    assert len(html) < 150_000
    html.encode()
    found = Page(html)
    for drawn in re.findall(r"<svg.*?</svg>", html):
        picture = ElementTree.fromstring(drawn)
        assert picture.get("aria-label")
        assert picture.get("role") == "img"
        assert picture[0].tag.endswith("title")
    assert "nan nan" not in html
    assert not re.search(r'="(nan|inf|-inf)', html)
    # the only scripts are the page's own, and nothing acts on an event
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert (tag, attributes) == (tag, {}) or tag != "script"
    assert html.count("<script") == html.count("</script>") <= 1
    return found


def titles(found: Page) -> list[str]:
    return re.findall(
        r"Score by parameter|Both parameters together|All parameters together|"
        r"Best score over time|Importance of parameters|The plan|Time per step|Fits per step|"
        r"Score of each fit|The next \d+ candidates",
        found.text,
    )


def test_the_table_has_the_numbers_of_scikit_learn() -> None:
    search = GridSearchCV(SVC(), {"C": [0.01, 1.0, 10.0], "kernel": ["rbf", "linear"]}, cv=3)
    with merged():
        search.fit(X, y)
    found = shown(search.scale_report)
    head, *rows = found.tables[0]
    assert head == ["rank", "mean test score", "C", "kernel", "fit time", "candidate"]
    results = search.cv_results_
    assert len(rows) == 6
    for row in rows:
        n = int(row[-1])
        mean, std = results["mean_test_score"][n], results["std_test_score"][n]
        assert row[:4] == [
            str(results["rank_test_score"][n]),
            f"{mean:.4f} ± {std:.4f}",
            f"{results['param_C'][n]:g}",
            results["param_kernel"][n],
        ]
    assert [int(row[0]) for row in rows] == sorted(results["rank_test_score"])
    assert found.tables[-1] == [
        ["step", "scikit-learn", "merged", "saved"],
        ["SVC", "18", "18", "0"],
    ]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (grid(a=[1, 2, 3]), ["Score by parameter", "Best score over time"]),
        (
            grid(a=[1, 2, 3], b=["x", "y"]),
            ["Score by parameter", "Both parameters together", "Best score over time",
             "Importance of parameters"],
        ),
        (
            grid(a=[1, 2, 3], b=["x", "y"], c=[None, "z"]),
            ["The next 2 candidates", "Score by parameter", "All parameters together",
             "Best score over time", "Importance of parameters"],
        ),
        (grid(a=[1]), []),
        ([], []),
    ],
)  # fmt: skip
def test_there_are_the_plots_that_make_sense(params: list[Any], expected: list[str]) -> None:
    found = titles(shown(report_of(scores_of(params))))
    assert list(dict.fromkeys(found)) == [*expected, "Fits per step"]


VALUES: list[Any] = [
    EVIL,
    Evil(),
    Broken(),
    None,
    "None",
    "\x00\x1b[0m\ud800 \N{RIGHT-TO-LEFT OVERRIDE}",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "</script></svg></table>",
    len,
    lambda x: x,
    StandardScaler(),
    np.arange(3),
    float("inf"),
    10**400,
    (1, 2),
    True,
    1,
    "x" * 5000,
]


def test_any_value_is_shown_as_text() -> None:
    report = report_of(scores_of(grid(a=VALUES, b=[1, 2])), EVIL)
    report.times = {EVIL: 1.0}
    report.counts = {EVIL: [1, 1, 1]}
    report.unshared = {EVIL: 1}
    report.tree = Tree((EVIL,), (Box(0, EVIL), Box(0, EVIL, (0,))), ((0,), (0, 1)), 2, 3, 2, 1)
    found = shown(report)
    assert found.text.count(EVIL) > 5
    assert '"><img src=x' in found.text
    assert "<Broken>" in found.text
    assert not [tag for tag, _ in found.tags if tag == "img"]
    three = report_of(scores_of(grid(**{EVIL: [1, 2], "b": VALUES, "c": [1, 2]})))
    assert EVIL in shown(three).text


def test_a_failure_is_shown_as_text() -> None:
    search = GridSearchCV(SVC(), {"C": [1.0, 2.0], "kernel": ["rbf", EVIL]}, cv=2)
    with pytest.warns((FitFailedWarning, UserWarning)), merged():
        search.fit(X, y)
    found = shown(search.scale_report)
    assert "nan failed" in found.text
    assert "Failed, 2 candidates: InvalidParameterError: The 'kernel' parameter" in found.text


def big(n_parameters: int) -> SearchReport:
    names = [f"step__parameter_{n}" for n in range(n_parameters)]
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 9, (10_000, n_parameters))
    params = [
        {name: int(v) if n % 2 else f"a rather long value {v}" for n, (name, v) in
         enumerate(zip(names, row, strict=True))}
        for row in drawn
    ]  # fmt: skip
    return report_of(scores_of(params, folds=5))


@pytest.mark.parametrize("n_parameters", [1, 2, 4, 40])
def test_a_page_of_ten_thousand_candidates_is_small(n_parameters: int) -> None:
    report = big(n_parameters)
    found = shown(report)  # which looks at its size
    assert len(found.tables[0]) == 1 + FIRST
    assert 20 < len(found.tables[1]) <= 1 + MORE
    assert f"The best {FIRST} of 10,000 candidates" in found.text


def test_numbers_that_differ_in_each_candidate() -> None:
    rng = np.random.default_rng(0)
    params = [{"C": float(c), "gamma": float(g)} for c, g in 10 ** rng.uniform(-3, 3, (300, 2))]
    found = shown(report_of(scores_of(params)))
    assert "Both parameters together" in found.text
    assert ">0.01<" in page(report_of(scores_of(params)))  # a tick of a logarithmic axis


def test_no_text_has_a_fixed_colour_but_on_a_coloured_cell() -> None:
    html = page(report_of(scores_of(grid(a=[1, 2, 3], b=[1, 2, 3]))))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    fixed = re.compile(r"(?<![-\w])color:(?!var\(--jp-ui-font-color1,inherit\)|inherit)")
    assert not fixed.search(style[1])
    assert not fixed.search(re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))
    # a text's own colour is in the heat map, where the cell has a fixed one below it
    heat = re.search(r"<svg[^>]*Heat map.*?</svg>", html)
    assert heat is not None
    assert 'fill="black"' in heat[0]
    assert 'fill="white"' in heat[0]
    rest = html.replace(heat[0], "")
    assert not re.search(r'fill="(black|white|#000|#fff)', rest)
    assert 'fill="currentColor"' in rest


def test_it_can_be_used_by_keyboard_and_read_without_scripts() -> None:
    report = report_of(scores_of(grid(a=range(30))))
    found = shown(report)
    regions = [attributes for _, attributes in found.tags if attributes.get("role") == "region"]
    assert regions
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in regions)
    heads = [a for tag, a in found.tags if tag == "th" and a.get("aria-sort")]
    assert [each["aria-sort"] for each in heads] == ["ascending", "ascending"]
    # buttons are made by the script: none that does nothing without it
    assert "button" not in [tag for tag, _ in found.tags]
    ranks = [int(row[0]) for table in found.tables[:2] for row in table[1:]]
    assert ranks == list(range(1, 31))


def test_the_plan_is_drawn_where_it_merges_something() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("model", SVC())])
    with merged() as report:
        GridSearchCV(pipeline, {"model__C": [1, 2]}, cv=2).fit(X, y)
        GridSearchCV(SVC(), {"C": [1, 2]}, cv=2).fit(X, y)
    one, two = report.searches
    assert "The plan: 2 candidates on one of 2 folds" in shown(one).text
    assert "Unmerged: 4 fits" in shown(one).text
    assert "Merged: 3 fits" in shown(one).text
    assert "The plan" not in shown(two).text


def test_rounds_are_told() -> None:
    search = HalvingGridSearchCV(SVC(), {"C": [0.1, 1, 10, 100]}, cv=2, random_state=0, factor=2)
    with merged():
        search.fit(X, y)
    head, first, *_ = shown(search.scale_report).tables[0]
    assert head[2] == "iter"
    assert int(first[-1]) == search.best_index_
    assert int(first[2]) == search.n_iterations_ - 1


def test_metrics_of_a_cross_validation() -> None:
    with merged() as report:
        cross_validate(SVC(), X, y, cv=4, scoring=["accuracy", "f1"])
    found = shown(report.searches[0])
    assert [row[0] for row in found.tables[0][1:]] == ["accuracy", "f1"]
    assert titles(found)[0] == "Score of each fit"


def test_work_without_scores_has_its_steps() -> None:
    with merged() as report:
        RFECV(LogisticRegression(), cv=2, n_jobs=2).fit(X, y)
    found = shown(report.searches[0])
    assert set(titles(found)) == {"Time per step", "Fits per step"}
    assert "\n  step" in str(report)


def test_a_report_shows_the_last_of_many_searches() -> None:
    with merged() as report:
        pass
    assert report._repr_html_() == str(report) == "no search ran"
    report.searches += [report_of(scores_of(grid(a=[n, 2])), f"S{n}") for n in range(13)]
    assert str(report).startswith("3 searches before are in the report's searches\n\nS3: ")
    assert report._repr_html_().startswith("<p>3 searches before are in the report")
    assert "S12: " in report._repr_html_()


def test_scores_of_any_size_can_be_told_apart() -> None:
    for factor, text in ((1e-6, "e-0"), (1, "0."), (1e4, ""), (1e9, "e+")):
        ranking = report_of(
            scores_of(grid(a=[1, 2]), lambda n, fold, f=factor: -f * (0.5 + n))
        ).ranking()
        best, worst = ranking.written(-0.5 * factor), ranking.written(-1.5 * factor)
        assert best != worst
        assert text in best
        assert len(worst) <= 10
