"""The words of an export."""

from __future__ import annotations

from jupyter_scale.command.parser import Parser, address, new

__all__ = ["parser"]

_EXPORT_EPILOG = """\
Findings are answered one by one, or warnings all at once; a secret is never accepted by --yes.

examples:
  %scale export out --plan       what would be written, why each package is in, what to answer
  %scale export out --yes        write it, build its environment anew, run it there, compare
  %scale export out --accept nondeterminism:cell-3 --wheels
  %scale export out --binder https://github.com/OWNER/NAME
"""


def parser() -> Parser:
    """Return the parser of `%scale export`."""
    export = new(
        "%scale export",
        "Write a notebook as a repository: all that repo2docker, Binder and others need to run\n"
        "it, with the packages it really uses. It is written whole or not at all.",
        _EXPORT_EPILOG,
    )
    export.add_argument(
        "places", nargs="+", metavar="[NOTEBOOK] DIR", help="default: this notebook, as it is saved"
    )
    export.add_argument("--plan", action="store_true", help="show it, write nothing")
    export.add_argument("--yes", action="store_true", help="accept all warnings")
    export.add_argument(
        "--accept", action="append", metavar="ID", help="accept this finding; more than once"
    )
    export.add_argument(
        "--wheels", action="store_true", help="publish the code of packages that are only here"
    )
    export.add_argument(
        "--source", dest="sources", type=address, action="append", metavar="PATH=ADDRESS",
        help="where a data file is fetched from, instead of copied",
    )  # fmt: skip
    export.add_argument("--binder", default="", metavar="URL", help="the repository it will be")
    export.add_argument("--thebe", action="store_true", help="a web page with live cells")
    export.add_argument(
        "--course",
        action="store_true",
        help="an index page with links; several notebooks in a folder of their own have one anyhow",
    )
    export.add_argument("--docker", action="store_true", help="a Dockerfile, too")
    export.add_argument(
        "--kubernetes", nargs="?", const="", metavar="IMAGE", help="a Dask cluster of its image"
    )
    export.add_argument(
        "--no-verify", dest="verify", action="store_false", help="do not run it again"
    )
    export.add_argument("--image", action="store_true", help="verify by building a real image")
    export.add_argument("--git", action="store_true", help="commit it, here only")
    return export
