"""One run: fit, test and write, one category after the other, or one model for all of them.

train           checks everything, opens the folder, then works
resume          reads the folder, checks that the images are the same, then works
  _work         every model: fit (runs.fit), test (runs.test), tests elsewhere (runs.domain_tests)
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning as L
from lightning.pytorch.loggers import Logger

from adframe.callbacks.profile import peak_memory
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.validate_files import FINGERPRINT_PREFIX, fingerprint
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import map_paths
from adframe.io.files import check_writable
from adframe.reporting.console import warn
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder
from adframe.runs.domain_tests import FurtherTest, check_further, further_tests, write_further_pages
from adframe.runs.fit import fit
from adframe.runs.latency import latency_facts
from adframe.runs.moved_data import keep_moved
from adframe.runs.provenance import environment
from adframe.runs.recipe import Recipe, check_complete
from adframe.runs.test import load_system, measure
from adframe.systems.detection import DetectionSystem


def train(recipe: Recipe, path: Path, *, warnings: Sequence[str] = ()) -> RunFolder:
    """Fits and tests what the recipe says.

    Everything that can be wrong with the settings, the dataset's files or the weights shows before the folder
    is made; a failure later leaves no folder unless a category was finished.

    Args:
        recipe: what the run is made of.
        path: its folder, new or empty.
        warnings: what the report should say about the settings.

    Returns:
        The folder, with the report written.

    Raises:
        AdframeError: something cannot be built, read or written; one line says what.
    """
    check_writable(path, key="paths.run")
    folder = RunFolder(path)
    source, units = _units(recipe)
    check_further(recipe, units)
    first = next(iter(units))
    system = check_complete(recipe, source, unit=first, held_out=units[first].held_out)
    noted = environment(seed=recipe.seed, fingerprints=_fingerprints(source, units), command=recipe.command)
    noted |= recipe.choices
    noted["warnings"] = [*warnings, *(line for data in units.values() for line in data.warnings)]
    try:
        folder.open(config=recipe.config, environment=noted)
        return _work(recipe, folder, source, units, built={first: system})
    except BaseException as error:
        _cleanup(folder, error)
        raise


def resume(recipe: Recipe, folder: RunFolder) -> RunFolder:
    """Goes on with a stopped run.

    Args:
        recipe: made of the run's own configuration.
        folder: the run's, reopened.

    Raises:
        AdframeError: the images have changed since the run was started.
    """
    source, units = _units(recipe)
    noted = folder.environment.get("data_fingerprint")
    if not isinstance(noted, dict) or not all(
        str(each).startswith(FINGERPRINT_PREFIX) for each in noted.values()
    ):
        raise AdframeError(
            f"{folder.path} was started by an older adframe, which did not hash whole files; start a new run"
        )
    if _fingerprints(source, units) != noted:
        raise AdframeError(f"the images have changed since {folder.path} was started; start a new run")
    keep_moved(folder, recipe.config)
    try:
        return _work(recipe, folder, source, units, built={})
    except BaseException as error:
        _cleanup(folder, error)
        raise


def _cleanup(folder: RunFolder, error: BaseException) -> None:
    """Keeps what is finished or half learned and says how to go on; removes a run in which nothing is."""
    if folder.done or folder.half_learned:
        done = ", ".join(folder.done) or "nothing"
        error.add_note(f"{done} done; go on with: python train.py resume={folder.path}")
    else:
        folder.discard()


def _work(
    recipe: Recipe,
    folder: RunFolder,
    source: Source,
    units: Mapping[str, AnomalyData],
    *,
    built: dict[str, DetectionSystem],
) -> RunFolder:
    start = time.perf_counter()
    spent = float(folder.environment.get("wall_seconds", 0))
    pools = {category: data for data in units.values() for category in data.categories}
    with recipe.tracker(folder.path) as tracker:
        further: list[FurtherTest] = []
        for unit in units:
            beyond = further_tests(recipe, folder.path, unit=unit, categories=list(pools))
            further += beyond
            system = _model(recipe, folder, source, unit, units[unit], beyond, built.pop(unit, None), tracker)
            for test in beyond:
                if system is not None and not test.done:
                    test.run(recipe, folder, system, pools)
            folder.note({"wall_seconds": spent + time.perf_counter() - start} | peak_memory())
        write_further_pages(further)
        folder.note({"wall_seconds": spent + time.perf_counter() - start} | peak_memory())
        write_page(folder.path)
    return folder


def _model(
    recipe: Recipe,
    folder: RunFolder,
    source: Source,
    unit: str,
    data: AnomalyData,
    further: Sequence[FurtherTest],
    system: DetectionSystem | None,
    tracker: Logger | None,
) -> DetectionSystem | None:
    """The fitted model of a unit, all of its categories tested; None where nothing is left to do."""
    if not set(data.categories) <= set(folder.done):
        return fit_and_test(recipe, folder, source, unit=unit, data=data, system=system, tracker=tracker)
    if all(test.done for test in further):
        return None
    return load_system(recipe, source, folder.checkpoint(unit))


def fit_and_test(
    recipe: Recipe,
    folder: RunFolder,
    source: Source,
    *,
    unit: str,
    data: AnomalyData,
    system: DetectionSystem | None,
    tracker: Logger | None,
) -> DetectionSystem:
    """Fits the model of a unit, and tests it on those of its categories that are not in the folder yet.

    Args:
        recipe: of the run.
        folder: the run's.
        source: its dataset.
        unit: a category, or `global`.
        data: the images of the unit.
        system: the model, not fitted; None: it is built here.
        tracker: the logger of the run, if it has one.

    Returns:
        The fitted model.
    """
    if system is None:
        L.seed_everything(recipe.seed, workers=True, verbose=False)
        system = recipe.system(source, unit=unit, held_out=data.held_out)
    L.seed_everything(recipe.seed, workers=True, verbose=False)  # whenever the model was built
    folder.metrics["val"][unit] = fit(recipe, folder, system, data, unit=unit, tracker=tracker)
    folder.metrics["val"][unit] |= latency_facts(recipe, system, data)
    for category in data.categories:
        if category not in folder.done:
            measure(recipe, folder, system, data, category=category, tracker=tracker)
    data.write_split()
    return system


def _units(recipe: Recipe) -> tuple[Source, dict[str, AnomalyData]]:
    """The models to fit, by name, each with its images; every file is looked at here."""
    source = recipe.source()
    names = recipe.categories(source)
    pools = {"global": names} if recipe.pooled else {name: [name] for name in names}
    units = {unit: recipe.data(source, pool) for unit, pool in pools.items()}
    for data in units.values():
        data.setup()
        if data.split_file is not None:
            data.split_file.check()
        for line in data.warnings:
            warn(line)
        if recipe.save_maps:
            map_paths(record for record in data.records if record.split == "test")
    return source, units


def _fingerprints(source: Source, units: Mapping[str, AnomalyData]) -> dict[str, str]:
    return {name: fingerprint(data.records, root=Path(source.root)) for name, data in units.items()}
