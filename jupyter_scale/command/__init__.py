"""The words of `%scale`, `%%scale` and `jupyter scale`, by kind; `line` reads them."""

from jupyter_scale.command.arguments import Arguments
from jupyter_scale.command.cell import CELL, MERGES
from jupyter_scale.command.line import complete, help_text, parse, parse_words
from jupyter_scale.command.views import OFF, PLOTS, VIEWS

__all__ = [
    "CELL",
    "MERGES",
    "OFF",
    "PLOTS",
    "VIEWS",
    "Arguments",
    "complete",
    "help_text",
    "parse",
    "parse_words",
]
