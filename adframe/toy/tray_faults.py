"""What goes wrong with a kit: parts misplaced, broken, or dirty, and another kit's label."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np

from adframe.toy.family import Fault
from adframe.toy.fields import Field, axes, blob, clouds, cover, curve, ramp, stroke
from adframe.toy.surface import Piece, Pose, Surface, footprint, paint
from adframe.toy.tray_kit import CELLS, Kit, lying, shape, turned, well
from adframe.toy.tray_label import printed, wrong_label
from adframe.toy.tray_parts import PARTS

Places: TypeAlias = list[tuple[str, Field]]  # (annotation's name, (S, S) coverage)


def misfilled(kit: Kit, *, fault: Fault, tray: Pose, side: int) -> tuple[Kit, Places]:
    """Fill the tray wrongly; returns what then lies in it and where the mistake is to be marked."""
    rng = fault.rng
    if fault.kind == "wrong_label":
        wrong = wrong_label(kit.label, rng=rng, severity=fault.severity)
        paper = footprint(printed(kit.label, side=64), pose=kit.label_pose, side=side)
        return replace(kit, label=wrong), [("wrong_label", paper)]
    if fault.kind == "missing":
        gone = kit.items[int(rng.integers(len(PARTS)))]
        rest = tuple(item for item in kit.items if item is not gone)
        return replace(kit, items=rest), [(f"missing_{gone.name}", well(gone.cell, tray=tray, side=side))]
    if fault.kind == "surplus":
        return _surplus(kit, fault=fault, tray=tray, side=side)
    return _swapped(kit, fault=fault, tray=tray, side=side)


def _surplus(kit: Kit, *, fault: Fault, tray: Pose, side: int) -> tuple[Kit, Places]:
    """One more of a part beside (or on) the right one: both are marked, either may be the extra."""
    own = kit.items[int(fault.rng.integers(len(PARTS)))]
    sign = 1 if fault.rng.uniform() < 0.5 else -1
    aside = (0.0, 0.072 * sign) if own.name == "bolt" else (0.082 * sign, 0.0)
    extra = lying(fault.rng, name=own.name, cell=own.cell, tray=tray, aside=aside)
    marked = np.maximum(shape(own, side=side), shape(extra, side=side))
    return replace(kit, items=(*kit.items, extra)), [(f"surplus_{own.name}", marked)]


def _swapped(kit: Kit, *, fault: Fault, tray: Pose, side: int) -> tuple[Kit, Places]:
    """Two parts in each other's compartment: a channel each, over what lies there and what should."""
    rng = fault.rng
    first, second = (kit.items[int(i)] for i in rng.permutation(len(PARTS))[:2])
    there, here = (
        lying(rng, name=first.name, cell=second.cell, tray=tray),
        lying(rng, name=second.name, cell=first.cell, tray=tray),
    )
    rest = tuple(item for item in kit.items if item is not first and item is not second)
    places = [
        (f"swapped_{there.name}", np.maximum(shape(there, side=side), shape(second, side=side))),
        (f"swapped_{here.name}", np.maximum(shape(here, side=side), shape(first, side=side))),
    ]
    return replace(kit, items=(*rest, there, here)), places


def broken(piece: Piece, *, fault: Fault) -> Piece:
    """Snapped off along a jagged line: from a chip at the rim to half of the part."""
    side = piece.cover.shape[0]
    y, x = axes(side)
    angle = fault.rng.uniform(-np.pi, np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    toward = c * (x - 0.5) + s * (y - 0.5)
    reach = float(toward[piece.cover > 0.5].max())
    cut = reach - fault.between(0.07, 1.0) * reach + 0.022 * clouds(fault.rng, side=side, cells=14)
    kept = np.clip((cut - toward) * side + 0.5, 0, 1).astype(np.float32)
    rough = ramp(cut - toward, low=0.0, high=0.05)  # the break's face catches less light
    return replace(piece, cover=piece.cover * kept, albedo=piece.albedo * (0.55 + 0.45 * rough)[..., None])


def soiled(surface: Surface, *, fault: Fault, tray: Pose) -> None:
    """Dirt in a compartment: a hair, crumbs of swarf, or an oily film."""
    rng, side = fault.rng, surface.side
    cell = list(CELLS.values())[int(rng.integers(len(CELLS)))]
    inside = (cell[0] + float(rng.uniform(-0.10, 0.10)), cell[1] + float(rng.uniform(-0.06, 0.06)))
    at = turned(inside, tray=tray)
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
