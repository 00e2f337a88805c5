"""Figures of a dataset: areas of defects, regions per image, brightness, contrast and sizes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from adframe.reporting import figure_style as style
from adframe.reporting.dataset_stats import ImageLight
from adframe.reporting.document import Figure
from adframe.reporting.format import counted, short_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_BINS_PER_DECADE = 8  # per decade
_MANY = 10  # images with this many regions or more share a bar
_ROW = 0.42  # inches, the height of one histogram of areas
_GROUPS = ("train", "validation", "test", "unlabelled")


def defect_areas(
    name: str, *, caption: str, shares: Mapping[str, Sequence[float]], subsets: Mapping[str, str]
) -> Figure:
    """Draws the areas of defects on a logarithmic scale: one histogram per name, scaled to its highest bar.

    Args:
        name: of the figure.
        caption: below the figure.
        shares: name of a category or type of defect -> share of each image in (0, 1]; empty masks (0) are
            left out.
        subsets: name -> the subset that gives its bars their colour; a name without a subset is missing.

    Returns:
        The figure.
    """
    groups = {key: np.array([value for value in values if value > 0]) for key, values in shares.items()}
    groups = {key: values for key, values in groups.items() if len(values)}
    colours = {
        subset: style.colour(1 + place) for place, subset in enumerate(sorted({"", *subsets.values()}))
    }
    every = np.concatenate(list(groups.values())) if groups else np.array([0.01])
    low = min(math.floor(math.log10(every.min())), -1)
    high = max(math.ceil(math.log10(every.max())), low + 1)  # never an empty axis
    edges = np.linspace(low, high, _BINS_PER_DECADE * (high - low) + 1)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for place, (key, values) in enumerate(groups.items()):
            heights = np.histogram(np.log10(values), edges)[0]
            base = float(len(groups) - 1 - place)
            colour, middle = colours[subsets.get(key, "")], float(np.median(values))
            axes.stairs(base + 0.55 * heights / heights.max(), edges, baseline=base, fill=True, color=colour)
            axes.plot([math.log10(middle)] * 2, [base, base + 0.6], color=style.INK, linewidth=1.2)
            axes.axhline(base, color=style.QUIET, linewidth=0.5)
            axes.text(low, base + 0.68, key, fontsize=7, fontweight="bold", va="bottom")
            note = f"{counted(len(values), 'image')}, median {short_percent(middle)}"
            axes.text(high, base + 0.68, note, fontsize=6.5, va="bottom", ha="right", color=style.QUIET)
        axes.set(
            xlim=(low, high), ylim=(0, max(len(groups), 1)), yticks=[], xlabel="share of the image, log scale"
        )
        axes.set_xticks(range(low, high + 1), [short_percent(10.0**power) for power in range(low, high + 1)])
        axes.spines["left"].set_visible(False)

    return Figure(name, caption, (4.4, 0.6 + _ROW * max(len(groups), 1)), draw)


def images(
    name: str,
    *,
    caption: str,
    regions: Sequence[int],
    lights: Sequence[ImageLight],
    sizes: Mapping[tuple[int, int], int],
) -> Figure:
    """Draws regions per image, brightness against contrast, and image sizes, one panel each.

    Args:
        name: of the figure.
        caption: below the figure.
        regions: the number of annotated regions of each image with a mask; [] leaves the panel out.
        lights: the light of sampled images; [] leaves the panel out.
        sizes: (height, width) in pixels -> number of images; a single size leaves the panel out.

    Returns:
        The figure, one panel per quantity.
    """
    panels = [
        *(["regions"] if regions else []),
        *(["light"] if lights else []),
        *(["sizes"] if len(sizes) > 1 else []),
    ]

    def draw(canvas: Canvas) -> None:
        for axes, panel in zip(np.ravel(canvas.subplots(1, len(panels))), panels, strict=True):
            if panel == "regions":
                _draw_regions(axes, regions)
            elif panel == "light":
                _draw_lights(axes, lights)
            else:
                _draw_sizes(axes, sizes)

    return Figure(name, caption, (3.1 * len(panels), 2.9), draw)


def _draw_regions(axes: Axes, counts: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    heights = Counter(min(count, _MANY) for count in counts)
    last = min(max(max(counts), 4), _MANY)
    axes.bar(list(heights), list(heights.values()), 0.72, color=style.colour(1))
    places = range(min(*heights, 1), last + 1)
    axes.set_xticks(places, [f"{n}+" if n == _MANY else str(n) for n in places])
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_title("Regions per image", loc="left")
    axes.set(xlabel="regions", ylabel="images")
    style.add_grid(axes)


def _draw_lights(axes: Axes, lights: Sequence[ImageLight]) -> None:
    """One dot per image, coloured by split: where the light drifts between splits, their dots separate."""
    counts = Counter(light.group for light in lights)
    for place, group in enumerate(_GROUPS):
        own = np.array([(each.brightness, each.contrast) for each in lights if each.group == group]) * 100
        if len(own):
            look = style.looks(place) | {"linestyle": "none", "alpha": 0.75, "markersize": 3.5}
            axes.plot(own[:, 0], own[:, 1], label=f"{group} ({counts[group]})", **look)
    whose = "images" if set(counts) == {"unlabelled"} else "normal images"
    axes.set_title(f"Brightness and contrast of {whose}", loc="left")
    axes.set(xlabel="brightness, %", ylabel="contrast, %")
    axes.margins(0.08)
    axes.locator_params(nbins=5)
    style.add_grid(axes, along="both")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.2), ncols=3, borderaxespad=0, handletextpad=0.2)


def _draw_sizes(axes: Axes, sizes: Mapping[tuple[int, int], int]) -> None:
    """One dot per size; its area grows with the number of images of that size."""
    most = max(sizes.values())
    heights, widths = np.array(list(sizes)).T
    areas = [8 + 90 * count / most for count in sizes.values()]
    axes.scatter(widths, heights, s=areas, color=style.colour(2), alpha=0.6)
    axes.set_title("Image sizes", loc="left")
    axes.set(xlabel="width, px", ylabel="height, px")
    axes.margins(0.12)
    axes.locator_params(nbins=4)
    style.add_grid(axes, along="both")
