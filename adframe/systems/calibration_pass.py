"""Shows a detector the held-out normal images before any image is scored."""

from __future__ import annotations

from collections.abc import Iterable

import lightning as L
import torch
from torch import nn

from adframe.contracts import IMAGE, RECORD, Batch, HeldOut
from adframe.data.sampling import whole


def normal_mask(batch: Batch) -> torch.Tensor:
    """Marks the images of a batch that are known to be normal.

    Args:
        batch: the batch.

    Returns:
        (B,) bool.
    """
    return torch.tensor([record.label == 0 for record in batch[RECORD]])


def run_calibration_pass(detector: nn.Module, batches: Iterable[Batch], *, system: L.LightningModule) -> None:
    """Lets a detector collect all normal images among the validation batches, where it needs them.

    Args:
        detector: a detector; one without `needs_held_out` is left unchanged.
        batches: validation batches; several processes collect all of them, each for itself.
        system: the system, which knows the device and the precision.
    """
    if not (isinstance(detector, HeldOut) and detector.needs_held_out):
        return
    again: bool | None = True
    while again:
        with system.trainer.precision_plugin.forward_context():
            for batch in whole(batches):
                known = normal_mask(batch)
                if known.any():
                    detector.collect_held_out(batch[IMAGE][known].to(system.device))
        again = detector.finalise_held_out()
