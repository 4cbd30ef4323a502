"""The words of a cell's first line."""

from __future__ import annotations

from jupyter_scale.command.parser import Parser, new, seed, variable

__all__ = ["CELL", "MERGES", "parser"]

MERGES = ("all", "seeded")
CELL = "cell"
"""What the first line of a `%%scale` cell is called among the commands."""

_CELL_EPILOG = """\
examples:
  %%scale                        run this cell's searches merged
  %%scale --plan                 show what would be fitted and shared
  %%scale -o report --seed 0     keep the report, seed every unseeded step
  %%scale --local                the same plan without a cluster
  %%scale --fresh                fit again what is on record
  %%scale --keep-predictions     then search by another metric: nothing is fitted
"""


def parser() -> Parser:
    """Return the parser of `%%scale`."""
    cell = new(
        "%%scale",
        "Run this cell; every scikit-learn search in it does shared work once.\n"
        "Without a cluster it starts a local one first.",
        _CELL_EPILOG,
    )
    cell.add_argument(
        "--plan",
        action="store_true",
        help="run the cell up to its first search, show what that would fit, fit nothing",
    )
    cell.add_argument(
        "-o", "--output", type=variable, metavar="NAME", help="keep the report in variable NAME"
    )
    cell.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        help="seed every unseeded step, and numpy.random and random during the cell",
    )
    cell.add_argument(
        "--merge",
        choices=MERGES,
        default="all",
        help="share all equal steps, or only those that draw no random numbers of their own",
    )
    cell.add_argument(
        "--force",
        action="store_true",
        help="go on where packages on the cluster are not those here",
    )
    cell.add_argument(
        "--fresh", action="store_true", help="fit every cell, also those that are on record"
    )
    cell.add_argument(
        "--keep-predictions",
        action="store_true",
        help="keep what cells predict: searches by another metric then fit none of them again",
    )
    cell.add_argument("--local", action="store_true", help="in this process, on no cluster")
    return cell
