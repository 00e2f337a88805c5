"""Whether loading processes can hand their batches over, which lie in `/dev/shm`: often it is small."""

from __future__ import annotations

import shutil
from pathlib import Path

PLACE = Path("/dev/shm")  # of Linux; other systems have no such limit
PREFETCHED = 2  # batches that each process holds ready, as PyTorch has it
LOADERS = 2  # at a time: training's stays while validation's works


def too_small(*, size: tuple[int, int], batch_size: int, num_workers: int) -> str | None:
    """A line where the batches held ready do not fit, in which case the processes would hang or die.

    Args:
        size: (H, W) of the largest image that the network sees.
        batch_size: images a batch.
        num_workers: loading processes.
    """
    if num_workers == 0 or not PLACE.is_dir():
        return None
    image = 4 * (3 + 1) * size[0] * size[1]  # bytes of float32: three colours and a mask
    needed = LOADERS * PREFETCHED * num_workers * batch_size * image
    free = shutil.disk_usage(PLACE).free
    if needed <= free:
        return None
    return (
        f"{PLACE} has {free >> 20} MiB free and {num_workers} loading processes need {needed >> 20} MiB: "
        "images are loaded in the main process, as with num_workers=0; a container gets more with --shm-size="
    )
