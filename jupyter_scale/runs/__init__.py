"""Every search on record: what was run, where, on what, and what came out."""

from jupyter_scale.runs.compare import Comparison, compare, first_difference
from jupyter_scale.runs.frames import cells, runs, save
from jupyter_scale.runs.listing import Page, Table, as_json
from jupyter_scale.runs.mlflow import MLflow
from jupyter_scale.runs.place import RecordError, room, where
from jupyter_scale.runs.record import Origin, Record
from jupyter_scale.runs.run import Run
from jupyter_scale.runs.store import Store, opened
from jupyter_scale.runs.studies import study
from jupyter_scale.runs.tracking import Candidate, Tracked, Tracker, log, tracked

__all__ = [
    "Candidate",
    "Comparison",
    "MLflow",
    "Origin",
    "Page",
    "Record",
    "RecordError",
    "Run",
    "Store",
    "Table",
    "Tracked",
    "Tracker",
    "as_json",
    "cells",
    "compare",
    "first_difference",
    "log",
    "opened",
    "room",
    "runs",
    "save",
    "study",
    "tracked",
    "where",
]
