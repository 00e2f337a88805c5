"""How well a run's probabilities hold: the reliability diagram, and the numbers that sum it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from adframe.reporting import svg
from adframe.reporting.plots import SHARES, Plot
from adframe.reporting.summary import interval
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder
from adframe.stats.calibration_error import Bin, bins_of, brier, calibration_error, reliability

EVERYTHING = "all images"
_BINS = 10
_UPPER = (svg.LEFT, svg.TOP, svg.WIDTH - svg.RIGHT, 210.0)
_LOWER = (svg.LEFT, 228.0, svg.WIDTH - svg.RIGHT, 268.0)
_HEIGHT = 306.0


@dataclass(frozen=True, slots=True)
class Held:
    """Probabilities held against the truth."""

    name: str
    images: int
    error: float  # expected calibration error
    brier: float
    plot: Plot


def held(run: RunFolder) -> list[Held]:
    """Each category that has probabilities and labels, and all of them together, if several, first."""
    parts = [(name, [row for row in run.rows if row["category"] == name]) for name in run.categories]
    found = [each for name, rows in parts if (each := _held(name, rows)) is not None]
    whole = _held(EVERYTHING, run.rows) if len(found) > 1 else None
    return [whole, *found] if whole is not None else found


def reliability_plot(probabilities: np.ndarray, labels: np.ndarray, *, title: str) -> Plot:
    """Dots on the diagonal where probabilities hold; below them the images of each bin.

    Args:
        probabilities: (n,) in [0, 1], n > 0.
        labels: (n,) bool, True for anomalous.
        title: of the figure.
    """
    bins = reliability(probabilities, labels, bins=_BINS)
    # The numbers of those bins, so that each count stands under its bin.
    places = np.unique(bins_of(probabilities, bins=_BINS)).tolist()
    words = ", ".join(f"predicted {_percent(b.predicted)} seen {_percent(b.observed)}" for b in bins)
    drawing = svg.drawing([*_dots(bins), *_counts(places, bins)], title=f"{title}: {words}", height=_HEIGHT)
    legend = (("seen", "seen, with its 95 % interval"), ("chance", "as predicted"), ("images", "images"))
    return Plot(title, drawing, legend)


def _held(name: str, rows: Sequence[Row]) -> Held | None:
    known = [row for row in rows if row["label"] is not None and row["probability"] is not None]
    if not known:
        return None
    probabilities = np.array([row["probability"] for row in known], dtype=np.float64)
    labels = np.array([row["label"] == 1 for row in known])
    return Held(
        name=name,
        images=len(known),
        error=calibration_error(probabilities, labels, bins=_BINS),
        brier=brier(probabilities, labels),
        plot=reliability_plot(probabilities, labels, title=name),
    )


def _dots(bins: Sequence[Bin]) -> list[Markup]:
    frame = svg.Frame((0.0, 1.0), (0.0, 1.0), _UPPER)
    parts = [
        svg.axes(frame, x_ticks=[], y_ticks=SHARES, x_name="", y_name="really anomalous, %"),
        svg.segment(frame, (0, 0), (1, 1), name="chance"),
    ]
    for each in bins:
        ends = interval(round(each.observed * each.count), each.count)
        if ends is not None:
            parts.append(
                svg.segment(frame, (each.predicted, ends[0]), (each.predicted, ends[1]), name="whisker")
            )
    for each in bins:
        words = f"{each.count} images: predicted {_percent(each.predicted)}, seen {_percent(each.observed)}"
        parts.append(svg.dot(frame, each.predicted, each.observed, name="seen", title=words, radius=4))
    return parts


def _counts(places: Sequence[int], bins: Sequence[Bin]) -> list[Markup]:
    most = max(each.count for each in bins)
    frame = svg.Frame((0.0, 1.0), (0.0, float(most)), _LOWER)
    parts = [
        svg.axes(frame, x_ticks=SHARES, y_ticks=[], x_name="predicted probability, %", y_name="images"),
        svg.segment(frame, (0, 0), (1, 0), name="base"),
    ]
    for place, each in zip(places, bins, strict=True):
        left, right = place / _BINS, (place + 1) / _BINS
        parts.append(svg.bar(frame, (left, right), (0.0, float(each.count)), name="images"))
        across, top = frame.at((left + right) / 2, each.count)
        parts.append(svg.text(str(each.count), at=(across, top - 3)))
    return parts


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
