"""Measures anomaly maps that another tool wrote: `python evaluate.py maps=<folder> dataset=mvtec_loco`."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adframe.contracts import Record
from adframe.data.base import ProgressCallback, Source
from adframe.data.dataset import regions_of
from adframe.data.masks import read_truth
from adframe.data.validate_files import examine, fingerprint
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import SUFFIXES, map_paths, read_map
from adframe.io.files import check_writable
from adframe.io.images import read_size
from adframe.metrics.by_defect import binning_warnings, defect_metrics
from adframe.metrics.image import image_metrics
from adframe.metrics.pixel import PixelMetrics
from adframe.metrics.resampled import drawn_metrics
from adframe.reporting.download_progress import shown_progress
from adframe.reporting.notes import warn
from adframe.results.predictions import prediction_row
from adframe.results.run_folder import RunFolder
from adframe.runs.finish import finish_evaluation
from adframe.runs.image_scores import read_image_scores
from adframe.runs.provenance import environment

LAYOUT = "<category>/test/<defect>/<id>.tiff"  # of a folder of maps, as MVTec's evaluators expect it


@dataclass(frozen=True, slots=True)
class MappedImage:
    """A test image and another tool's map of it.

    Attributes:
        record: the image.
        file: its map.
        size: (H, W) of the image in pixels, which the map must have too.

    Example:
        >>> record = Record(Path("can/test/bent/000.png"), "can", "test")
        >>> MappedImage(record, Path("maps/can/test/bent/000.tiff"), size=(256, 256)).size
        (256, 256)
    """

    record: Record
    file: Path
    size: tuple[int, int]


def evaluate_maps(
    maps: Path,
    source: Source,
    output: Path,
    *,
    category: str | Sequence[str],
    scores: Path | None,
    pixel: PixelMetrics,
    seed: int,
    config: dict[str, Any],
    choices: Mapping[str, str],
    command: list[str],
) -> RunFolder:
    """Measures maps against a dataset's ground truth, and writes a folder like that of a run.

    Every test image needs a map of its size. Without a model there is no threshold, and so there are no
    decisions.

    Args:
        maps: the folder of the maps: `<category>/test/<defect>/<id>.tiff`.
        source: the dataset.
        output: a new or empty folder.
        category: one or several categories; `all` stands for those that have maps.
        scores: a CSV file with the columns path and score; None takes the largest value of each map as the
            score of its image, as the official evaluators do.
        pixel: measures the maps.
        seed: of the bootstrap.
        config: the content of `config.yaml`.
        choices: `method` and `dataset` for `environment.json`.
        command: the command that was typed.

    Returns:
        The folder, with its report written.

    Raises:
        AdframeError: a map is missing, of another size, or not finite; the message names the map and its
            image.
    """
    start = time.perf_counter()
    check_writable(output, key="output")
    warnings: list[str] = []
    # All maps are looked for before the first one is read.
    images_of = {
        name: _match_maps(maps, source, name, warnings=warnings)
        for name in _categories_with_maps(maps, source, category)
    }
    warnings += _leftovers(maps, images_of, known=source.choose(category))
    paths = [image.record.path for images in images_of.values() for image in images]
    score_of = None if scores is None else read_image_scores(scores, images=paths, root=Path(source.root))
    folder = RunFolder(output)
    for line in warnings:
        warn(line)
    fingerprints = {
        name: fingerprint((image.record for image in images), root=Path(source.root))
        for name, images in images_of.items()
    }
    facts = environment(seed=seed, fingerprints=fingerprints, command=command)
    try:
        folder.open(config=config, environment=facts | dict(choices) | {"warnings": warnings})
        with shown_progress() as progress:
            for name, images in images_of.items():
                results, rows = _measure_maps(images, pixel=pixel, score_of=score_of, progress=progress)
                folder.add_warnings(name, binning_warnings(pixel.bound()))
                folder.add(
                    name,
                    results=results,
                    rows=rows,
                    pictures=[],
                    defects=defect_metrics(rows, pixel=pixel),
                    drawn=drawn_metrics(rows, pixel=pixel),
                )
    except BaseException:
        folder.discard()
        raise
    finish_evaluation(folder, seconds=time.perf_counter() - start)
    return folder


def _categories_with_maps(maps: Path, source: Source, category: str | Sequence[str]) -> list[str]:
    """Returns the chosen categories; `all` stands for those that have a folder of maps."""
    if not maps.is_dir():
        raise AdframeError(f"maps={maps} is not a folder; it should hold {LAYOUT}")
    chosen = source.choose(category)
    if category != "all":
        return chosen
    if not (present := [name for name in chosen if (maps / name).is_dir()]):
        raise AdframeError(
            f"{maps} has no folder of a category of {source.root}: {', '.join(chosen)}; "
            f"it should hold {LAYOUT}"
        )
    return present


def _match_maps(maps: Path, source: Source, category: str, *, warnings: list[str]) -> list[MappedImage]:
    """Finds the map of every test image of a category; adds doubts about the files to `warnings`."""
    records = [record for record in source.scan(category) if record.split == "test"]
    if not records:
        raise AdframeError(f"category {category} in {source.root} has no test images")
    _, _, lines = examine(source, category, records, training=())
    warnings += lines
    places = map_paths(records)
    return [
        MappedImage(record, _map_file(maps / places[record.path], record), read_size(record.path))
        for record in records
    ]


def _map_file(file: Path, record: Record) -> Path:
    for suffix in SUFFIXES:
        if (found := file.with_name(f"{record.path.stem}{suffix}")).is_file():
            return found
    raise AdframeError(f"no map of {record.path}: expected {file}; write it or remove the image")


def _leftovers(
    maps: Path, images_of: Mapping[str, Sequence[MappedImage]], *, known: Sequence[str]
) -> list[str]:
    """Returns warnings about categories that have no maps, and about maps that have no image."""
    without = [name for name in known if not (maps / name).is_dir()]
    lines = [f"{', '.join(without)}: no maps in {maps}, so not part of the mean"] if without else []
    for name, images in images_of.items():
        files = {p for p in (maps / name / "test").rglob("*") if p.suffix.lower() in SUFFIXES}
        if extra := sorted(files - {image.file for image in images}):
            lines.append(
                f"{name}: {len(extra)} maps belong to no test image and are left out: {extra[0]}, ..."
            )
    return lines


def _measure_maps(
    images: Sequence[MappedImage],
    *,
    pixel: PixelMetrics,
    score_of: Mapping[Path, float] | None,
    progress: ProgressCallback,
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Computes the metrics of one category and one row per image; holds one map at a time."""
    pixel.reset()
    rows = []
    for place, image in enumerate(images):
        record = image.record
        progress(record.category, place, len(images))
        heatmap = _read_checked_map(image)  # (H, W)
        regions = regions_of(record, read_truth(record, size=image.size))
        pixel.measure(record, heatmap=heatmap, regions=regions)
        score = float(heatmap.max()) if score_of is None else score_of[record.path]
        # The time that the other tool took is unknown.
        rows.append(prediction_row(record, score=score, size=image.size, milliseconds=math.nan))
    metrics = image_metrics(
        scores=[row["score"] for row in rows],
        labels=[row["label"] for row in rows],
        subsets=[row["subset"] for row in rows],
        conditions=[row["condition"] for row in rows],
        threshold=None,
    )
    return metrics | pixel.compute(), rows


def _read_checked_map(image: MappedImage) -> np.ndarray:
    heatmap = read_map(image.file)
    if heatmap.shape != image.size:
        raise AdframeError(
            f"map {image.file} is {heatmap.shape[0]}x{heatmap.shape[1]} (height x width) but its image "
            f"{image.record.path} is {image.size[0]}x{image.size[1]}; give each map the size of its image"
        )
    if wrong := int(np.count_nonzero(~np.isfinite(heatmap))):
        raise AdframeError(
            f"map {image.file} of {image.record.path} has {wrong} pixels that are NaN or infinite in float32"
        )
    return heatmap
