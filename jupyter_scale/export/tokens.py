"""Two texts of two runs, told apart by what they say: not by where and when they were said.

A text is a sequence of tokens. Numbers are equal to a relative tolerance (whole numbers exactly);
what a run cannot repeat (addresses in memory and on a network, times it took, the hour, folders,
random identifiers) stands for itself whatever it is, and that is counted, so that a report can say
where two texts are equal "apart from". A date counts as the hour only when it is that of the run:
dates in data are data. Runs of blanks are one, as columns are as wide as their numbers.

What an element of a page holds that carries `data-varies` is left out, as the summary of a search
marks its order of completion, and so are the times in scikit-learn's own page of a search.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import zip_longest
from typing import NamedTuple

__all__ = ["Texts", "Token", "compared", "of_html", "of_terminal", "tokens"]

RTOL = 1e-6
TINY = 1e-12  # below it a number is rounding: 2e-17 is 0
SHOWN = 60  # characters of a text that are quoted

NUMBER = r"(?<![A-Za-z_\d.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?(?![\d_])"
UNIT = r"(?:[nµμum]?s|secs?|seconds?|mins?|minutes?|h|hours?|days?|it/s|s/it)(?![\w/])"
LONG = r"(?:mins?|minutes?|h|hours?|days?)"  # of two units it is the first: 1 min 3 s
KINDS = {
    "address": r"\b(?:https?|wss?|tcp|tls|ucx|inproc|ipc)://[^\s'\"<>()\[\],;]+"
    r"|\b0x[0-9a-fA-F]{5,}\b|\bLocalCluster\((?:'|\")?[0-9a-f]{8}\b",
    "identifier": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\bIPY_MODEL_[0-9a-f]+"
    # our own: a cluster's, where it is told, and a run's
    r"|(?:(?<=Started )|(?<=Closed )|(?<=Using )|(?<=Cluster )|(?<=running: ))[\w-]+-[0-9a-f]{4}\b"
    r"|\b[\w-]+-[0-9a-f]{4}(?=: \d+ workers?\b)|(?<=on record as )[0-9a-f]{8}\b",
    "folder": r"(?<![\w/.~])~?/(?:[\w.@+~%-]+/)+[\w.@+~%-]*"
    r"|\b[A-Za-z]:\\(?:[^\\\s'\"<>]+\\)+[^\\\s'\"<>]*",
    "date": r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\b",
    "time": r"\b\d+:\d\d(?::\d\d(?:\.\d+)?)?\b",
    "memory": r"\b[Mm]emory(?: [Ll]imit)?\s*[:=]\s*[\d.]+\s*[KMGT]i?B\b",
    "duration": rf"(?:{NUMBER} ?{LONG} )?{NUMBER}\s?{UNIT}",
    "number": NUMBER,
}
TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in KINDS.items()))
# our own: lines that are there only where that took long enough to be told
PASSING = re.compile(
    r"\b\d[\d.]* s of fitting saved, \d[\d.]* s spent\b"
    r"|\b[\w-]+-[0-9a-f]{4}: (?:starting|the scheduler runs, waiting for the first worker)$",
    re.M,
)
# scikit-learn's own page of a search: arrays of seconds in what it shows of `cv_results_`
SECONDS = re.compile(r"'(?:me|st|mean|std)[\w.]*me': array\(\[[^\]]*\](?:, \w+=\w+)?\)")
REPEATED = re.compile(r"([-=─━_*#])\1{3,}")  # rules, as wide as the table below them
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")
HERE = re.compile(r"(?:https?|wss?)://(?:localhost|[\d.]+|\[[0-9a-f:]+\])(?:[:/]|$)|(?!http)\w+://")
VOID = ("area", "br", "col", "embed", "hr", "img", "input", "link", "source", "track", "wbr")
# how scripts name the elements they draw in; scikit-learn counts them
RANDOM = re.compile(r"\b[0-9a-f]{32}\b|\bsk-container-id-\d+\b")


class Token(NamedTuple):
    """A piece of a text."""

    kind: str
    text: str


def tokens(text: str) -> Iterator[Token]:
    """Return the tokens of a text, without blanks.

    Examples
    --------
    >>> [*tokens("score  0.5 in 1.2 s")]  # doctest: +NORMALIZE_WHITESPACE
    [Token(kind='text', text='score'), Token(kind='number', text='0.5'),
     Token(kind='text', text='in'), Token(kind='duration', text='1.2 s')]
    """
    text = REPEATED.sub(r"\1\1\1", PASSING.sub("", text))
    end = 0
    for match in TOKEN.finditer(text):
        yield from (Token("text", word) for word in text[end : match.start()].split())
        yield Token(str(match.lastgroup), match[0])
        end = match.end()
    yield from (Token("text", word) for word in text[end:].split())


@dataclass(frozen=True, slots=True)
class Texts:
    """What a comparison found.

    Attributes
    ----------
    saved, found : str
        Where the two are different, with what stands before it; empty when they are equal.
    apart : Counter
        How many tokens of each kind differ and are not held against it.
    """

    saved: str = ""
    found: str = ""
    apart: Counter[str] = field(default_factory=Counter)

    @property
    def equal(self) -> bool:
        """Whether both say the same."""
        return not (self.saved or self.found)


def compared(saved: str, found: str, *, rtol: float = RTOL, now: datetime | None = None) -> Texts:
    """Compare two texts.

    Parameters
    ----------
    saved, found : str
        Of the first and of the second run.
    rtol : float, optional
        How far two numbers may be apart, relative to them.
    now : datetime, optional
        When the second run was: a date within a day of it was read from a clock.

    Examples
    --------
    >>> compared("0.1 at 0x7f3a51c0", "0.10000001 at 0x7f9912d0").equal
    True
    >>> compared("mean 0.1", "mean 0.2").found
    'mean 0.2'
    """
    apart: Counter[str] = Counter()
    first, second = [*tokens(saved)], [*tokens(found)]
    nothing = Token("", "")
    for index, (one, other) in enumerate(zip_longest(first, second, fillvalue=nothing)):
        if one == other:
            continue
        if one.kind == other.kind and _same(one, other, rtol, now or datetime.now()):
            if one.kind != "number":
                apart[one.kind] += 1
            continue
        return Texts(_quoted(first, index), _quoted(second, index), apart)
    return Texts(apart=apart)


def _same(one: Token, other: Token, rtol: float, now: datetime) -> bool:
    match one.kind:
        case "text":
            return False
        case "number":
            return close(one.text, other.text, rtol)
        case "date":
            return _recent(other.text, now)
        case "address":
            return bool(
                one.text.startswith(("0x", "LocalCluster"))
                or (HERE.match(one.text) and HERE.match(other.text))
            )
    return True


def close(one: str, other: str, rtol: float) -> bool:
    """Whether two written numbers are equal: whole ones exactly, others nearly."""
    if one.lstrip("+-").isdigit() and other.lstrip("+-").isdigit():
        return int(one) == int(other)
    return math.isclose(float(one), float(other), rel_tol=rtol, abs_tol=TINY)


def _recent(text: str, now: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(text.replace(",", ".")).replace(tzinfo=None)
    except ValueError:
        return False
    # a day for the zones, and one as a date alone is that of its midnight
    return abs(moment - now) < timedelta(days=2 if len(text) == 10 else 1)


def _quoted(found: list[Token], index: int) -> str:
    """Return the token of an index with some before and after it."""
    words = [token.text for token in found[max(0, index - 3) : index + 4]]
    text = " ".join(words) if index < len(found) else f"{' '.join(words)} (its end)".strip()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def of_terminal(text: str) -> str:
    """Return what a terminal shows in the end: no colours, and a redrawn line once.

    Examples
    --------
    >>> of_terminal("10%" + chr(13) + "100%" + chr(10))
    '100%'
    """
    lines = ESCAPES.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines).strip("\n")


class Said(NamedTuple):
    """What a page says.

    Attributes
    ----------
    text : str
        Without styles and attributes, except those by which a picture in SVG is drawn.
    pictures : list of str
        As base64.
    varying : list of str
        What elements say that carry `data-varies`: in the text, a mark stands for each.
    """

    text: str
    pictures: list[str]
    varying: list[str]


def of_html(text: str) -> Said:
    """Return what a page says.

    Examples
    --------
    >>> of_html("<b>best</b> <div data-varies>after 2 s<div>x</div></div> of 3")
    Said(text='best   (varies)  of 3', pictures=[], varying=['after 2 s x'])
    """
    parser = _Page()
    parser.feed(text)
    parser.close()
    parser.said += parser.aside  # of an element that never ends
    return Said(" ".join(parser.said), parser.pictures, parser.varying)


class _Page(HTMLParser):
    UNSAID = ("id", "class", "href", "xlink:href", "clip-path", "aria-labelledby", "mask")
    DATA = re.compile(r"data:image/(?:png|jpeg);base64,(.*)", re.S)

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []
        self.pictures: list[str] = []
        self.varying: list[str] = []
        self._open: list[str] = []
        self._varies: tuple[str, int] | None = None  # the element's tag, how many are open in it
        self.aside: list[str] = []
        self._row = 0  # where the table's row began

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._varies:
            name, depth = self._varies
            self._varies = name, depth + (tag == name)
        elif tag not in VOID and any(name == "data-varies" for name, _ in attrs):
            self._varies = tag, 1
            self.said.append("(varies)")
        if self._varies:
            return
        if tag == "tr":
            self._row = len(self.said)
        if tag in ("svg", "style", "script", "metadata", "defs"):
            self._open.append(tag)
        if tag in ("td", "th"):
            self.said.append("|")  # an empty cell is one, too
        if tag == "img":
            for name, value in attrs:
                if name == "src" and (match := self.DATA.match(value or "")):
                    self.pictures.append(match[1])
        if "svg" in self._open and not self._unsaid:
            self.said.append(f"<{tag}")
            self.said += [f"{name}={value}" for name, value in attrs if name not in self.UNSAID]

    def handle_endtag(self, tag: str) -> None:
        if self._varies:
            name, depth = self._varies
            depth -= tag == name
            self._varies = (name, depth) if depth else None
            if not depth:
                self.varying.append(" ".join(self.aside))
                self.aside = []
            return
        if tag == "tr":
            self.said[self._row :] = _untimed(self.said[self._row :])
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._varies:
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if self._varies:
            self.aside.append(data)
        elif not self._unsaid:
            self.said.append(RANDOM.sub("", data) if "script" in self._open else data)

    @property
    def _unsaid(self) -> bool:
        return any(tag in ("style", "metadata", "defs") for tag in self._open)


def _untimed(row: list[str]) -> list[str]:
    """Return a row of a table; in that of a search's fitted attribute, without its times."""
    words = " ".join(row).split()
    match words:
        case ["|", "refit_time_", *_]:
            return words[:2]
        case ["|", "cv_results_", *_]:
            return [SECONDS.sub("seconds", " ".join(words))]
    return row
