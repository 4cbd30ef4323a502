"""The words of clusters: start, size, use and close them; their profiles and manifests."""

from __future__ import annotations

from jupyter_scale.command.parser import Parser, new, whole

__all__ = ["parsers"]

_UP_EPILOG = """\
examples:
  %scale up
  %scale up --workers 4 --memory 2GiB
  %scale up slurm --adapt 1 20
"""
_USE_EPILOG = """\
examples:
  %scale use local-3f2a
  %scale use tls://10.0.0.1:8786
"""
_PROFILES_EPILOG = """\
Profiles are part of Dask's configuration, such as ~/.config/dask/jupyter-scale.yaml:

  jupyter-scale:
    default: hpc
    profiles:
      hpc:
        factory:
          module: dask_jobqueue
          class: SLURMCluster
          kwargs: {cores: 8, memory: 16GiB, queue: normal}
        adapt: {minimum: 1, maximum: 20}
"""
_MANIFEST_EPILOG = """\
examples:
  %scale manifest k8s
  %scale manifest k8s --namespace course -o cluster.yaml
  %scale manifest --helm -o values.yaml
"""


def parsers() -> dict[str, Parser]:
    """Return the parsers by command."""
    to = new("%scale to", "Have this many workers from now on, also when some are lost.")
    to.add_argument("number", type=whole, metavar="N", help="workers")
    adapt = new("%scale adapt", "Grow and shrink with the work from now on.")
    adapt.add_argument("minimum", type=whole, metavar="MIN", help="workers that always stay")
    adapt.add_argument("maximum", type=whole, metavar="MAX", help="workers at most")
    for parser in (to, adapt):
        parser.add_argument("name", nargs="?", metavar="CLUSTER", help="default: the one in use")
    use = new("%scale use", "Work on a cluster that runs already.", _USE_EPILOG)
    use.add_argument(
        "name", metavar="CLUSTER", help="its id or profile (%%scale list), or a scheduler's address"
    )
    return {
        "up": _up(),
        "list": new("%scale list", "Show your running clusters, also those of other notebooks."),
        "use": use,
        "to": to,
        "adapt": adapt,
        "down": _down(),
        "profiles": new(
            "%scale profiles", "Show the clusters that can be started by name.", _PROFILES_EPILOG
        ),
        "manifest": _manifest(),
    }


def _up() -> Parser:
    up = new(
        "%scale up",
        "Start a cluster. It goes on when the kernel ends; it closes by %scale down, when it has\n"
        "nothing to do for long, and with the Jupyter server that it was started in.",
        _UP_EPILOG,
    )
    up.add_argument("name", nargs="?", metavar="PROFILE", help="see %%scale profiles")
    many = up.add_mutually_exclusive_group()
    many.add_argument(
        "--workers", type=whole, metavar="N", help="default: the profile's, or one per usable CPU"
    )
    many.add_argument(
        "--adapt",
        type=whole,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="grow and shrink with the work",
    )
    up.add_argument(
        "--threads", type=whole, metavar="N", help="in each worker of this machine; default: 1"
    )
    up.add_argument(
        "--memory", metavar="SIZE", help="of each, such as 2GiB; default: an equal share"
    )
    return up


def _down() -> Parser:
    down = new("%scale down", "Close a cluster: its workers, its scheduler and its ports.")
    which = down.add_mutually_exclusive_group()
    which.add_argument("name", nargs="?", metavar="CLUSTER", help="default: the one in use")
    which.add_argument("--all", action="store_true", help="all of yours on this machine")
    return down


def _manifest() -> Parser:
    manifest = new(
        "%scale manifest",
        "Write a profile as Kubernetes reads it, checked against the operator's definitions.\n"
        "Without a file it is shown.",
        _MANIFEST_EPILOG,
    )
    manifest.add_argument("name", nargs="?", metavar="PROFILE", help="default: the configured one")
    manifest.add_argument("--namespace", default="", metavar="NAME", help="where it is to be")
    manifest.add_argument(
        "--helm", action="store_true", help="the values that install the operator, instead"
    )
    manifest.add_argument(
        "-o",
        "--output",
        dest="file",
        metavar="FILE",
        help="write there; what differs is not replaced",
    )
    return manifest
