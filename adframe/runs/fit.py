"""Fits one model: one pass for methods without gradients, many with checkpoints for the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import lightning as L
import safetensors.torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from adframe.callbacks.learning_curve import LearningCurve
from adframe.callbacks.profile import Profiler
from adframe.callbacks.progress import ProgressLine
from adframe.callbacks.reconstructions import Reconstructions
from adframe.contracts import Exporter, LeaveOneOut
from adframe.data.datamodule import AnomalyData
from adframe.io.files import write_whole
from adframe.models.normalizer import too_few_error
from adframe.reporting.console import warn
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import write_scores
from adframe.runs.recipe import Recipe
from adframe.runs.synthetic_metrics import synthetic_metrics
from adframe.systems.checkpoint import identity, save_checkpoint
from adframe.systems.detection import DetectionSystem
from adframe.systems.gradient import MONITORED, GradientSystem
from adframe.systems.training_free import TrainingFreeSystem
from adframe.systems.training_state import LearningFiles


def fit(
    recipe: Recipe,
    folder: RunFolder,
    system: DetectionSystem,
    data: AnomalyData,
    *,
    unit: str,
    tracker: Logger | None,
) -> dict[str, float]:
    """Fits and calibrates, writes the checkpoint, and returns what metrics.json says about it."""
    profiler = Profiler()
    watching: list[L.Callback] = [profiler, ProgressLine(title=unit)]
    learned: dict[str, float] = {}
    if isinstance(system, GradientSystem):
        learned = _learn(recipe, folder, system, data, unit=unit, tracker=tracker, watching=watching)
    else:
        recipe.trainer(watching, tracker).fit(system, datamodule=data)
    save_checkpoint(system, folder.checkpoint(unit), of=recipe.identity(unit))
    write_scores(folder.path, unit=unit, scores=system.validation_scores())
    _export(system, folder.path / "checkpoints" / f"{unit}.merged.safetensors")
    folder.note({"weights": {**folder.environment.get("weights", {}), unit: _origin(system)}})
    shutil.rmtree(folder.learning(unit), ignore_errors=True)
    model = {f"model/{name}": float(value) for name, value in system.detector.facts().items()}  # type: ignore[operator]
    model |= _on_synthetic(system, data)
    return system.calibrator.facts() | system.validation_facts() | model | learned | profiler.seconds


def _learn(
    recipe: Recipe,
    folder: RunFolder,
    system: GradientSystem,
    data: AnomalyData,
    *,
    unit: str,
    tracker: Logger | None,
    watching: list[L.Callback],
) -> dict[str, float]:
    """Learns, or takes what an equal training has learned; then fits scales and thresholds."""
    _check_held_out(system, data)
    method, kept = system.method, recipe.learned(system.detector, data)
    learned = kept.fill(method) if kept else None
    if learned is None:
        learned = _train(recipe, folder, system, data, unit=unit, tracker=tracker, watching=watching)
        if kept and learned:
            kept.keep(method, learned)
    recipe.trainer(watching, tracker).validate(system, datamodule=data, verbose=False)
    return learned


def _train(
    recipe: Recipe,
    folder: RunFolder,
    system: GradientSystem,
    data: AnomalyData,
    *,
    unit: str,
    tracker: Logger | None,
    watching: list[L.Callback],
) -> dict[str, float]:
    """Goes on where a stopped run was; ends with the epoch of the lowest held-out loss."""
    learning, place = system.learning, folder.learning(unit)
    if not learning.epochs:
        return {}
    files = LearningFiles(place, identity=identity(system, of=recipe.identity(unit)))
    keeper = ModelCheckpoint(
        dirpath=place, filename="best", monitor=MONITORED, save_last=True, enable_version_counter=False
    )
    grids = Reconstructions(folder.path, unit=unit, times=learning.pictures)
    curve = LearningCurve(folder.path, unit=unit)
    trainer = recipe.trainer([*watching, keeper, grids, curve], tracker, learning=learning, files=files)
    begun, lost = files.begun()
    for line in lost:
        warn(f"{unit}: {line}")
    folder.warn(unit, lost)
    trainer.fit(system, datamodule=data, ckpt_path=begun, weights_only=True)
    stored = files.best(system.device)
    system.load_state_dict(stored["state_dict"])
    return {
        f"learning/{MONITORED}": float(keeper.best_model_score or float("nan")),
        "learning/best_epoch": float(stored["epoch"] + 1),
    }


def _on_synthetic(system: DetectionSystem, data: AnomalyData) -> dict[str, float]:
    """Numbers to choose settings by without a real defect; not where the model knows the images by now."""
    if isinstance(system, TrainingFreeSystem) and system.refit:
        return {}
    return synthetic_metrics(system, data)


def _origin(system: DetectionSystem) -> str:
    """Where the backbone's weights come from, and what of a file was left out."""
    backbone = getattr(system.detector, "backbone", None)
    return str(getattr(backbone, "origin", None) or getattr(backbone, "name", "none"))


def _export(system: DetectionSystem, path: Path) -> None:
    """The adapted network as a plain one, where a method is set up to give it."""
    detector = system.detector
    if isinstance(detector, Exporter) and detector.exports:
        write_whole(path, safetensors.torch.save({k: t.contiguous() for k, t in detector.exported().items()}))


def _check_held_out(system: GradientSystem, data: AnomalyData) -> None:
    """Raises an error before hours of training, where too few normal validation images are held out."""
    normal = sum((record.split, record.label) == ("val", 0) for record in data.records)
    if isinstance(system.detector, LeaveOneOut) and normal < system.detector.min_held_out:
        raise too_few_error(normal, needed=system.detector.min_held_out)
