"""Tests a fitted model on the images of one category, and writes the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning as L
from lightning.pytorch.loggers import Logger

from adframe.callbacks.progress import StageProgress
from adframe.callbacks.record import Recorder
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.io.processes import current_processes
from adframe.metrics.by_defect import binning_warnings, defect_metrics
from adframe.metrics.resampled import drawn_metrics
from adframe.reporting.notes import warn
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder
from adframe.runs.patch_survey import survey_patches
from adframe.runs.recipe import Recipe
from adframe.systems.checkpoint import load_checkpoint
from adframe.systems.detection import DetectionSystem

_SMALLEST_DEFECT = 4.0  # pixels of the network's input


def evaluate_category(
    recipe: Recipe,
    folder: RunFolder,
    system: DetectionSystem,
    data: AnomalyData,
    *,
    category: str,
    tracker: Sequence[Logger] | None,
) -> None:
    """Tests a fitted model on one category and writes the results to a folder.

    Args:
        recipe: the recipe of the run or of the evaluation.
        folder: the folder to which the results are added.
        system: the fitted model.
        data: images, among them the test images of the category.
        category: the name of the category.
        tracker: the loggers of the run, or None.
    """
    processes = current_processes()
    recorder, gallery = Recorder(), recipe.gallery()
    writers = [recipe.map_writer(processes.of_first(folder.path))] if recipe.save_maps else []
    embeddings = [each for each in [recipe.embeddings()] if each is not None]
    callbacks = [recorder, gallery, *writers, *embeddings, StageProgress(title=category)]
    trainer = recipe.trainer(callbacks, tracker)
    trainer.test(system, dataloaders=data.test_on(category, shared=True), verbose=False)
    if not processes.first:  # all have the results of all images, and the first one writes about them
        folder.metrics["test"][category] = system.results
        return
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
    for line in small_defect_warnings(recorder.rows, data.view):
        warn(f"{category}: {line}")
        folder.add_warnings(category, [line])
    folder.add(
        category,
        results=system.results,
        rows=recorder.rows,
        pictures=pictures,
        defects=defect_metrics(recorder.rows, pixel=system.pixel),
        drawn=drawn_metrics(recorder.rows, pixel=system.pixel),
    )


def small_defect_warnings(rows: Sequence[Row], view: View) -> list[str]:
    """Warns of defects of which the network sees less than about two by two pixels.

    Args:
        rows: prediction rows; `defect_area` is the annotated share of an image.
        view: the size of the network's input.

    Returns:
        One line, or [] where all defects are large enough or nothing is annotated.

    Example:
        >>> row = {"defect_area": 1e-6, "height": 3000, "width": 4000}
        >>> small_defect_warnings([row], View(size=(256, 256)))[0].partition(";")[0]
        '1 of 1 annotated images has defects smaller than 2x2 pixels at the size that the network sees'
    """
    areas = []
    for row in rows:
        if row["defect_area"] is not None:
            height, width = view.of((row["height"], row["width"]))
            areas.append(row["defect_area"] * height * width)
    small = sum(area < _SMALLEST_DEFECT for area in areas)
    if not small:
        return []
    has = "has" if small == 1 else "have"
    return [
        f"{small} of {len(areas)} annotated images {has} defects smaller than 2x2 pixels at the size that "
        "the network sees; a larger image_size=, or tiling=default for the images' own resolution, may find "
        "them"
    ]


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
