"""The plan's picture: where each box of a `Tree` is, and its SVG.

Two drawings: unmerged, every candidate has a chain of fits of its own; merged, equal beginnings are
one box. Both have a row per candidate, so the eye can compare them.
"""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_scale.search.summary.parameters import short
from jupyter_scale.search.summary.svg import ACCENT, CHARACTER, element, svg, text
from jupyter_scale.search.summary.tree import Box, Tree

__all__ = ["Layout", "layout", "merged", "unmerged"]

ROW, HIGH, GAP, HEAD = 24.0, 18.0, 34.0, 22.0
LONGEST = 28
"""Characters of a box; the rest shows where the mouse rests."""
SMALL, SMALL_GAP = 26.0, 16.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in pixels.

    Attributes
    ----------
    lefts, widths : tuple of float
        Of each column.
    middles : tuple of float
        Of each box, from the top.
    width, height : float
    """

    lefts: tuple[float, ...]
    widths: tuple[float, ...]
    middles: tuple[float, ...]
    width: float
    height: float

    def box(self, tree: Tree, number: int) -> tuple[float, float, float, float]:
        """Return left, top, width and height of a box."""
        column = tree.boxes[number].column
        return (
            self.lefts[column],
            self.middles[number] - HIGH / 2,
            self.widths[column],
            HIGH,
        )


def layout(tree: Tree) -> Layout:
    """Place the boxes: a column per step, each box in the middle of the candidates that use it."""
    widths = []
    for place, name in enumerate(tree.columns):
        texts = [short(box.text, LONGEST) for box in tree.boxes if box.column == place]
        longest = max([len(name), *map(len, texts)])
        widths.append(max(30.0, longest * CHARACTER + 14))
    lefts = [2.0]
    for width in widths:
        lefts.append(lefts[-1] + width + GAP)
    rows: dict[int, list[int]] = {}
    for row, chain in enumerate(tree.chains):
        for number in chain:
            rows.setdefault(number, []).append(row)
    # what no chain holds (one fit for many settings) is where its users are
    for number in reversed(range(len(tree.boxes))):
        if number not in rows:
            users = [n for n, box in enumerate(tree.boxes) if number in box.before]
            rows[number] = [row for user in users for row in rows.get(user, [])] or [0]
    ideal = {n: HEAD + ROW * ((min(found) + max(found)) / 2 + 0.5) for n, found in rows.items()}
    middles = _apart(tree, ideal)
    height = max([HEAD + ROW * len(tree.chains), *(m + ROW / 2 for m in middles)])
    return Layout(tuple(lefts[:-1]), tuple(widths), tuple(middles), lefts[-1] - GAP + 4, height)


def _apart(tree: Tree, ideal: dict[int, float]) -> list[float]:
    """Move boxes of a column that would overlap."""
    middles = [ideal[n] for n in range(len(tree.boxes))]
    for column in range(len(tree.columns)):
        inside = [n for n, box in enumerate(tree.boxes) if box.column == column]
        inside.sort(key=lambda n: middles[n])
        groups: list[list[int]] = []
        for number in inside:
            groups.append([number])
            while len(groups) > 1 and _touch(groups[-2], groups[-1], ideal):
                groups[-2:] = [groups[-2] + groups[-1]]
        for group in groups:
            for number, middle in zip(group, _spread(group, ideal), strict=True):
                middles[number] = middle
    top = min(middles, default=HEAD) - (HEAD + ROW / 2)
    return [middle - min(0.0, top) for middle in middles]


def _spread(group: list[int], ideal: dict[int, float]) -> list[float]:
    centre = sum(ideal[n] for n in group) / len(group)
    return [centre + (i - (len(group) - 1) / 2) * ROW for i in range(len(group))]


def _touch(upper: list[int], lower: list[int], ideal: dict[int, float]) -> bool:
    return _spread(lower, ideal)[0] - _spread(upper, ideal)[-1] < ROW - 1e-6


def merged(tree: Tree) -> str:
    """Draw the merged plan."""
    placed = layout(tree)
    marks = [
        text(left + width / 2, 12, name, text_anchor="middle", font_weight="bold")
        for left, width, name in zip(placed.lefts, placed.widths, tree.columns, strict=True)
    ]
    ways = []
    for number, box in enumerate(tree.boxes):
        left, _, _, _ = placed.box(tree, number)
        for before in box.before:
            start, top, width, high = placed.box(tree, before)
            x, y, end = start + width, top + high / 2, placed.middles[number]
            half = (left - x) / 2
            ways.append(f"M{x:.0f} {y:.0f}C{x + half:.0f} {y:.0f} {left - half:.0f} {end:.0f} "
                        f"{left:.0f} {end:.0f}")  # fmt: skip
    marks.append(
        element("path", d="".join(ways), fill="none", stroke="currentColor", stroke_opacity=0.45)
        if ways
        else ""
    )
    # lines run behind the boxes
    ground = "".join(
        f"M{left:.0f} {top:.0f}h{width:.0f}v{high:.0f}h-{width:.0f}z"
        for left, top, width, high in (
            placed.box(tree, n) for n, box in enumerate(tree.boxes) if not box.left_out
        )
    )
    marks.append(element("path", d=ground, style="fill:var(--jp-layout-color0,Canvas)"))
    for number, box in enumerate(tree.boxes):
        marks.append(_box(box, *placed.box(tree, number)))
    fits = f"{tree.merged:,} fits where {tree.unmerged:,} are asked for"
    label = (
        f"Merged plan of one of {tree.folds} folds: {fits}, for {tree.candidates:,} candidates. "
        f"Steps: {', '.join(tree.columns)}"
    )
    return svg(label, placed.width, placed.height, marks)


def _box(box: Box, left: float, top: float, width: float, high: float) -> str:
    shown = short(box.text, LONGEST)
    middle = top + high / 2 + 3.5
    if box.left_out:
        return text(left + 6, middle, shown, font_style="italic")
    look: dict[str, object] = {"fill": ACCENT, "fill_opacity": 0.16, "stroke": ACCENT}
    if not box.fitted:
        look = {"fill": "none", "stroke": "currentColor", "stroke_opacity": 0.5,
                "stroke_dasharray": "3 2"}  # fmt: skip
    elif box.family:
        look["stroke_width"] = 2
    frame = element(
        "rect", x=left, y=round(top, 1), width=round(width, 1), height=high, rx=3, **look
    )
    return frame + text(left + width / 2, middle, shown, full=box.text, text_anchor="middle")


def unmerged(tree: Tree) -> str:
    """Draw what would be fitted for each candidate on its own."""
    steps = max(len(chain) for chain in tree.chains)
    boxes, ways, marks = [], [], []
    for row, chain in enumerate(tree.chains):
        middle = HEAD + ROW * (row + 0.5)
        left_out = next((tree.boxes[n] for n in chain if tree.boxes[n].left_out), None)
        if left_out:
            marks.append(text(2, middle + 3.5, left_out.text, font_style="italic"))
            continue
        for place in range(len(chain)):
            left = 2 + place * (SMALL + SMALL_GAP)
            boxes.append(f"M{left:.0f} {middle - 7:.0f}h{SMALL:.0f}v14h-{SMALL:.0f}z")
            if place:
                ways.append(f"M{left - SMALL_GAP:.0f} {middle:.0f}h{SMALL_GAP:.0f}")
    if ways:
        marks.append(element("path", d="".join(ways), stroke="currentColor", stroke_opacity=0.45))
    marks.append(element("path", d="".join(boxes), fill=ACCENT, fill_opacity=0.16, stroke=ACCENT))
    label = (
        f"Unmerged, each of {tree.candidates:,} candidates has a chain of fits of its own: "
        f"{tree.unmerged:,} fits on one of {tree.folds} folds"
    )
    width = max(2 + steps * (SMALL + SMALL_GAP), 110)
    return svg(label, width, HEAD + ROW * len(tree.chains), marks)
