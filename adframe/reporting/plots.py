"""ROC, precision-recall and score histogram of one category, as inline SVG for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from adframe.metrics.curve_points import Curve, Floats, bin_edges, pr, roc
from adframe.reporting import svg
from adframe.reporting.summary import confusion
from adframe.results.predictions import Row

SHARES = [(share, f"{share * 100:.0f}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
_MAIN = "all"
_SUBSETS = ("logical", "structural")  # what MVTec LOCO scores apart


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of the page: the drawing, or in its place why there is none."""

    title: str
    drawing: Markup | None
    legend: tuple[tuple[str, str], ...] = ()  # (CSS class, text)
    absent: str = ""


def roc_plot(rows: Sequence[Row]) -> Plot:
    """The ROC curve, one more for each LOCO subset, and a dot where the threshold puts us."""
    curves = [(name, roc(*_columns(part))) for name, part in _parts(rows)]
    return _curve_plot(
        "ROC", curves, axes=("false-positive rate, %", "recall, %"), area="AUROC", dot=_rates(rows)
    )


def pr_plot(rows: Sequence[Row]) -> Plot:
    """The precision-recall curve in steps, one more for each LOCO subset, and the threshold's dot."""
    curves = [(name, _stepped(pr(*_columns(part)))) for name, part in _parts(rows)]
    return _curve_plot(
        "Precision and recall",
        curves,
        axes=("recall, %", "precision, %"),
        area="AP",
        dot=_precision(rows),
    )


def histogram_plot(rows: Sequence[Row], *, threshold: float | None) -> Plot:
    """Scores of normal images upwards, of anomalous ones downwards, the threshold as a line.

    Mirrored rather than overlaid: each class keeps its shape where the two overlap, also in print.
    """
    scores, labels = _columns(rows)
    values = np.asarray(scores, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return Plot("Scores", None, absent="No image has a score.")
    drawn = threshold if threshold is not None and math.isfinite(threshold) else None
    edges = bin_edges(values)
    kinds = np.array([-1 if label is None else int(label) for label in labels])
    groups = {name: values[finite & (kinds == kind)] for name, kind in _KINDS.items()}
    parts = _bars(groups, edges=edges, threshold=drawn)
    legend = tuple((name, f"{name} ({len(group)})") for name, group in groups.items() if len(group))
    if drawn is not None:
        legend += (("threshold", f"threshold {drawn:.4g}"),)
    words = f"Histogram of scores: {', '.join(text for _, text in legend)}"
    return Plot("Scores", svg.drawing(parts, title=words), legend)


_KINDS = {"normal": 0, "anomalous": 1, "unlabelled": -1}


def _bars(groups: dict[str, Floats], *, edges: Floats, threshold: float | None) -> list[Markup]:
    shares = {name: np.histogram(group, edges)[0] / max(len(group), 1) for name, group in groups.items()}
    up = max(shares["normal"].max(), shares["unlabelled"].max(), 0.0)
    down = float(shares["anomalous"].max())
    frame = _histogram_frame(edges, threshold=threshold, up=float(up), down=down)
    parts = [_histogram_axes(frame)]
    for name, heights in shares.items():
        sign = -1.0 if name == "anomalous" else 1.0
        boxes = zip(edges[:-1], edges[1:], heights, strict=True)
        parts += [
            svg.bar(frame, (float(left), float(right)), (0.0, sign * float(height)), name=name)
            for left, right, height in boxes
            if height > 0
        ]
    parts.append(svg.segment(frame, (frame.x[0], 0.0), (frame.x[1], 0.0), name="base"))
    if threshold is not None:
        parts.append(svg.segment(frame, (threshold, frame.y[0]), (threshold, frame.y[1]), name="threshold"))
    return parts


def _histogram_frame(edges: Floats, *, threshold: float | None, up: float, down: float) -> svg.Frame:
    low, high = float(edges[0]), float(edges[-1])
    if threshold is not None:  # a threshold outside the scores is worth seeing too
        low, high = min(low, threshold), max(high, threshold)
    pad = 0.03 * (high - low)
    return svg.Frame((low - pad, high + pad), (-1.12 * down if down else 0.0, 1.12 * up if up else 0.0))


def _histogram_axes(frame: svg.Frame) -> Markup:
    x_ticks = [(value, f"{value:.4g}") for value in svg.round_ticks(*frame.x, count=4)]
    heights = svg.round_ticks(*frame.y, count=5)
    y_ticks = [(value, f"{abs(value) * 100:.3g}") for value in heights]
    return svg.axes(frame, x_ticks=x_ticks, y_ticks=y_ticks, x_name="score", y_name="share of its class, %")


def _curve_plot(
    title: str,
    curves: list[tuple[str, Curve | None]],
    *,
    axes: tuple[str, str],
    area: str,
    dot: tuple[float, float] | None,
) -> Plot:
    drawn = [(name, curve) for name, curve in curves if curve is not None]
    if not drawn:
        return Plot(title, None, absent="No curve: it needs both normal and anomalous images, labelled.")
    frame = svg.Frame()
    parts = [svg.axes(frame, x_ticks=SHARES, y_ticks=SHARES, x_name=axes[0], y_name=axes[1])]
    if area == "AUROC":
        parts.append(svg.segment(frame, (0, 0), (1, 1), name="chance"))
    parts += [svg.line(frame, list(curve.x), list(curve.y), name=name) for name, curve in reversed(drawn)]
    legend = tuple((name, f"{_word(name, drawn)}{area} {curve.area * 100:.1f}") for name, curve in drawn)
    if dot is not None:
        words = f"at the threshold: {axes[0][:-3]} {dot[0] * 100:.1f}, {axes[1][:-3]} {dot[1] * 100:.1f}"
        parts.append(svg.dot(frame, *dot, name="at-threshold", title=words))
        legend += (("at-threshold", "at the threshold"),)
    return Plot(title, svg.drawing(parts, title=f"{title}: {', '.join(text for _, text in legend)}"), legend)


def _word(name: str, drawn: list[tuple[str, Curve]]) -> str:
    return f"{name} " if len(drawn) > 1 else ""


def _parts(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """All rows, then for each LOCO subset its rows with the normal ones."""
    parts = [(_MAIN, list(rows))]
    for subset in _SUBSETS:
        if any(row["subset"] == subset for row in rows):
            parts.append((subset, [row for row in rows if row["label"] == 0 or row["subset"] == subset]))
    return parts


def _columns(rows: Sequence[Row]) -> tuple[list[float], list[int | None]]:
    return [row["score"] for row in rows], [row["label"] for row in rows]


def _stepped(curve: Curve | None) -> Curve | None:
    """Between two recalls the precision of the higher one holds: that is the area AP sums."""
    if curve is None:
        return None
    return Curve(np.repeat(curve.x, 2)[1:-1], np.repeat(curve.y[1:], 2), curve.area)


def _rates(rows: Sequence[Row]) -> tuple[float, float] | None:
    counts = confusion(rows)
    if counts.fpr is None or counts.recall is None:
        return None
    return counts.fpr, counts.recall


def _precision(rows: Sequence[Row]) -> tuple[float, float] | None:
    counts = confusion(rows)
    if counts.precision is None or counts.recall is None:
        return None
    return counts.recall, counts.precision
