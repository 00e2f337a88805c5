"""Tests a fitted model on the images of one category, and writes the results."""

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


def evaluate_category(
    recipe: Recipe,
    folder: RunFolder,
    system: DetectionSystem,
    data: AnomalyData,
    *,
    category: str,
    tracker: Logger | None,
) -> None:
    """Tests a fitted model on one category and writes the results to a folder.

    Args:
        recipe: the recipe of the run or of the evaluation.
        folder: the folder to which the results are added.
        system: the fitted model.
        data: images, among them the test images of the category.
        category: the name of the category.
        tracker: the logger of the run, or None.
    """
    recorder, gallery = Recorder(), recipe.gallery()
    writers = [recipe.map_writer(folder.path)] if recipe.save_maps else []
    embeddings = [each for each in [recipe.embeddings()] if each is not None]
    callbacks = [recorder, gallery, *writers, *embeddings, ProgressLine(title=category)]
    trainer = recipe.trainer(callbacks, tracker)
    trainer.test(system, dataloaders=data.test_on(category), verbose=False)
    fitted = system.calibrator.fitted
    pictures = gallery.write(
        folder.path, category=category, normal_median=fitted.map_median, normal_max=fitted.map_max
    )
    for each in embeddings:
        each.write(folder.path, category=category, seed=recipe.seed)
    survey_patches(recipe, folder, system, data, category=category)
    for writer in writers:
        folder.add_facts({"maps": folder.environment.get("maps", {}) | {category: writer.facts()}})
        folder.add_warnings(category, writer.warnings())
    folder.add_warnings(category, binning_warnings(system.pixel.bound()))
    folder.add(
        category,
        results=system.results,
        rows=recorder.rows,
        pictures=pictures,
        defects=defect_metrics(recorder.rows, pixel=system.pixel),
        drawn=drawn_metrics(recorder.rows, pixel=system.pixel),
    )


def load_system(recipe: Recipe, source: Source, path: Path) -> DetectionSystem:
    """Builds a model and loads a checkpoint into it, ready to predict.

    Args:
        recipe: the recipe of the run that wrote the checkpoint.
        source: the dataset of the run.
        path: the checkpoint; its name is the category or `global`.

    Returns:
        The fitted model.

    Raises:
        AdframeError: the checkpoint is missing, damaged, or of another model.
    """
    L.seed_everything(
        recipe.seed, workers=True, verbose=False
    )  # building a model may draw: as before the fit
    system = recipe.system(source, unit=path.stem, held_out=False)
    load_checkpoint(system, path, of=recipe.identity(path.stem))
    return system
