"""Draws the reconstructions of held-out images during training, for methods that reconstruct images."""

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

# Number of images; height of the line of names and gap between pictures, in pixels.
ROWS, BAR, GAP = 4, 22, 4


class Reconstructions(L.Callback):
    """Draws a grid with one row per image and one column per picture, at even intervals and at the end.

    Args:
        folder: folder of the run; grids are written to `reconstructions/`.
        unit: name of the fitted category.
        times: number of grids over the whole training; 0 draws none.

    Example:
        >>> Reconstructions(Path("run"), unit="tray", times=2).folder.as_posix()
        'run/reconstructions'
    """

    def __init__(self, folder: Path, *, unit: str, times: int) -> None:
        self.folder, self.unit, self.times = folder / "reconstructions", unit, times

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws a grid after the validation of an epoch for which one is due.

        Args:
            trainer: Lightning's trainer.
            pl_module: the system with the detector.
        """
        detector: Any = pl_module.detector
        total, epoch = int(trainer.max_epochs or 0), trainer.current_epoch + 1
        if (
            trainer.state.fn != "fit"
            or not isinstance(detector, Pictured)
            or not is_due(epoch, total, self.times)
        ):
            return
        images = _first_normal_images(trainer.val_dataloaders).to(pl_module.device)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            picture = picture_grid(detector.picture(images))
        file = self.folder / f"{self.unit}_epoch_{epoch:04d}.png"
        write_picture(file, picture)
        for each in trainer.loggers:
            logger = getattr(each, "inner", each)  # of a `Course`
            if isinstance(logger, WandbLogger):
                logger.log_image(key=f"reconstructions/{self.unit}", images=[str(file)])


def is_due(epoch: int, total: int, times: int) -> bool:
    """Tells whether one of evenly spread pictures belongs to an epoch; the last epoch always has one.

    Args:
        epoch: number of the epoch, counted from 1.
        total: number of epochs.
        times: number of pictures.

    Returns:
        True if a picture is due.
    """
    return times > 0 and epoch * times // total > (epoch - 1) * times // total


def picture_grid(pictures: Mapping[str, Tensor]) -> np.ndarray:
    """Arranges pictures in a grid with names above its columns.

    Args:
        pictures: (B, 3, H, W) in [0, 1] by name.

    Returns:
        (H', W', 3) uint8.
    """
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


def _first_normal_images(loader: Any) -> Tensor:
    """Returns (B, 3, H, W): the first normal images of a loader's dataset, at most `ROWS`."""
    images: list[Tensor] = []
    for place in range(len(loader.dataset)):
        item = loader.dataset[place]
        if item[RECORD].label == 0:
            images.append(item[IMAGE])
        if len(images) == ROWS:
            break
    return torch.stack(images)
