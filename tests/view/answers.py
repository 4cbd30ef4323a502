"""What a scheduler would answer."""

from __future__ import annotations

from typing import Any

HEX = "0123456789abcdef" * 2
EVIL = '<script>alert("x")</script>'


def address(name: str) -> str:
    return f"tcp://10.0.0.1:{name}"


def worker(called: str = "0", **more: Any) -> dict[str, Any]:
    told = {
        "address": address(called),
        "name": called,
        "threads": 2,
        "state": "running",
        "limit": 2**30,
        "nanny": True,
        "cpu": 42.4,
        "memory": 2**28,
        "spilled": 0,
        "tasks": 0,
        "running": [],
    }
    return told | more


def ended(key: str, start: float, stop: float, *, name: str = "0", **more: Any) -> tuple[Any, ...]:
    """A task that has run."""
    return key, address(name), more.get("thread", 7), start, stop, more.get("failed", False)


def answer(now: float = 100.0, *workers: dict[str, Any], **more: Any) -> dict[str, Any]:
    threads = sum(each["threads"] for each in workers)
    told = {
        "now": now,
        "index": 0,
        "done": [],
        "steps": {},
        "states": {},
        "events": [],
        "size": [len(workers), threads],
        "workers": list(workers),
    }
    return told | more
