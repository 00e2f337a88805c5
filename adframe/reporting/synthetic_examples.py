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

_WIDTH = 224  # pixels of each picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """One image with one synthetic anomaly, as the network sees it."""

    family: str
    held_out: bool  # kept for validation
    record: Record
    frame: tuple[int, int]  # (H, W) of the file: pictures get its aspect
    before: NDArray[np.float32]  # (h, w, 3) in [0, 1]
    after: NDArray[np.float32]
    mask: NDArray[np.bool_]  # (h, w)


def synthetic_galleries(specimens: Iterable[Specimen]) -> list[Gallery]:
    """A gallery per family; specimens come family by family and are let go one by one."""
    return [
        Gallery(
            tuple(_card(each) for each in members),
            family,
            "held out: validation only" if held_out else "",
        )
        for (family, held_out), members in groupby(specimens, key=lambda s: (s.family, s.held_out))
    ]


def _card(specimen: Specimen) -> Card:
    size = tile_size(specimen.frame, width=_WIDTH)
    before, after = (resized(_as_bytes(image), size) for image in (specimen.before, specimen.after))
    marked = outlined(after, _regions(specimen.mask), frame=specimen.mask.shape)
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


def _regions(mask: NDArray[np.bool_]) -> list[Region]:
    return [Region(0, 0, mask, 1.0)] if mask.any() else []


def _as_bytes(image: NDArray[Any]) -> Pixels:
    return np.round(image * 255).astype(np.uint8)
