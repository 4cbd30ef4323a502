"""The same packages here, on the scheduler and on the workers, before anything runs.

A difference in what tasks and results are made of is refused: it ends in errors that name neither
package, or in results that differ. Any other difference is shown. Workers are looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Client
from distributed.versions import get_versions

from jupyter_scale.clusters.asking import ask
from jupyter_scale.clusters.limits import ClusterError, counted

__all__ = ["Difference", "Parity", "differences", "differing", "versions"]

CARRY = ("python", "dask", "distributed", "cloudpickle")
"""What tasks travel with: the scheduler needs the same, too."""
COMPUTE = ("jupyter-scale", "numpy", "scikit-learn")
ASKED = [name for name in (*CARRY, *COMPUTE) if name != "python"]
"""What Dask's ``versions`` is asked for: Python it tells unasked."""
SHOWN = 6
"""How many of the other differences are named."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One package that is not the same.

    Attributes
    ----------
    package : str
    here, there : str
        Versions; empty where it is not installed.
    """

    package: str
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.package} {self.there or 'is not there'} (here {self.here or 'none'})"


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[Difference]:
    """Return the packages whose versions are not the same, by name.

    Examples
    --------
    >>> [str(found) for found in differences({"numpy": "2.4", "dask": "1"}, {"numpy": "2.3"})]
    ['dask is not there (here 1)', 'numpy 2.3 (here 2.4)']
    """
    return [
        Difference(name, here.get(name, ""), there.get(name, ""))
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]


def blocking(found: list[Difference], packages: tuple[str, ...]) -> list[Difference]:
    """Return the differences that are refused: of Python, a third number does not matter."""
    return [
        one
        for one in found
        if one.package in packages
        and not (one.package == "python" and _minor(one.here) == _minor(one.there))
    ]


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def versions(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of what must be the same, of what Dask's ``versions`` answers.

    Examples
    --------
    >>> versions({"packages": {"python": "3.11.7.final.0", "numpy": "2.4", "tornado": "6"}})
    {'python': '3.11.7', 'numpy': '2.4'}
    """
    found = {name: answer["packages"].get(name) for name in (*CARRY, *COMPUTE)}
    found["python"] = ".".join((found["python"] or "").split(".")[:3])
    return {name: number for name, number in found.items() if number}


def differing(there: Mapping[str, str]) -> list[Difference]:
    """Return what would be refused of such versions on workers, were this process to use them."""
    here = versions(get_versions(ASKED))
    return blocking(differences(here, there), CARRY + COMPUTE) if there else []


class Parity:
    """What one client knows of its scheduler's and its workers' packages."""

    def __init__(self) -> None:
        self._looked: set[str] = set()
        self._digests: set[str] = set()
        self._scheduler = False

    def check(self, client: Client, *, force: bool = False) -> str:
        """Compare with what has come since the last time.

        Parameters
        ----------
        client : distributed.Client
            Always the same one.
        force : bool
            Show what would be refused, and go on.

        Returns
        -------
        str
            A line on what differs, or nothing.

        Raises
        ------
        ClusterError
            When what must be the same is not.
        """
        workers = [one for one in client.nthreads() if one not in self._looked]
        if not workers and self._scheduler:
            return ""
        digest, packages = _probes()
        here = packages()
        refused: list[str] = []
        others: dict[str, Difference] = {}
        if not self._scheduler:
            found = differences(here, client.run_on_scheduler(packages))
            refused += [f"on the scheduler, {one}" for one in blocking(found, CARRY)]
        said = ask(client, digest, workers=workers, on_error="raise")
        for same, where in _grouped(said).items():
            if same in self._digests:
                continue
            answer = ask(client, packages, workers=where[:1], on_error="raise")
            there = answer.get(where[0])
            if there is None:
                continue  # lost meanwhile, and unlike the others: whoever takes its place is asked
            found = differences(here, there)
            stop = blocking(found, CARRY + COMPUTE)
            refused += [f"on {counted(len(where), 'worker')}, {one}" for one in stop]
            others |= {one.package: one for one in found if one not in stop}
            if not stop or force:
                self._digests.add(same)
        if refused and not force:
            raise ClusterError(
                f"The cluster is not what this notebook is: {'; '.join(refused)}. Install the same "
                "versions there, or go on at your own risk: %%scale --force"
            )
        self._scheduler = True
        self._looked |= said.keys()
        forced = f"Not what this notebook is, and forced: {'; '.join(refused)}." if refused else ""
        return f"{forced} {_shown(list(others.values()))}".strip()


def _shown(others: list[Difference]) -> str:
    if not others:
        return ""
    named = ", ".join(str(one) for one in others[:SHOWN])
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return f"Other packages differ on the workers: {named}{more}."


def _grouped(found: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for worker, same in found.items():
        groups.setdefault(same, []).append(worker)
    return groups


def _probes() -> tuple[Callable[[], str], Callable[[], dict[str, str]]]:
    """Return functions that tell what is installed where they run: a digest of it, and all.

    They are made here, not written at the top, so that they are sent as they are: a worker without
    this package is one of the things to be found out. They read directories' names, as reading the
    packages' own descriptions takes a second.
    """

    def packages() -> dict[str, str]:
        import os
        import platform
        import re
        import sys

        found: dict[str, str] = {}
        for folder in sys.path:
            names = os.listdir(folder) if os.path.isdir(folder) else []
            for entry in names:
                if match := re.match(r"(.+?)-([^-]+)(-py[\d.]+)?\.(dist|egg)-info$", entry):
                    name = re.sub(r"[-_.]+", "-", match[1]).lower()
                    found.setdefault(name, match[2])
        return {**found, "python": platform.python_version()}

    def digest() -> str:
        import hashlib

        return hashlib.sha256(repr(sorted(packages().items())).encode()).hexdigest()

    return digest, packages
