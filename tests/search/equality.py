"""What "equal to scikit-learn" means: everything in the results but the times, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_same_results(merged: Any, plain: Any) -> None:
    """Compare two fitted searches."""
    ours, theirs = merged.cv_results_, plain.cv_results_
    assert list(ours) == list(theirs)
    for key, expected in theirs.items():
        if key.endswith(("fit_time", "score_time")):
            assert np.isfinite(ours[key]).all()
            assert (ours[key] >= 0).all(), key
        elif key == "params" or key.startswith("param_"):
            assert [str(value) for value in ours[key]] == [str(value) for value in expected]
        else:
            np.testing.assert_array_equal(ours[key], expected, err_msg=key)
            assert ours[key].dtype == expected.dtype
    for name in ("best_index_", "best_score_", "n_splits_"):
        np.testing.assert_equal(getattr(merged, name, None), getattr(plain, name, None))
