"""Stores one file per model: the fitted parameters with the calibration, without the frozen backbone.

The backbone is named and hashed instead: it is loaded from the same source again, and another one is refused.
A bank on disk stays in a file of its own next to the checkpoint, which has its name, size and checksums.
Files contain tensors and plain values only, so that a foreign checkpoint runs no code. A checksum and an
identity reveal damaged files and models of another category.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adframe.errors import AdframeError
from adframe.io.checksummed import UnusableError, read_sealed, write_sealed
from adframe.models.disk_bank import DiskBank
from adframe.systems.detection import DetectionSystem

CHECKPOINT_FORMAT = "2"
FROZEN_PREFIX = "detector.backbone."


def save_checkpoint(system: DetectionSystem, path: Path, *, of: Mapping[str, str]) -> None:
    """Writes the checkpoint, completely or not at all, and before it the files of banks on disk.

    Args:
        system: the fitted system.
        path: the file.
        of: identifies the training data, such as the category.
    """
    for number, bank in enumerate(_disk_banks(system)):
        bank.place(path.with_name(f"{path.stem}.{number}.bank" if number else f"{path.stem}.bank"))
    frozen = _frozen(system)
    state = {name: value for name, value in system.state_dict().items() if name not in frozen}
    write_sealed(path, {"state": state}, identity=identity(system, of=of))


def load_checkpoint(system: DetectionSystem, path: Path, *, of: Mapping[str, str]) -> None:
    """Loads a checkpoint into a system; every parameter must fit.

    Args:
        system: receives the parameters.
        path: the file.
        of: the expected training data.

    Raises:
        AdframeError: if the file is missing, damaged, has another identity, or does not fit.
    """
    stored = _read_checkpoint(path, identity(system, of=of))
    known = system.state_dict()
    try:
        # The frozen backbone is not in the file, so its own tensors complete the state for a strict load.
        system.load_state_dict({name: known[name] for name in _frozen(system)} | stored["state"], strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise AdframeError(f"checkpoint {path} does not fit: {' '.join(str(error).split())}") from error
    for bank in _disk_banks(system):
        bank.open(path.parent)


def identity(system: DetectionSystem, *, of: Mapping[str, str]) -> dict[str, str]:
    """Returns the identity that a file of this system has.

    Args:
        system: the system.
        of: identifies the training data.

    Returns:
        Format, method, backbone and training data.
    """
    kind = type(system.detector)
    backbone: Any = getattr(system.detector, "backbone", None)
    named = "none"  # a method that works on pixels
    if backbone is not None:
        named = f"{backbone.name} {','.join(backbone.layers)} sha256:{backbone.digest[:16]}"
    return {
        "format": CHECKPOINT_FORMAT,
        # A class may keep the method name of the class that it extends.
        "method": str(getattr(kind, "METHOD", kind.__name__)),
        "backbone": named,
        **of,
    }


def _read_checkpoint(path: Path, own: Mapping[str, str]) -> dict[str, Any]:
    try:
        return read_sealed(path, identity=own)
    except FileNotFoundError as error:
        raise AdframeError(f"checkpoint {path} does not exist; was the run finished?") from error
    except UnusableError as error:
        raise AdframeError(f"checkpoint {path} {error}; fit the model again") from error


def _disk_banks(system: DetectionSystem) -> list[DiskBank]:
    return [module for module in system.modules() if isinstance(module, DiskBank)]


def _frozen(system: DetectionSystem) -> set[str]:
    """Returns the names of tensors that come from the backbone's own weights."""
    named = {f"detector.{name}" for name in getattr(system.detector, "frozen", ())}
    return named | {name for name in system.state_dict() if name.startswith(FROZEN_PREFIX)}
