"""The record as pandas DataFrames, to be filtered, joined and plotted, and written as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_scale.runs.place import RecordError
from jupyter_scale.runs.run import Run
from jupyter_scale.runs.scores import by_metric
from jupyter_scale.runs.store import opened

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cells", "runs", "save"]

_SECONDS = ("started", "updated")


def runs() -> pd.DataFrame:
    """Return all runs, the latest first.

    Returns
    -------
    pandas.DataFrame
        A row per run, by its id, with the attributes of `Run`; times are in UTC.
    """
    import pandas as pd

    with opened() as store:
        found = store.runs()
    rows = [{**asdict(run), "process": run.process.machine} for run in found]
    frame = pd.DataFrame(rows, columns=list(Run.__dataclass_fields__)).set_index("id")
    for column in _SECONDS:
        frame[column] = pd.to_datetime(frame[column], unit="s", utc=True)
    return frame.rename(columns={"process": "host"})


def cells(name: str = "last") -> pd.DataFrame:
    """Return the finished cells of a run.

    Parameters
    ----------
    name : str
        Its id, the beginning of that, or ``last``.

    Returns
    -------
    pandas.DataFrame
        A row per candidate and fold: the parameters as text (``param_...``), the scores
        (``test_score``, or ``test_...`` by metric), times in seconds, where it ran, how it failed.

    Raises
    ------
    RecordError
        When there is no such run.
    """
    import pandas as pd

    with opened() as store:
        run = store.find(name)
        parameters = store.candidates(run)
        rows = [
            {
                "candidate": cell.candidate,
                "fold": cell.fold,
                **{f"param_{key}": text for key, text in parameters[cell.candidate].items()},
                **_scores(cell.scores),
                "ended": cell.ended,
                "worker": cell.worker,
                "error": cell.error,
                "known": cell.known,
            }
            for cell in store.cells(run)
        ]
    return pd.DataFrame(rows)


def save(path: str | Path, names: Sequence[str] = ()) -> None:
    """Write the cells of runs to a file, a row each, with the run that they are of.

    Parameters
    ----------
    path : path
        Ends in ``.parquet`` or ``.csv``.
    names : sequence of str
        Of the runs; by default all of them.

    Raises
    ------
    RecordError
        When the file has another ending, or there is no such run.
    """
    import pandas as pd

    target = Path(path)
    if target.suffix not in (".parquet", ".csv"):
        raise RecordError(f"{target.name}: write a name that ends in .parquet or .csv")
    with opened() as store:
        found = [store.find(name) for name in names] if names else store.runs()
    tables = [
        cells(run.id).assign(
            run=run.id, search=run.name, started=pd.Timestamp(run.started, unit="s")
        )
        for run in found
    ]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    part = target.with_name(f".{target.name}.part")
    try:
        if target.suffix == ".csv":
            table.to_csv(part, index=False)
        else:
            table.to_parquet(part, index=False)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _scores(result: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("test", "train"):
        scores = by_metric(result.get(f"{kind}_scores"))
        found |= {f"{kind}_{metric}": score for metric, score in scores.items()}
    times = {name: result[name] for name in ("fit_time", "score_time") if name in result}
    return {**found, **times}
