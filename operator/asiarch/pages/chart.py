"""A curve drawn with braille dots, for terminals."""

from collections.abc import Sequence
from itertools import pairwise

from asiarch.pages.text import number

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot in a braille cell, by column and row."""


def braille(points: Sequence[tuple[float, float]], caption: str, width: int = 48, height: int = 6) -> str:
    """Draw a curve through `points` in `width` × `height` characters, with its range and a caption."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)
    cells = [[0] * width for _ in range(height)]
    columns, rows = 2 * width, 4 * height
    for column in range(columns):
        y = _at(points, min(xs) + (max(xs) - min(xs)) * column / (columns - 1))
        row = round((high - y) / ((high - low) or 1) * (rows - 1))
        cells[row // 4][column // 2] |= DOTS[column % 2][row % 4]
    lines = ["".join(chr(0x2800 + bits) for bits in line) for line in cells]
    labels = [number(high), *[""] * (height - 2), number(low)]
    margin = max(map(len, labels))
    drawn = [f"{label:>{margin}} {line}" for label, line in zip(labels, lines, strict=True)]
    return "\n".join([*drawn, f"{'':{margin}} {min(xs):.0f} … {max(xs):.0f}: {caption}"])


def _at(points: Sequence[tuple[float, float]], x: float) -> float:
    """The curve's height at `x`, straight between its points."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / ((x1 - x0) or 1)
    return points[-1][1]
