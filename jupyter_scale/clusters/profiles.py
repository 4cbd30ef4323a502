"""The clusters that can be picked by name: Dask configuration -> profiles.

A profile says which class is a cluster, what it is called with, and how large it is to be. Profiles
stand in Dask's configuration under ``jupyter-scale.profiles`` (a YAML file of the user or of the
machine, or environment variables such as ``DASK_JUPYTER_SCALE__DEFAULT``), never in a notebook: a
factory imports code. Three come by themselves: `local`, `address` where Dask's own
``scheduler-address`` is set, and `labextension` where ``labextension.factory`` is.

Reads configuration and looks for installed packages; imports none of them and starts nothing.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask
import fastjsonschema
import yaml
from dask.utils import parse_timedelta

from jupyter_scale.clusters.limits import ClusterError, counted

__all__ = ["Adapt", "Factory", "Profile", "default", "profile", "profiles", "variable"]

KEY = "jupyter-scale"
BUILT_IN = "built in"
TIMEOUT, IDLE_TIMEOUT, LOST_TIMEOUT = 300.0, 3600.0, 300.0  # seconds
LOCAL = {"module": "distributed", "class": "LocalCluster"}
ADDRESS = {"module": "distributed", "class": "Client"}
PACKAGES = {
    "asyncssh": "asyncssh",
    "coiled": "coiled",
    "dask_cloudprovider": "dask-cloudprovider",
    "dask_gateway": "dask-gateway",
    "dask_jobqueue": "dask-jobqueue",
    "dask_kubernetes": "dask-kubernetes",
}
"""What pip calls the packages that have clusters."""
UNTESTED = frozenset({"coiled", "dask_cloudprovider"})
"""Packages whose clusters cost money to start: no test of this project does."""


@dataclass(frozen=True, slots=True)
class Factory:
    """The class that is a cluster, and what it is called with."""

    module: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def package(self) -> str:
        """The package to be installed for it, as it is imported."""
        if self.name == "SSHCluster" and self.module.startswith(("dask.", "distributed")):
            return "asyncssh"
        return self.module.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Adapt:
    """Between how many workers a cluster grows and shrinks."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum} to {self.maximum} workers"


@dataclass(frozen=True, slots=True)
class Profile:
    """A cluster that can be picked by name.

    Attributes
    ----------
    name : str
    factory : Factory
    workers : int or None
        How many it starts with; None leaves that to `adapt` or to the factory.
    adapt : Adapt or None
    config : mapping
        Dask settings that hold while it is started.
    image : str
        Container image of its scheduler and workers, or empty.
    environment : mapping of str to str
        Environment variables of its workers.
    timeout : float
        Seconds until its first worker must be there.
    idle_timeout : float
        Seconds without work after which it closes; 0 for never.
    lost_timeout : float
        Seconds after which a cluster elsewhere and its host, cut off from each other, give up.
    origin : str
        Where it is written: a file, ``environment variables``, or ``built in``.
    """

    name: str
    factory: Factory
    workers: int | None = None
    adapt: Adapt | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    image: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT
    lost_timeout: float = LOST_TIMEOUT
    origin: str = BUILT_IN

    @property
    def local(self) -> bool:
        """Whether its workers share this machine."""
        dask = self.factory.module.startswith(("dask.", "distributed"))
        return dask and self.factory.name == "LocalCluster"

    @property
    def address(self) -> str:
        """The scheduler that it connects to, for a profile that starts nothing; else empty."""
        if str(self.factory) != "distributed.Client":
            return ""
        return str(self.factory.args[0]) if self.factory.args else ""

    @property
    def size(self) -> str:
        """How large it is, in words."""
        if self.adapt is not None:
            return str(self.adapt)
        if self.workers is None:
            return ""
        return counted(self.workers, "worker")

    @property
    def missing(self) -> str:
        """What is to be installed before it can be used, as a command; empty if nothing is."""
        package = self.factory.package
        if find_spec(package) is not None:
            return ""
        return f"pip install {PACKAGES.get(package, package)}"

    @property
    def tested(self) -> bool:
        """Whether this project's tests run such a cluster."""
        return self.factory.package not in UNTESTED


def profiles() -> dict[str, Profile]:
    """Return the profiles by name, those that come by themselves first.

    Raises
    ------
    ClusterError
        Where the configuration is wrong: one line with the file, the key and what helps.
    """
    written = _section()
    _validate(written)
    own = written.get("profiles", {})
    return {
        name: _profile(name, table, _origin(f"profiles.{name}") if name in own else BUILT_IN)
        for name, table in {**_built_in(), **own}.items()
    }


def profile(name: str | None = None) -> Profile:
    """Return the profile of a name, or the default one.

    Raises
    ------
    ClusterError
        Where there is none of that name, or the configuration is wrong.
    """
    known = profiles()
    wanted = default() if name is None else name
    found = known.get(wanted) or known.get(_spelled(wanted, known))
    if found is not None:
        return found
    near = difflib.get_close_matches(wanted, known, n=1)
    meant = f": did you mean {near[0]}?" if near else f": there are {', '.join(known)}."
    where = f" ({_origin('default')}: {KEY}.default)" if name is None else ""
    raise ClusterError(f"There is no cluster profile {wanted!r}{where}{meant}")


def default() -> str:
    """Return the name of the profile that is started when no name is given."""
    named = _section().get("default", "local")
    if not isinstance(named, str):
        _validate(_section())
    return str(named)


def _spelled(name: str, known: Mapping[str, Any]) -> str:
    """Return a known name that differs by hyphens only: variables cannot have those."""
    same = {other.replace("-", "_"): other for other in known}
    return same.get(name.replace("-", "_"), "")


def _section() -> dict[str, Any]:
    """Return this package's part of Dask's configuration, its variables expanded."""
    found = dask.config.get(KEY, None)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ClusterError(f"{_origin()}: {KEY}: {found!r} is not a table of settings")
    expanded: dict[str, Any] = dask.config.expand_environment_variables(dict(found))
    return expanded


def _built_in() -> dict[str, dict[str, Any]]:
    """Return the profiles that come by themselves, as they would be written."""
    tables: dict[str, dict[str, Any]] = {"local": {"factory": LOCAL}}
    address = dask.config.get("scheduler-address", None)
    if address:
        tables["address"] = {"factory": {**ADDRESS, "args": [address]}}
    theirs = dask.config.get("labextension.factory", None) or {}
    module, name = theirs.get("module", ""), theirs.get("class", "")
    plain = module in ("dask.distributed", "distributed") and name == "LocalCluster"
    if module and name and not (plain and not theirs.get("args") and not theirs.get("kwargs")):
        workers = dask.config.get("labextension.default.workers", None)
        adapt = dask.config.get("labextension.default.adapt", None)
        size = {"adapt": adapt} if adapt else {"workers": workers} if workers is not None else {}
        factory = {
            key: theirs[key] for key in ("module", "class", "args", "kwargs") if key in theirs
        }
        tables["labextension"] = {"factory": factory, **size}
    return tables


def _profile(name: str, table: Mapping[str, Any], origin: str) -> Profile:
    factory, adapt = table["factory"], table.get("adapt")
    if adapt is not None:
        adapt = Adapt(adapt.get("minimum", 0), adapt["maximum"])
        if adapt.minimum > adapt.maximum:
            key = f"profiles.{name}.adapt"
            raise ClusterError(
                f"{_origin(key)}: {KEY}.{key}: minimum {adapt.minimum} is more than maximum "
                f"{adapt.maximum}: exchange them"
            )
    kwargs = {key.replace("-", "_"): value for key, value in factory.get("kwargs", {}).items()}
    args = tuple(factory.get("args", ()))
    return Profile(
        name,
        Factory(factory["module"], factory["class"], args, kwargs),
        table.get("workers"),
        adapt,
        dict(table.get("config", {})),
        table.get("image", ""),
        {key: str(value) for key, value in table.get("environment", {}).items()},
        _seconds(table.get("timeout", TIMEOUT), f"profiles.{name}.timeout"),
        _seconds(table.get("idle-timeout", IDLE_TIMEOUT), f"profiles.{name}.idle-timeout"),
        _seconds(table.get("lost-timeout", LOST_TIMEOUT), f"profiles.{name}.lost-timeout"),
        origin,
    )


def _seconds(value: Any, key: str) -> float:
    try:
        seconds = float(parse_timedelta(value))
    except (ValueError, KeyError):
        seconds = -1
    if seconds < 0:
        raise ClusterError(
            f"{_origin(key)}: {KEY}.{key}: {value!r} is not a time: write, for example, 30 min"
        )
    return seconds


# -- what is wrong, and where


@cache
def _validator() -> Any:
    text = files(__package__).joinpath("profiles.schema.json").read_text(encoding="utf-8")
    return fastjsonschema.compile(json.loads(text))


def _validate(section: Mapping[str, Any]) -> None:
    try:
        _validator()({KEY: section})
    except fastjsonschema.JsonSchemaValueException as error:
        path = error.path[1:]  # the first stands for all
        key, wrong = ".".join(path), _sentence(error)
        examples = error.definition.get("examples")
        remedy = f": write, for example, {_line(path[-1], examples[0])}" if examples else ""
        raise ClusterError(f"{_origin(*path[1:])}: {key}: {wrong}{remedy}") from None


def _sentence(error: Any) -> str:
    """Say what a validator found."""
    value, about = error.value, error.definition
    if error.rule == "additionalProperties":
        known = list(about.get("properties", {}))
        unknown = next((key for key in value if key not in known), "")
        near = difflib.get_close_matches(unknown, known, n=1)
        meant = f"did you mean {near[0]}" if near else f"there are {', '.join(known)}"
        return f"there is no setting {unknown!r} ({meant})"
    if error.rule == "required":
        absent = [key for key in about["required"] if key not in value]
        return f"{' and '.join(absent)} is missing"
    if error.rule == "not":
        return "it has both workers and adapt: keep one"
    shown = repr(value) if len(repr(value)) < 60 else f"this {type(value).__name__}"
    return f"{shown} is not {_expected(error)}"


def _expected(error: Any) -> str:
    about = error.definition
    if error.rule in ("minimum", "maximum"):
        return f"{about.get('minimum', 0)} to {about['maximum']}"
    if error.rule == "pattern":
        return "a name that Python could import"
    kinds = {"integer": "a whole number", "object": "a table", "array": "a list", "string": "text"}
    kind = about.get("type")
    return kinds.get(kind, "text or a number") if isinstance(kind, str) else "text or a number"


def _line(key: str, value: Any) -> str:
    """Return a setting as it is written in a file, in one line."""
    text: str = yaml.safe_dump({key: value}, default_flow_style=True, width=float("inf"))
    return text.strip().removeprefix("{").removesuffix("}")


def _origin(*path: str) -> str:
    """Return where a setting is written: what was read last counts."""
    for length in range(len(path), -1, -1):
        key = ".".join((KEY, *path[:length]))
        if length and (variable := _set_by(key)):
            return f"environment variable {variable}"
        found = list(dask.config.paths_containing_key(key, dask.config.paths))
        if found:
            return _short(found[-1])
    return "Dask's configuration"


def variable(key: str) -> str:
    """Return the environment variable that is a key of Dask's configuration.

    Examples
    --------
    >>> variable("jupyter-scale.default")
    'DASK_JUPYTER_SCALE__DEFAULT'
    """
    return f"DASK_{key.replace('.', '__').replace('-', '_').upper()}"


def _set_by(key: str) -> str:
    """Return the environment variable that sets a key or something below it."""
    wanted = variable(key)
    for name in os.environ:
        if name.upper() == wanted or name.upper().startswith(f"{wanted}__"):
            return name
    return ""


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
