"""Tests a fitted model on the images of one category, and enters what came out into a folder."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.loggers import Logger

from adframe.callbacks.progress import ProgressLine
from adframe.callbacks.record import Recorder
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.metrics.by_defect import binning_warnings, defect_metrics
from adframe.metrics.resampled import drawn_metrics
from adframe.results.run_folder import RunFolder
from adframe.runs.patch_survey import survey_patches
from adframe.runs.recipe import Recipe
from adframe.systems.checkpoint import load_checkpoint
from adframe.systems.detection import DetectionSystem


def measure(
    recipe: Recipe,
    folder: RunFolder,
    system: DetectionSystem,
    data: AnomalyData,
    *,
    category: str,
    tracker: Logger | None,
) -> None:
    """Tests a fitted system on one category and enters what came out into the folder."""
    recorder, gallery = Recorder(), recipe.gallery()
    writers = [recipe.map_writer(folder.path)] if recipe.save_maps else []
    embeddings = [each for each in [recipe.embeddings()] if each is not None]
    watching = [recorder, gallery, *writers, *embeddings, ProgressLine(title=category)]
    trainer = recipe.trainer(watching, tracker)
    trainer.test(system, dataloaders=data.test_on(category), verbose=False)
    fitted = system.calibrator.fitted
    pictures = gallery.write(
        folder.path, category=category, normal_median=fitted.map_median, normal_max=fitted.map_max
    )
    for each in embeddings:
        each.write(folder.path, category=category, seed=recipe.seed)
    survey_patches(recipe, folder, system, data, category=category)
    for writer in writers:
        folder.note({"maps": folder.environment.get("maps", {}) | {category: writer.facts()}})
        folder.warn(category, writer.warnings())
    folder.warn(category, binning_warnings(system.pixel.bound()))
    folder.add(
        category,
        results=system.results,
        rows=recorder.rows,
        pictures=pictures,
        defects=defect_metrics(recorder.rows, pixel=system.pixel),
        drawn=drawn_metrics(recorder.rows, pixel=system.pixel, seed=recipe.seed),
    )


def load_system(recipe: Recipe, source: Source, path: Path) -> DetectionSystem:
    """A system as a checkpoint left it, ready to predict.

    Args:
        recipe: of the run that wrote the checkpoint.
        source: its dataset.
        path: the checkpoint, named by its category or `global`.

    Raises:
        AdframeError: the checkpoint is missing, damaged, or of another model.
    """
    L.seed_everything(recipe.seed, workers=True, verbose=False)  # as before the fit
    system = recipe.system(source, unit=path.stem, held_out=False)
    load_checkpoint(system, path, of=recipe.identity(path.stem))
    return system
