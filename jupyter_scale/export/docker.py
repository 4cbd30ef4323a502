"""A Dockerfile for people without repo2docker: the same packages on Python's own image.

It is in docker/, never beside binder/: repo2docker would take it for all there is to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_scale.export.binder import apt
from jupyter_scale.export.lock import Lock

__all__ = ["PATH", "dockerfile"]

PATH = "docker/Dockerfile"


def dockerfile(
    lock: Lock, notebook: str, *, packages: Iterable[str] = (), fetches: bool = False
) -> str:
    """Return the text.

    Parameters
    ----------
    lock : Lock
    notebook : str
        That the server opens.
    packages : iterable of str
        Debian's.
    fetches : bool
        Whether there are files to fetch.
    """
    conda = bool(lock.explicit)
    base = "condaforge/miniforge3:latest" if conda else f"python:{lock.python}-slim"
    lines = [
        "# Build it in the folder above: docker build -f docker/Dockerfile -t NAME .",
        "# Run it: docker run --rm -p 127.0.0.1:8888:8888 NAME",
        f"FROM {base}",
    ]
    if names := apt(sorted(set(packages))).split():
        lines += [
            "RUN apt-get update \\",
            f" && apt-get install --yes --no-install-recommends {' '.join(names)} \\",
            " && rm -rf /var/lib/apt/lists/*",
        ]
    lines += ["RUN useradd --create-home --uid 1000 jovyan", "WORKDIR /home/jovyan/work"]
    lines += ["COPY --chown=1000:1000 . ."]
    if conda:
        lines += [
            "RUN mamba env update --name base --file binder/environment.yml \\",
            " && mamba install --yes --name base jupyterlab && mamba clean --all --yes",
        ]
    else:
        lines += ["RUN pip install --no-cache-dir -r binder/requirements.txt jupyterlab ipykernel"]
    lines += ["RUN chown 1000:1000 .", "USER jovyan"]
    lines += ["RUN python fetch.py"] if fetches else []
    lines += ["EXPOSE 8888"]
    argument = f"--ServerApp.default_url=/lab/tree/{notebook}"
    words = ("jupyter", "lab", "--ip=0.0.0.0", "--no-browser", argument)
    lines += [f"CMD [{', '.join(_quoted(word) for word in words)}]"]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
