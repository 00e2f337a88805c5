"""Fits a method in a run of several processes: all of them read features, and the first one fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn

from adframe.contracts import IMAGE, RECORD, Batch, Record
from adframe.io.processes import current_processes
from adframe.io.waiting_processes import others_wait, wait_and_help
from adframe.models.disk_bank import DiskBank
from adframe.models.divided import collect_features_of, features_of

Result = TypeVar("Result")
_BACKBONE = "backbone."  # frozen, and the same in all processes


def collect_shared(method: Any, batch: Batch | None, *, device: torch.device) -> list[Record]:
    """Lets a method collect the batches of all processes; all processes must call it.

    Each process reads the features of its own batch. The first one collects them, in the order in which one
    process would have collected them.

    Args:
        method: a method that collects images.
        batch: the batch of this process; None where it has none in this step.
        device: the device of the method.

    Returns:
        The collected images; [] in another process than the first one.
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
    for found in processes.gather_in_first(own):
        if found is not None:
            collect_features_of(method, move_data_to_device(found[0], device))
            records += found[1]
    return records


def fit_in_first(method: nn.Module, fit: Callable[[], Result]) -> Result:
    """Fits a method in the first process, and gives the others its state; all processes must call it.

    Args:
        method: a method whose state is complete in its `state_dict`, as a checkpoint needs it.
        fit: fits it to what was collected.

    Returns:
        The result of `fit`, in all processes.
    """
    processes = current_processes()
    if processes.count == 1:
        return fit()
    state: dict[str, Any] = {}
    result: Any = None
    if not processes.first:
        wait_and_help(processes)
    else:
        with others_wait(processes):
            result = fit()
        state = {
            name: value.cpu() if isinstance(value, Tensor) else value
            for name, value in method.state_dict().items()
            if not name.startswith(_BACKBONE)
        }
    state, result = processes.of_first((state, result))
    if not processes.first:
        own = method.state_dict()
        frozen = {name: value for name, value in own.items() if name.startswith(_BACKBONE)}
        method.load_state_dict(frozen | state, strict=True)
    share_bank_files(method)
    return result  # type: ignore[no-any-return]


def share_bank_files(method: nn.Module) -> None:
    """Lets all processes read the banks on disk that the first one has written; all must call it.

    Args:
        method: the method; nothing is done for one without banks on disk.
    """
    processes = current_processes()
    banks = [module for module in method.modules() if isinstance(module, DiskBank)]
    places = [(bank.get_extra_state(), bank.file.path.parent) for bank in banks if bank.file is not None]
    places = processes.of_first(places)
    if not processes.first:
        for bank, (reference, folder) in zip(banks, places, strict=True):
            bank.set_extra_state(reference)
            bank.open(folder)
