"""Fits one model: a training-free method in one pass, a method that learns by gradient with checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import safetensors.torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from adframe.callbacks.learning_curve import LearningCurve
from adframe.callbacks.profile import Profiler
from adframe.callbacks.progress import StageProgress
from adframe.callbacks.reconstructions import Reconstructions
from adframe.contracts import Adapted, Cautioned, Exporter, LeaveOneOut, Prompted, Transductive
from adframe.data.datamodule import AnomalyData
from adframe.io.csv_text import csv_text
from adframe.io.files import write_whole
from adframe.io.processes import current_processes
from adframe.models.normalizer import too_few_error
from adframe.reporting.notes import warn
from adframe.results.names import NO_WEIGHTS, TRANSDUCTIVE
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import write_scores
from adframe.runs.courses import Course
from adframe.runs.frozen_twin import compare_with_twin
from adframe.runs.recipe import Recipe
from adframe.runs.synthetic_metrics import synthetic_metrics
from adframe.systems.checkpoint import identity, save_checkpoint
from adframe.systems.detection import DetectionSystem
from adframe.systems.gradient import MONITORED, GradientSystem
from adframe.systems.screening import Screening
from adframe.systems.shared_collection import share_bank_files
from adframe.systems.training_free import TrainingFreeSystem
from adframe.systems.training_state import LearningFiles

ZERO_SHOT = (
    "this method is zero-shot: it used no training image; only its thresholds come from images, the normal "
    "validation images"
)
SCREENING = "screening"  # folder of the scores of training images by the others


def fit_model(
    recipe: Recipe,
    folder: RunFolder,
    system: DetectionSystem,
    data: AnomalyData,
    *,
    unit: str,
    tracker: Sequence[Logger] | None,
) -> dict[str, float]:
    """Fits and calibrates a model, and writes its checkpoint and its validation scores.

    Args:
        recipe: the recipe of the run.
        folder: the folder of the run.
        system: the model, not fitted.
        data: its images.
        unit: the model's name: a category, or `global`.
        tracker: the loggers of the run, or None.

    Returns:
        Numbers about thresholds, validation, training and time, for `val` in metrics.json.

    Raises:
        AdframeError: too few normal validation images are held out.
    """
    profiler = Profiler()
    callbacks: list[L.Callback] = [profiler, StageProgress(title=unit)]
    training: dict[str, float] = {}
    if isinstance(system.detector, Cautioned):
        for line in system.detector.cautions:
            _warn(folder, unit, line)
    if isinstance(system, GradientSystem):
        training = _train_or_load(
            recipe, folder, system, data, unit=unit, tracker=tracker, callbacks=callbacks
        )
        if current_processes().first:
            training |= _compare_with_twin(folder, system, data, unit=unit, seed=recipe.seed)
    else:
        trainer = recipe.trainer(callbacks, tracker)
        if isinstance(system.detector, Prompted) and system.detector.zero_shot:
            trainer.limit_train_batches = 1  # Lightning needs a batch; the method uses no training image
        trainer.fit(system, datamodule=data)
    processes = current_processes()
    if processes.first:
        save_checkpoint(system, folder.checkpoint(unit), of=recipe.identity(unit))
    share_bank_files(system.detector)  # they lie next to the checkpoint now
    processes.wait()  # all have read the checkpoints of the training, which are removed below
    if not processes.first:  # every process has the fitted model, and the first one writes about it
        return {}
    refitted = isinstance(system, TrainingFreeSystem) and system.refit
    write_scores(
        folder.path, unit=unit, scores=system.validation_scores(), parts=system.validation_parts(),
        refitted=refitted,
    )  # fmt: skip
    if isinstance(system, TrainingFreeSystem) and system.screening is not None:
        _write_screening(folder, system.screening, unit=unit)
    if line := _limits(system.detector):
        _warn(folder, unit, line)
    _export(system, folder.path / "checkpoints" / f"{unit}.merged.safetensors")
    folder.add_facts({"weights": {**folder.environment.get("weights", {}), unit: _weights_origin(system)}})
    # Only now, because a run that is stopped before the checkpoint is written resumes from this folder.
    shutil.rmtree(folder.training_folder(unit), ignore_errors=True)
    model = {f"model/{name}": float(value) for name, value in system.detector.facts().items()}  # type: ignore[operator]
    # A refitted model knows the held-out images, so that metrics on them would be too good.
    if not refitted:
        model |= synthetic_metrics(system, data)
    return system.calibrator.facts() | system.validation_facts() | model | training | profiler.seconds


def _compare_with_twin(
    folder: RunFolder, system: GradientSystem, data: AnomalyData, *, unit: str, seed: int
) -> dict[str, float]:
    """Compares an adapted network with the one before training, and warns where it is worse."""
    if not (isinstance(system.detector, Adapted) and system.learning.trains and data.synthesis is not None):
        return {}
    system.detector.eval()
    found = compare_with_twin(system.detector, data, device=system.device, seed=seed)
    if (line := found.warning()) is not None:
        _warn(folder, unit, line)
    return found.facts()


def _limits(detector: object) -> str:
    """Says what has to be known about a method that does not learn from normal images; "" for others."""
    if isinstance(detector, Transductive):
        return TRANSDUCTIVE
    return ZERO_SHOT if isinstance(detector, Prompted) and detector.zero_shot else ""


def _write_screening(folder: RunFolder, found: Screening, *, unit: str) -> None:
    """Writes `screening/<unit>.csv`, the highest score first, and says which images were left out."""
    order = sorted(range(len(found.records)), key=lambda place: -found.scores[place])
    rows = [
        [str(found.records[i].path), found.scores[i], found.limit, bool(found.left_out[i])] for i in order
    ]
    text = csv_text(("image", "score", "limit", "left_out"), rows)
    write_whole(folder.path / SCREENING / f"{unit}.csv", text)
    _warn(folder, unit, f"{found.line}; {SCREENING}/{unit}.csv has all scores")


def _warn(folder: RunFolder, unit: str, line: str) -> None:
    """Prints a warning, and keeps it for the report."""
    warn(f"{unit}: {line}")
    folder.add_warnings(unit, [line])


def _train_or_load(
    recipe: Recipe,
    folder: RunFolder,
    system: GradientSystem,
    data: AnomalyData,
    *,
    unit: str,
    tracker: Sequence[Logger] | None,
    callbacks: list[L.Callback],
) -> dict[str, float]:
    """Trains, or loads an equal training from the store; then fits scales and thresholds."""
    _check_held_out(system, data)
    method, stored = system.method, recipe.stored_training(system.detector, data)
    # The first process decides, because another run may be writing the file.
    known = stored is not None and current_processes().of_first(stored.path.is_file())
    facts = stored.load_into(method) if stored and known else None
    if facts is None:
        facts = _train_epochs(recipe, folder, system, data, unit=unit, tracker=tracker, callbacks=callbacks)
        if stored and facts and current_processes().first:
            stored.save(method, facts)
    recipe.trainer(callbacks, tracker).validate(system, datamodule=data, verbose=False)
    return facts


def _train_epochs(
    recipe: Recipe,
    folder: RunFolder,
    system: GradientSystem,
    data: AnomalyData,
    *,
    unit: str,
    tracker: Sequence[Logger] | None,
    callbacks: list[L.Callback],
) -> dict[str, float]:
    """Trains, from the last checkpoint of a stopped run on; loads the epoch of the lowest held-out loss."""
    # The first process writes the checkpoints, and all of them read the same ones.
    learning, place = system.learning, current_processes().of_first(folder.training_folder(unit))
    if not learning.trains:
        return {}
    files = LearningFiles(place, identity=identity(system, of=recipe.identity(unit)))
    count, between = learning.passes(steps_per_pass=len(data.train_dataloader()))
    keeper = ModelCheckpoint(
        dirpath=place, filename="best", monitor=MONITORED, save_last=True, enable_version_counter=False,
        every_n_epochs=between, save_on_train_epoch_end=True,
    )  # fmt: skip
    grids = Reconstructions(folder.path, unit=unit, times=learning.pictures)
    curve = LearningCurve(folder.path, unit=unit)
    courses = [Course(each, unit=unit) for each in tracker or ()]
    trainer = recipe.trainer([*callbacks, keeper, grids, curve], courses, learning=learning, files=files)
    trainer.fit_loop.max_epochs, trainer.check_val_every_n_epoch = count, between
    begun, lost = files.begun()
    for line in lost:
        _warn(folder, unit, line)
    trainer.fit(system, datamodule=data, ckpt_path=begun, weights_only=True)
    stored = files.best(system.device)
    system.load_state_dict(stored["state_dict"])
    return {
        f"learning/{MONITORED}": float(keeper.best_model_score or float("nan")),
        "learning/best_epoch": float(stored["epoch"] + 1),
    }


def _weights_origin(system: DetectionSystem) -> str:
    """Returns where the backbone's weights come from, and which parts of their file were left out.

    A method without a network has none.
    """
    if not getattr(system.detector, "uses_network", True):
        return NO_WEIGHTS
    backbone = getattr(system.detector, "backbone", None)
    return str(getattr(backbone, "origin", None) or getattr(backbone, "name", NO_WEIGHTS))


def _export(system: DetectionSystem, path: Path) -> None:
    """Writes the adapted network as a plain one, where the method is set up to export it."""
    detector = system.detector
    if isinstance(detector, Exporter) and detector.exports:
        write_whole(path, safetensors.torch.save({k: t.contiguous() for k, t in detector.exported().items()}))


def _check_held_out(system: GradientSystem, data: AnomalyData) -> None:
    """Checks before hours of training that enough normal validation images are held out."""
    normal = sum((record.split, record.label) == ("val", 0) for record in data.records)
    if isinstance(system.detector, LeaveOneOut) and normal < system.detector.min_held_out:
        raise too_few_error(normal, needed=system.detector.min_held_out)
