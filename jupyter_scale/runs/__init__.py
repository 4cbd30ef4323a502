"""Every search on record: what was run, where, on what, and what came out."""

from jupyter_scale.runs.compare import Comparison, compare, first_difference
from jupyter_scale.runs.frames import cells, runs, save
from jupyter_scale.runs.listing import Page, Table, as_json
from jupyter_scale.runs.place import RecordError, where
from jupyter_scale.runs.record import Origin, Record
from jupyter_scale.runs.run import Run
from jupyter_scale.runs.store import Store, opened
from jupyter_scale.runs.studies import study

__all__ = [
    "Comparison",
    "Origin",
    "Page",
    "Record",
    "RecordError",
    "Run",
    "Store",
    "Table",
    "as_json",
    "cells",
    "compare",
    "first_difference",
    "opened",
    "runs",
    "save",
    "study",
    "where",
]
