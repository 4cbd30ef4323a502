"""What a cell puts in the place of a Pipeline's ``memory`` and of a transformer's ``transform``.

Both only ask: the `Answers` of the cell say what is known. `forget` takes them out again.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, Protocol

from jupyter_scale.search.internals import Pipeline
from jupyter_scale.search.store import Made

__all__ = ["Answers", "Memory", "Remembered", "forget"]


class Answers(Protocol):
    """What a running cell answers."""

    def step(
        self,
        number: int | None,
        function: Callable[..., Any],
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        """Return the transformed training part and the fitted transformer."""

    def answer(self, number: int, upstream: int | None, made: Made, X: Any) -> Any:
        """Return what a node remembers for `X`, or None."""


class Memory:
    """Stands in for a Pipeline's ``memory`` while a cell is fitted."""

    location = None  # as without memory: the Pipeline fits the transformer itself, not a clone

    def __init__(self, sharing: Answers, pipeline: Any) -> None:
        self.sharing = sharing
        self.pipeline = pipeline
        self.original = pipeline.memory
        self.numbers: list[int | None] = []
        self._asked = 0
        pipeline.memory = self

    def cache(self, function: Callable[..., Any], ignore: Any = None) -> Callable[..., Any]:
        """Return `function`, a Pipeline's fit of a step, answered from the shared nodes."""
        return functools.partial(self._step, function)

    def _step(
        self, function: Callable[..., Any], transformer: Any, X: Any, y: Any, **options: Any
    ) -> tuple[Any, Any]:
        number = self.numbers[self._asked] if self._asked < len(self.numbers) else None
        self._asked += 1
        return self.sharing.step(number, function, transformer, X, y, options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.original, memo)


class Remembered:
    """``transform`` of a shared transformer."""

    def __init__(
        self, sharing: Answers, number: int, upstream: int | None, made: Made, transformer: Any
    ) -> None:
        self._about = (number, upstream, made)
        self._sharing = sharing
        self._transformer = transformer

    def __call__(self, X: Any, *args: Any, **params: Any) -> Any:
        if not args and not params:
            answer = self._sharing.answer(*self._about, X)
            if answer is not None:
                return answer
        kind = type(self._transformer)
        return kind.transform.__get__(self._transformer, kind)(X, *args, **params)


def forget(estimator: Any) -> None:
    """Take the remembered answers, and the stand-in memory, out of a Pipeline."""
    if isinstance(getattr(estimator, "__dict__", {}).get("transform"), Remembered):
        del estimator.__dict__["transform"]
    if isinstance(estimator, Pipeline):
        if isinstance(estimator.memory, Memory):
            estimator.memory = estimator.memory.original
        for _, step in estimator.steps:
            forget(step)
