"""A whole run without Hydra: data, system and trainer, small enough for a test."""

from pathlib import Path

import lightning as L
from torch import nn

from adframe.calibration.calibrator import Calibrator
from adframe.calibration.rules import MeanStd, Quantile
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.splits import Holdout
from adframe.metrics.pixel import PixelMetrics
from adframe.models.patchcore import PatchCore
from adframe.systems.training_free import TrainingFreeSystem
from tests.fakes.backbones import tiny_backbone


def toy_data(source: Source, *, batch_size: int = 4, categories: tuple[str, ...] = ("tray",)) -> AnomalyData:
    return AnomalyData(
        source,
        categories=categories,
        view=View(size=(64, 64)),
        batch_size=batch_size,
        num_workers=0,
        protocol=Holdout(0.34),
        seed=1,
    )


def system_of(
    backbone: nn.Module | None = None, *, refit: bool = True, coreset: float = 0.5
) -> TrainingFreeSystem:
    detector = PatchCore(backbone or tiny_backbone(), coreset=coreset)
    return TrainingFreeSystem(
        detector=detector,
        calibrator=Calibrator(image=Quantile(q=0.9), pixel=MeanStd()),
        pixel=PixelMetrics(limits=(0.3,)),
        refit=refit,
    )


def trainer_of(*callbacks: L.Callback) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def fit(system: TrainingFreeSystem, source: Source, *callbacks: L.Callback) -> TrainingFreeSystem:
    trainer_of(*callbacks).fit(system, datamodule=toy_data(source))
    return system


def measure(
    system: TrainingFreeSystem, source: Source, *callbacks: L.Callback, batch_size: int = 4
) -> dict[str, float]:
    data = toy_data(source, batch_size=batch_size)
    data.setup()
    trainer_of(*callbacks).test(system, dataloaders=data.test_on("tray"), verbose=False)
    return system.results


def paths_to_test(source: Source) -> set[Path]:
    return {record.path for record in source.scan("tray") if record.split == "test"}
