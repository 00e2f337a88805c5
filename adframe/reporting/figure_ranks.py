"""The critical-difference diagram: average ranks of methods on a line (Demsar, JMLR 7, 2006, figure 1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure
from adframe.stats.ranks import Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_ROW = 0.22  # inches per method


def rank_diagram(name: str, ranking: Ranking, *, caption: str) -> Figure:
    """Draws average ranks; a thick line connects methods that do not differ.

    Args:
        name: of the files.
        ranking: two methods or more.
        caption: below the figure.

    Returns:
        The figure: the best method is at the left; the upper bar is as long as the critical difference.
    """
    entries = list(ranking.ranks.items())
    left = math.ceil(len(entries) / 2)
    bars = len(ranking.groups)
    height = _ROW * (left + bars + 3) + 0.35

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        last = max(2, math.ceil(entries[-1][1] - 1e-9))
        low, high, margin = 1, max(last, len(entries)), 0.45 * (max(last, len(entries)) - 1)
        axes.set(xlim=(low - margin, high + margin), ylim=(-(left + bars + 1.2), 2.6))
        axes.plot([low, high], [0, 0], color=style.INK, linewidth=1)
        for tick in range(low, high + 1):
            axes.plot([tick, tick], [0, 0.25], color=style.INK, linewidth=1)
            axes.text(tick, 0.4, str(tick), ha="center", va="bottom", fontsize=8, color=style.INK)
        if ranking.critical <= high - low:
            axes.plot([low, low + ranking.critical], [1.9, 1.9], color=style.QUIET, linewidth=3)
            text = f"critical difference {ranking.critical:.2f}"
            axes.annotate(
                text, (low + ranking.critical, 1.9), (5, 0), textcoords="offset points", va="center",
                fontsize=8, color=style.QUIET,
            )  # fmt: skip
        for place, (method, rank) in enumerate(entries):
            first = place < left
            # Names begin below the bars, the extreme ranks outermost, so that no line crosses a name.
            depth = -(bars + 1 + (place if first else len(entries) - 1 - place))
            edge, side = (low - 0.05 * margin, "right") if first else (high + 0.05 * margin, "left")
            axes.plot([rank, rank, edge], [0, depth, depth], color=style.RULE, linewidth=1, zorder=1)
            axes.plot([rank], [0], marker="o", markersize=4, color=style.colour(0), zorder=3)
            axes.text(edge, depth, f" {method} {rank:.2f} ", ha=side, va="center", fontsize=8.5)
        for row, group in enumerate(ranking.groups, start=1):
            ends = [ranking.ranks[group[0]] - 0.05, ranking.ranks[group[-1]] + 0.05]
            axes.plot(ends, [-row * 0.75, -row * 0.75], color=style.INK, linewidth=3, solid_capstyle="butt")
        axes.axis("off")

    return Figure(name, caption, (style.PAGE, height), draw)
