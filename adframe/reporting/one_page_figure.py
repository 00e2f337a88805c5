"""Draws the page for people who decide as a figure of the size A4; `figure_render` makes a file of it.

All lengths are in inches, measured from the upper left corner of the sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from adframe.reporting import figure_style as style
from adframe.reporting.document import Figure
from adframe.reporting.one_page import OnePage
from adframe.reporting.one_page_pictures import Shot

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

A4 = (8.27, 11.69)
_LEFT, _TOP, _BOTTOM = 0.6, 0.5, 0.4
_WIDTH = A4[0] - 2 * _LEFT
_LEADING = 1.35 / 72  # height of a line, by the size of its letters
_GAP, _PAIR = 0.22, 0.06  # between cards, and between the pictures of a card
_CAPTION, _HEADING = 0.46, 0.3  # heights
_HINTING = 1.03  # letters of a PNG file are fitted to its pixels, which makes lines up to 3 % wider
_COLOURS = {"right": "#00704E", "wrong": "#B84A00", "open": style.INK}
_COLUMNS = (0.0, 0.31, 0.44, 0.69, 0.8)  # left ends of the table's columns in shares of its width


def page_figure(page: OnePage) -> Figure:
    """Makes the figure of a page.

    Args:
        page: the content.

    Returns:
        A figure of the size A4.
    """
    return Figure("summary", page.title, A4, lambda canvas: _draw(canvas, page), margins=(0, 0, 1, 1))


def lines_of(text: str, *, width: float, size: float, bold: bool = False, most: int = 99) -> list[str]:
    """Breaks a text into lines that fit.

    Args:
        text: the text.
        width: of a line in inches.
        size: of the letters in points.
        bold: whether the letters are bold.
        most: number of lines; what remains is replaced by an ellipsis.

    Returns:
        The lines; a word that is wider than a line is shortened.

    Example:
        >>> lines_of("found 5 of 119 defects", width=1.0, size=10)
        ['found 5 of', '119 defects']
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or _width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_shortened(line, width=width, size=size, bold=bold) for line in lines]


def _shortened(text: str, *, width: float, size: float, bold: bool) -> str:
    if _width(text, size, bold) <= width:
        return text
    kept = next(
        (end for end in range(len(text), 0, -1) if _width(f"{text[:end].rstrip()}…", size, bold) <= width), 0
    )
    return f"{text[:kept].rstrip()}…"


@cache
def _width(text: str, size: float, bold: bool) -> float:
    """Measures a text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return _HINTING * float(width) / 72


@dataclass(slots=True)
class _Sheet:
    """A sheet that is filled from the top to the bottom."""

    canvas: Canvas
    y: float = _TOP

    def write(
        self,
        text: str,
        *,
        size: float,
        x: float = 0.0,
        width: float = _WIDTH,
        colour: str = style.INK,
        bold: bool = False,
        most: int = 99,
        below: float = 0.0,
    ) -> None:
        """Writes a paragraph at the cursor and moves the cursor below it."""
        for line in lines_of(text, width=width, size=size, bold=bold, most=most):
            self.put(line, x=x, y=self.y, size=size, colour=colour, bold=bold)
            self.y += size * _LEADING
        self.y += below

    def put(self, text: str, *, x: float, y: float, size: float, colour: str, bold: bool = False) -> None:
        """Writes one line whose upper left corner is given."""
        self.canvas.text(
            (_LEFT + x) / A4[0], 1 - (y + size * _LEADING / 2) / A4[1], text, size=size, color=colour,
            weight="bold" if bold else "normal", ha="left", va="center_baseline",
        )  # fmt: skip

    def rule(self, y: float, *, x: float = 0.0, width: float = _WIDTH, colour: str = style.RULE) -> None:
        from matplotlib.lines import Line2D

        ends = [(_LEFT + x) / A4[0], (_LEFT + x + width) / A4[0]]
        self.canvas.add_artist(Line2D(ends, [1 - y / A4[1]] * 2, color=colour, linewidth=0.8))

    def picture(self, pixels: np.ndarray, *, x: float, y: float, width: float, height: float) -> None:
        place = ((_LEFT + x) / A4[0], 1 - (y + height) / A4[1], width / A4[0], height / A4[1])
        axes: Any = self.canvas.add_axes(place)
        axes.imshow(pixels, aspect="auto", interpolation="lanczos")
        axes.set_axis_off()


def _draw(canvas: Canvas, page: OnePage) -> None:
    sheet = _Sheet(canvas)
    sheet.write(page.title, size=16, bold=True, most=3, below=0.08)
    sheet.write(page.inspected, size=8.5, colour=style.QUIET, most=4, below=0.16)
    if page.counts:
        _draw_counts(sheet, page)
    if page.rows:
        _draw_table(sheet, page)
    paragraphs = [(title, lines_of(text, width=_WIDTH - 0.95, size=8.5)) for title, text in page.paragraphs]
    below = sum(len(lines) * 8.5 * _LEADING + 0.07 for _, lines in paragraphs) + 0.2
    remark = lines_of(page.remark, width=_WIDTH, size=7.5)
    room = A4[1] - _BOTTOM - sheet.y - below - len(remark) * 7.5 * _LEADING - 0.1
    if page.groups:
        _draw_groups(sheet, page.groups, room=room)
    sheet.write(page.remark, size=7.5 if page.groups else 8.5, colour=style.QUIET, below=0.1)
    sheet.rule(sheet.y)
    sheet.y += 0.1
    for title, lines in paragraphs:
        sheet.put(title, x=0, y=sheet.y, size=8.5, colour=style.INK, bold=True)
        for line in lines:
            sheet.put(line, x=0.95, y=sheet.y, size=8.5, colour=style.INK)
            sheet.y += 8.5 * _LEADING
        sheet.y += 0.07


def _draw_counts(sheet: _Sheet, page: OnePage) -> None:
    width = (_WIDTH - 3 * _GAP) / 4
    for place, count in enumerate(page.counts):
        x = place * (width + _GAP)
        colour = _COLOURS["right" if count.is_right else "wrong"]
        sheet.rule(sheet.y, x=x, width=width, colour=colour)
        sheet.put(f"{count.number:,}", x=x, y=sheet.y + 0.07, size=25, colour=colour, bold=True)
        sheet.put(count.name, x=x, y=sheet.y + 0.55, size=9, colour=style.INK, bold=True)
        for number, line in enumerate((count.whole, count.share)):
            y = sheet.y + 0.74 + number * 8 * _LEADING
            sheet.put(line, x=x, y=y, size=8, colour=style.QUIET)
    sheet.y += 1.25


def _draw_table(sheet: _Sheet, page: OnePage) -> None:
    places = [share * _WIDTH for share in _COLUMNS]
    widths = [end - start - 0.08 for start, end in zip(places, [*places[1:], _WIDTH + 0.08], strict=True)]
    for row, is_head in ((page.columns, True), *((row, False) for row in page.rows)):
        for text, x, width in zip(row, places, widths, strict=True):
            (line,) = lines_of(text, width=width, size=7.5, most=1)
            sheet.put(line, x=x, y=sheet.y, size=7.5, colour=style.QUIET if is_head else style.INK)
        sheet.y += 7.5 * _LEADING + 0.015
        if is_head:
            sheet.rule(sheet.y - 0.01)
            sheet.y += 0.03
    sheet.y += 0.14


def _draw_groups(sheet: _Sheet, groups: Sequence[tuple[str, tuple[Shot, ...]]], *, room: float) -> None:
    """Draws the groups next to each other or one above the other, whichever makes larger pictures."""
    most = max(len(shots) for _, shots in groups)
    # (columns, rows, headings above each other)
    options = [(len(groups), most, 1), (most, len(groups), len(groups))]
    sizes = [
        _card_size(groups, columns=columns, rows=rows, room=room - headings * _HEADING)
        for columns, rows, headings in options
    ]
    is_stacked = sizes[1][1] > sizes[0][1]
    width, height = sizes[is_stacked]
    top = sheet.y
    for place, (title, shots) in enumerate(groups):
        x = 0.0 if is_stacked else place * (width + _GAP)
        y = top + place * (_HEADING + height + _CAPTION) if is_stacked else top
        sheet.put(title, x=x, y=y, size=10, colour=style.INK, bold=True)
        for number, shot in enumerate(shots):
            along = number * (width + _GAP) if is_stacked else 0.0
            down = 0.0 if is_stacked else number * (height + _CAPTION)
            _draw_card(sheet, shot, x=x + along, y=y + _HEADING + down, size=(width, height))
    rows, headings = options[is_stacked][1:]
    sheet.y = top + rows * (height + _CAPTION) + headings * _HEADING


def _card_size(
    groups: Sequence[tuple[str, tuple[Shot, ...]]], *, columns: int, rows: int, room: float
) -> tuple[float, float]:
    """Returns the width of a card, and the height of its pictures."""
    width = (_WIDTH - (columns - 1) * _GAP) / columns
    # The most upright image needs the largest height at full width.
    tallest = max(_height_at(shot, width) for _, shots in groups for shot in shots)
    return width, max(0.2, min(tallest, room / rows - _CAPTION, 3.2))


def _height_at(shot: Shot, width: float) -> float:
    """Returns the height of pictures side by side that fill a width."""
    ratio = sum(float(pixels.shape[1] / pixels.shape[0]) for pixels in shot.pictures)
    return (width - _PAIR * (len(shot.pictures) - 1)) / ratio


def _draw_card(sheet: _Sheet, shot: Shot, *, x: float, y: float, size: tuple[float, float]) -> None:
    width, room = size
    height = min(room, _height_at(shot, width))
    left = x
    for pixels in shot.pictures:
        own = height * pixels.shape[1] / pixels.shape[0]
        sheet.picture(pixels, x=left, y=y + room - height, width=own, height=height)
        left += own + _PAIR
    (caption,) = lines_of(shot.caption, width=width, size=8, bold=True, most=1)
    (detail,) = lines_of(shot.detail, width=width, size=7, most=1)
    sheet.put(caption, x=x, y=y + room + 0.04, size=8, colour=_COLOURS[shot.verdict], bold=True)
    sheet.put(detail, x=x, y=y + room + 0.2, size=7, colour=style.QUIET)
