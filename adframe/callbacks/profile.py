"""Measures the cost of a run: seconds by stage and peak memory."""

from __future__ import annotations

import resource
import sys
import time

import lightning as L
import torch


class Profiler(L.Callback):
    """Measures the wall-clock seconds of fitting and testing.

    Example:
        >>> Profiler().seconds
        {}
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Starts the clock of a stage."""
        del trainer, pl_module, stage
        self._start = time.perf_counter()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Records the seconds of a stage, under a name such as `seconds/fit`."""
        del trainer, pl_module
        self.seconds[f"seconds/{getattr(stage, 'value', stage)}"] = time.perf_counter() - self._start


def peak_memory() -> dict[str, int]:
    """Returns the largest resident size of this process in bytes, and the largest GPU memory where there is a
    GPU.
    """
    # Bytes on macOS, kilobytes on Linux.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if torch.cuda.is_available():
        peak["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
    return peak
