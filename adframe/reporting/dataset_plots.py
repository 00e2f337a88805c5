"""Drawings of a survey: how large defects are, how many, how bright images are, how large they are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from adframe.reporting import svg
from adframe.reporting.dataset_stats import Light
from adframe.reporting.plots import Plot

_ROW, _NAME = 44.0, 18.0  # pixels of a ridge, and of the line above it that names it
_EDGE = 10.0
_BINS = 8  # a decade
_MANY = 10  # regions: so many or more share a bar
_UNMARKED = "No image has a mask."


def area_plot(shares: Mapping[str, Sequence[float]], *, title: str, styles: Mapping[str, str]) -> Plot:
    """Shares of the image on a log scale, a histogram for each name, the median as a line.

    Every histogram is as high as its own highest bar: what compares is where they lie.

    Args:
        shares: in (0, 1], by what they are of; empty masks (0) are left out.
        title: of the figure.
        styles: by name, the CSS class of its bars; `anomalous` where a name has none.
    """
    groups = {name: np.array([s for s in values if s > 0]) for name, values in shares.items()}
    groups = {name: values for name, values in groups.items() if len(values)}
    if not groups:
        return Plot(title, None, absent=_UNMARKED)
    every = np.concatenate(list(groups.values()))
    low = min(math.floor(math.log10(every.min())), -1)
    high = max(math.ceil(math.log10(every.max())), low + 1)  # never an empty axis
    bottom = svg.TOP + _ROW * len(groups)
    parts = [_decades(low, high, bottom=bottom)]
    for place, (name, values) in enumerate(groups.items()):
        style = styles.get(name, "anomalous")
        parts += _ridge(values, name=name, style=style, top=svg.TOP + _ROW * place, x=(low, high))
    said = "; ".join(f"{name}: median {_percent(float(np.median(v)))}" for name, v in groups.items())
    return Plot(title, svg.drawing(parts, title=f"{title}. {said}", height=bottom + svg.BOTTOM))


def region_plot(counts: Sequence[int]) -> Plot:
    """How many images have one region, two, three, ..."""
    title = "Regions an image"
    if not counts:
        return Plot(title, None, absent=_UNMARKED)
    last = min(max(max(counts), 4), _MANY)
    heights = Counter(min(count, _MANY) for count in counts)
    first = min(min(counts), 1)
    frame = svg.Frame((first - 0.6, last + 0.6), (0.0, 1.1 * max(heights.values())))
    x_ticks = [(n, f"{n}+" if n == _MANY else str(n)) for n in range(first, last + 1)]
    y_ticks = [(y, f"{abs(y):g}") for y in svg.round_ticks(*frame.y, count=4) if y % 1 == 0]
    parts = [svg.axes(frame, x_ticks=x_ticks, y_ticks=y_ticks, x_name="regions", y_name="images")]
    parts += [
        svg.bar(frame, (n - 0.36, n + 0.36), (0.0, float(height)), name="anomalous")
        for n, height in sorted(heights.items())
    ]
    parts.append(svg.segment(frame, (frame.x[0], 0.0), (frame.x[1], 0.0), name="base"))
    said = ", ".join(f"{height} images with {n}" for n, height in sorted(heights.items()))
    return Plot(title, svg.drawing(parts, title=f"{title}: {said}"))


def light_plot(lights: Sequence[Light]) -> Plot:
    """Brightness against contrast, a dot an image, coloured by split: drift is clouds that part."""
    title = "Light of normal images"
    if not lights:
        return Plot(title, None, absent="No normal image to look at.")
    if all(light.group == "unlabelled" for light in lights):
        title = "Light of the images"
    x = _around([100 * light.brightness for light in lights])
    y = _around([100 * light.contrast for light in lights])
    frame = svg.Frame(x, y)
    x_ticks = [(value, f"{value:.3g}") for value in svg.round_ticks(*x)]
    y_ticks = [(value, f"{value:.3g}") for value in svg.round_ticks(*y)]
    names = {"x_name": "brightness, %", "y_name": "contrast, %"}
    parts = [
        svg.axes(frame, x_ticks=x_ticks, y_ticks=y_ticks, x_name=names["x_name"], y_name=names["y_name"])
    ]
    parts += [
        svg.dot(frame, 100 * each.brightness, 100 * each.contrast, name=each.group, title=each.name, radius=3)
        for each in lights
    ]
    groups = Counter(light.group for light in lights)
    legend = tuple((group, f"{group} ({count})") for group, count in groups.items())
    said = f"{title}: brightness against contrast of {', '.join(text for _, text in legend)}"
    return Plot(title, svg.drawing(parts, title=said), legend)


def size_plot(sizes: Mapping[tuple[int, int], int]) -> Plot:
    """Width against height, a dot a size, the larger the more images have it."""
    x = _around([width for _, width in sizes])
    y = _around([height for height, _ in sizes])
    frame = svg.Frame(x, y)
    x_ticks = [(value, f"{value:g}") for value in svg.round_ticks(*x, count=4)]
    y_ticks = [(value, f"{value:g}") for value in svg.round_ticks(*y, count=4)]
    parts = [svg.axes(frame, x_ticks=x_ticks, y_ticks=y_ticks, x_name="width, px", y_name="height, px")]
    most = max(sizes.values())
    parts += [
        svg.dot(
            frame,
            width,
            height,
            name="size",
            title=f"{height} x {width}: {n}",
            radius=2 + 4 * (n / most) ** 0.5,
        )
        for (height, width), n in sizes.items()
    ]
    return Plot("Image sizes", svg.drawing(parts, title=f"{len(sizes)} image sizes, width against height"))


def _ridge(values: np.ndarray, *, name: str, style: str, top: float, x: tuple[float, float]) -> list[Markup]:
    """One histogram with its name above it, its median as a line and as a number."""
    box = (_EDGE, top + _NAME, svg.WIDTH - _EDGE, top + _ROW - 4)
    edges = np.linspace(*x, round(_BINS * (x[1] - x[0])) + 1)
    heights = np.histogram(np.log10(values), edges)[0]
    frame = svg.Frame(x, (0.0, float(heights.max())), box)
    boxes = zip(edges[:-1], edges[1:], heights, strict=True)
    parts = [
        svg.bar(frame, (float(a), float(b)), (0.0, float(height)), name=style)
        for a, b, height in boxes
        if height
    ]
    middle = float(np.median(values))
    across = math.log10(middle)
    note = f"{len(values)} images, median {_percent(middle)}"
    return [
        *parts,
        svg.segment(frame, (x[0], 0.0), (x[1], 0.0), name="base"),
        svg.segment(frame, (across, 0.0), (across, float(heights.max())), name="median"),
        svg.text(name, at=(box[0], top + 10), name="axis name", anchor="start"),
        svg.text(note, at=(box[2], top + 10), anchor="end"),
    ]


def _decades(low: int, high: int, *, bottom: float) -> Markup:
    frame = svg.Frame((low, high), (0.0, 1.0), (_EDGE, svg.TOP, svg.WIDTH - _EDGE, bottom))
    parts = []
    for power in range(low, high + 1):
        across = frame.at(power, 0.0)[0]
        anchor = "start" if power == low else "end" if power == high else "middle"
        parts.append(svg.segment(frame, (power, 0.0), (power, 1.0), name="grid"))
        parts.append(svg.text(_percent(10.0**power), at=(across, bottom + 12), anchor=anchor))
    middle = (_EDGE + svg.WIDTH - _EDGE) / 2
    parts.append(svg.text("share of the image, log scale", at=(middle, bottom + 30), name="axis"))
    return Markup("").join(parts)


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or max(0.05 * abs(high), 1.0)
    return low - pad, high + pad


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
