"""What lies where in the kit's tray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adframe.toy.fields import Field, Rng, axes, box, cover
from adframe.toy.surface import Pose, footprint, laid
from adframe.toy.tray_label import Label, right_label
from adframe.toy.tray_parts import PARTS, SCALES, part

CELLS = {  # where each part belongs: the compartment's centre (y, x)
    "bolt": (0.29, 0.215),
    "gear": (0.29, 0.50),
    "washer": (0.29, 0.785),
    "nut": (0.71, 0.215),
    "ring": (0.71, 0.50),
}
HALF = (0.182, 0.122)  # half height and half width of a compartment
LABEL_AT, LABEL_TALL = (0.71, 0.785), 0.33
SPRITE = 0.5  # resolution of a part's own frame, as a share of the picture's


@dataclass(frozen=True)
class Item:
    """One part lying in the tray: which, in whose compartment, how."""

    name: str
    cell: str
    pose: Pose


@dataclass(frozen=True)
class Kit:
    """Everything that was put into one tray."""

    items: tuple[Item, ...]
    label: Label
    label_pose: Pose


def turned(place_in_tray: tuple[float, float], *, tray: Pose) -> tuple[float, float]:
    """Where a place of the tray's own frame comes to lie in the picture."""
    dy, dx = place_in_tray[0] - 0.5, place_in_tray[1] - 0.5
    c, s = float(np.cos(tray.angle)), float(np.sin(tray.angle))
    return tray.centre[0] + c * dy + s * dx, tray.centre[1] + c * dx - s * dy


def lying(rng: Rng, *, name: str, cell: str, tray: Pose, aside: tuple[float, float] = (0.0, 0.0)) -> Item:
    """Drop a part into a compartment: near its middle, moved `aside`; all but the bolt at any angle."""
    angle = rng.uniform(-0.14, 0.14) if name == "bolt" else rng.uniform(-np.pi, np.pi)
    room = (0.012, 0.026) if name == "bolt" else (0.034, 0.015)
    y = CELLS[cell][0] + aside[0] + rng.uniform(-room[0], room[0])
    x = CELLS[cell][1] + aside[1] + rng.uniform(-room[1], room[1])
    return Item(
        name, cell, Pose(turned((float(y), float(x)), tray=tray), tray.angle + float(angle), SCALES[name])
    )


def packed(rng: Rng, *, tray: Pose) -> Kit:
    """The kit as it should be, each time a little different."""
    items = tuple(lying(rng, name=name, cell=name, tray=tray) for name in PARTS)
    at = (LABEL_AT[0] + float(rng.normal(0, 0.004)), LABEL_AT[1] + float(rng.normal(0, 0.004)))
    angle = tray.angle + float(rng.normal(0, 0.018))
    return Kit(items, right_label(rng), Pose(turned(at, tray=tray), angle, LABEL_TALL))


def well(cell: str, *, tray: Pose, side: int) -> Field:
    """A compartment, floor and walls, where the tray lies: coverage (side, side)."""
    y, x = axes(side)
    own = cover(box(y, x, centre=CELLS[cell], half=HALF, corner=0.035), side=side)
    return laid(own, pose=tray, side=side, window=(slice(0, side), slice(0, side)))


def shape(item: Item, *, side: int) -> Field:
    """What the part covers: (side, side) in [0, 1]."""
    return footprint(part(item.name, side=round(side * SPRITE)), pose=item.pose, side=side)
