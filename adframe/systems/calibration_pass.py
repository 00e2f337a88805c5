"""Shows a detector the held-out normal images before any is scored."""

from __future__ import annotations

from collections.abc import Iterable

import lightning as L
import torch
from torch import nn

from adframe.contracts import IMAGE, RECORD, Batch, HeldOut


def normals(batch: Batch) -> torch.Tensor:
    """(B,) bool: which images of a batch are known to be normal."""
    return torch.tensor([record.label == 0 for record in batch[RECORD]])


def run_calibration_pass(detector: nn.Module, batches: Iterable[Batch], *, system: L.LightningModule) -> None:
    """Lets a detector that wants to, observe all normal images among validation batches, and settle.

    Args:
        detector: what is asked; one that needs_held_out nothing is left alone.
        batches: of validation.
        system: conducts; knows the device and the precision.
    """
    if not (isinstance(detector, HeldOut) and detector.needs_held_out):
        return
    again: bool | None = True
    while again:
        with system.trainer.precision_plugin.forward_context():
            for batch in batches:
                known = normals(batch)
                if known.any():
                    detector.collect_held_out(batch[IMAGE][known].to(system.device))
        again = detector.finalise_held_out()
