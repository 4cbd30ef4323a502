"""The plan's picture as data: what is one node, and what each builds on."""

from __future__ import annotations

import itertools
from typing import Any
from xml.etree import ElementTree

from axis_cases import needs_rules
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC

from jupyter_scale import PlanOnly, merged
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.summary import picture
from jupyter_scale.search.summary.tree import ROWS, Tree, tree_of

X, y = make_classification(n_samples=60, n_features=5, random_state=0)


def plan(estimator: Any, parameters: Any, cv: int = 2) -> Plan:
    try:
        with merged(plan_only=True):
            GridSearchCV(estimator, parameters, cv=cv).fit(X, y)
    except PlanOnly as only:
        return only.plan
    raise AssertionError("it was run")


def tree(estimator: Any, parameters: Any, cv: int = 2) -> Tree:
    found = tree_of(plan(estimator, parameters, cv))
    assert found is not None
    for drawn in (picture.merged(found), picture.unmerged(found)):
        ElementTree.fromstring(drawn)
    return found


def texts(tree: Tree, column: int) -> list[str]:
    return [box.text for box in tree.boxes if box.column == column]


STEPS = Pipeline([("scale", StandardScaler()), ("pca", PCA(random_state=0)), ("model", SVC())])


def test_shared_beginnings_are_one_node() -> None:
    found = tree(
        STEPS,
        {
            "scale": [StandardScaler(), MinMaxScaler()],
            "pca__whiten": [False, True],
            "model__C": [1, 2, 3],
        },
        cv=3,
    )
    assert found.columns == ("scale", "pca", "model")
    assert texts(found, 0) == ["StandardScaler()", "MinMaxScaler()"]
    assert texts(found, 1) == ["whiten=False", "whiten=True"] * 2
    assert texts(found, 2) == ["C=1", "C=2", "C=3"] * 4
    assert (found.candidates, found.unmerged, found.merged, found.folds) == (12, 36, 18, 3)
    assert len(found.chains) == 12
    assert {len(chain) for chain in found.chains} == {3}
    for chain in found.chains:
        for before, after in itertools.pairwise(chain):
            assert found.boxes[after].before == (before,)


def test_counts_are_those_of_the_plan() -> None:
    parameters = {"pca__whiten": [False, True], "model__C": [1, 2]}
    found = plan(STEPS, parameters)
    drawn = tree_of(found)
    assert drawn is not None
    assert drawn.unmerged * found.n_folds == found.fits_requested
    assert drawn.merged * found.n_folds == found.fits_distinct


def test_branches_stand_in_one_column_and_meet() -> None:
    union = FeatureUnion([("p", PCA(svd_solver="arpack", random_state=0)), ("k", StandardScaler())])
    found = tree(
        Pipeline([("u", union), ("model", SVC())]),
        {"u__p__n_components": [1, 2], "u__k__with_mean": [False, True], "model__C": [1, 2]},
    )
    assert found.columns == ("u__p | u__k", "u", "model")
    assert sorted(texts(found, 0)) == [
        "k: with_mean=False",
        "k: with_mean=True",
        "p: n_components=1",
        "p: n_components=2",
    ]
    for box in found.boxes:
        if box.column == 1:
            assert [found.boxes[n].text[0] for n in box.before] == ["p", "k"]
    assert (found.unmerged, found.merged) == (8 * 4, 4 + 4 + 8)


@needs_rules
def test_one_fit_for_many_settings_stands_before_its_answers() -> None:
    found = tree(RandomForestClassifier(random_state=0), {"n_estimators": [2, 3, 4]})
    assert found.columns[1] == "RandomForestClassifier"
    family, *answers = found.boxes
    assert family.text == "RandomForestClassifier, 3 in one fit"
    assert family.family
    assert [box.before for box in answers] == [(0,)] * 3
    assert not any(box.fitted for box in answers)
    assert (found.unmerged, found.merged) == (3, 1)


def test_a_step_for_all_folds_and_columns() -> None:
    parts = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("k", SelectKBest(k=1), [2, 3])])
    found = tree(
        Pipeline([("n", Normalizer()), ("parts", parts), ("model", LogisticRegression())]),
        {"n__norm": ["l1", "l2"], "model__C": [1, 2]},
    )
    assert texts(found, 0) == ["norm=l1 (all folds)", "norm=l2 (all folds)"]
    assert found.columns[-2:] == ("parts", "model")
    assert (found.candidates, found.unmerged) == (4, 4 * 5)


def test_equal_candidates_are_one_box() -> None:
    found = tree(SVC(), [{"C": [1, 2]}, {"C": [1]}])
    assert texts(found, 0) == ["C=1 (2 candidates)", "C=2"]
    assert found.candidates == 3


def test_a_large_plan_shows_its_first_branches() -> None:
    found = tree(
        STEPS,
        {"pca__n_components": [1, 2, 3], "pca__tol": range(10), "model__C": range(1, 101)},
    )
    assert found.candidates == 3000
    assert len(found.chains) <= 2 * ROWS
    assert len(found.boxes) <= 4 * ROWS
    left_out = sum(box.left_out for box in found.boxes)
    shown = sum(not found.boxes[chain[-1]].left_out for chain in found.chains)
    assert left_out + shown == 3000
    assert f"… and {found.boxes[found.chains[-1][-1]].left_out:,} more" in texts(found, 1)


def test_skipped_steps_and_other_classes() -> None:
    found = tree(
        STEPS,
        [{"scale": ["passthrough", StandardScaler()], "pca": ["passthrough"]}, {"model__C": [2]}],
    )
    assert found.candidates == 3
    assert "passthrough" not in texts(found, 0)


def test_nothing_to_merge_has_no_picture() -> None:
    assert tree_of(plan(SVC(), {"C": [1]})) is None
    assert tree_of(Plan()) is None


def test_boxes_do_not_overlap() -> None:
    union = FeatureUnion([("p", PCA(svd_solver="arpack", random_state=0)), ("k", StandardScaler())])
    found = tree(
        Pipeline([("u", union), ("model", SVC())]),
        {"u__p__n_components": [1, 2, 3], "u__k__with_mean": [False, True], "model__C": [1, 2]},
    )
    placed = picture.layout(found)
    for column in range(len(found.columns)):
        middles = sorted(placed.middles[n] for n, b in enumerate(found.boxes) if b.column == column)
        assert all(b - a >= picture.ROW - 1e-6 for a, b in itertools.pairwise(middles))
        assert middles[0] >= picture.HEAD
        assert middles[-1] <= placed.height
