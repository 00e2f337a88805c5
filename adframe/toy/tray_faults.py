"""Draws the faults of a kit: parts misplaced, broken or dirty, and the label of another kit."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np

from adframe.toy.family import Fault
from adframe.toy.fields import Field, axes, blob, clouds, cover, curve, ramp, stroke
from adframe.toy.surface import Piece, Pose, Surface, footprint, paint
from adframe.toy.tray_kit import CELLS, Kit, compartment, drop_part, item_coverage, tray_to_image
from adframe.toy.tray_label import print_label, wrong_label
from adframe.toy.tray_parts import PARTS

Places: TypeAlias = list[tuple[str, Field]]  # (name of the annotation, (S, S) coverage)


def misfill(kit: Kit, *, fault: Fault, tray: Pose, side: int) -> tuple[Kit, Places]:
    """Fills the tray wrongly.

    Args:
        kit: the right content of the tray.
        fault: a logical fault.
        tray: pose of the tray.
        side: side of the painted frame in pixels.

    Returns:
        The content of the tray, and the places to annotate.
    """
    rng = fault.rng
    if fault.kind == "wrong_label":
        wrong = wrong_label(kit.label, rng=rng, severity=fault.severity)
        paper = footprint(print_label(kit.label, side=64), pose=kit.label_pose, side=side)
        return replace(kit, label=wrong), [("wrong_label", paper)]
    if fault.kind == "missing":
        gone = kit.items[int(rng.integers(len(PARTS)))]
        rest = tuple(item for item in kit.items if item is not gone)
        return replace(kit, items=rest), [
            (f"missing_{gone.name}", compartment(gone.cell, tray=tray, side=side))
        ]
    if fault.kind == "surplus":
        return _surplus(kit, fault=fault, tray=tray, side=side)
    return _swapped(kit, fault=fault, tray=tray, side=side)


def _surplus(kit: Kit, *, fault: Fault, tray: Pose, side: int) -> tuple[Kit, Places]:
    """Adds a second part next to (or on) the right one; both are annotated, as either may be the extra
    one.
    """
    own = kit.items[int(fault.rng.integers(len(PARTS)))]
    sign = 1 if fault.rng.uniform() < 0.5 else -1
    aside = (0.0, 0.072 * sign) if own.name == "bolt" else (0.082 * sign, 0.0)
    extra = drop_part(fault.rng, name=own.name, cell=own.cell, tray=tray, aside=aside)
    marked = np.maximum(item_coverage(own, side=side), item_coverage(extra, side=side))
    return replace(kit, items=(*kit.items, extra)), [(f"surplus_{own.name}", marked)]


def _swapped(kit: Kit, *, fault: Fault, tray: Pose, side: int) -> tuple[Kit, Places]:
    """Exchanges two parts: one channel for each, over the part that is there and the one that should be."""
    rng = fault.rng
    first, second = (kit.items[int(i)] for i in rng.permutation(len(PARTS))[:2])
    there, here = (
        drop_part(rng, name=first.name, cell=second.cell, tray=tray),
        drop_part(rng, name=second.name, cell=first.cell, tray=tray),
    )
    rest = tuple(item for item in kit.items if item is not first and item is not second)
    places = [
        (
            f"swapped_{there.name}",
            np.maximum(item_coverage(there, side=side), item_coverage(second, side=side)),
        ),
        (f"swapped_{here.name}", np.maximum(item_coverage(here, side=side), item_coverage(first, side=side))),
    ]
    return replace(kit, items=(*rest, there, here)), places


def break_piece(piece: Piece, *, fault: Fault) -> Piece:
    """Breaks a part along a jagged line: from a chip at the rim to half of the part.

    Args:
        piece: the part.
        fault: severity and random numbers.

    Returns:
        The broken part.
    """
    side = piece.cover.shape[0]
    y, x = axes(side)
    angle = fault.rng.uniform(-np.pi, np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    toward = c * (x - 0.5) + s * (y - 0.5)
    reach = float(toward[piece.cover > 0.5].max())
    cut = reach - fault.between(0.07, 1.0) * reach + 0.022 * clouds(fault.rng, side=side, cells=14)
    kept = np.clip((cut - toward) * side + 0.5, 0, 1).astype(np.float32)
    # The fracture surface reflects less light.
    rough = ramp(cut - toward, low=0.0, high=0.05)
    return replace(piece, cover=piece.cover * kept, albedo=piece.albedo * (0.55 + 0.45 * rough)[..., None])


def soil(surface: Surface, *, fault: Fault, tray: Pose) -> None:
    """Soils a compartment with a hair, crumbs of swarf, or an oily film.

    Args:
        surface: the painted tray, changed in place.
        fault: severity and random numbers.
        tray: pose of the tray.
    """
    rng, side = fault.rng, surface.side
    cell = list(CELLS.values())[int(rng.integers(len(CELLS)))]
    inside = (cell[0] + float(rng.uniform(-0.10, 0.10)), cell[1] + float(rng.uniform(-0.06, 0.06)))
    at = tray_to_image(inside, tray=tray)
    sort = int(rng.integers(3))
    if sort == 0:
        path = curve(rng, start=at, length=fault.between(0.05, 0.22), bend=rng.uniform(2, 7))
        hair = stroke(path, side=side, width=fault.between(0.0025, 0.006)) * np.float32(
            fault.between(0.45, 0.95)
        )
        paint(surface, colour=(0.10, 0.08, 0.07), alpha=hair)
    elif sort == 1:
        for _ in range(1 + int(fault.between(0, 7))):
            near = (at[0] + float(rng.normal(0, 0.022)), at[1] + float(rng.normal(0, 0.022)))
            crumb = cover(blob(rng, side=side, centre=near, radius=fault.between(0.006, 0.012)), side=side)
            paint(surface, colour=(0.25, 0.15, 0.09), alpha=crumb * np.float32(fault.between(0.6, 0.95)))
            surface.height += crumb * np.float32(0.006)
    else:
        film = blob(rng, side=side, centre=at, radius=fault.between(0.03, 0.075))
        alpha = ramp(film, low=0.01, high=-0.02) * np.float32(fault.between(0.14, 0.6))
        paint(surface, colour=(0.33, 0.27, 0.15), alpha=alpha)
        surface.gloss += alpha * np.float32(0.25)
