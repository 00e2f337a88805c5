"""Labels next to points that cover neither each other nor other points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]  # left, bottom, right, top, in points

LABEL_SIZE = 6.5  # of the letters, in points
_WIDE, _HIGH, _DOT = 0.58 * LABEL_SIZE, 1.25 * LABEL_SIZE, 3.5
# Places of a label relative to its point, best first: (right, up) in points, and the text alignment.
_PLACES = tuple(
    (dx * far, dy * far, side)
    for far in (1.0, 2.2, 3.6)
    for dx, dy, side in (
        (5, 0, "left"), (-5, 0, "right"), (0, 8, "center"), (0, -8, "center"),
        (5, 6, "left"), (-5, 6, "right"), (5, -6, "left"), (-5, -6, "right"),
    )
)  # fmt: skip


def place_labels(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Writes the name of each point where it covers nothing; a name that finds no place is left out.

    Args:
        axes: on which the labels stand; its limits must be final.
        points: (x, y, name) of each, in the axes' units; "" is no name.
    """
    # Text has a fixed size in points (1/72 inch), so that overlaps are tested in points, not in data units.
    inch = 72 / axes.figure.dpi
    at = [tuple(axes.transData.transform((x, y)) * inch) for x, y, _ in points]
    frame = axes.get_window_extent()
    edges: Box = (frame.x0 * inch, frame.y0 * inch, frame.x1 * inch, frame.y1 * inch)
    taken: list[Box] = [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in at]
    for (x, y), (left, up, name) in zip(at, points, strict=True):
        for dx, dy, side in _PLACES if name else ():
            box = _label_box(x + dx, y + dy, name, side=side)
            if _is_inside(box, edges) and not any(_overlaps(box, other) for other in taken):
                taken.append(box)
                arrow = {"arrowstyle": "-", "color": "#9AA4AD", "linewidth": 0.5, "shrinkB": 3}
                axes.annotate(
                    name, (left, up), (dx, dy), textcoords="offset points", ha=side, va="center",
                    fontsize=LABEL_SIZE, arrowprops=arrow if abs(dx) + abs(dy) > 12 else None,
                )  # fmt: skip
                break


def _label_box(x: float, y: float, name: str, *, side: str) -> Box:
    wide = _WIDE * len(name)
    left = {"left": x, "right": x - wide, "center": x - wide / 2}[side]
    return left, y - _HIGH / 2, left + wide, y + _HIGH / 2


def _overlaps(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _is_inside(box: Box, edges: Box) -> bool:
    return box[0] >= edges[0] and box[1] >= edges[1] and box[2] <= edges[2] and box[3] <= edges[3]
