"""Drawings of images as points on planes: inline for the page, as one SVG and one PNG for everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont

from adframe.contracts import GOOD
from adframe.io.files import write_whole
from adframe.reporting import svg
from adframe.reporting.heatmaps import write_panel
from adframe.reporting.plots import Plot
from adframe.results.features import FOLDER, Features, View, finding, read_features
from adframe.stats.embeddings import FEWEST

# Light theme of page.css; shapes differ too, so that no colour has to be told from another.
COLOURS = {
    GOOD: "#2f74b0", "anomaly": "#cf5a24", "logical": "#7a4db8", "structural": "#11856a",
    "unlabelled": "#77828e",
}  # fmt: skip
_SHAPES: dict[str, tuple[tuple[float, float], ...]] = {
    "anomaly": ((-3.4, 2.9), (3.4, 2.9), (0.0, -3.6)),  # a triangle
    "logical": ((-2.8, -2.8), (2.8, -2.8), (2.8, 2.8), (-2.8, 2.8)),  # a square
    "structural": ((0.0, -4.0), (4.0, 0.0), (0.0, 4.0), (-4.0, 0.0)),  # a diamond
}
_RADIUS = 2.8  # of all others: a dot
_INK, _QUIET, _GRID = "#18212b", "#56626f", "#dfe4e8"
_STYLE = (
    "text{font:11px system-ui,'Segoe UI',Roboto,'Noto Sans','Liberation Sans',sans-serif;fill:#56626f}"
    ".title{font-weight:600;font-size:13px;fill:#18212b}.edge{fill:none;stroke:#dfe4e8}.mark{fill-opacity:.75}"
) + "".join(f".mark.{kind}{{fill:{colour}}}" for kind, colour in COLOURS.items())
_BOX = (12.0, 6.0, svg.WIDTH - 12.0, svg.HEIGHT - 26.0)
_CELL, _HEAD = (svg.WIDTH, svg.HEIGHT + 24.0), 62.0  # of the file's panels, and of the lines above them
_SCALE = 2  # pixels of the PNG a unit of the SVG
_SMOOTH = 2  # drawn so many times larger, then shrunk: that smooths edges


@dataclass(frozen=True, slots=True)
class Panel:
    """One view on one plane."""

    title: str
    plane: np.ndarray | None  # (N, 2) float32
    axis: str  # what is to be said of the axes
    absent: str  # why there is no plane


@dataclass(frozen=True, slots=True)
class Cloud:
    """What the page shows of a category's features."""

    name: str
    finding: str
    plots: tuple[Plot, ...]
    legend: tuple[tuple[str, str], ...]  # (CSS class, text)


def panels(features: Features) -> list[Panel]:
    """A row a view: PCA, then t-SNE."""
    return [panel for view in features.views for panel in _pair(view)]


def feature_figures(features: Features) -> list[Plot]:
    """The panels for the page; its style sheet colours them."""
    return [
        Plot(each.title, None, absent=each.absent)
        if each.plane is None
        else Plot(each.title, svg.drawing(_drawn(each, features, box=_BOX, told=True), title=each.title))
        for each in panels(features)
    ]


def clouds(run: Path, categories: Sequence[str]) -> list[Cloud]:
    """Of each category that left features in the run's folder, what the page shows."""
    known = ((name, read_features(run, category=name)) for name in categories)
    return [
        Cloud(name, finding(each), tuple(feature_figures(each)), legend(each))
        for name, each in known
        if each is not None and each.paths
    ]


def legend(features: Features) -> tuple[tuple[str, str], ...]:
    """Kinds of images, as CSS class and text with their count."""
    counts = Counter(kinds(features))
    return tuple((kind, f"{kind} ({counts[kind]})") for kind in COLOURS if counts[kind])


def kinds(features: Features) -> list[str]:
    """What each image is drawn as: its subset, or where that has no shape, what its label says."""
    plain = {0: GOOD, 1: "anomaly", -1: "unlabelled"}
    pairs = zip(features.subsets, features.labels.tolist(), strict=True)
    return [subset if subset in COLOURS else plain.get(label, "unlabelled") for subset, label in pairs]


def write_drawings(run: Path, features: Features, *, category: str) -> None:
    """Writes `features/<category>.svg` and `.png`: rows before and after, columns PCA and t-SNE.

    Args:
        run: the run's folder.
        features: of the category.
        category: its name, which stands above the panels.
    """
    write_whole(run / FOLDER / f"{category}.svg", _sheet(features, category=category))
    write_panel(run / FOLDER / f"{category}.png", _raster(features, category=category))


def _pair(view: View) -> tuple[Panel, Panel]:
    name = f"{view.name[:1].upper()}{view.name[1:]}"
    across, up = (0.0, 0.0) if view.shares is None else (100 * view.shares).tolist()
    few, alike = f"Fewer than {FEWEST} images: no t-SNE.", "No plane: too few images, or all alike."
    absent = few if len(view.vectors) < FEWEST else alike
    return (
        Panel(f"{name}: PCA", view.pca, f"{across:.0f} % of the variance across, {up:.0f} % up", alike),
        Panel(f"{name}: t-SNE", view.tsne, "only what lies near what means anything", absent),
    )


def _frame(plane: np.ndarray, box: tuple[float, float, float, float]) -> svg.Frame:
    low, high = plane.min(axis=0), plane.max(axis=0)
    pad = 0.05 * (high - low) + 1e-9
    (x0, y0), (x1, y1) = (low - pad).tolist(), (high + pad).tolist()
    return svg.Frame((x0, x1), (y0, y1), box)


def _placed(
    panel: Panel, features: Features, box: tuple[float, float, float, float]
) -> list[tuple[int, str, float, float]]:
    """(image, kind, x, y) of each point, good images first: they are many and must not hide the others."""
    assert panel.plane is not None
    frame, named = _frame(panel.plane, box), kinds(features)
    order = sorted(range(len(named)), key=lambda i: list(COLOURS).index(named[i]))
    return [(i, named[i], *frame.at(*panel.plane[i].tolist())) for i in order]


def _drawn(
    panel: Panel, features: Features, *, box: tuple[float, float, float, float], told: bool
) -> list[Markup]:
    """Edge, points and axes' line of a panel; with `told` each point says which image it is."""
    left, top, right, bottom = box
    edge = '<rect class="edge" x="{:g}" y="{:g}" width="{:g}" height="{:g}"/>'
    parts = [Markup(edge).format(left, top, right - left, bottom - top)]
    for image, kind, x, y in _placed(panel, features, box):
        defect, name = features.defects[image], Path(features.paths[image]).name
        parts.append(_mark(kind, (x, y), title=f"{defect}/{name}" if told else ""))
    return [*parts, svg.text(panel.axis, at=((left + right) / 2, bottom + 16), name="axis")]


def _mark(kind: str, at: tuple[float, float], *, title: str = "") -> Markup:
    inside = Markup("<title>{}</title>").format(title) if title else Markup("")
    if kind not in _SHAPES:
        circle = '<circle class="mark {}" cx="{:.1f}" cy="{:.1f}" r="{:g}">{}</circle>'
        return Markup(circle).format(kind, *at, _RADIUS, inside)
    corners = " ".join(f"{at[0] + x:.1f},{at[1] + y:.1f}" for x, y in _SHAPES[kind])
    return Markup('<polygon class="mark {}" points="{}">{}</polygon>').format(kind, corners, inside)


def _cells(features: Features) -> list[tuple[Panel, float, float]]:
    """Panels with the left top corner of each on the sheet."""
    return [
        (panel, _CELL[0] * (place % 2), _HEAD + _CELL[1] * (place // 2))
        for place, panel in enumerate(panels(features))
    ]


def _box(x: float, y: float) -> tuple[float, float, float, float]:
    return x + _BOX[0], y + 24 + _BOX[1], x + _BOX[2], y + 24 + _BOX[3]


def _size(features: Features) -> tuple[float, float]:
    return 2 * _CELL[0], _HEAD + _CELL[1] * len(features.views)


def _sheet(features: Features, *, category: str) -> str:
    """All panels as one drawing that needs no page around it."""
    parts = [
        svg.text(category, at=(12, 20), name="title", anchor="start"),
        svg.text(finding(features), at=(12, 38), anchor="start"),
    ]
    for place, (kind, text) in enumerate(legend(features)):
        x = 16.0 + 110 * place
        parts += [_mark(kind, (x, 52)), svg.text(text, at=(x + 8, 56), anchor="start")]
    for panel, x, y in _cells(features):
        box = _box(x, y)
        parts.append(svg.text(panel.title, at=(box[0], y + 22), name="title", anchor="start"))
        if panel.plane is None:
            parts.append(svg.text(panel.absent, at=(box[0], y + 42), anchor="start"))
        else:
            parts += _drawn(panel, features, box=box, told=False)
    width, height = _size(features)
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:g} {1:g}" width="{0:g}" height="{1:g}">'
    white = '<style>{2}</style><rect width="{0:g}" height="{1:g}" fill="#ffffff"/>{3}</svg>\n'
    return Markup(head + white).format(width, height, Markup(_STYLE), Markup("").join(parts))


def _raster(features: Features, *, category: str) -> np.ndarray:
    """The same sheet as (H, W, 3) uint8, for whatever shows no SVG."""
    width, height = (round(_SCALE * side) for side in _size(features))
    factor = _SCALE * _SMOOTH
    large = Image.new("RGB", (width * _SMOOTH, height * _SMOOTH), "white")
    for panel, x, y in _cells(features):
        if panel.plane is not None:
            box = _box(x, y)
            ImageDraw.Draw(large).rectangle([factor * side for side in box], outline=_GRID, width=factor)
            _points(large, _placed(panel, features, box), factor=factor)
    _points(
        large,
        [(0, kind, 16.0 + 110 * n, 52.0) for n, (kind, _) in enumerate(legend(features))],
        factor=factor,
    )
    sheet = large.resize((width, height), Image.Resampling.LANCZOS)
    write = ImageDraw.Draw(sheet)
    for text, (x, y), size, colour in _texts(features, category=category):
        font = ImageFont.load_default(size * _SCALE)
        write.text((x * _SCALE, y * _SCALE), text, fill=colour, font=font, anchor="ls")
    return np.asarray(sheet)


def _points(canvas: Image.Image, points: Sequence[tuple[int, str, float, float]], *, factor: int) -> None:
    """Draws half-transparent marks, so that what lies below another still shows."""
    draw = ImageDraw.Draw(canvas, "RGBA")
    for _, kind, x, y in points:
        colour = f"{COLOURS[kind]}c0"
        if kind in _SHAPES:
            draw.polygon([(factor * (x + a), factor * (y + b)) for a, b in _SHAPES[kind]], fill=colour)
        else:
            draw.ellipse([factor * (c + s) for s in (-_RADIUS, _RADIUS) for c in (x, y)], fill=colour)


def _texts(features: Features, *, category: str) -> list[tuple[str, tuple[float, float], int, str]]:
    """(text, its left end on the base line, size, colour) of all that is written on the sheet."""
    found = [(category, (12.0, 20.0), 13, _INK), (finding(features), (12.0, 38.0), 11, _QUIET)]
    found += [(text, (24.0 + 110 * n, 56.0), 11, _QUIET) for n, (_, text) in enumerate(legend(features))]
    for panel, x, y in _cells(features):
        left, _, _, bottom = _box(x, y)
        found.append((panel.title, (left, y + 22), 13, _INK))
        if panel.plane is None:
            found.append((panel.absent, (left, y + 42), 11, _QUIET))
        else:
            found.append((panel.axis, (left, bottom + 16), 11, _QUIET))
    return found
