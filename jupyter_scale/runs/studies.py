"""A run as an Optuna study, so that Optuna's plots and optuna-dashboard show it."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jupyter_scale.runs.frames import cells
from jupyter_scale.runs.place import RecordError
from jupyter_scale.runs.store import opened

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

__all__ = ["study"]


def study(name: str = "last", storage: Any = None) -> Study:
    """Return a run as a finished study: a trial per candidate, its value the mean test score.

    Parameters
    ----------
    name : str
        The run's id, the beginning of that, or ``last``.
    storage : str or optuna.storages.BaseStorage, optional
        Where the study is kept, such as ``sqlite:///runs.db``, which ``optuna-dashboard`` opens; by
        default in memory. The study has the run's id for its name.

    Returns
    -------
    optuna.Study
        Numbers are parameters with a range; anything else is one of several texts.

    Raises
    ------
    RecordError
        When there is no such run, it has no scores, or the storage has a study of that name.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    with opened() as store:
        run = store.find(name)
    found = cells(run.id)
    if found.empty:
        raise RecordError(f"{run.id} has no scores.")
    metric = run.metric or "score"
    column = f"test_{metric}"
    if column not in found:
        column = next(name for name in found.columns if name.startswith("test_"))
    prefix = "param_"
    texts = found.groupby("candidate").first().filter(like=prefix).fillna("")
    names = {column: column.removeprefix(prefix) for column in texts.columns}
    values = {names[one]: [_value(text) for text in texts[one]] for one in texts.columns}
    distributions = {
        one: _range(known) or CategoricalDistribution(sorted(set(texts[f"{prefix}{one}"])))
        for one, known in values.items()
    }
    for one, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            values[one] = list(texts[f"{prefix}{one}"])
    trials = []
    for place, candidate in enumerate(texts.index):
        mine = found[found["candidate"] == candidate]
        score = float(mine[column].mean())
        failed = mine["error"].notna().any() or not math.isfinite(score)
        trials.append(
            create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                value=None if failed else score,
                params={one: known[place] for one, known in values.items()},
                distributions=distributions,
                user_attrs={
                    "candidate": int(candidate),
                    "folds": len(mine),
                    "fit_time": float(mine["fit_time"].mean()),
                    **({"error": str(mine["error"].dropna().iloc[0])} if failed else {}),
                },
            )
        )
    try:
        made = optuna.create_study(storage=storage, study_name=run.id, direction="maximize")
    except optuna.exceptions.DuplicatedStudyError:
        raise RecordError(f"The storage has a study {run.id} already.") from None
    for key in ("name", "notebook", "where", "commit", "note"):
        if getattr(run, key):
            made.set_user_attr(key, getattr(run, key))
    made.add_trials(trials)
    return made


def _value(text: str) -> Any:
    """Return the number that a text says, or the text."""
    inner = text.partition("(")[2].rstrip(")") if text.startswith("np.") else text
    try:
        value = ast.literal_eval(inner)
    except (ValueError, SyntaxError):
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else text


def _range(values: Iterable[Any]) -> BaseDistribution | None:
    """Return the range of numbers; None if some are none."""
    from optuna.distributions import FloatDistribution, IntDistribution

    known = list(values)
    if all(isinstance(value, int) for value in known):
        return IntDistribution(min(known), max(known))
    if all(isinstance(value, int | float) for value in known):
        low, high = float(min(known)), float(max(known))
        return FloatDistribution(low, high, log=low > 0 and high / low >= 100)
    return None
