"""Writes images, masks and the folder of the data set, completely or not at all."""

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
    """Writes an image and creates missing folders.

    Args:
        path: the file.
        pixels: (H, W, 3) RGB or (H, W) grey, uint8.
    """
    # OpenCV's order is blue, green, red.
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    _, data = cv2.imencode(".png", np.ascontiguousarray(ordered), [cv2.IMWRITE_PNG_COMPRESSION, 2])
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not imwrite, which reports no error on a full disk.
    path.write_bytes(data.tobytes())


def write_mask(path: Path, mask: NDArray[np.bool_], *, value: int = 255) -> None:
    """Writes a mask as 8-bit grey.

    Args:
        path: the file.
        mask: (H, W) bool.
        value: grey value of True, 1 to 255; False is 0.
    """
    write_png(path, mask.astype(np.uint8) * np.uint8(value))


def write_set(root: Path, parameters: Parameters, *, fill: Callable[[Path], None]) -> None:
    """Calls `fill` with a temporary folder next to `root`, then renames that folder to `root`.

    Does nothing where `root` already has a set of the same parameters.

    Args:
        root: folder of the set.
        parameters: everything that determines the set; stored in its manifest.
        fill: writes the set into the folder it is given.

    Raises:
        AdframeError: if `root` has other content, or cannot be written; no partial set remains.
    """
    root = root.expanduser().resolve()
    if _has_set(root, parameters):
        return
    part = root.with_name(f".{root.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        fill(part)
        (part / MANIFEST).write_text(json.dumps(parameters, indent=1) + "\n", encoding="utf-8")
        if root.exists():
            # It is empty, as `_has_set` has checked.
            root.rmdir()
        part.rename(root)
    except OSError as error:
        if _has_set(root, parameters):  # another process was faster
            return
        reason = error.strerror or str(error)
        raise AdframeError(
            f"toy: cannot write {root}: {reason}; free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _has_set(root: Path, parameters: Parameters) -> bool:
    """Tells whether the set exists already; raises where there is something else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise AdframeError(f"toy: {root} has content that is not a toy set; choose another folder")
    for name, wanted in parameters.items():
        if found.get(name) != wanted:
            raise AdframeError(
                f"toy: {root} was made with {name}={found.get(name)}, not {name}={wanted}; "
                f"choose another folder, or remove this one to draw it again"
            )
    return True
