"""Pieces of work that wait for data on the way to their worker."""

from __future__ import annotations

from collections import Counter
from typing import Any

from distributed import Future

from jupyter_scale.search.forest import Piece
from jupyter_scale.search.holding import Missing
from jupyter_scale.search.results import Results
from jupyter_scale.search.sending import Shared

__all__ = ["Waiting"]

OFTEN = 2
"""Times that a piece may find its worker without the data: then it brings them. One that ends its
workers would otherwise be sent on for ever."""


class Waiting:
    """The pieces that wait, each for a future that has its data.

    Parameters
    ----------
    shared : Shared
        Sends the data.
    results : Results
        Tells when they have arrived.
    """

    def __init__(self, shared: Shared, results: Results) -> None:
        self._shared = shared
        self._results = results
        self._pieces: dict[Future[Any], list[Piece]] = {}
        self._times: Counter[Piece] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._pieces.values()))

    @property
    def pieces(self) -> list[Piece]:
        return [piece for pieces in self._pieces.values() for piece in pieces]

    def often(self, piece: Piece) -> bool:
        """Tell whether a piece had better bring the data that its worker lacks once more."""
        self._times[piece] += 1
        return self._times[piece] > OFTEN

    def add(self, piece: Piece, missing: Missing) -> bool:
        """Have what is missing sent to a worker, and a piece wait for it; False if it need not."""
        future = self._shared.supply(missing)
        if future is None or future.done():
            return False
        if future not in self._pieces:
            self._results.add(future)
        self._pieces.setdefault(future, []).append(piece)
        return True

    def arrived(self, future: Future[Any]) -> list[Piece]:
        """Return the pieces that have waited for some data, which are there or never will be."""
        return self._pieces.pop(future, [])

    def cleared(self, piece: Piece) -> None:
        """Note that a piece has come to its end."""
        self._times.pop(piece, None)

    def clear(self) -> None:
        """Let nothing wait."""
        self._pieces.clear()
