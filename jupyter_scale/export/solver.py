"""Conda's packages without conda: py-rattler solves, and installs what it has found.

A program of its own, as it has an event loop and is interrupted with its caller; it imports
nothing of this package and is asked by `conda.py` in JSON. What it needs of a channel it keeps in
rattler's cache; where a channel does not answer, that is asked alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CACHED = "resolved by what rattler's cache knows, as a channel does not answer"
IMAGE = {
    "__unix": ("0", "0"),
    "__linux": ("5.15", "0"),
    "__glibc": ("2.35", "0"),
    "__archspec": ("1", "x86_64"),
}
"""What the image of repo2docker is to conda: Ubuntu's release of 2022."""


def main(question: str, answer: str) -> None:
    """Do what is asked in a file, and write to another what came of it."""
    asked = json.loads(Path(question).read_text(encoding="utf-8"))
    try:
        found = asyncio.run(_answered(asked))
    except Exception as error:  # all that it raises is told, by its class
        found = {"error": str(error), "kind": type(error).__name__}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


async def _answered(asked: dict[str, Any]) -> dict[str, Any]:
    import rattler

    client = rattler.Client.from_config(rattler.Config.load_from_default_locations("rattler"))
    records, notes = await _solved(asked, client)
    if target := asked.get("target"):
        await rattler.install(
            records, target_prefix=target, show_progress=False, client=client,
            execute_link_scripts=True,
        )  # fmt: skip # as conda's programs do
    packages = {one.name.normalized: [str(one.version), str(one.build)] for one in records}
    return {"packages": packages, "notes": notes}


async def _solved(asked: dict[str, Any], client: Any) -> tuple[list[Any], list[str]]:
    """Solve by what channels say now; if one of them does not answer, by what they have said."""
    import rattler
    from rattler.exceptions import GatewayError

    try:
        return await _by(rattler.Gateway(client=client), asked), []
    except GatewayError:
        cache = rattler.SourceConfig(cache_action="force-cache-only")
        try:
            return await _by(rattler.Gateway(default_config=cache, client=client), asked), [CACHED]
        except GatewayError:
            pass
        raise


async def _by(gateway: Any, asked: dict[str, Any]) -> list[Any]:
    import rattler
    from rattler.exceptions import SolverError

    channels = [rattler.Channel(one) for one in asked["channels"]]
    here = rattler.Subdir.current()
    platforms = [rattler.Subdir(asked.get("platform") or str(here)), rattler.Subdir("noarch")]
    specs = [rattler.MatchSpec(one, strict=False) for one in asked["specs"]]
    kept = [*await _kept(gateway, channels, platforms, asked.get("kept", {}))]
    machine = [*_image()] if asked.get("platform") else rattler.VirtualPackage.detect()
    # conda takes a package of a later channel where the first has it, but not as asked for
    order = rattler.ChannelPriority
    priorities = [order.Strict, order.Disabled] if len(channels) > 1 else [order.Strict]
    while True:
        try:
            return await rattler.solve(
                channels, specs, gateway=gateway, platforms=platforms, locked_packages=kept,
                virtual_packages=machine, channel_priority=priorities.pop(0),
            )  # fmt: skip
        except SolverError:
            if not priorities:
                raise


async def _kept(
    gateway: Any, channels: list[Any], platforms: list[Any], wanted: dict[str, list[str]]
) -> Iterator[Any]:
    """Return the records of packages that are to stay as they are, if they can."""
    if not wanted:
        return iter(())
    found = await gateway.query(channels, platforms, [*wanted], recursive=False)
    return (
        one
        for records in found
        for one in records
        if wanted.get(one.name.normalized) == [str(one.version), str(one.build)]
    )


def _image() -> Iterator[Any]:
    import rattler

    for name, (version, build) in IMAGE.items():
        yield rattler.GenericVirtualPackage(
            rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
