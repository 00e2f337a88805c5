"""Renders figures as SVG, PNG and PDF files, and as inline SVG that takes the colours of a page.

matplotlib is used through its objects, without pyplot, so that no global state changes. The same figure gives
the same bytes.
"""

from __future__ import annotations

import gc
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure
from adframe.reporting.format import capitalised

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

DPI = 200
_FONTS = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', 'DejaVu Sans', sans-serif"
_LARGER = 1.25  # scale on a page, compared with paper, where letters are small
_OPACITY = {style.INK: 1.0, style.QUIET: 0.75, style.RULE: 0.18}  # of the text colour that replaces them
_COLOURS = {
    colour.lower(): f"var(--series-{place}, {colour.lower()})"
    for place, colour in enumerate(style.PALETTE)
    if colour != style.INK
}
_NUMBERS = re.compile(r' (d|x|y|width|height|transform)="([^"]*)"')
_DECIMALS, _TWO = r"(\.\d\d)\d+", r"\1"  # numbers with more than two decimals, and what stays of them


def png(figure: Figure) -> bytes:
    """Renders a figure as PNG on a white ground, for slides.

    Args:
        figure: what to draw.

    Returns:
        The bytes of the file, at 200 dots per inch.
    """
    buffer = io.BytesIO()
    with _drawn_canvas(figure) as canvas:
        canvas.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def pdf(figure: Figure) -> bytes:
    """Renders a figure as a PDF file of one page, which has the size of the figure.

    Args:
        figure: what to draw.

    Returns:
        The bytes of the file; text stays text, and pictures have 200 dots per inch.
    """
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    with _drawn_canvas(figure) as canvas:
        canvas.savefig(buffer, format="pdf", dpi=DPI, facecolor="white", metadata=nothing)
    return buffer.getvalue()


def svg(figure: Figure) -> str:
    """Renders a figure as an `<svg>` element in the colours of the light page, without a ground.

    Args:
        figure: what to draw.

    Returns:
        The text of an SVG file.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _drawn_canvas(figure) as canvas:
        canvas.savefig(buffer, format="svg", facecolor="none", metadata=nothing, dpi=DPI)
    text = buffer.getvalue()
    text = re.sub(
        r"<metadata>.*?</metadata>\s*|<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.S
    )
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same ids would occur in each figure of a page
    text = re.sub(r' transform="rotate\(-?0 [^"]*"', "", text)
    text = re.sub(r'<path d="[^"]*" style="fill: none"/>\s*', "", text)  # invisible backgrounds
    # Two decimals are enough: a hundredth of a point (1/72 inch) is invisible.
    text = _NUMBERS.sub(lambda found: f' {found[1]}="{re.sub(_DECIMALS, _TWO, found[2])}"', text)
    text = text.replace("; font-family: 'DejaVu Sans'", "").replace("'DejaVu Sans'", _FONTS)
    text = re.sub(r"\n\s*", "\n", text[text.index("<svg") :].strip()) + "\n"
    root = f'<svg style="stroke-linejoin: round; stroke-linecap: butt; font-family: {_FONTS}" '
    return text.replace("<svg ", root, 1)


def inline(drawing: str, *, alt: str) -> Markup:
    """Makes a drawing part of a page: text, axes and grid take the page's text colour.

    Args:
        drawing: the text that `svg` returned.
        alt: a description for people who cannot see the drawing.

    Returns:
        The element, safe to be put into HTML.
    """
    # The page has a light and a dark theme: its text colour replaces the fixed ink of the drawing.
    for colour, opacity in _OPACITY.items():
        new = r"\1: currentColor" if opacity == 1 else rf"\1: currentColor; \1-opacity: {opacity:g}"
        drawing = re.sub(rf"\b(fill|stroke): {colour.lower()}", new, drawing)
    drawing = re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda found: _COLOURS.get(found[0], found[0]), drawing)
    head, body = drawing.split(">", 1)
    head = re.sub(r' (xmlns(:xlink)?|version|style)="[^"]*"', "", head)
    head = re.sub(
        r'(?<= )(width|height)="([0-9.]+)pt"', lambda found: f'{found[1]}="{_to_pixels(found[2])}"', head
    )
    label = f' class="chart" role="img" aria-label="{escape(alt)}">'
    return Markup(head + label + body.replace("xlink:href", "href").strip())


def width(drawing: str) -> int:
    """Returns the width of a drawing on a page.

    Args:
        drawing: the text that `svg` returned.

    Returns:
        CSS pixels; 640 where the drawing states no width.
    """
    points = re.search(r'<svg[^>]*\bwidth="([0-9.]+)pt"', drawing)
    return _to_pixels(points[1]) if points else 640


@contextmanager
def _drawn_canvas(figure: Figure) -> Iterator[Canvas]:
    """Gives the filled canvas, drawn in the common style."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    settings: Any = {**style.STYLE, "svg.hashsalt": figure.name}
    with matplotlib.rc_context(settings), warnings.catch_warnings(), _without_collection():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # names in any script
        canvas = Drawing(figsize=figure.size, layout=None if figure.margins else "constrained")
        FigureCanvasAgg(canvas)
        if figure.margins:
            canvas.subplots_adjust(*figure.margins)
        figure.draw(canvas)
        for axes in canvas.axes:
            axes.set(xlabel=capitalised(axes.get_xlabel()), ylabel=capitalised(axes.get_ylabel()))
        yield canvas


@contextmanager
def _without_collection() -> Iterator[None]:
    """Switches the cyclic garbage collection off.

    A drawing makes thousands of objects. The collector would run several times for each figure, and would
    visit all objects of torch each time, which is a fifth of the drawing time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _to_pixels(points: str) -> int:
    return round(float(points) * 96 / 72 * _LARGER)
