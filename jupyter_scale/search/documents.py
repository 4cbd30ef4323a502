"""Axes of text: the words are found and counted once, then chosen and weighed.

The choice and the weights are scikit-learn's own code, run on the counts instead of the documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from jupyter_scale.search.axes import Axis, Settings, valid

__all__ = ["AXES"]

_CHOICE = ("min_df", "max_df", "max_features", "binary")
_WEIGHTS = ("norm", "use_idf", "smooth_idf", "sublinear_tf")


class _Counted(CountVectorizer):  # type: ignore[misc]
    """The counts of all words."""

    def fit(self, raw_documents: Any, y: Any = None) -> Any:
        self.fit_transform(raw_documents)
        return self

    def fit_transform(self, raw_documents: Any, y: Any = None) -> Any:
        if isinstance(raw_documents, str):
            raise ValueError("documents are expected, not one string")
        self._validate_ngram_range()
        self._validate_vocabulary()
        self.shared_counts = self._count_vocab(raw_documents, self.fixed_vocabulary_)
        return self.shared_counts[1]


def _content(vectorizer: Any) -> bool:
    """Apply when the documents are given themselves: a file can be read only once."""
    return bool(vectorizer.input == "content")


def _counted(estimator: Any, settings: Sequence[Settings]) -> Any:
    names = CountVectorizer().get_params()
    given = clone(estimator).get_params(deep=False)
    return _Counted(**{name: given[name] for name in names if name not in _CHOICE})


def _chosen(shared: Any, estimator: Any) -> Any | None:
    if not valid(estimator):
        return None
    fitted = clone(estimator)
    try:
        _fit_transform(shared, fitted)
    except ValueError:  # its own fit will say so
        return None
    return fitted


def _matrix(shared: Any, derived: Any, documents: Any, output: Any) -> Any:
    return _fit_transform(shared, clone(derived))


def _fit_transform(shared: Any, vectorizer: Any) -> Any:
    """Run ``fit_transform`` on the counts."""

    def count_vocab(documents: Any, fixed: bool) -> tuple[dict[str, int], Any]:
        vectorizer.build_analyzer()  # it notes the stop words
        words, counts = shared.shared_counts
        return dict(words), counts.copy()

    vectorizer._count_vocab = count_vocab
    try:
        return vectorizer.fit_transform(())
    finally:
        del vectorizer._count_vocab


AXES: dict[type, Axis] = {
    CountVectorizer: Axis("words counted once", _CHOICE, _content, _counted, _chosen, _matrix),
    TfidfVectorizer: Axis(
        "words counted once", (*_CHOICE, *_WEIGHTS), _content, _counted, _chosen, _matrix
    ),
}
