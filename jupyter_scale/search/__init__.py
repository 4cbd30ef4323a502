"""The merged search: scikit-learn's own searches with every shared piece of work done once."""

from jupyter_scale.search.backend import PlanOnly, merged
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.report import Recorder, Report, SearchReport

__all__ = ["Plan", "PlanOnly", "Recorder", "Report", "SearchReport", "merged"]
