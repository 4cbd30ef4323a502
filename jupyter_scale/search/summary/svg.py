"""Small SVG: elements, scales with ticks, colours. Every value is escaped here.

Text and lines take the colour of the text around them (``currentColor``), so that they can be read
on any ground; fixed colours are chosen to stand out from white and from black alike.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jupyter_scale.search.summary.parameters import Parameter, number, printable, short

__all__ = [
    "ACCENT",
    "BEST",
    "Scale",
    "apart",
    "circle",
    "dots",
    "element",
    "escaped",
    "line",
    "path",
    "svg",
    "text",
]

ACCENT = "#2f86c7"
BEST = "#d9620f"
# matplotlib's viridis, sampled: even steps of lightness, also to the colour-blind
VIRIDIS = (
    *("#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c"),
    *("#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"),
)
DARK_UP_TO = 6
"""Text on the colours of the ramp before this one is white, on the others black."""
FONT = 10
LABEL, TOOLTIP = 600, 200
"""Characters of a picture's text equivalent, and of what shows where the mouse rests."""
CHARACTER = 5.6
"""Average width in pixels."""


def escaped(content: str) -> str:
    """Return text as markup."""
    return html.escape(printable(content))


def element(name: str, *children: str, **attributes: object) -> str:
    """Return an element of markup (`children`); in the names of attributes, ``_`` is ``-``."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def svg(label: str, width: float, height: float, children: Iterable[str]) -> str:
    """Return a picture with its text equivalent."""
    label = short(label, LABEL)
    return element(
        "svg",
        element("title", escaped(label)),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=label,
        width=round(width),
        height=round(height),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        font_size=FONT,
        fill="currentColor",
    )


def text(x: float, y: float, content: str, *, full: str = "", **attributes: object) -> str:
    """Return a line of text; `full` is shown where the mouse rests."""
    inside = escaped(content)
    if full and full != content:
        inside = element("title", escaped(short(full, TOOLTIP))) + inside
    return element("text", inside, x=_px(x), y=_px(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    """Return a thin line in the colour of the text."""
    look = {"stroke": "currentColor", "stroke_opacity": 0.25, **attributes}
    return element("path", d=f"M{_px(x1)} {_px(y1)}L{_px(x2)} {_px(y2)}", **look)


def path(points: Sequence[tuple[float, float]], **attributes: object) -> str:
    """Return a line through points."""
    d = "M" + "L".join(f"{_px(x)} {_px(y)}" for x, y in points)
    return element("path", d=d, **{"fill": "none", **attributes})


def dots(points: Iterable[tuple[float, float]], size: float, **attributes: object) -> str:
    """Return dots of one colour, a few characters each."""
    d = "".join(f"M{_px(x)} {_px(y)}h0" for x, y in points)
    return (
        element("path", d=d, stroke_width=size, stroke_linecap="round", **attributes) if d else ""
    )


def circle(x: float, y: float, r: float, *, full: str = "", **attributes: object) -> str:
    """Return a circle; `full` is shown where the mouse rests."""
    inside = [element("title", escaped(short(full, TOOLTIP)))] if full else []
    return element("circle", *inside, cx=_px(x), cy=_px(y), r=r, **attributes)


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def shade(value: float, low: float, high: float) -> int:
    """Return the place in the ramp of a value between two others."""
    if not high > low:
        return len(VIRIDIS) - 1
    return round((value - low) / (high - low) * (len(VIRIDIS) - 1))


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels: numbers, their logarithms, or the places of categories.

    Attributes
    ----------
    low, high : float
        The ends in values.
    start, end : float
        The ends in pixels.
    log : bool
    ticks : tuple of (float, str)
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        part = (value - low) / (high - low) if high > low else 0.5
        return self.start + part * (self.end - self.start)

    @classmethod
    def of_numbers(
        cls, values: Sequence[float], start: float, end: float, *, log: bool = False, ticks: int = 4
    ) -> Scale:
        """Return the scale that holds finite numbers, with round ticks."""
        low, high = min(values), max(values)
        if log:
            return cls(low, high, start, end, True, tuple(_decades(low, high)))
        if low == high:
            low, high = low - (abs(low) * 0.1 or 1.0), high + (abs(high) * 0.1 or 1.0)
        marks = tuple((x, number(x)) for x in _round_steps(low, high, ticks))
        return cls(low, high, start, end, False, marks)

    @classmethod
    def of_parameter(
        cls, parameter: Parameter, start: float, end: float, *, ticks: int = 4
    ) -> Scale:
        """Return the scale for a parameter's values (`place` tells where each candidate is)."""
        if parameter.numbers is not None:
            values = [x for x in parameter.numbers if not math.isnan(x)]
            made = cls.of_numbers(values, start, end, log=parameter.log, ticks=ticks)
            if len(set(values)) <= ticks:
                marks = tuple((x, number(x)) for x in sorted(set(values)))
                made = cls(made.low, made.high, start, end, made.log, marks)
            return made
        n = len(parameter.levels)
        every = math.ceil(n / 12)
        marks = tuple((float(i), text) for i, text in enumerate(parameter.levels) if i % every == 0)
        return cls(-0.5, n - 0.5, start, end, False, marks)


def place(parameter: Parameter, candidate: int) -> float:
    """Return the value of a candidate on a parameter's scale; nan where it has none."""
    if parameter.numbers is not None:
        return float(parameter.numbers[candidate])
    return float(parameter.codes[candidate])


def _round_steps(low: float, high: float, count: int) -> list[float]:
    """Return about so many round numbers from `low` to `high`.

    Examples
    --------
    >>> _round_steps(0.83, 0.97, 4)
    [0.85, 0.9, 0.95]
    """
    rough = (high - low) / count
    if not 0 < rough < math.inf:
        return []
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * k, 12 - math.floor(math.log10(step))) for k in range(first, last + 1)]


def _decades(low: float, high: float) -> Iterable[tuple[float, str]]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first) / 5))
    for power in range(first, last + 1, every):
        yield 10.0**power, number(10.0**power)


def fitting(content: str, width: float) -> str:
    """Return a text that fits into so many pixels."""
    return short(content, max(3, int(width / CHARACTER)))


def apart(contents: Sequence[str], width: float) -> list[str]:
    """Return texts that fit into so many pixels each, without a beginning that would hide the rest.

    Examples
    --------
    >>> apart(["{'hidden': 1}", "{'hidden': 16}"], 50), apart(["l1", "l2"], 50)
    (['…1}', '…16}'], ['l1', 'l2'])
    """
    shown = [fitting(content, width) for content in contents]
    if len(set(shown)) == len(set(contents)):
        return shown
    first, last = min(contents), max(contents)  # what these two begin with, all do
    alike = next((n for n, letter in enumerate(first) if last[n : n + 1] != letter), len(first))
    while alike and contents[0][alike - 1].isalnum():  # no half of a word or of a number
        alike -= 1
    return [fitting(f"…{content[alike:]}" if alike else content, width) for content in contents]
