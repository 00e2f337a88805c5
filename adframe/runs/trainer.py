"""Builds the trainer of Lightning for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from adframe.errors import AdframeError
from adframe.systems.learning import Learning


def make_trainer(
    options: Mapping[str, Any],
    callbacks: Sequence[L.Callback],
    logger: Logger | None,
    *,
    learning: Learning | None = None,
    files: CheckpointIO | None = None,
) -> L.Trainer:
    """Builds a trainer without a progress bar, because a callback of the run shows the progress.

    Args:
        options: other arguments of `lightning.Trainer`, such as `accelerator` and `precision`.
        callbacks: the callbacks; a `ModelCheckpoint` among them turns checkpoints on.
        logger: receives the losses; None for no logger.
        learning: gives the number of epochs, where it has one, and the gradient clipping; None
            for one pass.
        files: writes and reads the checkpoints of a training; None for Lightning's own.

    Returns:
        The trainer.

    Raises:
        AdframeError: Lightning refuses an option.
    """
    try:
        return L.Trainer(
            **options,
            # Of a length in steps the passes are not known before the images are.
            max_epochs=1 if learning is None else learning.epochs or -1,
            gradient_clip_val=None if learning is None else learning.clip,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            callbacks=list(callbacks),
            logger=logger or False,
            enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
            plugins=None if files is None else [files],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (ImportError, TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        text = " ".join(str(error).split()).rstrip(".!")
        raise AdframeError(f"trainer: {text}; see conf/trainer/, trainer=cpu runs anywhere") from error
