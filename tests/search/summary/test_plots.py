"""``report.plot`` and ``report.results``: what is in them, and what they say without data."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from made_scores import EVIL, Broken, grid, report_of, scores_of
from matplotlib.figure import Figure
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from jupyter_scale import merged
from jupyter_scale.search.report import Report, SearchReport

X, y = make_classification(n_samples=60, n_features=5, random_state=0)
PLOTS = ("scores", "heatmap", "parallel", "progress", "importance", "times", "plan")


@pytest.fixture(scope="module")
def searched() -> Any:
    pipeline = Pipeline([("scale", StandardScaler()), ("pca", PCA()), ("model", SVC())])
    search = GridSearchCV(
        pipeline,
        {
            "scale": [StandardScaler(), MinMaxScaler()],
            "pca__n_components": [2, 3],
            "model__C": [0.01, 0.1, 1.0, 10.0],
        },
        cv=3,
    )
    with merged() as report:
        search.fit(X, y)
    search.report_ = report
    return search


@pytest.mark.parametrize("name", PLOTS)
def test_each_is_a_figure_that_can_be_drawn(searched: Any, name: str) -> None:
    for report in (searched.scale_report, searched.report_):
        figure = getattr(report.plot, name)()
        assert isinstance(figure, Figure)
    data, size = figure._repr_png_()  # what a notebook asks for
    assert data.startswith(b"\x89PNG")
    assert size["width"] > 100
    assert len(repr(figure)) > len("<Figure: >")  # for those who do not see it


def test_a_dot_per_candidate(searched: Any) -> None:
    results = searched.cv_results_
    figure = searched.scale_report.plot.scores("model__C")
    (axes,) = figure.axes
    dots = axes.collections[0].get_offsets()
    expected = zip(results["param_model__C"], results["mean_test_score"], strict=True)
    assert sorted(map(tuple, np.asarray(dots))) == sorted((float(c), s) for c, s in expected)
    assert axes.get_xscale() == "log"
    (best,) = np.asarray(axes.collections[1].get_offsets())
    assert best[1] == searched.best_score_
    line = axes.lines[0].get_ydata()
    assert max(line) == searched.best_score_
    assert len(line) == 4
    titles = {axes.get_xlabel() for axes in searched.scale_report.plot.scores().axes}
    assert titles == {"model__C", "pca__n_components", "scale"}


def test_a_heat_map_of_the_best_scores(searched: Any) -> None:
    axes = searched.scale_report.plot.heatmap("model__C", "scale").axes[0]
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape == (2, 4)
    assert shown.max() == searched.best_score_
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1", "1", "10"]
    assert searched.scale_report.plot.heatmap(y="scale").axes[0].get_ylabel() == "scale"
    assert searched.scale_report.plot.heatmap("scale").axes[0].get_xlabel() == "scale"


def test_lines_bars_and_steps(searched: Any) -> None:
    plot = searched.scale_report.plot
    assert len(plot.parallel("scale", "model__C").axes[0].lines) >= 16
    best = plot.progress().axes[0].lines[0].get_ydata()
    assert list(best) == sorted(best)
    assert best[-1] == searched.best_score_
    seconds = [bar.get_width() for bar in plot.times().axes[0].patches]
    assert seconds == list(searched.scale_report.times.values())
    assert "ANOVA" in plot.importance().axes[0].get_xlabel()
    unmerged, merged_ = plot.plan().axes
    tree = searched.scale_report.tree
    assert len(merged_.patches) == len(tree.boxes)
    assert len(unmerged.patches) == 16 * 3


def test_a_wrong_name_is_answered_by_the_right_ones(searched: Any) -> None:
    plot = searched.scale_report.plot
    message = "no parameter 'C': choose of model__C, pca__n_components, scale"
    for call in (
        lambda: plot.scores("C"),
        lambda: plot.heatmap("C", "scale"),
        lambda: plot.parallel("C"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("name", PLOTS)
def test_nothing_done_has_no_figure(name: str) -> None:
    with pytest.raises(ValueError, match=r"no candidate has a score yet|no step|no picture"):
        getattr(report_of([]).plot, name)()
    with pytest.raises(ValueError, match="no search ran"):
        _ = Report().plot


def test_one_candidate_and_one_parameter() -> None:
    one = report_of(scores_of(grid(a=[1]))).plot
    for name in ("scores", "parallel", "progress"):
        getattr(one, name)()._repr_png_()
    with pytest.raises(ValueError, match="needs two parameters that vary"):
        one.heatmap()
    with pytest.raises(ValueError, match="not meaningful here: fewer than two parameters vary"):
        one.importance()


def test_any_value_has_a_place() -> None:
    values = [EVIL, Broken(), None, len, StandardScaler(), 1.0, "$x$ is no formula", "x" * 999]
    report = report_of(scores_of([*grid(a=values, b=[0.01, 1, 100]), {"b": 1}, {"c": "only"}]))
    for name in ("scores", "heatmap", "parallel", "progress"):
        getattr(report.plot, name)()._repr_png_()


def test_numbers_that_differ_in_each_candidate() -> None:
    rng = np.random.default_rng(0)
    params = [{"C": float(c), "gamma": float(g)} for c, g in 10 ** rng.uniform(-3, 3, (100, 2))]
    axes = report_of(scores_of(params)).plot.heatmap().axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert len(axes.collections[0].get_offsets()) == 100


def test_without_candidates_each_fit_is_a_dot() -> None:
    with merged() as report:
        found = cross_validate(SVC(), X, y, cv=4)
    dots = report.plot.scores().axes[0].collections[0].get_offsets()
    np.testing.assert_array_equal(np.asarray(dots)[:, 1], found["test_score"])
    with pytest.raises(ValueError, match="no parameters: nothing was searched"):
        report.plot.parallel()


def test_names_are_completed(searched: Any) -> None:
    assert isinstance(searched.scale_report, SearchReport)
    assert all(name in repr(searched.scale_report.plot) for name in PLOTS)
    shell = InteractiveShell.instance()
    shell.user_ns["report"] = searched.scale_report
    with provisionalcompleter():
        found = {each.text for each in shell.Completer.completions("report.plot.", 12)}
    assert set(PLOTS) <= {text.removeprefix(".") for text in found}


@pytest.mark.parametrize(
    ("package", "code"),
    [("pandas", "report_of(made).results"), ("matplotlib", "report_of(made).plot.scores()")],
)
def test_without_a_package_one_line_says_what_to_install(
    package: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "jupyter_scale.search.summary.figures", raising=False)
    monkeypatch.delattr("jupyter_scale.search.summary.figures", raising=False)
    made = scores_of(grid(a=[1, 2]))
    with pytest.raises(ImportError, match=r'pip install "jupyter-scale\[plot\]"'):
        eval(code, {"report_of": report_of, "made": made})


def test_a_summary_imports_neither() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'pandas']));"
        "from jupyter_scale.search.report import SearchReport;"
        "r = SearchReport('s', 'here'); str(r); r._repr_html_(); r.plot"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
