"""What the plots show, as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from made_scores import grid, scores_of

from jupyter_scale.search.summary import series
from jupyter_scale.search.summary.ranking import ranked


def test_the_best_ones_are_never_thinned_out() -> None:
    ranking = ranked(scores_of(grid(a=range(500))))
    found = series.thinned(ranking, 100)
    assert len(found) == 100
    assert len(set(found)) == 100
    np.testing.assert_array_equal(found[:25], ranking.order[:25])
    assert found[-1] == ranking.order[-1]
    np.testing.assert_array_equal(series.thinned(ranking, 500), ranking.order)


def test_a_parameter_that_decides_all_explains_all() -> None:
    ranking = ranked(scores_of(grid(a=[1, 2, 3], b=["x", "y"]), lambda n, fold: n // 2 + 0.0))
    assert dict(series.importance(ranking).shares) == {"a": 1.0, "b": 0.0}


def test_importance_is_the_adjusted_r_squared_of_a_linear_model() -> None:
    ranking = ranked(scores_of(grid(a=[1, 2, 3, 4], b=["x", "y", "z"])))
    shares = dict(series.importance(ranking).shares)
    for parameter in ranking.parameters:
        columns = np.eye(len(parameter.levels))[parameter.codes]
        fit = columns @ np.linalg.lstsq(columns, ranking.means, rcond=None)[0]
        residual = ((ranking.means - fit) ** 2).sum()
        total = ((ranking.means - ranking.means.mean()) ** 2).sum()
        n, k = columns.shape
        adjusted = 1 - (residual / (n - k)) / (total / (n - 1))
        assert shares[parameter.name] == pytest.approx(max(0, adjusted))


def test_many_numbers_are_grouped() -> None:
    params = [{"a": float(n), "b": n % 2} for n in range(100)]
    found = series.importance(ranked(scores_of(params, lambda n, fold: n / 100)))
    assert dict(found.shares)["a"] == pytest.approx(0.96, abs=0.01)
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("params", "why"),
    [
        (grid(a=range(9)), "fewer than two parameters vary"),
        (grid(a=[1, 2], b=[1, 2]), "fewer than 5 candidates have a score"),
        ([{"a": str(n), "b": str(n)} for n in range(9)], "no value of a parameter was tried twice"),
    ],
)
def test_where_importance_means_nothing_it_says_so(
    params: list[dict[str, object]], why: str
) -> None:
    found = series.importance(ranked(scores_of(params)))
    assert found.shares == ()
    assert found.why == why


def test_equal_scores_have_no_importance() -> None:
    found = series.importance(ranked(scores_of(grid(a=[1, 2, 3], b=[1, 2]), lambda *_: 0.9)))
    assert found.why == "all candidates have the same score"


def test_a_heat_map_has_the_best_of_each_pair() -> None:
    ranking = ranked(scores_of(grid(x=[1, 2], y=["a", "b"], z=[1, 2])[:-2]))
    x, y, _ = ranking.parameters
    heat = series.heat(ranking, x, y)
    assert heat.best[0, 0] == ranking.means[:2].max()
    assert heat.counts.tolist() == [[2, 2], [2, 0]]
    assert np.isnan(heat.best[1, 1])


def test_the_best_over_time_rises_when_a_candidate_is_complete() -> None:
    ranking = ranked(scores_of(grid(a=range(4)), lambda n, fold: (0.5, 0.4, 0.7, 0.6)[n]))
    assert series.best_over_time(ranking) == [(3, 0.5, 0), (9, pytest.approx(0.7), 2)]
    assert series.best_over_time(ranked(scores_of(grid(a=[1]))[:0])) == []


def test_halving_starts_anew_each_round() -> None:
    ranking = ranked(
        scores_of(grid(a=range(4)), lambda n, fold: (0.9, 0.4, 0.7, 0.8)[n]),
        rounds=[0, 2],
        halving=True,
    )
    assert [place for _, _, place in series.best_over_time(ranking)] == [0, 2, 3]
    assert ranking.order.tolist() == [3, 2, 0, 1]
