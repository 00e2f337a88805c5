"""Pictures of what a method that rebuilds images makes of held-out ones, while it learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from adframe.contracts import IMAGE, RECORD, Pictured
from adframe.reporting.heatmaps import write_picture

ROWS, BAR, GAP = 4, 22, 4  # images, height of the line of words, pixels between pictures


class Reconstructions(L.Callback):
    """Draws a grid, one row per image, one column per picture, at even intervals, and at the end.

    Args:
        folder: of the run; grids go to `reconstructions/`.
        unit: what is fitted, a category's name.
        times: how many grids over the whole training; 0 draws none.
    """

    def __init__(self, folder: Path, *, unit: str, times: int) -> None:
        self.folder, self.unit, self.times = folder / "reconstructions", unit, times

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After an epoch's check, where a grid is due."""
        detector: Any = pl_module.detector
        total, epoch = int(trainer.max_epochs or 0), trainer.current_epoch + 1
        if (
            trainer.state.fn != "fit"
            or not isinstance(detector, Pictured)
            or not due(epoch, total, self.times)
        ):
            return
        images = _first_normals(trainer.val_dataloaders).to(pl_module.device)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            picture = grid(detector.picture(images))
        file = self.folder / f"{self.unit}_epoch_{epoch:04d}.png"
        write_picture(file, picture)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image(key=f"reconstructions/{self.unit}", images=[str(file)])


def due(epoch: int, total: int, times: int) -> bool:
    """Whether one of `times` evenly spread pictures belongs to an epoch, counted from 1; the last always."""
    return times > 0 and epoch * times // total > (epoch - 1) * times // total


def grid(pictures: Mapping[str, Tensor]) -> np.ndarray:
    """Named (B, 3, H, W) in [0, 1] to one (H', W', 3) uint8 picture with the names above its columns."""
    columns = [
        (images.float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for images in pictures.values()
    ]
    count, height, width = columns[0].shape[:3]
    canvas = np.full(
        (BAR + count * (height + GAP) - GAP, len(columns) * (width + GAP) - GAP, 3), 255, dtype=np.uint8
    )
    for c, (name, column) in enumerate(zip(pictures, columns, strict=True)):
        left = c * (width + GAP)
        cv2.putText(
            canvas, name, (left + 2, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA
        )
        for r, image in enumerate(column):
            top = BAR + r * (height + GAP)
            canvas[top : top + height, left : left + width] = image
    return canvas


def _first_normals(loader: Any) -> Tensor:
    """(B, 3, H, W): the first few normal images of a loader's dataset."""
    images: list[Tensor] = []
    for place in range(len(loader.dataset)):
        item = loader.dataset[place]
        if item[RECORD].label == 0:
            images.append(item[IMAGE])
        if len(images) == ROWS:
            break
    return torch.stack(images)
