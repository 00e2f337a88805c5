"""What the files of a category hold: counts, sizes, defects, light. Images are read one at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adframe.contracts import GOOD, Record, Region
from adframe.ops.regions import union
from adframe.reporting.outlines import Heatmap, Pixels, as_bytes, resized, tile_size

UNLABELLED = "unlabelled"
SPLITS = {"train": "train", "val": "validation", "test": "test"}
_GRID = (64, 64)  # on which the places of defects are summed up
_MEAN = 256  # pixels, the width of the mean image

Progress = Callable[[str, int, int], None]  # what is being read, how many are, how many there are


@dataclass(frozen=True, slots=True)
class Reader:
    """How files become pixels; whoever asks for a survey brings it along."""

    image: Callable[[Record], NDArray[Any]]  # (H, W, 3) RGB, uint8 or uint16
    size: Callable[[Path], tuple[int, int]]  # (H, W), cheap
    masks: Callable[[Record], list[Pixels]]  # (H, W) each, 0 is background
    regions: Callable[[Record, Sequence[Pixels]], list[Region] | None]  # of a record's masks


@dataclass(frozen=True, slots=True)
class Mark:
    """What is annotated in one image."""

    defect: str
    share: float  # of the image's pixels, in [0, 1]
    regions: int


@dataclass(frozen=True, slots=True)
class Light:
    """How bright a sampled image is, in [0, 1] of full scale."""

    group: str  # train | validation | test | unlabelled
    condition: str
    name: str  # the file's
    brightness: float  # mean of the grey image
    contrast: float  # its standard deviation


@dataclass(frozen=True, slots=True)
class Survey:
    """One category, measured."""

    category: str
    records: tuple[Record, ...]
    sizes: Counter[tuple[int, int]]  # (H, W): how many images
    marks: tuple[Mark, ...]  # of every image that has masks
    density: dict[str, Heatmap]  # defect: (64, 64) share of its images that are marked there
    lights: tuple[Light, ...]
    mean: Pixels | None  # (h, w, 3): the mean of the sampled normal images

    @property
    def kinds(self) -> tuple[str, ...]:
        """Good, then the types of defect by name, then unlabelled: those that there are."""
        found = {kind_of(record) for record in self.records}
        defects = sorted(found - {GOOD, UNLABELLED})
        return tuple(kind for kind in (GOOD, *defects, UNLABELLED) if kind in found)

    @property
    def defects(self) -> tuple[str, ...]:
        return tuple(kind for kind in self.kinds if kind not in (GOOD, UNLABELLED))


def kind_of(record: Record) -> str:
    """The type of defect, `good`, or `unlabelled`."""
    return UNLABELLED if record.label is None else record.defect


def survey(records: Sequence[Record], *, read: Reader, sample: int, seed: int, progress: Progress) -> Survey:
    """Measures one category: every image's size, every mask, and the light of a few normal images.

    Args:
        records: of the category, all splits; at least one.
        read: from files to pixels.
        sample: how many normal images a split to look at for brightness and contrast.
        seed: draws them.
        progress: is called before every file.

    Raises:
        AdframeError: a file is missing or broken, or a mask does not fit its image.
    """
    sizes = _sizes(records, read=read, progress=progress)
    marks, density = _marks(records, sizes, read=read, progress=progress)
    lights, mean = _lights(records, sizes, read=read, sample=sample, seed=seed, progress=progress)
    return Survey(
        category=records[0].category,
        records=tuple(records),
        sizes=Counter(sizes.values()),
        marks=marks,
        density=density,
        lights=lights,
        mean=mean,
    )


def draw(records: Sequence[Record], count: int, *, seed: int, key: str) -> list[Record]:
    """At most `count` of the records, in their order: the same ones for the same seed, category and key."""
    if not records:
        return []
    digest = hashlib.sha256(repr((records[0].category, key, seed)).encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return [records[place] for place in sorted(generator.permutation(len(records))[:count])]


def _sizes(records: Sequence[Record], *, read: Reader, progress: Progress) -> dict[Path, tuple[int, int]]:
    sizes = {}
    for place, record in enumerate(records):
        progress("sizes", place, len(records))
        sizes[record.path] = read.size(record.path)
    return sizes


def _marks(
    records: Sequence[Record], sizes: dict[Path, tuple[int, int]], *, read: Reader, progress: Progress
) -> tuple[tuple[Mark, ...], dict[str, Heatmap]]:
    marks: list[Mark] = []
    density: dict[str, Heatmap] = {}
    marked = [record for record in records if record.masks]
    for place, record in enumerate(marked):
        progress("masks", place, len(marked))
        size = sizes[record.path]
        regions = read.regions(record, read.masks(record)) or []
        inside = union(regions, size)  # (H, W)
        marks.append(Mark(kind_of(record), float(inside.mean()), len(regions)))
        density.setdefault(kind_of(record), np.zeros(_GRID, np.float32))
        density[kind_of(record)] += resized(inside.astype(np.float32), _GRID)
    counts = Counter(mark.defect for mark in marks)
    shares = {d: (total / counts[d]).astype(np.float32) for d, total in sorted(density.items())}
    return tuple(marks), shares


def _lights(
    records: Sequence[Record],
    sizes: dict[Path, tuple[int, int]],
    *,
    read: Reader,
    sample: int,
    seed: int,
    progress: Progress,
) -> tuple[tuple[Light, ...], Pixels | None]:
    chosen = _sampled(records, sample=sample, seed=seed)
    tile = tile_size(Counter(sizes.values()).most_common(1)[0][0], width=_MEAN)
    total = np.zeros((*tile, 3), np.float64)
    lights = []
    for place, (group, record) in enumerate(chosen):
        progress("light", place, len(chosen))
        image = as_bytes(read.image(record))
        mean, deviation = cv2.meanStdDev(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        values = float(mean[0, 0]) / 255, float(deviation[0, 0]) / 255
        lights.append(Light(group, record.condition, record.path.name, *values))
        if group != UNLABELLED:
            total += resized(image, tile)
    normal = sum(light.group != UNLABELLED for light in lights)
    return tuple(lights), (total / normal).round().astype(np.uint8) if normal else None


def _sampled(records: Sequence[Record], *, sample: int, seed: int) -> list[tuple[str, Record]]:
    """Normal images of each split, and unlabelled ones as a group of their own."""
    groups = {
        title: [r for r in records if r.split == split and r.label == 0] for split, title in SPLITS.items()
    } | {UNLABELLED: [r for r in records if r.label is None]}
    return [
        (group, record)
        for group, members in groups.items()
        for record in draw(members, sample, seed=seed, key=f"light/{group}")
    ]
