"""Measures the files of a category: counts, sizes, defects, light. Images are read one at a time."""

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

from adframe.contracts import GOOD, UNLABELLED, Record, Region
from adframe.data.base import ProgressCallback
from adframe.ops.regions import union
from adframe.reporting.outlines import Heatmap, Pixels, as_bytes, resized, tile_size

SPLIT_TITLES = {"train": "train", "val": "validation", "test": "test"}
_DENSITY_GRID = (64, 64)  # rows and columns of the maps that show where defects lie
_MEAN = 256  # pixels, the width of the mean image


@dataclass(frozen=True, slots=True)
class ImageReader:
    """The functions that read the files of a record; the caller chooses them.

    Attributes:
        image: a record -> (H, W, 3) RGB, uint8 or uint16.
        size: the path of an image -> (H, W); reads only the header.
        masks: a record -> its ground-truth masks, (H, W) uint8 each, 0 is background.
        regions: a record and its masks -> the annotated regions; None where the record has no mask.

    Example:
        >>> reader = ImageReader(
        ...     image=lambda record: np.zeros((8, 8, 3), dtype=np.uint8),
        ...     size=lambda path: (8, 8),
        ...     masks=lambda record: [],
        ...     regions=lambda record, masks: None,
        ... )
        >>> reader.size(Path("000.png"))
        (8, 8)
    """

    image: Callable[[Record], NDArray[Any]]
    size: Callable[[Path], tuple[int, int]]
    masks: Callable[[Record], list[Pixels]]
    regions: Callable[[Record, Sequence[Pixels]], list[Region] | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """The annotation of one image.

    Attributes:
        defect: its type of defect.
        share: of the image's pixels that are marked, in [0, 1].
        regions: number of annotated regions.

    Example:
        >>> Mark(defect="scratch", share=0.02, regions=1).defect
        'scratch'
    """

    defect: str
    share: float
    regions: int


@dataclass(frozen=True, slots=True)
class ImageLight:
    """The brightness and contrast of one sampled image.

    Attributes:
        group: `train`, `validation`, `test` or `unlabelled`.
        condition: the light condition that the dataset names; "" where it names none.
        name: of the image file.
        brightness: mean of the grey image, in [0, 1] of full scale.
        contrast: standard deviation of the grey image, in the same unit.

    Example:
        >>> ImageLight("train", "", "000.png", brightness=0.5, contrast=0.1).group
        'train'
    """

    group: str
    condition: str
    name: str
    brightness: float
    contrast: float


@dataclass(frozen=True, slots=True)
class Survey:
    """The measurements of one category.

    Attributes:
        category: its name.
        records: all its images, of all splits.
        sizes: (H, W) in pixels -> number of images of that size.
        marks: one per image with masks.
        density: type of defect -> (64, 64) float32, the share of its images that are marked at each place.
        lights: one per sampled normal or unlabelled image.
        mean: (h, w, 3) uint8, the mean of the sampled normal images; None without any.

    Example:
        >>> records = (Record(Path("a.png"), "bottle", "test", defect="scratch", label=1),)
        >>> found = Survey("bottle", records, Counter({(8, 8): 1}), (), {}, (), None)
        >>> found.defects
        ('scratch',)
    """

    category: str
    records: tuple[Record, ...]
    sizes: Counter[tuple[int, int]]
    marks: tuple[Mark, ...]
    density: dict[str, Heatmap]
    lights: tuple[ImageLight, ...]
    mean: Pixels | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of image in the category: good, then the types of defect by name, then unlabelled."""
        found = {kind_of_record(record) for record in self.records}
        defects = sorted(found - {GOOD, UNLABELLED})
        return tuple(kind for kind in (GOOD, *defects, UNLABELLED) if kind in found)

    @property
    def defects(self) -> tuple[str, ...]:
        """The types of defect that the category has, by name."""
        return tuple(kind for kind in self.kinds if kind not in (GOOD, UNLABELLED))


def kind_of_record(record: Record) -> str:
    """Returns the kind of an image.

    Args:
        record: the image.

    Returns:
        The type of defect, `good`, or `unlabelled`.
    """
    return UNLABELLED if record.label is None else record.defect


def survey(
    records: Sequence[Record], *, read: ImageReader, sample: int, seed: int, progress: ProgressCallback
) -> Survey:
    """Measures one category: the size of every image, every mask, and the light of some images.

    Args:
        records: of the category, all splits; at least one.
        read: reads the files.
        sample: number of normal images per split whose brightness and contrast are measured.
        seed: of the sample.
        progress: is called before each file.

    Returns:
        The measurements.

    Raises:
        AdframeError: a file is missing or broken, or a mask does not fit its image.
    """
    sizes = _sizes(records, read=read, progress=progress)
    marks, density = _measure_masks(records, sizes, read=read, progress=progress)
    lights, mean = _measure_light(records, sizes, read=read, sample=sample, seed=seed, progress=progress)
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
    """Draws up to `count` records without replacement and keeps their order.

    Args:
        records: of one category.
        count: the largest number to draw.
        seed: of the draw.
        key: purpose of the draw; two draws with different keys are independent.

    Returns:
        The drawn records; the same ones for the same seed, category and key.
    """
    if not records:
        return []
    # The category and the key go into the seed, so that adding a category or a step changes no other draw.
    digest = hashlib.sha256(repr((records[0].category, key, seed)).encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return [records[place] for place in sorted(generator.permutation(len(records))[:count])]


def _sizes(
    records: Sequence[Record], *, read: ImageReader, progress: ProgressCallback
) -> dict[Path, tuple[int, int]]:
    sizes = {}
    for place, record in enumerate(records):
        progress("sizes", place, len(records))
        sizes[record.path] = read.size(record.path)
    return sizes


def _measure_masks(
    records: Sequence[Record],
    sizes: dict[Path, tuple[int, int]],
    *,
    read: ImageReader,
    progress: ProgressCallback,
) -> tuple[tuple[Mark, ...], dict[str, Heatmap]]:
    """Measures every mask.

    Returns:
        One mark per image with masks, and the share of masks at each place by type of defect.
    """
    marks: list[Mark] = []
    density: dict[str, Heatmap] = {}
    marked = [record for record in records if record.masks]
    for place, record in enumerate(marked):
        progress("masks", place, len(marked))
        size = sizes[record.path]
        regions = read.regions(record, read.masks(record)) or []
        inside = union(regions, size)  # (H, W)
        marks.append(Mark(kind_of_record(record), float(inside.mean()), len(regions)))
        density.setdefault(kind_of_record(record), np.zeros(_DENSITY_GRID, np.float32))
        density[kind_of_record(record)] += resized(inside.astype(np.float32), _DENSITY_GRID)
    # The sums become shares: each type of defect is divided by the number of its images.
    counts = Counter(mark.defect for mark in marks)
    shares = {d: (total / counts[d]).astype(np.float32) for d, total in sorted(density.items())}
    return tuple(marks), shares


def _measure_light(
    records: Sequence[Record],
    sizes: dict[Path, tuple[int, int]],
    *,
    read: ImageReader,
    sample: int,
    seed: int,
    progress: ProgressCallback,
) -> tuple[tuple[ImageLight, ...], Pixels | None]:
    """Measures the light of a sample, and averages its normal images."""
    chosen = _sampled(records, sample=sample, seed=seed)
    tile = tile_size(Counter(sizes.values()).most_common(1)[0][0], width=_MEAN)
    # Images may differ in size, so that the mean is taken over tiles of the most common aspect.
    total = np.zeros((*tile, 3), np.float64)
    lights = []
    for place, (group, record) in enumerate(chosen):
        progress("light", place, len(chosen))
        image = as_bytes(read.image(record))
        mean, deviation = cv2.meanStdDev(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        values = float(mean[0, 0]) / 255, float(deviation[0, 0]) / 255
        lights.append(ImageLight(group, record.condition, record.path.name, *values))
        if group != UNLABELLED:
            total += resized(image, tile)
    normal = sum(light.group != UNLABELLED for light in lights)
    return tuple(lights), (total / normal).round().astype(np.uint8) if normal else None


def _sampled(records: Sequence[Record], *, sample: int, seed: int) -> list[tuple[str, Record]]:
    """Draws normal images of each split, and unlabelled ones as their own group."""
    groups = {
        title: [r for r in records if r.split == split and r.label == 0]
        for split, title in SPLIT_TITLES.items()
    } | {UNLABELLED: [r for r in records if r.label is None]}
    return [
        (group, record)
        for group, members in groups.items()
        for record in draw(members, sample, seed=seed, key=f"light/{group}")
    ]
