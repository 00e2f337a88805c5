"""Files for scanners to find: small, seeded, in any format."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64


def draw(path: Path, *, size: tuple[int, int] = (SIDE, SIDE), defect: bool = False) -> Path:
    """A smooth picture that follows from its name; a defect is a white square in its middle."""
    height, width = size
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    coarse = Image.fromarray(rng.integers(80, 150, (6, 6, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR)).copy()
    if defect:
        pixels[square(size)] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def draw_mask(path: Path, *, size: tuple[int, int] = (SIDE, SIDE), value: int = 255) -> Path:
    """The mask of that square."""
    mask = np.zeros(size, np.uint8)
    mask[square(size)] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def square(size: tuple[int, int]) -> tuple[slice, slice]:
    height, width = size
    return slice(height // 3, height // 2), slice(width // 3, width // 2)


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: when it was written, and what is in it."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
