"""Arranges the parts and the label in the kit's tray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adframe.toy.fields import Field, Rng, axes, box, cover
from adframe.toy.surface import Pose, footprint, lay_layer
from adframe.toy.tray_label import Label, right_label
from adframe.toy.tray_parts import PARTS, SCALES, part

# Centre (y, x) of the compartment of each part.
CELLS = {
    "bolt": (0.29, 0.215),
    "gear": (0.29, 0.50),
    "washer": (0.29, 0.785),
    "nut": (0.71, 0.215),
    "ring": (0.71, 0.50),
}
# Half height and half width of a compartment.
HALF = (0.182, 0.122)
LABEL_AT, LABEL_TALL = (0.71, 0.785), 0.33
# Resolution of a part's own frame, as a share of the image's.
SPRITE = 0.5


@dataclass(frozen=True)
class Item:
    """One part in the tray.

    Attributes:
        name: kind of the part.
        cell: compartment, by the name of the part that belongs there.
        pose: its pose in the image.
    """

    name: str
    cell: str
    pose: Pose


@dataclass(frozen=True)
class Kit:
    """Everything in one tray."""

    items: tuple[Item, ...]
    label: Label
    label_pose: Pose


def tray_to_image(place_in_tray: tuple[float, float], *, tray: Pose) -> tuple[float, float]:
    """Maps a place from the tray's own frame to the image.

    Args:
        place_in_tray: (y, x) as shares of the side.
        tray: pose of the tray.

    Returns:
        (y, x) as shares of the side.
    """
    dy, dx = place_in_tray[0] - 0.5, place_in_tray[1] - 0.5
    c, s = float(np.cos(tray.angle)), float(np.sin(tray.angle))
    return tray.centre[0] + c * dy + s * dx, tray.centre[1] + c * dx - s * dy


def drop_part(rng: Rng, *, name: str, cell: str, tray: Pose, aside: tuple[float, float] = (0.0, 0.0)) -> Item:
    """Drops a part into a compartment, near its middle; all parts but the bolt at any angle.

    Args:
        rng: source of the draws.
        name: kind of the part.
        cell: compartment.
        tray: pose of the tray.
        aside: offset (y, x) from the middle.

    Returns:
        The part.
    """
    angle = rng.uniform(-0.14, 0.14) if name == "bolt" else rng.uniform(-np.pi, np.pi)
    room = (0.012, 0.026) if name == "bolt" else (0.034, 0.015)
    y = CELLS[cell][0] + aside[0] + rng.uniform(-room[0], room[0])
    x = CELLS[cell][1] + aside[1] + rng.uniform(-room[1], room[1])
    return Item(
        name,
        cell,
        Pose(tray_to_image((float(y), float(x)), tray=tray), tray.angle + float(angle), SCALES[name]),
    )


def pack_kit(rng: Rng, *, tray: Pose) -> Kit:
    """Fills the tray correctly, with small random differences.

    Args:
        rng: source of the draws.
        tray: pose of the tray.

    Returns:
        The content of the tray.
    """
    items = tuple(drop_part(rng, name=name, cell=name, tray=tray) for name in PARTS)
    at = (LABEL_AT[0] + float(rng.normal(0, 0.004)), LABEL_AT[1] + float(rng.normal(0, 0.004)))
    angle = tray.angle + float(rng.normal(0, 0.018))
    return Kit(items, right_label(rng), Pose(tray_to_image(at, tray=tray), angle, LABEL_TALL))


def compartment(cell: str, *, tray: Pose, side: int) -> Field:
    """Draws a compartment, floor and walls, at its place in the image.

    Args:
        cell: compartment.
        tray: pose of the tray.
        side: side of the frame in pixels.

    Returns:
        (side, side) coverage in [0, 1].
    """
    y, x = axes(side)
    own = cover(box(y, x, centre=CELLS[cell], half=HALF, corner=0.035), side=side)
    return lay_layer(own, pose=tray, side=side, window=(slice(0, side), slice(0, side)))


def item_coverage(item: Item, *, side: int) -> Field:
    """Draws the area that a part covers.

    Args:
        item: the part.
        side: side of the frame in pixels.

    Returns:
        (side, side) coverage in [0, 1].
    """
    return footprint(part(item.name, side=round(side * SPRITE)), pose=item.pose, side=side)
