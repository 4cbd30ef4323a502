"""Real text for the tour: 20 newsgroups where it can be had, docstrings everywhere.

Text classification is only worth watching on real text, and a notebook that needs a download
fails on a train. So `load` takes 20 newsgroups when scikit-learn has it already or can fetch it,
and otherwise the docstrings of the packages that run the notebook, labelled by package.

Invariants: the docstrings are read from source files with `ast`, never by importing a package;
the same installation gives the same documents in the same order; a download that does not
answer costs seconds and one line, not the demo.
"""

from __future__ import annotations

import ast
import os
import socket
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Literal

Source = Literal["auto", "newsgroups", "docstrings"]

PACKAGES = ("scipy", "sklearn", "python", "numpy", "bokeh", "dask", "IPython", "distributed")
"""The labels of the docstring corpus, from many to few; "python" is the standard library."""

NEWSGROUPS = (
    "sci.med",
    "sci.space",
    "rec.autos",
    "rec.sport.hockey",
    "comp.graphics",
    "comp.sys.mac.hardware",
    "soc.religion.christian",
    "talk.politics.guns",
)
"""As many groups as packages."""

MIN_WORDS, MAX_WORDS = 100, 300
"""Short docstrings are joined up to the first number, long ones cut at the second."""

_ANSWER_WITHIN = 5.0  # seconds: a blocked network must not look like a hanging notebook
_NOT_TEXT = frozenset({"tests", "test", "idlelib", "site-packages", "dist-packages", "_vendor"})


def load(
    n_per_class: int = 300,
    categories: int | Sequence[str] = 8,
    *,
    source: Source | None = None,
) -> tuple[list[str], list[str], str]:
    """Return a labelled corpus of English text about technical things.

    Parameters
    ----------
    n_per_class : int, default=300
        At most this many documents of each label; fewer are a prefix of more.
    categories : int or sequence of str, default=8
        The labels to load: newsgroups, or names of installed packages ("python" is the standard
        library); or how many of `NEWSGROUPS` or `PACKAGES`. "auto" falls back only for a number.
    source : {"auto", "newsgroups", "docstrings"}, optional
        "auto" prefers 20 newsgroups and falls back to docstrings. By default the environment
        variable ``JUPYTER_SCALE_CORPUS``, or else "auto".

    Returns
    -------
    documents : list of str
        The texts, label by label.
    labels : list of str
        The label of each document.
    description : str
        One line: what the corpus is and, after a fallback, why.

    Raises
    ------
    ValueError
        When a category is unknown to the source, or the source itself is unknown.
    OSError
        When newsgroups are asked for, and can be neither found nor fetched.

    Examples
    --------
    >>> documents, labels, description = load(100, ["numpy", "scipy"], source="docstrings")
    >>> sorted(set(labels))
    ['numpy', 'scipy']
    """
    chosen = source or os.environ.get("JUPYTER_SCALE_CORPUS", "auto")
    if chosen not in ("auto", "newsgroups", "docstrings"):
        raise ValueError(f"source {chosen!r}: use 'auto', 'newsgroups' or 'docstrings'")
    why = ""
    if chosen != "docstrings" and not set(_names(categories, ())).intersection(PACKAGES):
        try:
            texts = _newsgroups(_names(categories, NEWSGROUPS))
            return _labelled(texts, n_per_class, "20 newsgroups, without headers and quotes")
        except OSError as error:
            if chosen == "newsgroups" or not isinstance(categories, int):
                raise
            why = f"; 20 newsgroups cannot be had here ({error})"
    texts = {name: _passages(_root(name)) for name in _names(categories, PACKAGES)}
    return _labelled(texts, n_per_class, f"docstrings of installed packages{why}")


def _names(categories: int | Sequence[str], known: Sequence[str]) -> Sequence[str]:
    return known[:categories] if isinstance(categories, int) else categories


def _labelled(
    texts: dict[str, Iterator[str]], n_per_class: int, what: str
) -> tuple[list[str], list[str], str]:
    documents: list[str] = []
    labels: list[str] = []
    for label, passages in texts.items():
        kept = list(islice(passages, n_per_class))
        documents += kept
        labels += [label] * len(kept)
    return documents, labels, f"{len(documents):,} documents, {len(texts)} labels: {what}"


# 20 newsgroups


def _newsgroups(categories: Sequence[str]) -> dict[str, Iterator[str]]:
    """Return the posts by group; raise OSError when they are not here and cannot be fetched."""
    from sklearn.datasets import fetch_20newsgroups

    limit = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_ANSWER_WITHIN)  # scikit-learn's download has no time limit of its own
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Retry downloading": the description says it once
            posts = fetch_20newsgroups(
                subset="all",
                categories=list(categories),
                remove=("headers", "footers", "quotes"),
                n_retries=1,
                delay=0.5,
            )
    finally:
        socket.setdefaulttimeout(limit)
    texts: dict[str, list[str]] = {name: [] for name in categories}
    for text, target in zip(posts.data, posts.target, strict=True):
        words = text.split()
        if len(words) >= MIN_WORDS:
            texts[posts.target_names[target]].append(" ".join(words[:MAX_WORDS]))
    return {name: iter(group) for name, group in texts.items()}


# Docstrings


def _root(package: str) -> Path:
    """Return the folder of a package's source, without importing it."""
    if package == "python":
        return Path(sysconfig.get_path("stdlib"))
    for scheme in ("purelib", "platlib"):
        folder = Path(sysconfig.get_path(scheme)) / package
        if folder.is_dir():
            return folder
    raise ValueError(f"no installed package {package!r} to read docstrings from")


def _passages(root: Path) -> Iterator[str]:
    """Yield texts of MIN_WORDS to MAX_WORDS words: one docstring, or several short ones."""
    words: list[str] = []
    for path in _sources(root):
        for docstring in _docstrings(path):
            words += _prose(docstring).split()
            if len(words) >= MIN_WORDS:
                yield " ".join(words[:MAX_WORDS])
                words = []


def _sources(root: Path) -> list[Path]:
    """Return the source files in an order that is fixed but mixes the package's parts.

    So the first few hundred passages stand for the whole package, and the rest is never parsed.
    """
    names = (path.relative_to(root) for path in root.rglob("*.py"))
    kept = (name for name in names if not _NOT_TEXT.intersection(name.parts))
    mixed = sorted(kept, key=lambda name: sha256(name.as_posix().encode()).digest())
    return [root / name for name in mixed]


def _docstrings(path: Path) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's sources
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and Python 2 leftovers inside packages
        return
    for node in ast.walk(tree):
        if isinstance(node, documented):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring


def _prose(docstring: str) -> str:
    """Return the docstring without its doctests, whose imports would name the label."""
    lines = docstring.splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith((">>>", "...")))
