"""Small inline SVG drawings, coloured by the page's CSS so that one drawing suits light and dark.

Every text passes through `escape`; coordinates of data are mapped by a `Frame`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 340.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 14.0, 38.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Maps data coordinates to the drawing's pixels; `box` is (left, top, right, bottom) in those."""

    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    box: tuple[float, float, float, float] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        left, top, right, bottom = self.box
        return left + across * (right - left), bottom - up * (bottom - top)


def drawing(parts: Iterable[Markup], *, title: str, height: float = HEIGHT) -> Markup:
    """The parts as one `<svg>`, `WIDTH` wide; `title` says in words what there is to see."""
    body = Markup("").join(parts)
    return Markup('<svg class="plot" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, title, body
    )


def axes(
    frame: Frame,
    *,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    x_name: str,
    y_name: str,
) -> Markup:
    """Grid lines, tick labels and the axes' names."""
    left, bottom = frame.at(frame.x[0], frame.y[0])
    right, top = frame.at(frame.x[1], frame.y[1])
    parts = []
    for value, name in y_ticks:
        y = frame.at(0, value)[1]
        parts += [_line("grid", (left, y), (right, y)), text(name, at=(left - 7, y + 3.5), anchor="end")]
    for value, name in x_ticks:
        x = frame.at(value, 0)[0]
        parts += [_line("grid", (x, bottom), (x, bottom + 4)), text(name, at=(x, bottom + 16))]
    parts.append(text(x_name, at=((left + right) / 2, bottom + BOTTOM - 5), name="axis"))
    middle = (top + bottom) / 2
    turned = '<text class="axis" transform="translate(11 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>'
    parts.append(Markup(turned).format(middle, y_name))
    return Markup("").join(parts)


def line(frame: Frame, x: Sequence[float], y: Sequence[float], *, name: str) -> Markup:
    """A polyline through (x, y), with the CSS class `name`; neighbours on the same pixel count once."""
    points = (frame.at(float(a), float(b)) for a, b in zip(x, y, strict=True))
    texts = [key for key, _ in groupby(f"{across:.1f},{up:.1f}" for across, up in points)]
    return Markup('<polyline class="line {}" points="{}"/>').format(name, " ".join(texts))


def bar(frame: Frame, x: tuple[float, float], y: tuple[float, float], *, name: str) -> Markup:
    """A filled box from corner to corner in data coordinates."""
    (x0, y0), (x1, y1) = frame.at(x[0], y[0]), frame.at(x[1], y[1])
    left, top = min(x0, x1), min(y0, y1)
    width, height = max(abs(x1 - x0) - 1, 0.6), abs(y1 - y0)
    box = '<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
    return Markup(box).format(name, left, top, width, height)


def segment(frame: Frame, start: tuple[float, float], end: tuple[float, float], *, name: str) -> Markup:
    """A straight line between two points in data coordinates."""
    return _line(name, frame.at(*start), frame.at(*end))


def dot(frame: Frame, x: float, y: float, *, name: str, title: str, radius: float = 4.5) -> Markup:
    """A marked point, with a tooltip; `radius` in the drawing's pixels."""
    across, up = frame.at(x, y)
    circle = '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="{:g}"><title>{}</title></circle>'
    return Markup(circle).format(name, across, up, radius, title)


def text(content: str, *, at: tuple[float, float], name: str = "tick", anchor: str = "middle") -> Markup:
    """A text at the drawing's pixels."""
    tag = '<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
    return Markup(tag).format(name, *at, anchor, escape(content))


def round_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """About `count` round numbers inside [low, high]."""
    span = high - low
    rough = span / max(count, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = np.ceil(low / step - 1e-9) * step
    return [float(value) for value in np.arange(first, high + 1e-9 * span, step)]


def _line(name: str, start: tuple[float, float], end: tuple[float, float]) -> Markup:
    tag = '<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
    return Markup(tag).format(name, *start, *end)
