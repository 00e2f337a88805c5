"""Builds the trainer of Lightning for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy

from adframe.errors import AdframeError
from adframe.io.processes import Processes, current_processes
from adframe.systems.gradient import GradientSystem
from adframe.systems.learning import Learning


class JoinedProcesses(LightningEnvironment):
    """Tells Lightning of the processes that the run has already.

    Args:
        processes: the processes of the run.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes

    @property
    def creates_processes_externally(self) -> bool:
        """Whether Lightning must not start processes: always."""
        return True

    def local_rank(self) -> int:
        """Returns the number of this process on its machine."""
        return self._processes.rank % self._processes.local_count

    def node_rank(self) -> int:
        """Returns the number of this machine."""
        return self._processes.rank // self._processes.local_count

    def teardown(self) -> None:
        """Leaves the variables of the environment as they are, for the next trainer of the run."""


class SharedSteps(DDPStrategy):
    """Averages the gradients of several processes; a method without gradients is left as it is."""

    def __init__(self) -> None:
        # Some parameters have no part in some losses, such as the adapters of a head that is not used.
        super().__init__(find_unused_parameters=True)

    def configure_ddp(self) -> None:
        """Wraps the system where it has something to train."""
        if isinstance(self.model, GradientSystem):
            super().configure_ddp()


def make_trainer(
    options: Mapping[str, Any],
    callbacks: Sequence[L.Callback],
    logger: Sequence[Logger] | None,
    *,
    learning: Learning | None = None,
    files: CheckpointIO | None = None,
) -> L.Trainer:
    """Builds a trainer without a progress bar, because a callback of the run shows the progress.

    In a run of several processes it trains in step with those of the others; otherwise one device is used,
    however many the options name, because evaluations and predictions have one process.

    Args:
        options: other arguments of `lightning.Trainer`, such as `accelerator` and `precision`.
        callbacks: the callbacks; a `ModelCheckpoint` among them turns checkpoints on.
        logger: receive the losses; None for no logger.
        learning: gives the number of epochs, where it has one, and the gradient clipping; None
            for one pass.
        files: writes and reads the checkpoints of a training; None for Lightning's own.

    Returns:
        The trainer.

    Raises:
        AdframeError: Lightning refuses an option.
    """
    processes = current_processes()
    plugins: list[Any] = [] if files is None else [files]
    own = dict(options)
    if processes.count > 1:
        if (other := own.pop("strategy", "ddp")) not in ("ddp", "auto"):
            raise AdframeError(f"trainer.strategy={other} is not possible with several processes; remove it")
        named = own.get("devices")  # a list names GPUs
        own["devices"] = list(named) if isinstance(named, list) else processes.local_count
        own["num_nodes"] = processes.count // processes.local_count
        own |= {"strategy": SharedSteps(), "use_distributed_sampler": False}
        plugins.append(JoinedProcesses(processes))
    else:
        own |= {"num_nodes": 1}
        devices = own.get("devices", 1)
        if isinstance(devices, list):
            own["devices"] = devices[:1]  # it names GPUs
        elif devices in ("auto", "-1", -1) or (str(devices).isdigit() and int(devices) > 0):
            own["devices"] = 1  # Lightning refuses anything else
    try:
        trainer = L.Trainer(
            **own,
            # Of a length in steps the passes are not known before the images are.
            max_epochs=1 if learning is None else learning.epochs or -1,
            gradient_clip_val=None if learning is None else learning.clip,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            callbacks=list(callbacks),
            logger=list(logger or ()) or False,
            enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
            plugins=plugins or None,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        if processes.count > 1:
            # On SIGTERM Lightning would wait for a broadcast in the middle of a step, which never comes: the
            # first process ends itself, and then the others.
            trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        return trainer
    except (ImportError, TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        text = " ".join(str(error).split()).rstrip(".!")
        raise AdframeError(f"trainer: {text}; see conf/trainer/, trainer=cpu runs anywhere") from error
