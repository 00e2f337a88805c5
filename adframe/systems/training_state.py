"""Stores the state of a training: its last two epochs and its best one, each with a checksum."""

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
    """Writes Lightning's checkpoints to a temporary name and renames them; Lightning itself moves them across
    disks.

    The previous epoch remains until the next one is complete, so that a damaged file costs one epoch only.

    Args:
        folder: folder of the files of one training.
        identity: identifies the training.

    Example:
        >>> files = LearningFiles(Path("state"), identity={"category": "tray"})
        >>> files.save_checkpoint({"epoch": 3}, "state/best.ckpt")
        >>> files.best(torch.device("cpu"))["epoch"]
        3
    """

    def __init__(self, folder: Path, *, identity: Mapping[str, str]) -> None:
        self.folder, self.identity = folder, dict(identity)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Name, storage_options: Any = None) -> None:
        """Writes one file, completely or not at all.

        Args:
            checkpoint: content of the file.
            path: the file.
            storage_options: not used.
        """
        del storage_options
        place = Path(path)
        if place.name == LAST and place.is_file():
            place.replace(place.with_name(PREVIOUS))
        write_sealed(place, checkpoint, identity=self.identity)

    def load_checkpoint(
        self, path: Name, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads one file, always without running code from it.

        Args:
            path: the file.
            map_location: device of the tensors; others than devices mean the CPU.
            weights_only: not used.

        Returns:
            The content.

        Raises:
            AdframeError: if the file cannot be used.
        """
        del weights_only
        device = map_location if isinstance(map_location, str | torch.device) else "cpu"
        return self._read(Path(path), device)

    def begun(self) -> tuple[Path | None, list[str]]:
        """Finds the latest epoch from which training can continue.

        Returns:
            Its file, or None; and one line for each file that cannot be used.
        """
        lost: list[str] = []
        found = next(
            (path for name in (LAST, PREVIOUS) if self._is_usable(path := self.folder / name, lost)), None
        )
        if found is not None and not self._is_usable(self.folder / BEST, lost):
            lost.append("the best epoch is lost, so training starts again")
            return None, lost
        if lost:
            lost.append("training continues with the epoch before" if found else "training starts again")
        return found, lost

    def best(self, device: torch.device) -> dict[str, Any]:
        """Reads the epoch with the lowest held-out loss.

        Args:
            device: device of the tensors.

        Returns:
            The content.
        """
        return self._read(self.folder / BEST, device)

    def _read(self, path: Path, device: torch.device | str) -> dict[str, Any]:
        try:
            return read_sealed(path, identity=self.identity, device=device)
        except (UnusableError, FileNotFoundError) as error:
            reason = str(error) if isinstance(error, UnusableError) else "does not exist"
            raise AdframeError(f"{path} {reason}; resume the run, which trains it again") from error

    def _is_usable(self, path: Path, lost: list[str]) -> bool:
        try:
            read_sealed(path, identity=self.identity)
        except FileNotFoundError:
            return False
        except UnusableError as error:
            lost.append(f"{path} {error}")
            return False
        return True
