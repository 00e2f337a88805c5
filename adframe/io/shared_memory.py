"""Checks whether worker processes can pass batches on through `/dev/shm`, which is often small."""

from __future__ import annotations

import shutil
from pathlib import Path

# On Linux; other systems have no such limit.
SHARED_MEMORY = Path("/dev/shm")
# Batches that each process prepares, PyTorch's default.
PREFETCHED = 2
# The training loader stays alive while the validation loader works.
LOADERS = 2


def shared_memory_warning(*, size: tuple[int, int], batch_size: int, num_workers: int) -> str | None:
    """Returns a warning where the prepared batches do not fit, so that the processes would hang or crash.

    Args:
        size: (H, W) of the largest image that the network sees.
        batch_size: images per batch.
        num_workers: number of loading processes.

    Returns:
        One line; None where they fit.
    """
    if num_workers == 0 or not SHARED_MEMORY.is_dir():
        return None
    # Bytes of float32: three colours and a mask.
    image = 4 * (3 + 1) * size[0] * size[1]
    needed = LOADERS * PREFETCHED * num_workers * batch_size * image
    free = shutil.disk_usage(SHARED_MEMORY).free
    if needed <= free:
        return None
    return (
        f"{SHARED_MEMORY} has {free >> 20} MiB free and {num_workers} loading processes need "
        f"{needed >> 20} MiB: "
        "images are loaded in the main process, as with num_workers=0; a container gets more with --shm-size="
    )
