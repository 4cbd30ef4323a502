"""A line of `%scale` or `%%scale`, read."""

from __future__ import annotations

import argparse

__all__ = ["Arguments"]


class Arguments(argparse.Namespace):
    """A parsed line; the defaults are those of the command line."""

    command: str | None = None
    help: bool = False
    name: str | None = None
    number: int = 0
    minimum: int = 0
    maximum: int = 0
    adapt: list[int] | None = None
    all: bool = False
    namespace: str = ""
    helm: bool = False
    file: str | None = None
    workers: int | None = None
    threads: int | None = None
    memory: str | None = None
    plan: bool = False
    output: str | None = None
    seed: int | None = None
    merge: str = "all"
    local: bool = False
    force: bool = False
    views: list[str] | None = None
    plot: str = "status"
    fresh: bool = False
    keep_predictions: bool = False
    run: str = ""
    other: str = ""
    runs: list[str] | None = None
    text: str | None = None
    tag: list[str] | None = None
    untag: list[str] | None = None
    mlflow: str | None = None
    experiment: str = ""
    notebook: str | None = None
    since: float | None = None
    until: float | None = None
    json: bool = False
    dry_run: bool = False
    places: list[str] | None = None
    accept: list[str] | None = None
    yes: bool = False
    wheels: bool = False
    binder: str = ""
    thebe: bool = False
    course: bool = False
    docker: bool = False
    kubernetes: str | None = None
    image: bool = False
    git: bool = False
    verify: bool = True
    sources: list[tuple[str, str]] | None = None

    def options(self) -> dict[str, object]:
        """Return what the first line of a cell says of its searches, as far as it is not usual."""
        names = ("seed", "merge", "local", "fresh", "keep_predictions")
        said = {name: getattr(self, name) for name in names}
        usual = Arguments()
        return {name: value for name, value in said.items() if value != getattr(usual, name)}
