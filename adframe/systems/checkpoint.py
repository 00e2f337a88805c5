"""One file a model: what was learned, with the calibration, without the frozen backbone.

The backbone is named and hashed instead: it comes from the same source again, and another one is
refused. Files hold tensors and plain values only, so that a stranger's checkpoint runs no code.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from adframe.contracts import AdframeError
from adframe.ops.files import write_whole
from adframe.systems.detection import DetectionSystem

FORMAT = 1
FROZEN = "detector.backbone."


def save(system: DetectionSystem, path: Path) -> None:
    """Writes the checkpoint, whole or not at all."""
    frozen = _frozen(system)
    state = {name: value for name, value in system.state_dict().items() if name not in frozen}
    named = {"format": FORMAT, "method": _method(system), "backbone": _backbone(system)}
    buffer = io.BytesIO()
    torch.save(named | {"state": state}, buffer)
    write_whole(path, buffer.getvalue())


def load(system: DetectionSystem, path: Path) -> None:
    """Fills a system, strictly and completely; an error tells what does not fit."""
    stored = _read(path)
    for what, own in (("method", _method(system)), ("backbone", _backbone(system))):
        if stored[what] != own:
            raise AdframeError(f"checkpoint {path} is of {what} {stored[what]}, this run has {own}")
    known = system.state_dict()
    try:
        system.load_state_dict({name: known[name] for name in _frozen(system)} | stored["state"], strict=True)
    except (RuntimeError, TypeError) as error:
        raise AdframeError(f"checkpoint {path} does not fit: {' '.join(str(error).split())}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise AdframeError(f"checkpoint {path} is not there; was the run finished?") from error
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise AdframeError(f"checkpoint {path} cannot be read safely ({reason})") from error
    keys = {"format", "method", "backbone", "state"}
    if not isinstance(stored, dict) or not keys <= stored.keys() or stored["format"] != FORMAT:
        raise AdframeError(f"{path} is no adframe checkpoint of format {FORMAT}")
    return stored


def _frozen(system: DetectionSystem) -> set[str]:
    """Names of what comes from the backbone's own weights."""
    named = {f"detector.{name}" for name in getattr(system.detector, "frozen", ())}
    return named | {name for name in system.state_dict() if name.startswith(FROZEN)}


def _method(system: DetectionSystem) -> str:
    return type(system.detector).__name__


def _backbone(system: DetectionSystem) -> str:
    backbone: Any = system.detector.backbone
    return f"{backbone.name} {','.join(backbone.layers)} sha256:{backbone.digest[:16]}"
