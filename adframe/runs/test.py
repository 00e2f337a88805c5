"""Tests a fitted model on the images of one category, and enters what came out into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from adframe.callbacks.embeddings import Embeddings
from adframe.callbacks.gallery import Gallery
from adframe.callbacks.maps import MapWriter
from adframe.callbacks.progress import ProgressLine
from adframe.callbacks.record import Recorder
from adframe.config.build import build, build_system, build_trainer
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.metrics.by_defect import coarse, defect_metrics
from adframe.metrics.resampled import drawn_metrics
from adframe.results.run_folder import RunFolder
from adframe.runs.patch_survey import survey_patches
from adframe.systems.checkpoint import load
from adframe.systems.detection import DetectionSystem


def measure(
    cfg: DictConfig,
    folder: RunFolder,
    system: DetectionSystem,
    data: AnomalyData,
    *,
    category: str,
    tracker: Logger | None,
) -> None:
    """Tests a fitted system on one category and enters what came out into the folder."""
    recorder, gallery = Recorder(), build(cfg, "callbacks.gallery")
    assert isinstance(gallery, Gallery)
    writers = [map_writer(cfg, folder.path)] if cfg.get("save_maps") else []
    embeddings = embedders(cfg)
    watching = [recorder, gallery, *writers, *embeddings, ProgressLine(title=category)]
    trainer = build_trainer(cfg, watching, tracker)
    trainer.test(system, dataloaders=data.test_on(category), verbose=False)
    fitted = system.calibrator.fitted
    pictures = gallery.write(
        folder.path, category=category, normal_median=fitted.map_median, normal_max=fitted.map_max
    )
    for each in embeddings:
        each.write(folder.path, category=category, seed=cfg.seed)
    survey_patches(cfg, folder, system, data, category=category)
    for writer in writers:
        folder.note({"maps": folder.environment.get("maps", {}) | {category: writer.facts()}})
        folder.warn(category, writer.warnings())
    folder.warn(category, coarse(system.pixel.bound()))
    folder.add(
        category,
        results=system.results,
        rows=recorder.rows,
        pictures=pictures,
        defects=defect_metrics(recorder.rows, pixel=system.pixel),
        drawn=drawn_metrics(recorder.rows, pixel=system.pixel, seed=cfg.seed),
    )


def map_writer(cfg: DictConfig, run: Path) -> MapWriter:
    """The observer behind `save_maps=true`."""
    writer: MapWriter = build(cfg, "callbacks.maps", {"folder": run / "maps"})
    return writer


def embedders(cfg: DictConfig) -> list[Embeddings]:
    """The observer of what images are to a method that can say; none where a stored run is older than it."""
    return [build(cfg, "callbacks.embeddings")] if "embeddings" in cfg.callbacks else []


def of_unit(cfg: DictConfig, unit: str) -> DictConfig:
    """The configuration of one model: `category` is its own, for settings that hang on it."""
    own = cfg.copy()
    OmegaConf.update(own, "category", unit)
    return own


def identity_of(cfg: DictConfig, unit: str) -> dict[str, str]:
    """What the files of one model say that they are of."""
    size: Any = OmegaConf.to_container(cfg)["image_size"]  # type: ignore[index,call-overload]
    named = {"unit": unit, "dataset": cfg.dataset.name, "seed": cfg.seed, "image_size": size}
    return {name: str(value) for name, value in named.items()}


def load_system(cfg: DictConfig, source: Source, path: Path) -> DetectionSystem:
    """A system as a checkpoint left it, ready to predict."""
    L.seed_everything(cfg.seed, workers=True, verbose=False)  # as before the fit
    system = build_system(of_unit(cfg, path.stem), source, held_out=False)
    load(system, path, of=identity_of(cfg, path.stem))
    return system
