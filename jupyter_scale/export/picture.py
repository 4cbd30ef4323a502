"""Whether two pictures show the same to an eye.

Another release of a drawing library moves edges by a part of a pixel and smooths letters otherwise;
other data move or remove what is drawn. So both pictures are blurred a little and compared tile by
tile for structure (SSIM; Wang et al., 2004, "Image quality assessment"): one tile that shows
something else is a difference, however large the rest is. Pillow reads them; without it, pictures
are equal only when their bytes are.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np

__all__ = ["MISSING", "difference"]

MISSING = "no Pillow to look at pictures with: pip install pillow"
TILE = 8  # pixels of an edge: a digit is as large
LIKE = 0.45  # of a tile's structure, from -1 to 1: letters smoothed otherwise have more
FAINT = 6.0  # of 255: what a tile's pixels may be apart on the average
LARGEST = 1024  # pixels of an edge; larger pictures are made smaller first
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # as in the paper
STRETCH = 0.02  # by which a picture may be larger: a title's letters are wider


def difference(saved: str, found: str) -> str:
    """Return how two pictures differ, or nothing.

    Parameters
    ----------
    saved, found : str
        PNG or JPEG as base64, as notebooks have them.
    """
    one, other = "".join(saved.split()), "".join(found.split())
    if one == other:
        return ""
    try:
        from PIL import Image
    except ImportError:
        return f"not byte for byte the same, and {MISSING}"
    try:
        pictures = [_opened(Image, base64.b64decode(text, validate=True)) for text in (one, other)]
    except (OSError, binascii.Error, Image.DecompressionBombError) as error:
        return f"not readable: {error}"
    sizes = [picture.size for picture in pictures]
    if any(abs(a - b) > max(2, STRETCH * a) for a, b in zip(*sizes, strict=True)):
        return f"was {sizes[0][0]}x{sizes[0][1]} pixels, is {sizes[1][0]}x{sizes[1][1]}"
    scale = min(1.0, LARGEST / max(sizes[0]))
    size = tuple(max(1, round(edge * scale)) for edge in sizes[0])
    first, second = (
        np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=float)
        for picture in pictures
    )
    return _told(_unlike(first, second))


def _opened(image: Any, data: bytes) -> Any:
    """Return a picture on white, in colours."""
    picture = image.open(io.BytesIO(data)).convert("RGBA")
    page = image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture)
    return page.convert("RGB")


def _unlike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return for each tile whether it shows something else: rows and columns of booleans."""
    one, other = _blurred(one), _blurred(other)
    mean_one, mean_other = _tiles(one), _tiles(other)
    variance_one = _tiles(one**2) - mean_one**2
    variance_other = _tiles(other**2) - mean_other**2
    together = _tiles(one * other) - mean_one * mean_other
    light = (2 * mean_one * mean_other + C1) / (mean_one**2 + mean_other**2 + C1)
    structure = (2 * together + C2) / (variance_one + variance_other + C2)
    apart = _tiles(np.abs(one - other))
    found: np.ndarray = ((light * structure < LIKE) & (apart > FAINT)).any(axis=-1)
    return found


def _blurred(picture: np.ndarray) -> np.ndarray:
    """Return the picture with each pixel the mean of the 3 x 3 around it, twice."""
    for _ in range(2):
        for axis in (0, 1):
            width = [(1, 1) if axis == here else (0, 0) for here in range(3)]
            padded = np.pad(picture, width, mode="edge")
            length = picture.shape[axis]
            moved = [padded.take(range(k, k + length), axis=axis) for k in range(3)]
            picture = np.mean(moved, axis=0)
    return picture


def _tiles(picture: np.ndarray) -> np.ndarray:
    """Return the mean of each tile, which overlaps its neighbours by half."""
    rows, columns, colours = picture.shape
    sums = np.zeros((rows + 1, columns + 1, colours))
    sums[1:, 1:] = picture.cumsum(axis=0).cumsum(axis=1)
    top, left = _starts(rows), _starts(columns)
    bottom, right = np.minimum(top + TILE, rows), np.minimum(left + TILE, columns)
    area = (bottom - top)[:, None, None] * (right - left)[None, :, None]
    inside: np.ndarray = (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(top, right)]
        - sums[np.ix_(bottom, left)]
        + sums[np.ix_(top, left)]
    ) / area
    return inside


def _starts(length: int) -> np.ndarray:
    return np.arange(0, max(1, length - TILE // 2), TILE // 2)


def _told(unlike: np.ndarray) -> str:
    if not unlike.any():
        return ""
    rows, columns = np.nonzero(unlike)
    down = _third(rows.mean() / len(unlike), ("top", "middle", "bottom"))
    across = _third(columns.mean() / unlike.shape[1], ("left", "middle", "right"))
    share = max(1, round(100 * unlike.mean()))
    place = "middle" if down == across else f"{down} {across}"
    return f"shows something else in {share} % of it, at the {place}"


def _third(where: float, names: tuple[str, str, str]) -> str:
    return names[min(2, int(where * 3))]
