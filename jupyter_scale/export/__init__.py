"""From a live notebook to a repository that anybody can run.

Snapshot of kernel and workers -> what is really used -> lock -> findings -> files -> verification
-> report. `plan` has no effects but reading; `write` writes what it says, whole or not at all;
`export` does both.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_scale.export.claim import Claim
    from jupyter_scale.export.finding import ExportError, Finding
    from jupyter_scale.export.options import Options
    from jupyter_scale.export.planning import plan
    from jupyter_scale.export.plans import Plan
    from jupyter_scale.export.report import Blocked, Report
    from jupyter_scale.export.writing import export, write

__all__ = [
    "Blocked",
    "Claim",
    "ExportError",
    "Finding",
    "Options",
    "Plan",
    "Report",
    "export",
    "plan",
    "write",
]

_WHERE = {
    "Blocked": "report",
    "Claim": "claim",
    "ExportError": "finding",
    "Finding": "finding",
    "Options": "options",
    "Plan": "plans",
    "Report": "report",
    "export": "writing",
    "plan": "planning",
    "write": "writing",
}


def __getattr__(name: str) -> Any:
    # `%load_ext` needs one small module of this package, and brings nothing into the kernel
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
