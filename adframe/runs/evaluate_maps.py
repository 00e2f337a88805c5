"""Scores anomaly maps that another tool wrote: `python evaluate.py maps=<folder> dataset=mvtec_loco`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adframe.contracts import Record
from adframe.data.base import Source
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
from adframe.reporting.console import warn
from adframe.reporting.download_progress import shown_progress
from adframe.results.predictions import row_of
from adframe.results.run_folder import RunFolder
from adframe.runs.finish import finish
from adframe.runs.image_scores import read_scores
from adframe.runs.provenance import environment


@dataclass(frozen=True, slots=True)
class Tested:
    """A test image and another tool's map of it."""

    record: Record
    file: Path
    size: tuple[int, int]  # (H, W) of the image


@dataclass(frozen=True, slots=True)
class Maps:
    """Anomaly maps of another tool, and what they are measured against.

    Attributes:
        folder: of the maps: `<category>/test/<defect>/<id>.tiff`.
        source: the dataset.
        category: `all`, a name, or names.
        scores: a CSV with the columns path and score; None: the largest value of each map.
        pixel: measures the maps.
        seed: of the bootstrap.
    """

    folder: Path
    source: Source
    category: str | Sequence[str]
    scores: Path | None
    pixel: PixelMetrics
    seed: int


def evaluate_maps(
    maps: Maps, output: Path, *, config: dict[str, Any], choices: Mapping[str, str], command: list[str]
) -> RunFolder:
    """Measures maps against a dataset's ground truth, and writes a folder like that of a run.

    Every test image needs a map of its size; image scores are the maps' maxima, as the official evaluators
    have it, unless `maps.scores` gives them. Without a model there is no threshold, and so there are no
    decisions.

    Args:
        maps: what is measured.
        output: a new or empty folder.
        config: what `config.yaml` keeps.
        choices: what `environment.json` keeps: `method` and `dataset`.
        command: the command that was typed.

    Returns:
        The folder, with its report written.

    Raises:
        AdframeError: a map is missing, of another size, or not finite; it names the map and its image.
    """
    start = time.perf_counter()
    check_writable(output, key="output")
    source = maps.source
    warnings: list[str] = []
    tested = {name: _match(maps.folder, source, name, warnings=warnings) for name in _categories(maps)}
    warnings += _left_over(maps.folder, tested, known=source.choose(maps.category))
    images = [each.record.path for members in tested.values() for each in members]
    scores = None
    if maps.scores is not None:
        scores = read_scores(maps.scores, images=images, root=Path(source.root))
    folder = RunFolder(output)
    for line in warnings:
        warn(line)
    prints = {
        name: fingerprint((each.record for each in members), root=Path(source.root))
        for name, members in tested.items()
    }
    noted = environment(seed=maps.seed, fingerprints=prints, command=command)
    try:
        folder.open(config=config, environment=noted | dict(choices) | {"warnings": warnings})
        with shown_progress() as told:
            for name, members in tested.items():
                results, rows = _measure(members, pixel=maps.pixel, scores=scores, told=told)
                folder.warn(name, binning_warnings(maps.pixel.bound()))
                folder.add(
                    name,
                    results=results,
                    rows=rows,
                    pictures=[],
                    defects=defect_metrics(rows, pixel=maps.pixel),
                    drawn=drawn_metrics(rows, pixel=maps.pixel, seed=maps.seed),
                )
    except BaseException:
        folder.discard()
        raise
    finish(folder, seconds=time.perf_counter() - start)
    return folder


def _categories(maps: Maps) -> list[str]:
    """The chosen categories; of `all`, those that have a folder of maps."""
    if not maps.folder.is_dir():
        raise AdframeError(
            f"maps={maps.folder} is no folder; it should hold <category>/test/<defect>/<id>.tiff"
        )
    chosen = maps.source.choose(maps.category)
    if maps.category != "all":
        return chosen
    if not (there := [name for name in chosen if (maps.folder / name).is_dir()]):
        raise AdframeError(
            f"{maps.folder} has no folder of a category of {maps.source.root}: {', '.join(chosen)}; "
            "it should hold <category>/test/<defect>/<id>.tiff"
        )
    return there


def _match(maps: Path, source: Source, category: str, *, warnings: list[str]) -> list[Tested]:
    """Every test image of a category with its map; all are looked for before one is read.

    What is doubtful about the files joins `warnings`.
    """
    records = [record for record in source.scan(category) if record.split == "test"]
    if not records:
        raise AdframeError(f"category {category} in {source.root} has no test images")
    _, _, lines = examine(source, category, records, training=())
    warnings += lines
    places = map_paths(records)
    return [
        Tested(record, _map_file(maps / places[record.path], record), read_size(record.path))
        for record in records
    ]


def _map_file(file: Path, record: Record) -> Path:
    for suffix in SUFFIXES:
        if (found := file.with_name(f"{record.path.stem}{suffix}")).is_file():
            return found
    raise AdframeError(f"no map of {record.path}: expected {file}; write it or take the image out")


def _left_over(maps: Path, tested: Mapping[str, Sequence[Tested]], *, known: Sequence[str]) -> list[str]:
    """What is not measured: categories that have no maps, and maps that have no image."""
    without = [name for name in known if not (maps / name).is_dir()]
    lines = [f"{', '.join(without)}: no maps in {maps}, so not part of the mean"] if without else []
    for name, members in tested.items():
        files = {p for p in (maps / name / "test").rglob("*") if p.suffix.lower() in SUFFIXES}
        if extra := sorted(files - {each.file for each in members}):
            lines.append(
                f"{name}: {len(extra)} maps belong to no test image and are left out: {extra[0]}, ..."
            )
    return lines


def _measure(
    tested: Sequence[Tested],
    *,
    pixel: PixelMetrics,
    scores: Mapping[Path, float] | None,
    told: Callable[[str, int, int], None],
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The metrics of one category, and a row an image; holds one map at a time."""
    pixel.reset()
    rows = []
    for place, each in enumerate(tested):
        told(each.record.category, place, len(tested))
        record, scored = each.record, _checked(each)  # (H, W)
        regions = regions_of(record, read_truth(record, size=each.size))
        pixel.measure(record, heatmap=scored, regions=regions)
        score = float(scored.max()) if scores is None else scores[record.path]
        # Nobody knows how long the other tool took.
        rows.append(row_of(record, score=score, size=each.size, milliseconds=math.nan))
    return _image_metrics(rows) | pixel.compute(), rows


def _checked(each: Tested) -> np.ndarray:
    scores = read_map(each.file)
    if scores.shape != each.size:
        raise AdframeError(
            f"map {each.file} is {scores.shape[0]}x{scores.shape[1]} (height x width) but its image "
            f"{each.record.path} is {each.size[0]}x{each.size[1]}; bring maps to the size of their images"
        )
    if wrong := int(np.count_nonzero(~np.isfinite(scores))):
        raise AdframeError(
            f"map {each.file} of {each.record.path} has {wrong} pixels that are NaN or infinite in float32"
        )
    return scores


def _image_metrics(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return image_metrics(
        scores=[row["score"] for row in rows],
        labels=[row["label"] for row in rows],
        subsets=[row["subset"] for row in rows],
        conditions=[row["condition"] for row in rows],
        threshold=None,
    )
