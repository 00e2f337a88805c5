"""Draws the printed label of the kit's tray, and the labels of other kits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from adframe.toy.fields import Rng
from adframe.toy.surface import Piece

ASPECT = 0.66  # width divided by height


@dataclass(frozen=True)
class Label:
    """The content of a label.

    Attributes:
        colour: RGB of the band in [0, 1].
        kit: letter of the kit.
        number: part number.
        lot: lot number, which differs from tray to tray.
    """

    colour: tuple[float, float, float]
    kit: str
    number: str
    lot: int


GREEN, ORANGE, PURPLE = (0.10, 0.46, 0.33), (0.83, 0.41, 0.09), (0.40, 0.24, 0.55)


def right_label(rng: Rng) -> Label:
    """Returns the kit's own label with a random lot.

    Args:
        rng: source of the draw.
    """
    return Label(GREEN, "A", "4071", int(rng.integers(1000, 9999)))


def wrong_label(own: Label, *, rng: Rng, severity: float) -> Label:
    """Returns the label of another kit: of another colour where severe, of another letter, or of another
    number only.

    Args:
        own: the right label.
        rng: source of the draws.
        severity: severity of the fault in [0, 1].

    Returns:
        The wrong label with the same lot.
    """
    if severity > 0.6:
        return Label(ORANGE if rng.uniform() < 0.5 else PURPLE, "B", "5230", own.lot)
    if severity > 0.25:
        return Label(own.colour, "BCE"[int(rng.integers(3))], "5230", own.lot)
    return Label(own.colour, own.kit, "4017", own.lot)


def print_label(label: Label, *, side: int) -> Piece:
    """Prints a label in its own unit frame: ink on white paper, upright, `ASPECT` wide.

    Args:
        label: its content.
        side: side of the frame in pixels.

    Returns:
        The label as a piece.
    """
    ink = np.full((side, side, 3), 220, np.uint8)
    left, width = round(side * (1 - ASPECT) / 2), round(side * ASPECT)
    unit = width / 100
    cv2.rectangle(
        ink, (left, 0), (left + width, round(0.30 * side)), [round(255 * c) for c in label.colour], -1
    )

    def write(text: str, across: float, down: float, height: float, weight: float, colour: float) -> None:
        at = (left + round(across * unit), round(down * side))
        thickness = max(1, round(weight * unit))
        shade = [round(255 * colour)] * 3
        cv2.putText(
            ink, text, at, cv2.FONT_HERSHEY_SIMPLEX, height * unit / 22, shade, thickness, cv2.LINE_AA
        )

    write(f"KIT {label.kit}", 9, 0.215, 23, 4.5, 0.95)
    write(label.number, 9, 0.50, 24, 4, 0.08)
    write(f"LOT {label.lot}", 9, 0.655, 12, 2, 0.12)
    _draw_barcode(ink, label, left + round(9 * unit), round(82 * unit))
    cover = np.zeros((side, side), np.float32)
    cover[:, left : left + width] = 1
    albedo = ink.astype(np.float32) * np.float32(1 / 255)
    return Piece(cover * np.float32(0.0335), cover, albedo, np.full((side, side), 0.04, np.float32))


def _draw_barcode(ink: NDArray[np.uint8], label: Label, left: int, width: int) -> None:
    """Draws a bar code of the part number (not of the lot), between a start bar and a stop bar."""
    side = ink.shape[0]
    bits = "101" + "".join(f"{int(digit) * 7 + 5:07b}" for digit in label.number) + "101"
    edges = np.round(left + np.linspace(0, width, len(bits) + 1)).astype(int)
    for bit, start, stop in zip(bits, edges[:-1], edges[1:], strict=True):
        if bit == "1":
            ink[round(0.73 * side) : round(0.93 * side), start:stop] = 18
