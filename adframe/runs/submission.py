"""A submission to the MVTec AD 2 server: `python evaluate.py run=<a run's folder> submission=<folder>`.

Format: Heckler-Kram et al., arXiv 2503.21622, and the official utilities' checker.
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
from adframe.reporting.console import warn
from adframe.reporting.download_progress import shown_progress
from adframe.results.run_folder import RunFolder
from adframe.runs.recipe import Recipe
from adframe.runs.submission_files import Scale, check, check_names, expected, pack, write_pair
from adframe.runs.test import load_system
from adframe.systems.detection import DetectionSystem, heatmaps


def submit(recipe: Recipe, run: RunFolder, categories: Sequence[str], folder: Path, *, share: float) -> Path:
    """Writes the private test sets' maps and masks to a folder, packs and checks them.

    Next to the folder lie `<folder>.tar.gz`, which the server takes, and `<folder>.json`, which says what the
    thresholds are and how many scores float16 made equal. An object's threshold is the one that its
    calibration fitted on the pixels of validation images (by zones where it has those).

    Args:
        recipe: made of the run's own configuration.
        run: the run, reopened.
        categories: the objects, all finished.
        folder: a new folder.
        share: of the sides of the images at which maps are submitted, in (0, 1].

    Returns:
        The archive.

    Raises:
        AdframeError: the run is of another dataset, a private set is missing, or the place is taken.
    """
    if not folder.name or folder.name == "..":
        raise AdframeError(f"submission={folder} names no new folder; give it a name, as in submission=mine")
    archive, notes = (folder.with_name(f"{folder.name}{end}") for end in (".tar.gz", ".json"))
    _check_free(folder, archive, notes)
    check_writable(folder.parent, key="submission")
    pools = _pools(recipe, categories)
    private = {name: [r for r in data.records if r.defect in SETS] for name, data in pools.items()}
    _check_sets(private)
    facts: dict[str, Any] = {}
    try:
        with shown_progress() as told:
            for name, data in pools.items():
                checkpoint = run.checkpoint("global" if recipe.pooled else name)
                system = load_system(recipe, data.source, checkpoint)
                work = _Object(system, data, device=recipe.device(), share=share, told=told)
                facts[name] = work.write(folder, private[name])
        records = [record for members in private.values() for record in members]
        sizes = {r.path: scaled_size(read_size(r.path), share=share) for r in records}
        pack(folder, archive)
        check(folder, archive, expected(records, sizes))
        write_json(notes, {"run": run.path.resolve(), "scale": share, "objects": facts})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        archive.unlink(missing_ok=True)
        raise
    _announce(facts, archive)
    return archive


@dataclass(frozen=True, slots=True)
class _Object:
    """One object's model and images."""

    system: DetectionSystem
    data: AnomalyData
    device: torch.device
    share: float
    told: ProgressCallback

    def write(self, folder: Path, private: Sequence[Record]) -> dict[str, Any]:
        """Writes every private image and returns the facts."""
        calibrator = self.system.calibrator
        fitted, merged = calibrator.fitted, 0
        scale = Scale(fitted.map_mean, fitted.map_std)
        for record, scores in self._scored(private):
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

    def _scored(self, records: Sequence[Record]) -> Iterator[tuple[Record, np.ndarray]]:
        """Each image with its raw scores (H, W), at the size to be submitted; no domain shift."""
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
                yield record, _shrunk(restore(heatmap, geometry), share=self.share)
            self.told(name, done := done + len(maps), len(records))


def scaled_size(size: tuple[int, int], *, share: float) -> tuple[int, int]:
    """(H, W) of a map submitted at a share of its image's sides; at least one pixel."""
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _shrunk(scores: np.ndarray, *, share: float) -> np.ndarray:
    if share == 1:
        return scores
    height, width = scaled_size((scores.shape[0], scores.shape[1]), share=share)
    return np.asarray(cv2.resize(scores, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _pools(recipe: Recipe, categories: Sequence[str]) -> dict[str, AnomalyData]:
    source = recipe.source()
    if not isinstance(source, MvtecAd2):
        raise AdframeError(f"submission= is for runs of dataset=mvtec_ad2; this one is of {source.name}")
    source = replace(source, private=True)  # the run itself may have left them out
    pools = {name: recipe.data(source, [name]) for name in categories}
    for data in pools.values():
        data.setup()
    return pools


def _check_free(folder: Path, *files: Path) -> None:
    for path in (folder, *files):
        if path.exists():
            raise AdframeError(f"{path} is there already; choose another submission= or remove it")


def _check_sets(private: dict[str, list[Record]]) -> None:
    """Both private sets of every object; an object too few is a note, because the server refuses it."""
    for name, records in private.items():
        check_names(records)
        for wanted in SETS:
            if not any(record.defect == wanted for record in records):
                raise AdframeError(
                    f"{name} has no images in {wanted}; a submission needs both {' and '.join(SETS)}"
                )
        count = len(records)
        if name in PRIVATE_COUNTS and count != 2 * PRIVATE_COUNTS[name]:
            warn(f"{name}: {count} private images, the official sets have {2 * PRIVATE_COUNTS[name]}")
    if missing := sorted(PRIVATE_COUNTS.keys() - private.keys()):
        warn(
            f"the server wants all {len(PRIVATE_COUNTS)} objects; this submission lacks {', '.join(missing)}"
        )


def _announce(facts: dict[str, Any], archive: Path) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for name, fact in facts.items():
        console.print(
            f"{name}: {fact['images']} images, threshold {fact['threshold']:.4g} from "
            f"{fact['validation_images']} validation images; float16 made {fact['scores_merged']} scores "
            "equal to another of their image"
        )
    console.print(f"checked: every file is there, and no other\nsubmission: {archive}")
