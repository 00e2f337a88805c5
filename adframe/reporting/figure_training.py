"""Loss curves: training and held-out loss by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_FEW_EPOCHS = 12  # up to this many epochs, each has a marker
# The highest loss over the lowest one: above it, a linear scale would show the first epochs only.
_WIDE = 20.0


def loss_curves(
    name: str, *, caption: str, series: Mapping[str, Mapping[int, float]], best: int | None
) -> Figure:
    """Draws losses by epoch, on a logarithmic scale where they span a wide range.

    Args:
        name: of the figure.
        caption: below the figure.
        series: name -> epoch -> loss; values that are not finite are left out.
        best: the epoch whose weights are kept, which is marked; None marks none.

    Returns:
        The figure.
    """
    known = {
        label: {epoch: loss for epoch, loss in sorted(values.items()) if math.isfinite(loss)}
        for label, values in series.items()
    }
    values = [loss for points in known.values() for loss in points.values()]
    is_log = bool(values) and min(values) > 0 and max(values) / min(values) > _WIDE

    def draw(canvas: Canvas) -> None:
        from matplotlib.ticker import LogLocator, MaxNLocator

        axes = canvas.subplots()
        for place, (label, points) in enumerate(known.items()):
            look = style.looks(place) | ({} if len(points) <= _FEW_EPOCHS else {"marker": ""})
            axes.plot(list(points), list(points.values()), label=label, **look)
        if best is not None:
            label = f"epoch {best}, which is kept"
            axes.axvline(best, color=style.INK, linewidth=1, linestyle=style.DASHES[1], label=label)
        if is_log:
            axes.set_yscale("log")
            style.log_ticks(axes.yaxis, range(9))  # nine values are too many to become ticks
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set(xlabel="epoch", ylabel="total loss, log scale" if is_log else "total loss")
        style.grid(axes)
        style.legend_above(canvas, *axes.get_legend_handles_labels(), width=4.6)

    return Figure(name, caption, (4.6, 2.8), draw)
