"""One run: fit, test and write, one category after the other, or one model for all of them.

train             checks everything, opens the folder, then works
resume            reads the folder, checks that the images are the same, then works
  _work_through   every model: fit (runs.fit), test (runs.test), further tests (runs.domain_tests)
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger

from adframe.callbacks.profile import peak_memory
from adframe.callbacks.stages import run_stages
from adframe.data.auto_roi import AutoRoi
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.image_facts import IMAGE_FACTS, ImageFacts
from adframe.data.validate_files import FINGERPRINT_PREFIX, fingerprint
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import map_paths
from adframe.io.files import check_writable
from adframe.io.processes import current_processes, first_before_others
from adframe.io.program import command_of
from adframe.reporting.notes import warn
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder
from adframe.runs.domain_tests import FurtherTest, check_further, further_tests, write_further_pages
from adframe.runs.fit import fit_model
from adframe.runs.folders import own_folder
from adframe.runs.latency import latency_facts
from adframe.runs.moved_data import write_moved_data
from adframe.runs.provenance import environment
from adframe.runs.recipe import Recipe, check_buildable
from adframe.runs.test import evaluate_category, load_system
from adframe.runs.validation_check import warn_of_unlike_validation
from adframe.systems.detection import DetectionSystem


def train(recipe: Recipe, path: Path, *, warnings: Sequence[str] = ()) -> RunFolder:
    """Fits and tests the models of a recipe.

    Wrong settings, dataset files or weights are reported before the folder is made; a failure later leaves no
    folder unless a category was finished.

    Args:
        recipe: the parts of the run.
        path: the folder of the run, new or empty.
        warnings: lines about the settings for the report.

    Returns:
        The folder, with the report written.

    Raises:
        AdframeError: something cannot be built, read or written; one line says what.
    """
    # Everything that can be checked is checked before the folder is made.
    check_writable(path, key="paths.run")
    with first_before_others():  # datasets may be written or downloaded here
        source, units = _models_to_fit(recipe)
    _keep_regions(recipe, units)
    check_further(recipe, units)
    first = next(iter(units))
    system = check_buildable(recipe, source, unit=first, held_out=units[first].held_out)
    fingerprints = _fingerprints(source, units) if current_processes().first else {}
    facts = environment(seed=recipe.seed, fingerprints=fingerprints, command=recipe.command)
    facts |= recipe.choices | {IMAGE_FACTS: {unit: _image_facts(data) for unit, data in units.items()}}
    facts["warnings"] = [*warnings, *(line for data in units.values() for line in data.warnings)]
    with own_folder(path) as place:
        folder = RunFolder(place)
        try:
            folder.open(config=recipe.config, environment=facts)
            return _work_through(recipe, folder, source, units, built={first: system})
        except BaseException as error:
            _cleanup(folder, error)
            raise


def resume(recipe: Recipe, folder: RunFolder) -> RunFolder:
    """Continues a stopped run.

    Args:
        recipe: built from the run's own configuration.
        folder: the folder of the run, reopened.

    Returns:
        The folder, with the report written.

    Raises:
        AdframeError: the images have changed since the run was started, or an older adframe started it.
    """
    with first_before_others():
        source, units = _models_to_fit(recipe)
    stored = folder.environment.get("data_fingerprint")
    if not isinstance(stored, dict) or not all(
        str(each).startswith(FINGERPRINT_PREFIX) for each in stored.values()
    ):
        raise AdframeError(
            f"{folder.path} was started by an older adframe, which did not hash whole files; start a new run"
        )
    # Categories fitted to other images would not be comparable with the finished ones.
    processes = current_processes()
    if processes.of_first(_fingerprints(source, units) if processes.first else {}) != stored:
        raise AdframeError(f"the images have changed since {folder.path} was started; start a new run")
    with own_folder(folder.path) as place:
        if not processes.first:
            folder = RunFolder(place)
            folder.reopen()
        write_moved_data(folder, recipe.config)
        try:
            return _work_through(recipe, folder, source, units, built={})
        except BaseException as error:
            _cleanup(folder, error)
            raise


def _cleanup(folder: RunFolder, error: BaseException) -> None:
    """Keeps finished or half-trained models and notes how to continue; else removes the folder."""
    if folder.done or folder.has_unfinished_training:
        done = ", ".join(folder.done) or "nothing"
        error.add_note(f"{done} done; go on with: {command_of('train')} resume={folder.path}")
    else:
        folder.discard()


def _work_through(
    recipe: Recipe,
    folder: RunFolder,
    source: Source,
    units: Mapping[str, AnomalyData],
    *,
    built: dict[str, DetectionSystem],
) -> RunFolder:
    """Fits and tests all models that are not done yet, and writes the report."""
    start = time.perf_counter()
    spent = float(folder.environment.get("wall_seconds", 0))  # by earlier parts of a resumed run
    data_of = {category: data for data in units.values() for category in data.categories}
    first = current_processes().first
    with (
        recipe.tracker(folder.path) if first else nullcontext() as tracker,
        run_stages(list(units)) as stages,
    ):
        further: list[FurtherTest] = []
        for unit in units:
            tests = further_tests(recipe, folder.path, unit=unit, categories=list(data_of))
            further += tests
            new = built.pop(unit, None)
            system = _fitted_model(recipe, folder, source, unit, units[unit], tests, new, tracker)
            for test in tests:
                if system is not None and not test.done:
                    test.run(recipe, folder, system, data_of)
            stages.finish(unit)
            folder.add_facts({"wall_seconds": spent + time.perf_counter() - start} | peak_memory())
        if not first:
            return folder
        write_further_pages(further)
        folder.add_facts({"wall_seconds": spent + time.perf_counter() - start} | peak_memory())
        warn_of_unlike_validation(folder)
        write_page(folder.path)
    return folder


def _fitted_model(
    recipe: Recipe,
    folder: RunFolder,
    source: Source,
    unit: str,
    data: AnomalyData,
    further: Sequence[FurtherTest],
    system: DetectionSystem | None,
    tracker: Sequence[Logger] | None,
) -> DetectionSystem | None:
    """Returns the fitted model of a unit, its categories tested; None where nothing is left to do."""
    if not set(data.categories) <= set(folder.done):
        return fit_and_test(recipe, folder, source, unit=unit, data=data, system=system, tracker=tracker)
    if all(test.done for test in further):
        return None
    return load_system(recipe, source, current_processes().of_first(folder.checkpoint(unit)))


def fit_and_test(
    recipe: Recipe,
    folder: RunFolder,
    source: Source,
    *,
    unit: str,
    data: AnomalyData,
    system: DetectionSystem | None,
    tracker: Sequence[Logger] | None,
) -> DetectionSystem:
    """Fits the model of a unit, and tests it on those of its categories that are not in the folder yet.

    Args:
        recipe: the recipe of the run.
        folder: the folder of the run.
        source: the dataset.
        unit: the model's name: a category, or `global`.
        data: the images of the model.
        system: the model, not fitted; None builds it here.
        tracker: the loggers of the run, or None.

    Returns:
        The fitted model.
    """
    if system is None:
        L.seed_everything(recipe.seed, workers=True, verbose=False)
        system = recipe.system(source, unit=unit, held_out=data.held_out)
    # Seeded again so that the fit does not depend on when the model was built.
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    folder.metrics["val"][unit] = fit_model(recipe, folder, system, data, unit=unit, tracker=tracker)
    if current_processes().first:
        folder.metrics["val"][unit] |= latency_facts(recipe, system, data)
    for category in data.categories:
        if category not in folder.done:
            evaluate_category(recipe, folder, system, data, category=category, tracker=tracker)
    if current_processes().first:
        data.write_split()
    return system


def _models_to_fit(recipe: Recipe) -> tuple[Source, dict[str, AnomalyData]]:
    """Returns the dataset and the images of each model by its name; every file is checked here."""
    source = recipe.source()
    names = recipe.categories(source)
    categories_of = {"global": names} if recipe.pooled else {name: [name] for name in names}
    units = {unit: recipe.data(source, names) for unit, names in categories_of.items()}
    for data in units.values():
        data.setup()
        if data.split_file is not None:
            data.split_file.check()
        for line in data.warnings:
            warn(line)
        if recipe.save_maps:
            map_paths(record for record in data.records if record.split == "test")
    return source, units


def _keep_regions(recipe: Recipe, units: Mapping[str, AnomalyData]) -> None:
    """Stores the regions that `roi=auto` found, so that the run is read and used with the same ones."""
    regions = [data.view.roi.found for data in units.values() if isinstance(data.view.roi, AutoRoi)]
    if regions:
        recipe.set_regions({name: shapes for each in regions for name, shapes in (each or {}).items()})


def _image_facts(data: AnomalyData) -> dict[str, Any]:
    """Describes the training images of a model, so that images of another kind can be told from them."""
    return ImageFacts.of([record for record in data.records if record.split == "train"]).plain()


def _fingerprints(source: Source, units: Mapping[str, AnomalyData]) -> dict[str, str]:
    """Hashes the image files of each model."""
    return {name: fingerprint(data.records, root=Path(source.root)) for name, data in units.items()}
