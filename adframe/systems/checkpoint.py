"""One file a model: what was learned, with the calibration, without the frozen backbone.

The backbone is named and hashed instead: it comes from the same source again, and another one is
refused. Files hold tensors and plain values only, so that a stranger's checkpoint runs no code, and a
checksum with what they are of, so that neither flipped bits nor another category's model goes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adframe.errors import AdframeError
from adframe.io.checksummed import UnusableError, read_sealed, write_sealed
from adframe.systems.detection import DetectionSystem

FORMAT = "2"
FROZEN = "detector.backbone."


def save(system: DetectionSystem, path: Path, *, of: Mapping[str, str]) -> None:
    """Writes the checkpoint, whole or not at all.

    Args:
        system: what was learned.
        path: the file.
        of: what it was learned from, such as the category.
    """
    frozen = _frozen(system)
    state = {name: value for name, value in system.state_dict().items() if name not in frozen}
    write_sealed(path, {"state": state}, identity=identity(system, of=of))


def load(system: DetectionSystem, path: Path, *, of: Mapping[str, str]) -> None:
    """Fills a system, strictly and completely.

    Args:
        system: takes what was learned.
        path: the file.
        of: what it must have been learned from.

    Raises:
        AdframeError: the file is missing, damaged, of something else, or does not fit.
    """
    stored = _read(path, identity(system, of=of))
    known = system.state_dict()
    try:
        system.load_state_dict({name: known[name] for name in _frozen(system)} | stored["state"], strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise AdframeError(f"checkpoint {path} does not fit: {' '.join(str(error).split())}") from error


def identity(system: DetectionSystem, *, of: Mapping[str, str]) -> dict[str, str]:
    """What a file of this system says of itself."""
    return {"format": FORMAT, "method": _method(system), "backbone": _backbone(system), **of}


def _read(path: Path, own: Mapping[str, str]) -> dict[str, Any]:
    try:
        return read_sealed(path, identity=own)
    except FileNotFoundError as error:
        raise AdframeError(f"checkpoint {path} is not there; was the run finished?") from error
    except UnusableError as error:
        raise AdframeError(f"checkpoint {path} {error}; fit the model again") from error


def _frozen(system: DetectionSystem) -> set[str]:
    """Names of what comes from the backbone's own weights."""
    named = {f"detector.{name}" for name in getattr(system.detector, "frozen", ())}
    return named | {name for name in system.state_dict() if name.startswith(FROZEN)}


def _method(system: DetectionSystem) -> str:
    kind = type(system.detector)
    return str(getattr(kind, "METHOD", kind.__name__))


def _backbone(system: DetectionSystem) -> str:
    backbone: Any = system.detector.backbone
    return f"{backbone.name} {','.join(backbone.layers)} sha256:{backbone.digest[:16]}"
