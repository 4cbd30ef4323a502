"""What can be asked of an export: the flags of `%scale export` and `jupyter scale export`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is to be written, and what was said to its findings.

    Attributes
    ----------
    accept : tuple of str
        Ids of findings that are accepted; for warnings also their kinds.
    yes : bool
        All warnings are accepted.
    wheels : bool
        Packages that were never published (editable, or from a folder) are built and written as
        wheels: their code is published with the notebook.
    binder : str
        Address of the repository that the folder will be, for links that start it.
    docker, kubernetes, thebe, course, image, git : bool
        The optional parts: a Dockerfile, a Dask cluster's manifest, a live web page, an index of
        several notebooks, a real image, a local commit.
    name : str
        Of the image in manifests; empty for one made of the folder's name.
    verify : bool
        Rebuild the environment and run the notebook there.
    sources : tuple of (str, str)
        Addresses that data files are fetched from, by path; they are not copied.
    large : int
        Bytes of a data file above which it is fetched instead of copied.
    timeout : float
        Seconds that a cell may run, here and in the rebuilt environment; 0 for no limit.
    """

    accept: tuple[str, ...] = ()
    yes: bool = False
    wheels: bool = False
    binder: str = ""
    docker: bool = False
    kubernetes: bool = False
    thebe: bool = False
    course: bool = False
    image: bool = False
    git: bool = False
    name: str = ""
    verify: bool = True
    sources: tuple[tuple[str, str], ...] = ()
    large: int = 20 * 2**20
    timeout: float = 1800.0
