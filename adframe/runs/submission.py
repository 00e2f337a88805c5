"""Writes a submission to the MVTec AD 2 server: `python evaluate.py run=<folder> submission=<folder>`.

Format: Heckler-Kram et al., arXiv 2503.21622, and the checker of the official utilities.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from adframe.contracts import GEOMETRY, IMAGE, RECORD, Record
from adframe.data.base import ProgressCallback
from adframe.data.counts import PRIVATE_COUNTS
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import ImageDataset, collate
from adframe.data.mvtec_ad2 import PRIVATE_FOLDERS as SETS
from adframe.data.mvtec_ad2 import MvtecAd2
from adframe.errors import AdframeError
from adframe.io.files import check_writable, write_json
from adframe.io.images import read_size
from adframe.ops.geometry import restore
from adframe.reporting.download_progress import shown_progress
from adframe.reporting.notes import warn
from adframe.results.run_folder import RunFolder
from adframe.runs.recipe import Recipe
from adframe.runs.submission_files import (
    MapScale,
    check_names,
    check_submission,
    expected_files,
    pack_submission,
    write_pair,
)
from adframe.runs.test import load_system
from adframe.systems.detection import DetectionSystem, heatmaps


def submit(recipe: Recipe, run: RunFolder, categories: Sequence[str], folder: Path, *, share: float) -> Path:
    """Writes maps and masks of the private test sets to a folder, packs the folder and checks it.

    Next to the folder lie `<folder>.tar.gz`, which the server takes, and `<folder>.json`, which lists the
    thresholds and how many scores became equal in float16. The threshold of an object is the one that its
    calibration fitted to the pixels of validation images (by zones where it has those).

    Args:
        recipe: built from the run's own configuration.
        run: the run, reopened.
        categories: the objects, all finished.
        folder: a new folder.
        share: the size of the submitted maps as a share of the sides of the images, in (0, 1].

    Returns:
        The path of the archive.

    Raises:
        AdframeError: the run is of another dataset, a private set is missing, or the folder exists.
    """
    if not folder.name or folder.name == "..":
        raise AdframeError(f"submission={folder} names no new folder; give it a name, as in submission=mine")
    archive, notes = (folder.with_name(f"{folder.name}{end}") for end in (".tar.gz", ".json"))
    for path in (folder, archive, notes):
        if path.exists():
            raise AdframeError(f"{path} is there already; choose another submission= or remove it")
    check_writable(folder.parent, key="submission")
    data_of = _private_data(recipe, categories)
    private = {name: [r for r in data.records if r.defect in SETS] for name, data in data_of.items()}
    _check_sets(private)
    facts: dict[str, Any] = {}
    # A submission that is not complete and checked must not stay, because it could be uploaded.
    try:
        with shown_progress() as progress:
            for name, data in data_of.items():
                checkpoint = run.checkpoint("global" if recipe.pooled else name)
                system = load_system(recipe, data.source, checkpoint)
                writer = _ObjectWriter(system, data, device=recipe.device(), share=share, progress=progress)
                facts[name] = writer.write(folder, private[name])
        records = [record for members in private.values() for record in members]
        sizes = {r.path: scaled_size(read_size(r.path), share=share) for r in records}
        pack_submission(folder, archive)
        check_submission(folder, archive, expected_files(records, sizes))
        write_json(notes, {"run": run.path.resolve(), "scale": share, "objects": facts})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        archive.unlink(missing_ok=True)
        raise
    _print_facts(facts, archive)
    return archive


@dataclass(frozen=True, slots=True)
class _ObjectWriter:
    """Writes the files of one object: its model, its images, and where the progress is shown."""

    system: DetectionSystem
    data: AnomalyData
    device: torch.device
    share: float
    progress: ProgressCallback

    def write(self, folder: Path, private: Sequence[Record]) -> dict[str, Any]:
        """Writes every private image and returns the facts."""
        calibrator = self.system.calibrator
        fitted, merged = calibrator.fitted, 0
        scale = MapScale(fitted.map_mean, fitted.map_std)
        for record, scores in self._score(private):
            merged += write_pair(folder, record, scores, mask=calibrator.mask(scores), scale=scale)
        return {
            "threshold": fitted.pixel_threshold,
            "zones": fitted.zone_pixel_thresholds,
            "statistic": f"{fitted.pixel_statistic} of validation pixels",
            "mean": fitted.map_mean,
            "std": fitted.map_std,
            "validation_images": fitted.n,
            "images": len(private),
            "scores_merged": merged,
        }

    def _score(self, records: Sequence[Record]) -> Iterator[tuple[Record, np.ndarray]]:
        """Yields each image with its raw scores (H, W) at the submitted size, without a domain shift."""
        name = f"{self.data.categories[0]}: private test sets"
        dataset = ImageDataset(records, view=self.data.view, truth=False)
        loader: DataLoader[dict[str, Any]] = DataLoader(
            dataset, batch_size=self.data.batch_size, num_workers=self.data.num_workers, collate_fn=collate
        )
        system, done = self.system.to(self.device).eval(), 0
        for batch in loader:
            with torch.inference_mode():
                maps = heatmaps(system.detector(batch[IMAGE].to(self.device)))
            for record, geometry, heatmap in zip(batch[RECORD], batch[GEOMETRY], maps, strict=True):
                yield record, _shrink(restore(heatmap, geometry), share=self.share)
            self.progress(name, done := done + len(maps), len(records))


def scaled_size(size: tuple[int, int], *, share: float) -> tuple[int, int]:
    """Returns the size of a submitted map.

    Args:
        size: (H, W) of the image in pixels.
        share: of its sides, in (0, 1].

    Returns:
        (H, W), each at least one pixel.

    Example:
        >>> scaled_size((1000, 3), share=0.25)
        (250, 1)
    """
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _shrink(scores: np.ndarray, *, share: float) -> np.ndarray:
    if share == 1:
        return scores
    height, width = scaled_size((scores.shape[0], scores.shape[1]), share=share)
    return np.asarray(cv2.resize(scores, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _private_data(recipe: Recipe, categories: Sequence[str]) -> dict[str, AnomalyData]:
    source = recipe.source()
    if not isinstance(source, MvtecAd2):
        raise AdframeError(f"submission= is for runs of dataset=mvtec_ad2; this one is of {source.name}")
    source = replace(source, private=True)  # the run itself may have excluded the private sets
    data_of = {name: recipe.data(source, [name]) for name in categories}
    for data in data_of.values():
        data.setup()
    return data_of


def _check_sets(private: dict[str, list[Record]]) -> None:
    """Checks that each object has both private sets; warns where the server would refuse."""
    for name, records in private.items():
        check_names(records)
        for required in SETS:
            if not any(record.defect == required for record in records):
                raise AdframeError(
                    f"{name} has no images in {required}; a submission needs both {' and '.join(SETS)}"
                )
        count = len(records)
        if name in PRIVATE_COUNTS and count != 2 * PRIVATE_COUNTS[name]:
            warn(f"{name}: {count} private images, the official sets have {2 * PRIVATE_COUNTS[name]}")
    if missing := sorted(PRIVATE_COUNTS.keys() - private.keys()):
        warn(
            f"the server requires all {len(PRIVATE_COUNTS)} objects; this submission lacks "
            f"{', '.join(missing)}"
        )


def _print_facts(facts: dict[str, Any], archive: Path) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for name, fact in facts.items():
        console.print(
            f"{name}: {fact['images']} images, threshold {fact['threshold']:.4g} from "
            f"{fact['validation_images']} validation images; {fact['scores_merged']} scores became "
            "equal to another one of their image in float16"
        )
    console.print(f"checked: every file is there, and no other\nsubmission: {archive}")
