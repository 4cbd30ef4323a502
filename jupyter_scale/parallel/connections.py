"""The connections of a process group of gloo: ended when a rank is to leave an exchange.

Gloo notices at once that the process at the other end has ended, but waits for its whole timeout
for a machine that has gone without a word, or a process that stands still, and its `abort` does
nothing (torch 2.13). A rank that waits there leaves when its own end of the connections is shut.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Any

import psutil

__all__ = ["Address", "end", "listening"]

Address = tuple[str, int]


def listening() -> set[Address]:
    """Return where this process listens."""
    return {tuple(one.laddr) for one in _all() if one.status == psutil.CONN_LISTEN}


def end(ranks: Iterable[Address]) -> None:
    """Shut this process's connections with ranks that listen there, itself among them."""
    ours = set(ranks)
    for one in _all():
        if one.status == psutil.CONN_ESTABLISHED and {tuple(one.laddr), tuple(one.raddr)} & ours:
            _shut(one.fd)


def _all() -> list[Any]:
    try:
        return list(psutil.Process().net_connections("tcp"))
    except psutil.Error:  # the system does not say: gloo's timeout is left
        return []


def _shut(number: int) -> None:
    """Shut a connection, and leave its descriptor to who has it."""
    try:
        with socket.socket(fileno=os.dup(number)) as connection:
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has just been closed
