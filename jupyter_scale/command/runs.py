"""The words of what is done with runs on record."""

from __future__ import annotations

from jupyter_scale.command.parser import Parser, day, new

__all__ = ["parsers"]

_RUNS_EPILOG = """\
examples:
  %scale runs                    the latest
  %scale runs --tag paper --since 2026-11-01
  %scale runs --json
  %scale runs --tag paper -o paper.parquet
"""
_RUN_EPILOG = """\
A run is named by its id, by the beginning of that, or by the word last.

examples:
  %scale {0} last
"""
_DIFF_EPILOG = """\
examples:
  %scale diff 3f2a last          what was changed, and what it did
"""
_NOTE_EPILOG = """\
examples:
  %scale note last "with the new labels" --tag paper
  %scale note 3f2a --untag paper
"""
_LOG_EPILOG = """\
A run is named by its id, by the beginning of that, or by the word last. What is there already is
brought up to date. These settings of Dask's configuration tell where every search goes by itself:

  jupyter-scale:
    mlflow: http://127.0.0.1:5000
    callbacks: [mymodule:function]

examples:
  %scale log last                to where the settings say
  %scale log last --mlflow http://127.0.0.1:5000 --experiment digits
  %scale log last --mlflow sqlite:///mlflow.db
"""
_RM_EPILOG = """\
examples:
  %scale rm 3f2a 77b1
  %scale rm --before 2026-01-01 --dry-run
"""


def parsers() -> dict[str, Parser]:
    """Return the parsers by command."""
    runs = new("%scale runs", "Show the searches on record, the latest first.", _RUNS_EPILOG)
    runs.add_argument("--tag", metavar="TAG", action="append", help="with this tag only")
    runs.add_argument("--notebook", metavar="PATH", help="of this notebook only: its path or name")
    runs.add_argument("--since", type=day, metavar="DATE", help="not before this day")
    runs.add_argument("--until", type=day, metavar="DATE", help="before this day")
    runs.add_argument("--all", action="store_true", help="all of them; default: the latest 20")
    runs.add_argument("--json", action="store_true", help="as JSON, with everything")
    runs.add_argument(
        "-o",
        "--output",
        dest="file",
        metavar="FILE",
        help="write their cells, with scores and times, to a .parquet or .csv file",
    )
    texts = {
        "show": "Show all about a run: its cell, data, environment, best candidate.",
        "resume": "Run the cell of a run again, here; fit what it has not finished. What its cell\n"
        "uses must be defined: run the cells above it first.",
        "rerun": "Run the cell of a run again, here, knowing nothing; say whether all scores are\n"
        "equal, or where they first differ.",
    }
    found = {"runs": runs}
    for name, text in texts.items():
        found[name] = new(f"%scale {name}", text, _RUN_EPILOG.format(name))
        found[name].add_argument("run", metavar="RUN", help="see %%scale runs")
    diff = new("%scale diff", "Compare two runs: code, data, environment, scores.", _DIFF_EPILOG)
    diff.add_argument("run", metavar="RUN", help="the earlier one")
    diff.add_argument("other", metavar="OTHER", help="the later one")
    note = new("%scale note", "Write a note on a run, and tag it.", _NOTE_EPILOG)
    note.add_argument("run", metavar="RUN", help="see %%scale runs")
    note.add_argument("text", nargs="?", metavar="NOTE", help="takes the place of the one before")
    note.add_argument("--tag", metavar="TAG", action="append", help="add a tag")
    note.add_argument("--untag", metavar="TAG", action="append", help="take a tag away")
    log = new(
        "%scale log",
        "Write a run, with its candidates, to a tracking service: scores, parameters, tags,\n"
        "packages, the cell; from the notebook that has fitted it also the model.",
        _LOG_EPILOG,
    )
    log.add_argument("run", metavar="RUN", help="see %%scale runs")
    log.add_argument(
        "--mlflow", metavar="URI", help="to this MLflow server; default: where the settings say"
    )
    log.add_argument(
        "--experiment", default="", metavar="NAME", help="default: the notebook's name"
    )
    rm = new(
        "%scale rm",
        "Take runs off the record, with their scores: searches no longer know their cells.",
        _RM_EPILOG,
    )
    rm.add_argument("runs", nargs="*", metavar="RUN", help="see %%scale runs")
    rm.add_argument(
        "--before", dest="until", type=day, metavar="DATE", help="all that began before this day"
    )
    rm.add_argument("--dry-run", action="store_true", help="say which, and remove none")
    return {**found, "diff": diff, "note": note, "log": log, "rm": rm}
