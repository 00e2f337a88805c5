"""Examples of synthetic anomalies by family: the image before, after, and with its mask outlined."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adframe.contracts import Record, Region
from adframe.reporting.dataset_examples import jpeg
from adframe.reporting.document import Card, Gallery
from adframe.reporting.format import short_percent
from adframe.reporting.outlines import Pixels, outlined, resized, tile_size

_TRIPLE_WIDTH = 224  # pixels of each picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """One image with one synthetic anomaly, as the network gets it.

    Attributes:
        family: of the anomaly.
        held_out: whether the family is used for validation only.
        record: the normal image.
        frame: (H, W) of the file in pixels; its pictures get this aspect ratio.
        before: (h, w, 3) float32 in [0, 1].
        after: the same image with the anomaly.
        mask: (h, w) bool, the visible change.

    Example:
        >>> from pathlib import Path
        >>> image = np.zeros((8, 8, 3), dtype=np.float32)
        >>> record = Record(Path("000.png"), "bottle", "train")
        >>> mask = np.eye(8, dtype=bool)
        >>> specimen = Specimen(
        ...     family="scar", held_out=True, record=record, frame=(8, 8),
        ...     before=image, after=image, mask=mask,
        ... )
        >>> [gallery.title for gallery in synthetic_galleries([specimen])]
        ['scar']
    """

    family: str
    held_out: bool
    record: Record
    frame: tuple[int, int]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    mask: NDArray[np.bool_]


def synthetic_galleries(specimens: Iterable[Specimen]) -> list[Gallery]:
    """Builds one gallery per family.

    Args:
        specimens: family by family; each is released after its pictures are encoded, so that a generator
            needs little memory.

    Returns:
        The galleries in the order of the families.
    """
    return [
        Gallery(
            tuple(_specimen_card(each) for each in members),
            family,
            "held out, for validation only" if held_out else "",
        )
        for (family, held_out), members in groupby(specimens, key=lambda s: (s.family, s.held_out))
    ]


def _specimen_card(specimen: Specimen) -> Card:
    size = tile_size(specimen.frame, width=_TRIPLE_WIDTH)
    before, after = (resized(_to_uint8(image), size) for image in (specimen.before, specimen.after))
    marked = outlined(after, _region_of(specimen.mask), frame=specimen.mask.shape)
    name = specimen.record.path.name
    share = float(specimen.mask.mean())
    what = f"{specimen.record.category}, {name}"
    synthetic = f"with a synthetic anomaly ({specimen.family})"
    alts = ("as it is", synthetic, "the anomaly outlined")
    pictures = tuple(
        jpeg(pixels, alt=f"{what}: {alt}.") for pixels, alt in zip((before, after, marked), alts, strict=True)
    )
    note = f"{short_percent(share)} of the image" if share else "no visible change: the image stays normal"
    return Card(pictures, name, note)


def _region_of(mask: NDArray[np.bool_]) -> list[Region]:
    return [Region(0, 0, mask, 1.0)] if mask.any() else []


def _to_uint8(image: NDArray[Any]) -> Pixels:
    return np.round(image * 255).astype(np.uint8)
