"""What candidates are drawn from, in the words of Optuna.

A search is given distributions as its user has them at hand: Optuna's own, a list of choices, a
frozen one of ``scipy.stats``, or a function that asks a trial for each parameter. `Space` tells
Optuna of them, and turns the answers of a trial into the parameters of a candidate.

Invariant: a candidate holds the very values that were given. Optuna stores plain values only and
takes equal ones for one, so other choices are known to it by a label, each by one of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Space"]


class Space:
    """What candidates are drawn from.

    Parameters
    ----------
    given : dict of str to distribution, or callable
        The ``param_distributions`` of the search.
    optuna : module

    Attributes
    ----------
    distributions : dict
        Optuna's. Choices that Optuna could not store, or tell apart, are known to it by a label.

    Raises
    ------
    ValueError
        For what is no distribution.
    """

    def __init__(self, given: Any, optuna: Any) -> None:
        self._own = given if callable(given) else None
        self._labels: dict[str, dict[str, Any]] = {}
        self._optuna = optuna
        self.distributions = (
            {} if callable(given) else {n: self._distribution(n, d) for n, d in given.items()}
        )

    def parameters(self, trial: Any) -> dict[str, Any]:
        """Return the candidate of a trial."""
        if self._own is not None:
            return dict(self._own(trial))
        return {
            name: self._labels[name][trial.params[name]]
            if name in self._labels
            else trial.params[name]
            for name in self.distributions
        }

    def _distribution(self, name: str, given: Any) -> Any:
        kinds = self._optuna.distributions
        if isinstance(given, kinds.BaseDistribution):
            return given
        if isinstance(given, list | tuple | np.ndarray) and len(given):
            return kinds.CategoricalDistribution(self._choices(name, list(given)))
        kind = getattr(getattr(given, "dist", None), "name", None)
        low, high = given.support() if kind else (0, 0)
        if kind == "randint":
            return kinds.IntDistribution(int(low), int(high))
        if kind == "uniform":
            return kinds.FloatDistribution(float(low), float(high))
        if kind in ("loguniform", "reciprocal") and _location(given) == 0:
            return kinds.FloatDistribution(float(low), float(high), log=True)
        raise ValueError(
            f"param_distributions[{name!r}] is {given!r}: give one of optuna.distributions, a list "
            "of choices, or uniform, loguniform (without loc) or randint of scipy.stats"
        )

    def _choices(self, name: str, values: list[Any]) -> list[Any]:
        simple = all(value is None or type(value) in (bool, int, float, str) for value in values)
        if simple and len(set(values)) == len(values):
            return values
        labels = [repr(value) for value in values]
        if len(set(labels)) < len(labels):
            labels = [f"{place}: {label}" for place, label in enumerate(labels)]
        self._labels[name] = dict(zip(labels, values, strict=True))
        return labels


def _location(given: Any) -> float:
    """Return ``loc`` of a frozen distribution."""
    _, loc, _ = given.dist._parse_args(*given.args, **given.kwds)
    return float(loc)
