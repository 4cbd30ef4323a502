"""From a live notebook to a repository that anybody can run.

Snapshot of kernel and workers -> what is really used -> lock -> findings -> files -> verification
-> report. `plan` has no effects but reading; `export` writes what it says, whole or not at all.
"""

from __future__ import annotations

from jupyter_scale.export.finding import ExportError, Finding
from jupyter_scale.export.options import Options

__all__ = ["ExportError", "Finding", "Options"]
