"""The common style of figures: palette, fonts, ticks and legends. `figure_render` makes files of figures.

matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas

# Okabe & Ito, Color Universal Design (2008), without its yellow, which is invisible on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#18212B", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
COLUMN, PAGE = 3.5, 7.1  # inches: one column of a paper, its whole width
INK, QUIET, RULE = "#18212B", "#5A6570", "#D9DEE3"  # a page replaces these three by its own text colour
ON_LIGHT = "#101418"  # text on a coloured ground; a page does not replace this colour
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # is part of matplotlib, so figures look the same everywhere
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 7.5,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",  # text stays text, which is smaller, searchable and in the page's font
    "pdf.fonttype": 42,  # TrueType, which every reader searches and copies
    "text.parse_math": False,  # a category may be named `a$b$`
    "axes.unicode_minus": True,
    "axes.facecolor": "none",
}


def colour(place: int) -> str:
    """Returns the colour of a series.

    Args:
        place: of the series, counted from 0; after eight series the colours repeat, with other dashes and
            markers.

    Returns:
        A hexadecimal colour.
    """
    return PALETTE[place % len(PALETTE)]


def looks(place: int) -> dict[str, Any]:
    """Returns colour, dash and marker of a line; lines differ without their colours, too.

    Args:
        place: of the series, counted from 0.

    Returns:
        Keyword arguments for `Axes.plot`.
    """
    return {
        "color": colour(place),
        "linestyle": DASHES[(place + place // len(PALETTE)) % len(DASHES)],
        "marker": MARKERS[(place + place // len(PALETTE)) % len(MARKERS)],
    }


def factor(name: str) -> float:
    """Returns the factor by which values are multiplied on an axis: shares are shown in per cent.

    Args:
        name: of the axis.

    Returns:
        100 where the name ends in "%" or in "points", otherwise 1.
    """
    return 100.0 if name.rstrip().endswith(("%", "points")) else 1.0


def wrapped(text: str, *, width: int = 14) -> str:
    """Breaks a long name into lines, at spaces and after `_`, `/`, `,` and `=`.

    Args:
        text: the name.
        width: characters per line; a longer word keeps its own line.

    Returns:
        The name with line breaks.
    """
    lines = [""]
    for piece in re.findall(r"\s*[^\s_/,=]+[_/,=]?|[_/,=]", text):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return "\n".join(lines)


def title_lines(text: str, *, room: float) -> str:
    """Breaks the title of a panel into lines, so that no letter is cut off.

    Args:
        text: the title.
        room: the width of the panel in inches.

    Returns:
        The title with line breaks, inside of a word where it is too long.

    Example:
        >>> title_lines("patchcore, weave", room=1.0).split("\\n")
        ['patchcore,', 'weave']
        >>> title_lines("a" * 20, room=1.0).count("\\n")
        1
    """
    letters = max(int(room / 0.076), 4)  # a bold letter at 8 points is about 0.076 inches wide
    lines = wrapped(text, width=letters).split("\n")
    return "\n".join(line[at : at + letters] for line in lines for at in range(0, max(len(line), 1), letters))


def name_ticks(axes: Axes, names: Sequence[str], *, room: float) -> None:
    """Writes names below the x axis at 0, 1, ...: wrapped where that fits, otherwise turned.

    Args:
        axes: whose ticks are set.
        names: one per place.
        room: inches for each name.
    """
    letters = max(int(room / 0.062), 4)  # a letter at 7 points is about 0.062 inches wide
    texts = [wrapped(name, width=letters) for name in names]
    fits = all(len(line) <= letters for text in texts for line in text.split("\n"))
    if fits and all(text.count("\n") < 3 for text in texts):
        axes.set_xticks(range(len(names)), texts)
    else:
        turned = [wrapped(name, width=26) for name in names]
        axes.set_xticks(range(len(names)), turned, rotation=40, ha="right", rotation_mode="anchor")


def legend_above(canvas: Canvas, handles: Sequence[Any], labels: Sequence[str], *, width: float) -> None:
    """Puts one legend above the axes, in as many columns as fit; a single unnamed series gets none.

    Args:
        canvas: the figure of matplotlib.
        handles: what stands for each series.
        labels: names of the series.
        width: of the figure in inches.
    """
    if not labels or (len(labels) == 1 and not labels[0]):
        return
    canvas.legend(handles, labels, loc="outside upper left", ncols=legend_columns(labels, width=width))


def legend_columns(labels: Sequence[str], *, width: float) -> int:
    """Returns the number of legend columns that fit.

    Args:
        labels: names of the series.
        width: of the figure in inches.

    Returns:
        At least 1, and not more than there are labels.
    """
    longest = max((len(label) for label in labels), default=0)
    return max(1, min(len(labels), int(width / (0.42 + 0.062 * longest))))


def add_grid(axes: Axes, *, along: str = "y") -> None:
    """Draws thin grid lines behind the data.

    Args:
        axes: where.
        along: the axes whose ticks get lines: `x`, `y` or `both`.
    """
    if along in ("y", "both"):
        axes.grid(visible=True, axis="y")
    if along in ("x", "both"):
        axes.grid(visible=True, axis="x")


def log_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Labels a logarithmic axis with plain numbers.

    Args:
        axis: the x or y axis, whose scale is logarithmic.
        values: of the points; up to eight different ones become the ticks.
    """
    from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

    axis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axis.set_minor_formatter(NullFormatter())
    ticks = sorted({float(value) for value in values})
    if len(ticks) <= 8:
        axis.set_major_locator(FixedLocator(ticks))


def finite_values(values: Iterable[float | None]) -> list[float]:
    """Keeps the finite values.

    Args:
        values: numbers, NaN, infinite or None.

    Returns:
        The finite ones, in order.
    """
    return [float(value) for value in values if value is not None and np.isfinite(value)]


def ink(red: float, green: float, blue: float) -> str:
    """Returns a text colour with good contrast on a ground (by ITU-R BT.709 luminance).

    Args:
        red: in [0, 1].
        green: in [0, 1].
        blue: in [0, 1].

    Returns:
        White or almost black.
    """
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5 else ON_LIGHT
