"""Find out which piece of work ends its workers: divide what is suspected, try each part alone.

A worker that is lost takes down all its tasks: a piece is judged only by trials with nothing else
under way, and only by the losses of workers that had to do with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from jupyter_scale.search.failing import Removal
from jupyter_scale.search.schedule import Piece

__all__ = ["Trials"]

VERDICTS = 2
"""Trials that must find a candidate guilty."""
MOST = 12
"""Trials after which it is, though workers were lost that had nothing to do with it."""


class Trials:
    """What is suspected, and the piece that is alone now.

    Parameters
    ----------
    removals : callable
        Returns the losses of workers so far, the latest last.
    """

    def __init__(self, removals: Callable[[], list[Removal]]) -> None:
        self._removals = removals
        self._suspected: list[Piece] = []
        self._careful = 0
        self._piece: Piece | None = None
        self._since = 0.0
        self._tried: Counter[tuple[int, ...]] = Counter()
        self._guilty: Counter[tuple[int, ...]] = Counter()

    def __bool__(self) -> bool:
        """Tell whether the next piece is to be tried alone."""
        return bool(self._suspected or self._careful)

    def next(self, following: Callable[[], Piece | None]) -> Piece | None:
        """Return the piece to be tried next: a suspected one, or what follows by itself."""
        piece = self._suspected.pop() if self._suspected else following()
        if piece is not None:
            self._piece = piece
            self._since = max((stamp for stamp, _ in self._removals()), default=0.0)
        return piece

    def tries(self, piece: Piece) -> bool:
        """Tell whether this piece is the one that is alone."""
        return piece is self._piece

    def suspect(self, pieces: Iterable[Piece]) -> None:
        """Try these next, each alone."""
        self._suspected += pieces

    def again(self, careful: int) -> list[Piece]:
        """Start anew after a loss of everything; return what was suspected.

        The next pieces, `careful` of them, are tried alone.
        """
        suspected, self._suspected = self._suspected, []
        self._careful, self._piece = careful + len(suspected), None
        return suspected

    def cleared(self, piece: Piece) -> None:
        """Note that a piece has come to its end, one way or the other."""
        if piece is self._piece:
            self._piece = None
            self._careful = max(0, self._careful - 1)

    @property
    def harmless(self) -> bool:
        """Whether no worker was lost while the last piece was alone."""
        return not self._lost()

    def _lost(self) -> list[tuple[Any, ...]]:
        return [keys for stamp, keys in self._removals() if stamp > self._since]

    def convicted(self, piece: Piece, key: Any) -> bool:
        """Judge a piece whose task `key` has ended its workers while it was alone."""
        suspect = (piece.start, piece.stop, *piece.makes)
        others = any(key not in keys for keys in self._lost())
        self._tried[suspect] += 1
        self._guilty[suspect] += not others
        return self._guilty[suspect] >= VERDICTS or self._tried[suspect] >= MOST
