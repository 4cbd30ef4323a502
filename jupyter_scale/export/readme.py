"""README.md of an exported folder: how to run it, what is in it, what was verified of it."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_scale.export.claim import Claim, verdict
from jupyter_scale.export.data import Data
from jupyter_scale.export.lock import Lock
from jupyter_scale.export.repository import badge
from jupyter_scale.export.roots import Root

__all__ = ["readme"]

PARTS = {
    "index.html": "the notebook as a web page, whose cells run when a reader asks for it",
    "docker/Dockerfile": "the same environment without repo2docker",
    "kubernetes/cluster.yaml": "a Dask cluster of its image, for Dask's operator",
}


def readme(
    notebooks: Iterable[str],
    lock: Lock,
    roots: Iterable[Root],
    *,
    title: str = "",
    data: Iterable[Data] = (),
    variables: Iterable[str] = (),
    claims: Iterable[Claim] = (),
    binder: str = "",
    commit: str = "",
    parts: Iterable[str] = (),
) -> str:
    """Return the text.

    Parameters
    ----------
    notebooks : iterable of str
        Their paths in the folder.
    lock : Lock
    roots : iterable of Root
    title : str, optional
        The first notebook's name by default.
    data : iterable of Data
    variables : iterable of str
        Of the environment, that the notebook reads.
    claims : iterable of Claim
    binder, commit : str
        Address and commit that the badge starts; no badge where one is missing.
    parts : iterable of str
        Paths of the optional parts.
    """
    names = list(notebooks)
    lines = [f"# {_escaped(title or names[0].removesuffix('.ipynb'))}", ""]
    if binder and commit:
        lines += [badge(binder, commit, names[0]), ""]
    elif binder:
        lines += [
            "No link to Binder yet: it names a commit. Commit and push this folder, then export "
            "once more.",
            "",
        ]
    lines += ["## Run it", "", *_run(names, lock), ""]
    lines += ["## What it needs", "", *_needs(lock, list(roots), list(data), list(variables)), ""]
    lines += ["## What was verified", "", *_verified(list(claims)), ""]
    lines += ["## What is here", "", *_here(names, lock, list(data), list(parts))]
    return "\n".join(lines).rstrip() + "\n"


def _run(names: list[str], lock: Lock) -> list[str]:
    lines = [
        "In a container, with [repo2docker](https://repo2docker.readthedocs.io) and Docker:",
        "",
        "    pip install jupyter-repo2docker",
        "    jupyter-repo2docker .",
        "",
    ]
    if lock.explicit:
        return [
            *lines,
            "Or in a conda environment of its own:",
            "",
            "    conda env create --prefix ./env --file binder/environment.yml",
            "    conda activate ./env",
            "    conda install --channel conda-forge jupyterlab",
            f'    jupyter lab "{names[0]}"',
        ]
    return [
        *lines,
        f"Or in an environment of its own, with Python {lock.minor}:",
        "",
        f"    python{lock.minor} -m venv .venv",
        "    . .venv/bin/activate",
        "    pip install -r binder/requirements.txt jupyterlab ipykernel",
        f'    jupyter lab "{names[0]}"',
    ]


def _needs(lock: Lock, roots: list[Root], data: list[Data], variables: list[str]) -> list[str]:
    lines = [f"Python {lock.python}, and these packages with all that they require "
             f"({len(lock.pins) + len(lock.conda)} in the lock):", ""]  # fmt: skip
    lines += ["| package | version | why |", "|---|---|---|"]
    lines += [
        f"| {root.name} | {root.version} | {_escaped('; '.join(root.reasons))} |" for root in roots
    ]
    fetched = [one for one in data if not one.copied]
    if fetched:
        lines += [
            "",
            "Files too large for this repository, which `python fetch.py` gets:",
            "",
        ]
        lines += [
            f"- `{one.path}`, {one.size:,} bytes"
            + (f", from {one.source}" if one.source else ": its source is not known")
            for one in fetched
        ]
    if variables:
        listed = ", ".join(f"`{name}`" for name in variables)
        lines += ["", f"It reads these variables of the environment: {listed}."]
    return lines


def _verified(claims: list[Claim]) -> list[str]:
    if not claims:
        return ["Nothing yet: it was exported without verification."]
    lines = [verdict(claims), ""]
    for claim in claims:
        lines.append(f"- {claim.name}: **{claim.status}**")
        lines += [f"  - {_escaped(line)}" for line in claim.details]
    return lines


def _here(names: list[str], lock: Lock, data: list[Data], parts: list[str]) -> list[str]:
    listed = "environment.yml" if lock.explicit else "requirements.txt"
    exact = "conda.lock" if lock.explicit else "pylock.toml"
    rows = [(name, "the notebook, with its outputs") for name in names]
    if data:
        rows.append(("MANIFEST.json", "the data files: size, SHA-256 and source of each"))
    rows += [
        (f"binder/{listed}", "all packages at their exact versions"),
        ("binder/", "what else repo2docker and Binder read"),
        ("provenance/roots.json", "the packages that are used, and why"),
        (f"provenance/{exact}", "every package with the hashes of its files"),
        ("provenance/report.json", "what was found and verified, and the files of this export"),
    ]
    rows += [(part, PARTS.get(part, "")) for part in parts]
    return ["| file | what it is |", "|---|---|", *(f"| {name} | {what} |" for name, what in rows)]


def _escaped(text: str) -> str:
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
