"""Defects that look like another category's normal: images that only their own category's model finds."""

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

Ranked = tuple[str, float, float]  # path, rank by its category's model, rank by the model for all
NEIGHBOURHOOD = 3  # patches over which features are averaged before they are compared, PatchCore's default


@dataclass(frozen=True, slots=True)
class Nearest:
    """The training patch of a category that is most like the defect."""

    category: str
    distance: float
    record: Record
    box: tuple[int, int, int, int]  # top, left, height, width in the original frame


@dataclass(frozen=True, slots=True)
class ConfusedImage:
    """One image.

    Attributes:
        record: which.
        ranks: share of its category's normal test images below it by the own and by the shared model.
        regions: annotated defects.
        own: (H0, W0) heatmap of its category's model.
        pooled: that of the model for all.
        place: (top, left, height, width) of the patch that is looked up.
        nearest: by category, its own among them.
    """

    record: Record
    ranks: tuple[float, float]
    regions: tuple[Region, ...]
    own: np.ndarray
    pooled: np.ndarray
    place: tuple[int, int, int, int]
    nearest: Mapping[str, Nearest]


def confused_images(single: Setting, pooled: Setting, category: str, *, most: int) -> list[Ranked]:
    """Paths of anomalous images that lose most rank in the model for all, with both ranks; the worst first.

    A rank is the share of the category's normal test images whose score is lower.
    """
    by_path = [{row["path"]: row for row in each.rows(category)} for each in (single, pooled)]
    found = []
    for path, row in by_path[0].items():
        if row["label"] == 1 and path in by_path[1]:
            first, second = (_rank(rows, path) for rows in by_path)
            if second < first:
                found.append((path, first, second))
    return sorted(found, key=lambda each: each[2] - each[1])[:most]


def look_closer(
    single: Path, pooled: Path, images: Mapping[str, Sequence[Ranked]], *, open_run: OpenRun
) -> list[ConfusedImage] | None:
    """Both models' heatmaps of some images, and the training patches most like what only one of them finds.

    The patch is where the category's own model scores highest inside the annotation. Features are the
    backbone's, averaged over neighbours and stacked, before any coreset or projection: what is
    looked up is training images, not a model's memory of them.

    Args:
        single: a run with one model per category.
        pooled: a run with one model for all of the same categories, by the same method.
        images: category -> (path, rank, rank in the model for all), as from `confused_images`.
        open_run: gives the parts of a run.

    Returns:
        None where the method has no feature maps to look at.

    Raises:
        AdframeError: the images or a checkpoint are not there any more.
    """
    recipe, own = open_run(single), open_run(pooled)
    source = recipe.source()
    data = {name: recipe.data(source, [name]) for name in images}
    whole = load_system(own, source, pooled / "checkpoints" / "global.ckpt").eval()
    if not isinstance(whole.detector, Layered):
        return None
    reader = whole.detector.feature_reader()
    seen: list[_Seen] = []
    for name, chosen in images.items():
        data[name].setup()
        if chosen:
            system = load_system(recipe, source, single / "checkpoints" / f"{name}.ckpt").eval()
            seen += [
                _seen(batch, ranks, system, whole, reader) for batch, ranks in _batches(data[name], chosen)
            ]
    if not seen:
        return []
    queries = torch.stack([each.query for each in seen])
    found = {name: _nearest(queries, each, reader) for name, each in data.items()}
    return [
        ConfusedImage(
            record=each.record,
            ranks=each.ranks,
            regions=each.regions,
            own=each.maps[0],
            pooled=each.maps[1],
            place=each.place,
            nearest={name: near[number] for name, near in found.items()},
        )
        for number, each in enumerate(seen)
    ]


@dataclass(frozen=True, slots=True)
class _Seen:
    record: Record
    ranks: tuple[float, float]
    regions: tuple[Region, ...]
    maps: tuple[np.ndarray, np.ndarray]
    place: tuple[int, int, int, int]
    query: Tensor  # (D,)


def _rank(rows: Mapping[str, dict[str, object]], path: str) -> float:
    normal = np.array([row["score"] for row in rows.values() if row["label"] == 0], dtype=np.float64)
    return float(np.mean(normal < float(str(rows[path]["score"])))) if len(normal) else 0.0


def _batches(data: AnomalyData, chosen: Sequence[Ranked]) -> list[tuple[Batch, tuple[float, float]]]:
    loader = data.test_on(data.categories[0])
    images = loader.dataset
    places = {record.path.resolve(): place for place, record in enumerate(images.records)}  # type: ignore[attr-defined]
    assert loader.collate_fn is not None
    if lost := [path for path, *_ in chosen if Path(path).resolve() not in places]:
        raise AdframeError(f"{lost[0]} is not there any more")
    return [(loader.collate_fn([images[places[Path(path).resolve()]]]), ranks) for path, *ranks in chosen]  # type: ignore[misc]


@torch.no_grad()
def _seen(
    batch: Batch,
    ranks: Sequence[float],
    own: DetectionSystem,
    whole: DetectionSystem,
    reader: FeatureReader,
) -> _Seen:
    """One image under both models, and the feature of its most conspicuous defective patch."""
    geometry: Geometry = batch[GEOMETRY][0]
    views = [system.detector(batch[IMAGE]).heatmap[0, 0].float().numpy() for system in (own, whole)]
    maps = [restore(view, geometry) for view in views]
    regions = tuple((batch[REGIONS] or [None])[0] or ())
    grid = patch_grid(reader(batch[IMAGE]), neighbourhood=NEIGHBOURHOOD)[0]  # (D, h, w)
    inside = union(regions, maps[0].shape) if regions else np.ones(maps[0].shape, bool)
    top, left = np.unravel_index(np.argmax(np.where(inside, maps[0], -np.inf)), maps[0].shape)
    cell = _cell((int(top), int(left)), geometry, size=(grid.shape[1], grid.shape[2]))
    box = _box(cell, geometry, size=(grid.shape[1], grid.shape[2]))
    both = (float(ranks[0]), float(ranks[1]))
    return _Seen(batch[RECORD][0], both, regions, (maps[0], maps[1]), box, grid[:, cell[0], cell[1]])


@torch.no_grad()
def _nearest(queries: Tensor, data: AnomalyData, reader: FeatureReader) -> list[Nearest]:
    """For (Q, D) queries the nearest patch of a category's training images."""
    best = torch.full((len(queries),), torch.inf)
    found: dict[int, Nearest] = {}
    for batch in data.plain_dataloader():
        grid = patch_grid(reader(batch[IMAGE]), neighbourhood=NEIGHBOURHOOD)
        height, width = grid.shape[-2:]
        near, where = torch.cdist(queries, as_rows(grid)).min(1)
        for number in torch.nonzero(near < best)[:, 0].tolist():
            image, place = divmod(int(where[number]), height * width)
            cell = divmod(place, width)
            box = _box(cell, batch[GEOMETRY][image], size=(height, width))
            best[number] = near[number]
            found[number] = Nearest(data.categories[0], float(near[number]), batch[RECORD][image], box)
    return [found[number] for number in range(len(queries))]


def _cell(pixel: tuple[int, int], geometry: Geometry, *, size: tuple[int, int]) -> tuple[int, int]:
    """The cell of a (h, w) grid over the view that holds a pixel of the original frame."""
    top, left, height, width = geometry.view
    row, column = (pixel[0] - top) * size[0] // height, (pixel[1] - left) * size[1] // width
    return min(max(row, 0), size[0] - 1), min(max(column, 0), size[1] - 1)


def _box(cell: tuple[int, int], geometry: Geometry, *, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A cell in the original frame, with the neighbours that its feature is averaged over."""
    top, left, height, width = geometry.view
    tall, wide = height / size[0], width / size[1]
    reach = NEIGHBOURHOOD // 2
    return (
        round(top + (cell[0] - reach) * tall),
        round(left + (cell[1] - reach) * wide),
        round(NEIGHBOURHOOD * tall),
        round(NEIGHBOURHOOD * wide),
    )
