"""Draws a kit in a tray: five parts in their compartments and a label. Even with sound parts the kit may be
wrong.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from adframe.toy.family import LOGICAL, STRUCTURAL, Annotation, Fault, Painting, ProductFamily
from adframe.toy.fields import Field, Rng, axes, box, clouds, cover
from adframe.toy.surface import Lamp, Pose, Surface, darken_hollows, lay_layer, place_piece
from adframe.toy.tray_faults import Places, break_piece, misfill, soil
from adframe.toy.tray_kit import CELLS, HALF, LABEL_TALL, SPRITE, pack_kit
from adframe.toy.tray_label import ASPECT, print_label
from adframe.toy.tray_parts import PARTS, covered_share, part

PLASTIC = (0.47, 0.55, 0.61)


@lru_cache(maxsize=2)
def _mould(side: int) -> Field:
    """Returns the relief of the empty tray: a rim, compartments with slanting walls, a flat panel for the
    label.
    """
    y, x = axes(side)
    body = box(y, x, centre=(0.5, 0.5), half=(0.465, 0.455), corner=0.05)
    wells = [box(y, x, centre=centre, half=HALF, corner=0.035) for centre in CELLS.values()]
    well = np.min(wells, axis=0)
    top = np.clip(-body / 0.02, 0, 1) * 0.030
    return np.asarray(np.minimum(top, np.clip((well + 0.014) / 0.020, 0, 1) * 0.030), dtype=np.float32)


def _paint_tray(rng: Rng, side: int, pose: Pose) -> Surface:
    whole = (slice(0, side), slice(0, side))
    height = lay_layer(_mould(side), pose=pose, side=side, window=whole)
    body = lay_layer(_body(side), pose=pose, side=side, window=whole)[..., None]
    grain = clouds(rng, side=side, cells=170)
    plastic = np.asarray(PLASTIC, dtype=np.float32) * (1 + rng.normal(0, 0.012, 3)).astype(np.float32)
    tone = 1 + np.float32(0.014) * grain + np.float32(0.03) * clouds(rng, side=side, cells=4)
    bench = np.asarray((0.20, 0.19, 0.185), dtype=np.float32)
    albedo = tone[..., None] * (plastic * body + bench * (1 - body))
    flat = np.ones((side, side), np.float32)
    surface = Surface(
        height + np.float32(0.0002) * grain, albedo.astype(np.float32), flat * np.float32(0.05), flat.copy()
    )
    darken_hollows(surface, radius=0.02, strength=18.0)
    return surface


@lru_cache(maxsize=2)
def _body(side: int) -> Field:
    y, x = axes(side)
    return cover(box(y, x, centre=(0.5, 0.5), half=(0.465, 0.455), corner=0.05), side=side)


def _paint_kit(rng: Rng, side: int, light: Lamp, fault: Fault | None) -> Painting:
    at = 0.5 + rng.normal(0, 0.006, 2)
    tray = Pose((float(at[0]), float(at[1])), float(rng.normal(0, 0.012)), 1.0)
    surface = _paint_tray(rng, side, tray)
    kit = pack_kit(rng, tray=tray)
    places: Places = []
    broken_item = None
    if fault is not None and TRAY_KINDS[fault.kind] == LOGICAL:
        kit, places = misfill(kit, fault=fault, tray=tray, side=side)
    elif fault is not None and fault.kind == "broken":
        broken_item = kit.items[int(fault.rng.integers(len(kit.items)))]
    own = round(side * SPRITE)
    place_piece(
        surface, piece=print_label(kit.label, side=own), pose=kit.label_pose, light=light, depth=0.002
    )
    for item in kit.items:
        piece = part(item.name, side=own)
        if fault is not None and item is broken_item:
            piece = break_piece(piece, fault=fault)
        place_piece(surface, piece=piece, pose=item.pose, light=light, depth=0.016)
    if fault is not None and fault.kind == "contamination":
        soil(surface, fault=fault, tray=tray)
    return Painting(surface, places)


def _annotations() -> tuple[Annotation, ...]:
    """Lists the annotations as in MVTec LOCO: a missing, surplus or swapped part counts as found once its own
    area is.
    """
    logical = [
        Annotation(f"{kind}_{name}", covered_share(name))
        for kind in ("missing", "surplus", "swapped")
        for name in PARTS
    ]
    label = Annotation("wrong_label", 0.5 * ASPECT * LABEL_TALL**2)
    return (*logical, label, Annotation("broken"), Annotation("contamination"))


TRAY_KINDS = {
    "broken": STRUCTURAL,
    "contamination": STRUCTURAL,
    "missing": LOGICAL,
    "surplus": LOGICAL,
    "swapped": LOGICAL,
    "wrong_label": LOGICAL,
}
TRAY = ProductFamily(_paint_kit, TRAY_KINDS, _annotations)
