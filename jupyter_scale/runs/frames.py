"""The record as pandas DataFrames, to be filtered, joined and plotted, and written as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jupyter_scale.runs.store import Run, opened

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cells", "runs"]

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


def _scores(result: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("test", "train"):
        scores = result.get(f"{kind}_scores")
        if isinstance(scores, Mapping):
            found |= {f"{kind}_{metric}": float(score) for metric, score in scores.items()}
        elif scores is not None:
            found[f"{kind}_score"] = float(scores)
    times = {name: result[name] for name in ("fit_time", "score_time") if name in result}
    return {**found, **times}
