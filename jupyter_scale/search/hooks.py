"""What a cell puts into its own clone of an estimator, to be asked for shared work.

Three hooks, all taken out again before anyone looks at the estimator:

- `Memory` in the place of a Pipeline's ``memory``: asked for each fitted step;
- `Hook` in a part of a meta-estimator, or in a final step whose settings one fit answers: asked
  when it is cloned (``__sklearn_clone__``) and when it is fitted;
- `Remembered` in a fitted estimator: asked when it transforms or predicts.

They only ask: the `Asked` of the cell knows the answers, and the `Known` of what it was handed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, Protocol

from sklearn.base import clone

from jupyter_scale.search.internals import sharable_pipeline
from jupyter_scale.search.meta import parts
from jupyter_scale.search.plan import Site
from jupyter_scale.search.store import Made

__all__ = ["Asked", "Hook", "Known", "Memory", "Remembered", "attach", "hook_of"]

FITS = ("fit", "fit_transform")
ANSWERS = ("transform", "predict", "predict_proba", "predict_log_proba", "decision_function")


class Asked(Protocol):
    """What answers the hooks of a cell."""

    hooks: list[Memory | Hook]
    attaching: bool

    def step(
        self,
        site: Site,
        function: Callable[..., Any],
        transformer: Any,
        X: Any,
        y: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        """Return the transformed training part and the fitted transformer."""

    def part(self, hook: Hook, name: str, X: Any, y: Any, more: Any, options: Any) -> Any:
        """Return what ``fit`` or ``fit_transform`` of a part returns."""


class Known(Protocol):
    """What answers the methods of fitted estimators."""

    def answer(
        self, about: tuple[int, int | None, Made], method: str, function: Any, X: Any
    ) -> Any:
        """Return what a method of a fitted node gives for `X`."""


def attach(asked: Asked, estimator: Any, site: Site) -> None:
    """Put hooks where a site says, inside an estimator of the cell's own."""
    if sharable_pipeline(estimator):
        Memory(asked, estimator, site.inner)
        for (_, step), below in zip(estimator.steps, site.inner, strict=True):
            if below is not None:
                attach(asked, step, below)
        last, below = estimator.steps[-1][1], site.inner[-1] if site.inner else None
        if below is not None and below.number is None and below.family is not None:
            Hook(asked, last, below)
    elif site.inner:
        for part, below in zip(parts(estimator), site.inner, strict=True):
            Hook(asked, part.estimator, below or Site(), estimator, site, part.name)


class Memory:
    """Stands in for a Pipeline's ``memory`` while a cell is fitted."""

    location = None  # as without memory: the Pipeline fits the transformer itself, not a clone

    def __init__(self, asked: Asked, pipeline: Any, sites: tuple[Site | None, ...]) -> None:
        self.asked = asked
        self.pipeline = pipeline
        # a part that is cloned with what holds it comes here twice
        before = pipeline.memory
        self.original: Any = before.original if isinstance(before, Memory) else before
        self.sites = [site for site in sites if site is not None]
        self._place = 0
        pipeline.memory = self
        asked.hooks.append(self)

    def cache(self, function: Callable[..., Any], ignore: Any = None) -> Callable[..., Any]:
        """Return `function`, a Pipeline's fit of a step, answered from the shared nodes."""
        return functools.partial(self._step, function)

    def _step(
        self, function: Callable[..., Any], transformer: Any, X: Any, y: Any, **options: Any
    ) -> tuple[Any, Any]:
        site = self.sites[self._place] if self._place < len(self.sites) else Site()
        self._place += 1
        return self.asked.step(site, function, transformer, X, y, options)

    def remove(self) -> None:
        """Give the Pipeline its own memory back."""
        if self.pipeline.memory is self:
            self.pipeline.memory = self.original

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.original, memo)


class Hook:
    """Stands in an estimator for its ``fit``, and follows it into its clones.

    Parameters
    ----------
    asked : Asked
    estimator : estimator
        The cell's own, not fitted.
    site : Site
    outer : estimator, optional
        The meta-estimator of which this is a part.
    outer_site : Site, optional
    name : str
        The part's name there.
    """

    def __init__(
        self,
        asked: Asked,
        estimator: Any,
        site: Site,
        outer: Any = None,
        outer_site: Site | None = None,
        name: str = "",
    ) -> None:
        self.asked = asked
        self.estimator = estimator
        self.site = site
        self.outer = outer
        self.outer_site = outer_site
        self.name = name
        attach(asked, estimator, site)
        methods = {method: getattr(estimator, method, None) for method in FITS}
        for method, function in methods.items():
            if function is not None:
                vars(estimator)[method] = self._bound(method, function)
        vars(estimator)["__sklearn_clone__"] = self.clone
        asked.hooks.append(self)

    def _bound(self, method: str, function: Any) -> Any:
        @functools.wraps(function)
        def fit(X: Any, y: Any = None, *more: Any, **options: Any) -> Any:
            self.remove()
            return self.asked.part(self, method, X, y, more, options)

        return fit

    def clone(self) -> Any:
        """Return a clone that asks as this estimator does."""
        copied = self.plain_clone()
        if self.asked.attaching:
            Hook(self.asked, copied, self.site, self.outer, self.outer_site, self.name)
        return copied

    def plain_clone(self) -> Any:
        """Return scikit-learn's clone."""
        hook = vars(self.estimator).pop("__sklearn_clone__")
        try:
            return clone(self.estimator)
        finally:
            vars(self.estimator)["__sklearn_clone__"] = hook

    def bare_clone(self) -> Any:
        """Return scikit-learn's clone, in which nothing asks, neither do the parts inside it."""
        self.asked.attaching = False
        try:
            return self.plain_clone()
        finally:
            self.asked.attaching = True

    def remove(self) -> None:
        """Leave the estimator as it was."""
        if hook_of(self.estimator) is self:
            for name in (*FITS, "__sklearn_clone__"):
                vars(self.estimator).pop(name, None)

    def unwanted(self, until: int | None) -> bool:
        """Tell whether a node is wanted that is made in a part beside this one."""
        return (
            until is not None
            and self.outer_site is not None
            and any(site.holds(until) for site in self.outer_site.inner if site)
            and not self.site.holds(until)
        )


def hook_of(estimator: Any) -> Hook | None:
    """Return the hook that an estimator carries, or None."""
    found = getattr(estimator, "__dict__", {}).get("__sklearn_clone__")
    owner = getattr(found, "__self__", None)
    return owner if isinstance(owner, Hook) else None


class Remembered:
    """A method of a fitted estimator that a node has made; `about` is (node, upstream, made)."""

    def __init__(
        self, known: Known, about: tuple[int, int | None, Made], estimator: Any, method: str
    ) -> None:
        self._known = known
        self._about = about
        self._method = method
        self._function = getattr(estimator, method)

    def __call__(self, X: Any, *args: Any, **params: Any) -> Any:
        if args or params:
            return self._function(X, *args, **params)
        return self._known.answer(self._about, self._method, self._function, X)

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave a copied or pickled estimator its own method: a scorer may make one."""
        return _Own, (self._function.__self__, self._method)

    @property
    def __name__(self) -> str:
        return self._method

    @property
    def __wrapped__(self) -> Any:
        """What `inspect.signature` looks at."""
        return self._function

    @classmethod
    def attach(
        cls,
        known: Known,
        about: tuple[int, int | None, Made],
        estimator: Any,
        methods: tuple[str, ...],
    ) -> None:
        """Put the methods that an estimator has into it."""
        found = {m: cls(known, about, estimator, m) for m in methods if hasattr(estimator, m)}
        vars(estimator).update(found)

    @staticmethod
    def remove(estimator: Any) -> None:
        """Take the remembered methods out of an estimator."""
        for method in ANSWERS:
            if isinstance(vars(estimator).get(method), Remembered):
                del vars(estimator)[method]


class _Own:
    """A method of the class, called on an estimator."""

    def __init__(self, estimator: Any, method: str) -> None:
        self._about = (estimator, method)

    def __call__(self, *args: Any, **params: Any) -> Any:
        estimator, method = self._about
        return getattr(type(estimator), method).__get__(estimator)(*args, **params)
