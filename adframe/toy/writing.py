"""Files, written whole or not at all: pictures, masks, and the folder that holds the set."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from adframe.errors import AdframeError

MANIFEST = "toy.json"
Parameters: TypeAlias = Mapping[str, str | int | list[str]]


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) RGB or (H, W) grey, making the folders on the way."""
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels  # OpenCV's order is blue, green, red
    _, data = cv2.imencode(".png", np.ascontiguousarray(ordered), [cv2.IMWRITE_PNG_COMPRESSION, 2])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())  # not imwrite, which is silent about a full disk


def write_mask(path: Path, mask: NDArray[np.bool_], *, value: int = 255) -> None:
    """Write a (H, W) bool mask as 8-bit grey: 0 and `value`."""
    write_png(path, mask.astype(np.uint8) * np.uint8(value))


def write_whole(root: Path, parameters: Parameters, *, fill: Callable[[Path], None]) -> None:
    """Have `fill` write a set into a folder beside `root`, then rename that folder to `root`.

    Does nothing where `root` already holds a set of the same parameters.

    Raises:
        AdframeError: `root` holds something else, or cannot be written; nothing is left behind.
    """
    root = root.expanduser().resolve()
    if _holds(root, parameters):
        return
    part = root.with_name(f".{root.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        fill(part)
        (part / MANIFEST).write_text(json.dumps(parameters, indent=1) + "\n", encoding="utf-8")
        if root.exists():
            root.rmdir()  # empty, as `_holds` has seen
        part.rename(root)
    except OSError as error:
        if _holds(root, parameters):  # another process was quicker
            return
        reason = error.strerror or str(error)
        raise AdframeError(
            f"toy: cannot write {root}: {reason}; free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _holds(root: Path, parameters: Parameters) -> bool:
    """Whether the set is there already; raises where something else is."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise AdframeError(f"toy: {root} holds something else than a toy set; choose another folder")
    for name, wanted in parameters.items():
        if found.get(name) != wanted:
            raise AdframeError(
                f"toy: {root} was made with {name}={found.get(name)}, not {name}={wanted}; "
                f"choose another folder, or remove this one to draw it again"
            )
    return True
