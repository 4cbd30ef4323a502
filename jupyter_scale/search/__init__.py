"""The merged search: scikit-learn's own searches with every shared piece of work done once."""

from jupyter_scale.search.adaptive import OptunaSearchCV
from jupyter_scale.search.backend import PlanOnly
from jupyter_scale.search.control import Control, SearchStopped
from jupyter_scale.search.meta import rowwise
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.report import Record, Recorder, Report, Score, SearchReport
from jupyter_scale.search.session import merged
from jupyter_scale.search.stream import stream

__all__ = [
    "Control",
    "OptunaSearchCV",
    "Plan",
    "PlanOnly",
    "Record",
    "Recorder",
    "Report",
    "Score",
    "SearchReport",
    "SearchStopped",
    "merged",
    "rowwise",
    "stream",
]
