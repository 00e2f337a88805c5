"""The folder of a run in each of its processes: the first one writes the run, the others write aside."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adframe.io.processes import current_processes

# Large files of a run, which no process but the first needs for continuing.
_LARGE = ("checkpoints", "heatmaps", "maps", "resamples", "features", "wandb")


@contextmanager
def own_folder(path: Path) -> Iterator[Path]:
    """Gives each process a folder of the run to write to.

    Args:
        path: the folder of the run, which may exist.

    Yields:
        The folder itself in the first process; in the others a temporary folder, with a copy of the small
        files of a run that is continued.
    """
    processes = current_processes()
    if processes.first:
        processes.wait()  # until the others have copied
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="adframe-") as folder:
        place = Path(folder) / path.name
        if path.is_dir():
            shutil.copytree(path, place, ignore=shutil.ignore_patterns(*_LARGE))
        processes.wait()
        yield place
