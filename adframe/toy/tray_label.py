"""The printed label of the kit's tray, and the labels of other kits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from adframe.toy.fields import Rng
from adframe.toy.surface import Piece

ASPECT = 0.66  # width over height


@dataclass(frozen=True)
class Label:
    """What is printed: the band's colour, the kit's letter, part number, and the lot (which may differ)."""

    colour: tuple[float, float, float]
    kit: str
    number: str
    lot: int


GREEN, ORANGE, PURPLE = (0.10, 0.46, 0.33), (0.83, 0.41, 0.09), (0.40, 0.24, 0.55)


def right_label(rng: Rng) -> Label:
    """The kit's own label; only its lot differs from tray to tray."""
    return Label(GREEN, "A", "4071", int(rng.integers(1000, 9999)))


def wrong_label(own: Label, *, rng: Rng, severity: float) -> Label:
    """Another kit's label: of another colour where blatant, of another letter, or of another number only."""
    if severity > 0.6:
        return Label(ORANGE if rng.uniform() < 0.5 else PURPLE, "B", "5230", own.lot)
    if severity > 0.25:
        return Label(own.colour, "BCE"[int(rng.integers(3))], "5230", own.lot)
    return Label(own.colour, own.kit, "4017", own.lot)


def printed(label: Label, *, side: int) -> Piece:
    """The label in its own unit frame (side, side): ink on white paper, upright, `ASPECT` wide."""
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
    _bars(ink, label, left + round(9 * unit), round(82 * unit))
    cover = np.zeros((side, side), np.float32)
    cover[:, left : left + width] = 1
    albedo = ink.astype(np.float32) * np.float32(1 / 255)
    return Piece(cover * np.float32(0.0335), cover, albedo, np.full((side, side), 0.04, np.float32))


def _bars(ink: NDArray[np.uint8], label: Label, left: int, width: int) -> None:
    """A bar code of the part number (not of the lot), a start bar and a stop bar around it."""
    side = ink.shape[0]
    bits = "101" + "".join(f"{int(digit) * 7 + 5:07b}" for digit in label.number) + "101"
    edges = np.round(left + np.linspace(0, width, len(bits) + 1)).astype(int)
    for bit, start, stop in zip(bits, edges[:-1], edges[1:], strict=True):
        if bit == "1":
            ink[round(0.73 * side) : round(0.93 * side), start:stop] = 18
