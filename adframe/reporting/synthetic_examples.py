"""Synthetic anomalies to look at: before, after, and what the mask says, family by family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adframe.contracts import Record, Region
from adframe.reporting.dataset_examples import Album, Tile, percent
from adframe.reporting.outlines import Pixels, outlined, resized, tile_size

_WIDTH = 224  # pixels of each of the three
_GAP = 4
_BETWEEN = 128  # the gaps' grey, quiet on a light page and on a dark one


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """One image, spoilt once, at the network's view."""

    family: str
    held_out: bool  # kept for validation
    record: Record
    frame: tuple[int, int]  # (H, W) of the file: pictures get its aspect
    before: NDArray[np.float32]  # (h, w, 3) in [0, 1]
    after: NDArray[np.float32]
    mask: NDArray[np.bool_]  # (h, w)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What the page shows of one family."""

    family: str
    held_out: bool
    tiles: tuple[Tile, ...]


def exhibits(specimens: Iterable[Specimen], album: Album) -> tuple[Exhibit, ...]:
    """Pictures of specimens, which come family by family and are let go one by one."""
    return tuple(
        Exhibit(family, held_out, tuple(_tile(each, album) for each in members))
        for (family, held_out), members in groupby(specimens, key=lambda s: (s.family, s.held_out))
    )


def _tile(specimen: Specimen, album: Album) -> Tile:
    size = tile_size(specimen.frame, width=_WIDTH)
    before, after = (resized(_as_bytes(image), size) for image in (specimen.before, specimen.after))
    marked = outlined(after, _regions(specimen.mask), frame=specimen.mask.shape)
    gap = np.full((size[0], _GAP, 3), _BETWEEN, np.uint8)
    picture = np.concatenate([before, gap, after, gap, marked], axis=1)
    name = specimen.record.path.name
    share = float(specimen.mask.mean())
    note = f"{percent(share)} %" if share else "nothing visible came about: it stays normal"
    alt = f"{specimen.record.category}, {name}: as it is, spoilt ({specimen.family}), outlined."
    return Tile(album.paste(picture), alt, name, note)


def _regions(mask: NDArray[np.bool_]) -> list[Region]:
    return [Region(0, 0, mask, 1.0)] if mask.any() else []


def _as_bytes(image: NDArray[Any]) -> Pixels:
    return np.round(image * 255).astype(np.uint8)
