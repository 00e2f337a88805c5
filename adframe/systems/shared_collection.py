"""Collects the images of all processes in the order in which one process would collect them."""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device

from adframe.contracts import IMAGE, RECORD, Batch, Record
from adframe.io.processes import current_processes
from adframe.models.divided import collect_features_of, features_of


def collect_shared(method: Any, batch: Batch | None, *, device: torch.device) -> list[Record]:
    """Lets a method collect the batch of every process; all processes must call it.

    The features are read by the process that has the batch, and collected by all of them, so that every
    process fits the same model.

    Args:
        method: a method that collects images.
        batch: the batch of this process; None where it has none in this step.
        device: the device of the method.

    Returns:
        The collected images.
    """
    processes = current_processes()
    if processes.count == 1:
        if batch is None:
            return []
        method.collect(batch[IMAGE])
        return list(batch[RECORD])
    own = None
    if batch is not None:
        with torch.no_grad():
            own = move_data_to_device(features_of(method, batch[IMAGE]), "cpu"), list(batch[RECORD])
    records: list[Record] = []
    for found in processes.gather(own):
        if found is not None:
            collect_features_of(method, move_data_to_device(found[0], device))
            records += found[1]
    return records
