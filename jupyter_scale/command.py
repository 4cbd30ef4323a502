"""The words of `%scale` and `%%scale`: one parser for everything that reads them.

The same argparse parser checks a line, prints `--help`, is the text behind
`%scale?`, and tells the completer which words may follow. Wrong usage raises
IPython's UsageError: one line with a suggestion, a cell that fails, and never a
SystemExit that would end the kernel.
"""

from __future__ import annotations

import argparse
import difflib
import keyword
import re
import shlex
from datetime import datetime
from typing import NoReturn

from IPython.core.error import UsageError

from jupyter_scale import clusters

MERGES = ("all", "seeded")
# What a `%%scale` first line becomes: see cell.py.
CELL = "cell"
VIEWS = ("tasks", "workers", "memory", "graph", "log")
"""What `%scale watch` can show."""
OFF = "off"
PLOTS = {
    "status": "status",
    "tasks": "individual-task-stream",
    "progress": "individual-progress",
    "graph": "individual-graph",
    "workers": "workers",
    "memory": "individual-workers-memory",
    "cpu": "individual-workers-cpu-timeseries",
    "profile": "individual-profile",
}
"""What `%scale dashboard` can show: pages of Dask's own dashboard by name."""

_LINE_EPILOG = """\
examples:
  %scale                         status, and the next step
  %scale up                      a local cluster: one worker per CPU
  %scale up --workers 2 --memory 2GiB
  %scale up slurm --adapt 1 20   a cluster of the profile slurm, as large as the work
  %scale profiles                the clusters that can be started
  %scale list                    those that run, also from other notebooks
  %scale use local-3f2a          work on one of them; an address serves, too
  %scale to 4                    have 4 workers from now on
  %scale down                    close it
  %scale watch                   see its tasks and workers, live, whatever cell runs
  %scale dashboard               Dask's own plots
  %scale manifest k8s            the profile k8s as Kubernetes reads it
  %scale export DIR              this notebook as a repository that anybody can run
  %scale runs                    every search so far
  %scale resume last             go on with one that was broken off
  %scale log last --mlflow URI   write one to an MLflow server
  %%scale                        first line of a cell: run the cell merged
  %%scale --plan                 show what would be fitted, fit nothing
"""
_UP_EPILOG = """\
examples:
  %scale up
  %scale up --workers 4 --memory 2GiB
  %scale up slurm --adapt 1 20
"""
_USE_EPILOG = """\
examples:
  %scale use local-3f2a
  %scale use tls://10.0.0.1:8786
"""
_PROFILES_EPILOG = """\
Profiles are part of Dask's configuration, such as ~/.config/dask/jupyter-scale.yaml:

  jupyter-scale:
    default: hpc
    profiles:
      hpc:
        factory:
          module: dask_jobqueue
          class: SLURMCluster
          kwargs: {cores: 8, memory: 16GiB, queue: normal}
        adapt: {minimum: 1, maximum: 20}
"""
_WATCH_EPILOG = """\
views:
  tasks     what each thread did in the last seconds; the mouse shows candidate and fold
  workers   CPU, memory against the limit, what was spilled to disk, busy threads
  memory    of each worker over time
  graph     tasks that are done, run and wait, by step
  log       the last lines that the workers have logged

examples:
  %scale watch                   tasks, workers, graph and log
  %scale watch workers memory    these two only
  %scale watch off               leave what it shows now, and follow no more
"""
_DASHBOARD_EPILOG = """\
examples:
  %scale dashboard               the whole page
  %scale dashboard tasks         the task stream
"""
_MANIFEST_EPILOG = """\
examples:
  %scale manifest k8s
  %scale manifest k8s --namespace course -o cluster.yaml
  %scale manifest --helm -o values.yaml
"""
_CELL_EPILOG = """\
examples:
  %%scale                        run this cell's searches merged
  %%scale --plan                 show what would be fitted and shared
  %%scale -o report --seed 0     keep the report, seed every unseeded step
  %%scale --local                the same plan without a cluster
  %%scale --fresh                fit again what is on record
  %%scale --keep-predictions     then search by another metric: nothing is fitted
"""


_EXPORT_EPILOG = """\
Findings are answered one by one, or warnings all at once; a secret is never accepted by --yes.

examples:
  %scale export out --plan       what would be written, why each package is in, what to answer
  %scale export out --yes        write it, build its environment anew, run it there, compare
  %scale export out --accept nondeterminism:cell-3 --wheels
  %scale export out --binder https://github.com/OWNER/NAME
"""
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


class Arguments(argparse.Namespace):
    """A parsed line; the defaults are those of the command line."""

    command: str | None = None
    help: bool = False
    name: str | None = None
    number: int = 0
    minimum: int = 0
    maximum: int = 0
    adapt: list[int] | None = None
    all: bool = False
    namespace: str = ""
    helm: bool = False
    file: str | None = None
    workers: int | None = None
    threads: int | None = None
    memory: str | None = None
    plan: bool = False
    output: str | None = None
    seed: int | None = None
    merge: str = "all"
    local: bool = False
    force: bool = False
    views: list[str] | None = None
    plot: str = "status"
    fresh: bool = False
    keep_predictions: bool = False
    run: str = ""
    other: str = ""
    runs: list[str] | None = None
    text: str | None = None
    tag: list[str] | None = None
    untag: list[str] | None = None
    mlflow: str | None = None
    experiment: str = ""
    notebook: str | None = None
    since: float | None = None
    until: float | None = None
    json: bool = False
    dry_run: bool = False
    places: list[str] | None = None
    accept: list[str] | None = None
    yes: bool = False
    wheels: bool = False
    binder: str = ""
    thebe: bool = False
    course: bool = False
    docker: bool = False
    kubernetes: str | None = None
    image: bool = False
    git: bool = False
    verify: bool = True
    sources: list[tuple[str, str]] | None = None

    def options(self) -> dict[str, object]:
        """Return what the first line of a cell says of its searches, as far as it is not usual."""
        names = ("seed", "merge", "local", "fresh", "keep_predictions")
        said = {name: getattr(self, name) for name in names}
        usual = Arguments()
        return {name: value for name, value in said.items() if value != getattr(usual, name)}


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError and neither prints nor exits."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(_explain(self.prog, message.removeprefix("argument ")))


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _seed(text: str) -> int:
    seed = _whole(text)
    if not 0 <= seed < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and {2**32 - 1}")
    return seed


def _name(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text


def _day(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-11-26") from None


def _source(text: str) -> tuple[str, str]:
    path, equals, address = text.partition("=")
    if not equals or not path or not address.startswith(("https://", "http://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not PATH=ADDRESS")
    return path, address


def _view(text: str) -> str:
    if text not in (*VIEWS, OFF):
        raise argparse.ArgumentTypeError(f"there is no view {text!r}")
    return text


def _new(prog: str, description: str, epilog: str | None = None) -> _Parser:
    parser = _Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    # Python 3.14 colours help with escape codes; docstrings and HTML show them raw.
    parser.color = False  # type: ignore[attr-defined,unused-ignore]  # new in 3.14
    parser.add_argument("-h", "--help", action="store_true", help="show this text")
    return parser


def _build() -> dict[str, _Parser]:
    line = _new("%scale", "Run plain scikit-learn on a Dask cluster.", _LINE_EPILOG)
    line.usage = (
        "%%scale [up | list | use | to | adapt | down | watch | dashboard | profiles | manifest\n"
        "        | export | runs | show | diff | resume | rerun | note | log | rm\n"
        "        | help] [-h]"
    )
    to = _new("%scale to", "Have this many workers from now on, also when some are lost.")
    to.add_argument("number", type=_whole, metavar="N", help="workers")
    adapt = _new("%scale adapt", "Grow and shrink with the work from now on.")
    adapt.add_argument("minimum", type=_whole, metavar="MIN", help="workers that always stay")
    adapt.add_argument("maximum", type=_whole, metavar="MAX", help="workers at most")
    for parser in (to, adapt):
        parser.add_argument("name", nargs="?", metavar="CLUSTER", help="default: the one in use")
    use = _new("%scale use", "Work on a cluster that runs already.", _USE_EPILOG)
    use.add_argument(
        "name", metavar="CLUSTER", help="its id or profile (%%scale list), or a scheduler's address"
    )
    return {
        "": line,
        "up": _build_up(),
        "list": _new("%scale list", "Show your running clusters, also those of other notebooks."),
        "use": use,
        "to": to,
        "adapt": adapt,
        "down": _build_down(),
        "watch": _build_watch(),
        "dashboard": _build_dashboard(),
        "profiles": _new(
            "%scale profiles", "Show the clusters that can be started by name.", _PROFILES_EPILOG
        ),
        "manifest": _build_manifest(),
        **_build_runs(),
        "help": _new("%scale help", "Explain %scale and %%scale."),
        CELL: _build_cell(),
        "export": _build_export(),  # --plan, said of no command, is rather a cell's
    }


def _build_up() -> _Parser:
    up = _new(
        "%scale up",
        "Start a cluster. It goes on when the kernel ends; it closes by %scale down, when it has\n"
        "nothing to do for long, and with the Jupyter server that it was started in.",
        _UP_EPILOG,
    )
    up.add_argument("name", nargs="?", metavar="PROFILE", help="see %%scale profiles")
    many = up.add_mutually_exclusive_group()
    many.add_argument(
        "--workers", type=_whole, metavar="N", help="default: the profile's, or one per usable CPU"
    )
    many.add_argument(
        "--adapt",
        type=_whole,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="grow and shrink with the work",
    )
    up.add_argument(
        "--threads", type=_whole, metavar="N", help="in each worker of this machine; default: 1"
    )
    up.add_argument(
        "--memory", metavar="SIZE", help="of each, such as 2GiB; default: an equal share"
    )
    return up


def _build_manifest() -> _Parser:
    manifest = _new(
        "%scale manifest",
        "Write a profile as Kubernetes reads it, checked against the operator's definitions.\n"
        "Without a file it is shown.",
        _MANIFEST_EPILOG,
    )
    manifest.add_argument("name", nargs="?", metavar="PROFILE", help="default: the configured one")
    manifest.add_argument("--namespace", default="", metavar="NAME", help="where it is to be")
    manifest.add_argument(
        "--helm", action="store_true", help="the values that install the operator, instead"
    )
    manifest.add_argument(
        "-o",
        "--output",
        dest="file",
        metavar="FILE",
        help="write there; what differs is not replaced",
    )
    return manifest


def _build_down() -> _Parser:
    down = _new("%scale down", "Close a cluster: its workers, its scheduler and its ports.")
    which = down.add_mutually_exclusive_group()
    which.add_argument("name", nargs="?", metavar="CLUSTER", help="default: the one in use")
    which.add_argument("--all", action="store_true", help="all of yours on this machine")
    return down


def _build_watch() -> _Parser:
    watch = _new(
        "%scale watch",
        "Show the cluster in this cell's output from now on, whatever cell runs. JupyterLab gives\n"
        'the output a tab of its own by "Create New View for Cell Output". Watching again moves\n'
        "it; it ends with its cluster, and stays as it was last. A terminal is shown one state.",
        _WATCH_EPILOG,
    )
    watch.add_argument("views", nargs="*", type=_view, metavar="VIEW", help="what is shown; or off")
    return watch


def _build_dashboard() -> _Parser:
    dashboard = _new(
        "%scale dashboard",
        "Show Dask's own plots of the cluster in this cell's output, through the Jupyter server:\n"
        "who is logged in there sees them. Elsewhere it is a link.",
        _DASHBOARD_EPILOG,
    )
    dashboard.add_argument(
        "plot", nargs="?", choices=PLOTS, default="status", metavar="PLOT", help=", ".join(PLOTS)
    )
    return dashboard


def _build_export() -> _Parser:
    export = _new(
        "%scale export",
        "Write a notebook as a repository: all that repo2docker, Binder and others need to run\n"
        "it, with the packages it really uses. It is written whole or not at all.",
        _EXPORT_EPILOG,
    )
    export.add_argument(
        "places", nargs="+", metavar="[NOTEBOOK] DIR", help="default: this notebook, as it is saved"
    )
    export.add_argument("--plan", action="store_true", help="show it, write nothing")
    export.add_argument("--yes", action="store_true", help="accept all warnings")
    export.add_argument(
        "--accept", action="append", metavar="ID", help="accept this finding; more than once"
    )
    export.add_argument(
        "--wheels", action="store_true", help="publish the code of packages that are only here"
    )
    export.add_argument(
        "--source", dest="sources", type=_source, action="append", metavar="PATH=ADDRESS",
        help="where a data file is fetched from, instead of copied",
    )  # fmt: skip
    export.add_argument("--binder", default="", metavar="URL", help="the repository it will be")
    export.add_argument("--thebe", action="store_true", help="a web page with live cells")
    export.add_argument(
        "--course", action="store_true", help="an index page with links; several notebooks have one"
    )
    export.add_argument("--docker", action="store_true", help="a Dockerfile, too")
    export.add_argument(
        "--kubernetes", nargs="?", const="", metavar="IMAGE", help="a Dask cluster of its image"
    )
    export.add_argument(
        "--no-verify", dest="verify", action="store_false", help="do not run it again"
    )
    export.add_argument("--image", action="store_true", help="verify by building a real image")
    export.add_argument("--git", action="store_true", help="commit it, here only")
    return export


def _build_runs() -> dict[str, _Parser]:
    """Return the parsers of what is done with runs on record."""
    runs = _new("%scale runs", "Show the searches on record, the latest first.", _RUNS_EPILOG)
    runs.add_argument("--tag", metavar="TAG", action="append", help="with this tag only")
    runs.add_argument("--notebook", metavar="PATH", help="of this notebook only: its path or name")
    runs.add_argument("--since", type=_day, metavar="DATE", help="not before this day")
    runs.add_argument("--until", type=_day, metavar="DATE", help="before this day")
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
    parsers = {"runs": runs}
    for name, text in texts.items():
        parsers[name] = _new(f"%scale {name}", text, _RUN_EPILOG.format(name))
        parsers[name].add_argument("run", metavar="RUN", help="see %%scale runs")
    diff = _new("%scale diff", "Compare two runs: code, data, environment, scores.", _DIFF_EPILOG)
    diff.add_argument("run", metavar="RUN", help="the earlier one")
    diff.add_argument("other", metavar="OTHER", help="the later one")
    note = _new("%scale note", "Write a note on a run, and tag it.", _NOTE_EPILOG)
    note.add_argument("run", metavar="RUN", help="see %%scale runs")
    note.add_argument("text", nargs="?", metavar="NOTE", help="takes the place of the one before")
    note.add_argument("--tag", metavar="TAG", action="append", help="add a tag")
    note.add_argument("--untag", metavar="TAG", action="append", help="take a tag away")
    log = _new(
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
    rm = _new(
        "%scale rm",
        "Take runs off the record, with their scores: searches no longer know their cells.",
        _RM_EPILOG,
    )
    rm.add_argument("runs", nargs="*", metavar="RUN", help="see %%scale runs")
    rm.add_argument(
        "--before", dest="until", type=_day, metavar="DATE", help="all that began before this day"
    )
    rm.add_argument("--dry-run", action="store_true", help="say which, and remove none")
    return {**parsers, "diff": diff, "note": note, "log": log, "rm": rm}


def _build_cell() -> _Parser:
    cell = _new(
        "%%scale",
        "Run this cell; every scikit-learn search in it does shared work once.\n"
        "Without a cluster it starts a local one first.",
        _CELL_EPILOG,
    )
    cell.add_argument(
        "--plan",
        action="store_true",
        help="run the cell up to its first search, show what that would fit, fit nothing",
    )
    cell.add_argument(
        "-o", "--output", type=_name, metavar="NAME", help="keep the report in variable NAME"
    )
    cell.add_argument(
        "--seed",
        type=_seed,
        metavar="N",
        help="seed every unseeded step, and numpy.random and random during the cell",
    )
    cell.add_argument(
        "--merge",
        choices=MERGES,
        default="all",
        help="share all equal steps, or only those that draw no random numbers of their own",
    )
    cell.add_argument(
        "--force",
        action="store_true",
        help="go on where packages on the cluster are not those here",
    )
    cell.add_argument(
        "--fresh", action="store_true", help="fit every cell, also those that are on record"
    )
    cell.add_argument(
        "--keep-predictions",
        action="store_true",
        help="keep what cells predict: searches by another metric then fit none of them again",
    )
    cell.add_argument("--local", action="store_true", help="in this process, on no cluster")
    return cell


_PARSERS = _build()
_COMMANDS = [name for name in _PARSERS if name not in ("", CELL)]


def parse(line: str, *, cell: bool = False) -> Arguments:
    """Parse what follows `%scale` (or `%%scale` when `cell`).

    Raises
    ------
    UsageError
        When the line is wrong; the message suggests what may be meant.

    Examples
    --------
    >>> parse("up --workers 2").workers
    2
    """
    return parse_words(_split(line), cell=cell)


def parse_words(words: list[str], *, cell: bool = False) -> Arguments:
    """Parse words that are split already, as a command line's are.

    Raises
    ------
    UsageError
        As `parse` does.
    """
    command = CELL if cell else ""
    if not cell and words and words[0] in _PARSERS:
        command, words = words[0], words[1:]
    elif not cell and words and not words[0].startswith("-"):
        raise UsageError(_explain("%scale", f"there is no command {words[0]!r}"))
    parser = _PARSERS[command]
    if {"-h", "--help"} & set(words):
        return Arguments(command=command or None, help=True)
    arguments, extra = parser.parse_known_args(words, Arguments())
    if extra:
        raise UsageError(_explain(parser.prog, f"unknown argument {extra[0]!r}"))
    arguments.command = command or None
    return arguments


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise UsageError(f"%scale: {error} in {line!r}; write ' and \" in pairs.") from None


def help_text(command: str | None = None) -> str:
    """Return the text of `--help`; without a command, that of `%scale` and its parts."""
    if command is not None:
        return _PARSERS[command].format_help()
    return "\n".join(_PARSERS[name].format_help() for name in ("", "up", CELL))


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    # argparse has no public way to list what a parser knows.
    return parser._actions


def _explain(prog: str, message: str) -> str:
    """Add to an error the nearest word that is right, and where to read more."""
    quoted = re.findall(r"'([^']+)'", message)
    hint = _hint(prog, quoted[0]) if quoted else ""
    where = "%scale help" if prog == "%scale" else f"{prog} --help"
    return f"{prog}: {message}.{hint} See {where}"


def _hint(prog: str, word: str) -> str:
    own = next(parser for parser in _PARSERS.values() if parser.prog == prog)
    known = {name: prog for name in (*_words(own), *MERGES * (prog == "%%scale"))}
    if prog == "%scale":
        known |= dict.fromkeys(_COMMANDS, prog)
    # A word that is right elsewhere: `%scale --plan`, `%%scale up`.
    for parser in _PARSERS.values():
        for name in _words(parser):
            known.setdefault(name, parser.prog)
    for name in _COMMANDS:
        known.setdefault(name, "%scale")
    near = difflib.get_close_matches(word.split("=")[0], known, n=1)
    if not near:
        return ""
    place = known[near[0]]
    return f" Did you mean {near[0] if place == prog else f'{place} {near[0]}'}?"


def _words(parser: argparse.ArgumentParser) -> list[str]:
    words = [name for action in _options(parser) for name in action.option_strings]
    more = {"%scale watch": (*VIEWS, OFF), "%scale dashboard": PLOTS}.get(parser.prog, ())
    return [*words, *more]


def complete(line: str, *, cell: bool = False) -> tuple[str, list[str]]:
    """Return the word being typed at the end of a line, and what it may become.

    Parameters
    ----------
    line : str
        What stands between `%scale ` (or `%%scale `) and the cursor.
    cell : bool
        Whether it is the first line of a cell magic.

    Examples
    --------
    >>> complete("up --w")
    ('--w', ['--workers'])
    """
    *before, word = re.split(r"\s+", line.lstrip())
    command = CELL if cell else (before[0] if before else "")
    parser = _PARSERS.get(command)
    if parser is None:
        return word, []
    previous = next(
        (a for a in _options(parser) if before and before[-1] in a.option_strings), None
    )
    words: list[str]
    if previous is not None and previous.nargs != 0:
        words = [str(choice) for choice in previous.choices or ()]
    else:
        words = [
            name
            for action in _options(parser)
            for name in action.option_strings
            if not set(action.option_strings) & set(before)
        ]
        if not cell and not before:
            words = _COMMANDS + words
        elif command == "dashboard":
            words = [plot for plot in PLOTS if plot not in before] + words
        elif command == "watch":
            words = [view for view in (*VIEWS, OFF) if view not in before] + words
        elif any(action.dest == "name" for action in _options(parser)):
            words = _names(command) + words
    return word, [name for name in words if name.startswith(word)]


def _names(command: str) -> list[str]:
    """Return what can be named after a command: profiles to start, clusters that run."""
    try:
        if command in ("up", "manifest"):
            return list(clusters.profiles())
        return [connection.id for connection in clusters.connections()]
    except clusters.ClusterError:
        return []  # the command itself will say what is wrong
