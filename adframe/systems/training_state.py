"""What a training leaves to go on from: its last two epochs and its best one, each with a checksum."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from adframe.errors import AdframeError
from adframe.io.checksummed import UnusableError, read_sealed, write_sealed
from adframe.results.run_folder import LAST, PREVIOUS

BEST = "best.ckpt"
Name = str | os.PathLike[str]


class LearningFiles(TorchCheckpointIO):
    """Writes Lightning's checkpoints beside their place and renames them; Lightning moves them across disks.

    The epoch before the last one stays until the next one is whole, so that a damaged file costs an epoch.

    Args:
        folder: where the files of one training lie.
        identity: what they are of.
    """

    def __init__(self, folder: Path, *, identity: Mapping[str, str]) -> None:
        self.folder, self.identity = folder, dict(identity)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Name, storage_options: Any = None) -> None:
        """Writes one file, whole or not at all."""
        del storage_options
        place = Path(path)
        if place.name == LAST and place.is_file():
            place.replace(place.with_name(PREVIOUS))
        write_sealed(place, checkpoint, identity=self.identity)

    def load_checkpoint(
        self, path: Name, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads one file, safely whatever Lightning asks; raises AdframeError where it cannot be used."""
        del weights_only
        device = map_location if isinstance(map_location, str | torch.device) else "cpu"
        return self._read(Path(path), device)

    def begun(self) -> tuple[Path | None, list[str]]:
        """The latest epoch that can be gone on from, and a line for each file that cannot be used."""
        lost: list[str] = []
        found = next(
            (path for name in (LAST, PREVIOUS) if self._is_usable(path := self.folder / name, lost)), None
        )
        if found is not None and not self._is_usable(self.folder / BEST, lost):
            lost.append("the best epoch is lost, so learning begins again")
            return None, lost
        if lost:
            lost.append("learning goes on with the epoch before" if found else "learning begins again")
        return found, lost

    def best(self, device: torch.device) -> dict[str, Any]:
        """The epoch of the lowest held-out loss."""
        return self._read(self.folder / BEST, device)

    def _read(self, path: Path, device: torch.device | str) -> dict[str, Any]:
        try:
            return read_sealed(path, identity=self.identity, device=device)
        except (UnusableError, FileNotFoundError) as error:
            reason = str(error) if isinstance(error, UnusableError) else "is not there"
            raise AdframeError(f"{path} {reason}; resume the run, and it is learned again") from error

    def _is_usable(self, path: Path, lost: list[str]) -> bool:
        try:
            read_sealed(path, identity=self.identity)
        except FileNotFoundError:
            return False
        except UnusableError as error:
            lost.append(f"{path} {error}")
            return False
        return True
