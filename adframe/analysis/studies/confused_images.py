"""Finds defects that only their category's own model detects, and the normal patches similar to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adframe.analysis.settings import Setting
from adframe.contracts import (
    GEOMETRY,
    IMAGE,
    RECORD,
    REGIONS,
    Batch,
    FeatureReader,
    Geometry,
    Layered,
    Record,
    Region,
)
from adframe.data.datamodule import AnomalyData
from adframe.errors import AdframeError
from adframe.ops.geometry import restore
from adframe.ops.patches import as_rows, patch_grid
from adframe.ops.regions import union
from adframe.runs.recipe import OpenRun
from adframe.runs.test import load_system
from adframe.systems.detection import DetectionSystem

RankedImage = tuple[str, float, float]  # path, rank by its category's model, rank by the model for all
PixelBox = tuple[int, int, int, int]  # top, left, height, width in pixels of the original image
NEIGHBOURHOOD = 3  # patches over which features are averaged before they are compared, PatchCore's default


@dataclass(frozen=True, slots=True)
class NearestPatch:
    """The patch of a category's training images that is most similar to a defect.

    Attributes:
        distance: Euclidean distance between the features.
        record: the training image.
        box: the patch in that image.

    Example:
        >>> record = Record(Path("good/000.png"), "bolt", "train", label=0, defect="good")
        >>> NearestPatch(4.5, record, box=(0, 8, 24, 24)).record.category
        'bolt'
    """

    distance: float
    record: Record
    box: PixelBox


@dataclass(frozen=True, slots=True)
class ConfusedImage:
    """An anomalous image with a lower rank by the model for all categories than by its category's model.

    Attributes:
        record: the image.
        ranks: share of its category's normal test images with a lower score, by its category's model and by
            the model for all.
        regions: the annotated defects.
        own: (H0, W0) heatmap of its category's model, in pixels of the original image.
        pooled: (H0, W0) heatmap of the model for all.
        place: the most anomalous patch inside the annotation.
        nearest: category -> its most similar training patch; the image's own category is among them.

    Example:
        >>> look_closer(run, global_run, images, open_run=open_run)[0].ranks  # doctest: +SKIP
        (0.98, 0.4)
    """

    record: Record
    ranks: tuple[float, float]
    regions: tuple[Region, ...]
    own: np.ndarray
    pooled: np.ndarray
    place: PixelBox
    nearest: Mapping[str, NearestPatch]


def confused_images(single: Setting, pooled: Setting, category: str, *, most: int) -> list[RankedImage]:
    """Finds the anomalous images of a category that lose most rank in the model for all categories.

    The rank of an image is the share of the category's normal test images whose score is lower.

    Args:
        single: the tests with one model per category.
        pooled: the tests with one model for all.
        category: the tested category.
        most: largest number of images.

    Returns:
        (path, rank by the category's model, rank by the model for all), the largest loss first; images
        without a loss are left out.
    """
    by_path = [{row["path"]: row for row in each.rows(category)} for each in (single, pooled)]
    normal_scores = [
        np.array([row["score"] for row in rows.values() if row["label"] == 0], dtype=np.float64)
        for rows in by_path
    ]
    found = []
    for path, row in by_path[0].items():
        if row["label"] == 1 and path in by_path[1]:
            first, second = (
                float(np.mean(normal < float(rows[path]["score"]))) if len(normal) else 0.0
                for rows, normal in zip(by_path, normal_scores, strict=True)
            )
            if second < first:
                found.append((path, first, second))
    return sorted(found, key=lambda each: each[2] - each[1])[:most]


def look_closer(
    single: Path, pooled: Path, images: Mapping[str, Sequence[RankedImage]], *, open_run: OpenRun
) -> list[ConfusedImage] | None:
    """Computes both models' heatmaps of some images, and finds the training patches similar to their defects.

    The patch of a defect is where the category's own model scores highest inside the annotation. Features
    are those of the backbone, averaged over neighbours and stacked, before any coreset or projection: the
    search covers the training images, not the memory of a model.

    Args:
        single: folder of a run with one model per category.
        pooled: folder of a run with one model for all of the same categories, by the same method.
        images: category -> images, as from `confused_images`.
        open_run: opens a run: returns its parts from its folder.

    Returns:
        One record per image; None where the method has no feature maps.

    Raises:
        AdframeError: an image or a checkpoint does not exist any more.
    """
    recipe, pooled_recipe = open_run(single), open_run(pooled)
    source = recipe.source()
    data = {name: recipe.data(source, [name]) for name in images}
    pooled_system = load_system(pooled_recipe, source, pooled / "checkpoints" / "global.ckpt").eval()
    if not isinstance(pooled_system.detector, Layered):
        return None
    reader = pooled_system.detector.feature_reader()
    batches: list[tuple[Batch, tuple[float, float], DetectionSystem]] = []
    for name, ranked in images.items():
        data[name].setup()
        if ranked:
            system = load_system(recipe, source, single / "checkpoints" / f"{name}.ckpt").eval()
            batches += [(batch, ranks, system) for batch, ranks in _batches_of(data[name], ranked)]
    if not batches:
        return []
    views = [_defect_view(batch, system, pooled_system, reader) for batch, _, system in batches]
    queries = torch.stack([feature for *_, feature in views])
    nearest = {name: _nearest_patches(queries, each, reader) for name, each in data.items()}
    return [
        ConfusedImage(
            record=batch[RECORD][0],
            ranks=ranks,
            regions=_regions_of(batch),
            own=own,
            pooled=pooled_map,
            place=place,
            nearest={name: patches[number] for name, patches in nearest.items()},
        )
        for number, ((batch, ranks, _), (own, pooled_map, place, _)) in enumerate(
            zip(batches, views, strict=True)
        )
    ]


def _batches_of(data: AnomalyData, ranked: Sequence[RankedImage]) -> list[tuple[Batch, tuple[float, float]]]:
    """Loads images as batches of one, with their ranks."""
    loader = data.test_on(data.categories[0])
    images = loader.dataset
    places = {record.path.resolve(): place for place, record in enumerate(images.records)}  # type: ignore[attr-defined]
    assert loader.collate_fn is not None
    if missing := [path for path, *_ in ranked if Path(path).resolve() not in places]:
        raise AdframeError(f"{missing[0]} is not there any more")
    return [
        (loader.collate_fn([images[places[Path(path).resolve()]]]), (float(own), float(pooled)))
        for path, own, pooled in ranked
    ]


@torch.no_grad()
def _defect_view(
    batch: Batch, own: DetectionSystem, pooled: DetectionSystem, reader: FeatureReader
) -> tuple[np.ndarray, np.ndarray, PixelBox, Tensor]:
    """Returns both (H0, W0) heatmaps, the most anomalous defective patch, and its (D,) feature."""
    geometry: Geometry = batch[GEOMETRY][0]
    own_map, pooled_map = (
        restore(system.detector(batch[IMAGE]).heatmap[0, 0].float().numpy(), geometry)
        for system in (own, pooled)
    )
    regions = _regions_of(batch)
    grid = patch_grid(reader(batch[IMAGE]), neighbourhood=NEIGHBOURHOOD)[0]  # (D, h, w)
    inside = union(regions, own_map.shape) if regions else np.ones(own_map.shape, bool)
    top, left = np.unravel_index(np.argmax(np.where(inside, own_map, -np.inf)), own_map.shape)
    size = (grid.shape[1], grid.shape[2])
    cell = _cell_of_pixel((int(top), int(left)), geometry, size=size)
    return own_map, pooled_map, _box_of_cell(cell, geometry, size=size), grid[:, cell[0], cell[1]]


@torch.no_grad()
def _nearest_patches(queries: Tensor, data: AnomalyData, reader: FeatureReader) -> list[NearestPatch]:
    """Returns the nearest patch of a category's training images for each of (Q, D) queries."""
    best = torch.full((len(queries),), torch.inf)
    found: dict[int, NearestPatch] = {}
    for batch in data.plain_dataloader():
        grid = patch_grid(reader(batch[IMAGE]), neighbourhood=NEIGHBOURHOOD)
        height, width = grid.shape[-2:]
        distances, rows = torch.cdist(queries, as_rows(grid)).min(1)
        for number in torch.nonzero(distances < best)[:, 0].tolist():
            image, place = divmod(int(rows[number]), height * width)
            box = _box_of_cell(divmod(place, width), batch[GEOMETRY][image], size=(height, width))
            best[number] = distances[number]
            found[number] = NearestPatch(float(distances[number]), batch[RECORD][image], box)
    return [found[number] for number in range(len(queries))]


def _regions_of(batch: Batch) -> tuple[Region, ...]:
    return tuple((batch[REGIONS] or [None])[0] or ())


def _cell_of_pixel(pixel: tuple[int, int], geometry: Geometry, *, size: tuple[int, int]) -> tuple[int, int]:
    """Returns the cell of a (h, w) grid over the view that contains a pixel of the original image."""
    top, left, height, width = geometry.view
    row, column = (pixel[0] - top) * size[0] // height, (pixel[1] - left) * size[1] // width
    # The view may be a crop: a pixel outside of it belongs to the nearest cell.
    return min(max(row, 0), size[0] - 1), min(max(column, 0), size[1] - 1)


def _box_of_cell(cell: tuple[int, int], geometry: Geometry, *, size: tuple[int, int]) -> PixelBox:
    """Returns a cell in the original image, with the neighbours over which its feature is averaged."""
    top, left, height, width = geometry.view
    cell_height, cell_width = height / size[0], width / size[1]
    reach = NEIGHBOURHOOD // 2
    return (
        round(top + (cell[0] - reach) * cell_height),
        round(left + (cell[1] - reach) * cell_width),
        round(NEIGHBOURHOOD * cell_height),
        round(NEIGHBOURHOOD * cell_width),
    )
