"""Checks whether a PNG or a JPEG is complete, without decoding it to pixels.

A lenient reader fills missing parts with grey without an error, so an end marker in its place proves little.
"""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from adframe.errors import AdframeError

# A JPEG marker, which cannot occur within coded data.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_EOI, _SOS = 0xD9, 0xDA
# Frames with one scan per component and Huffman codes.
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
# Coded data without meaning: all ones is not a Huffman code. A decoder reads up to 8 bytes ahead.
# Coded data that means nothing: all ones is no Huffman code. A decoder reads up to 8 bytes ahead.
_INVALID_CODES = b"\xff\x00" * 8
_RANDOM_CODES = bytes(np.random.default_rng(0).integers(0, 255, 4096, dtype=np.uint8))  # without 0xFF


class _Structure(NamedTuple):
    """The structure of a JPEG.

    Attributes:
        frame: marker of the kind of coding.
        end: position of the end marker; other data may follow.
        complete: whether the scans of a progressive image contain all coefficients.
    """

    frame: int
    end: int
    complete: bool


def check_png(path: Path) -> bool:
    """Checks all chunks of a PNG and their checksums.

    Args:
        path: the file.

    Returns:
        True if a chunk after the pixels may contain an orientation.

    Raises:
        AdframeError: if a chunk is cut, damaged or missing.
    """
    data, place, late, pixels = path.read_bytes(), 8, False, False
    while place + 12 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + 12 + size
        if end > len(data):
            break
        if zlib.crc32(memoryview(data)[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged_error(
                path, f"chunk {kind.decode('latin-1')!r} at byte {place} has another checksum"
            )
        if kind == b"IEND":
            if not pixels:
                raise _damaged_error(path, "it has no pixels")
            return late
        late |= pixels and kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
        pixels |= kind == b"IDAT"
        place = end
    raise _damaged_error(path, f"it is truncated after {len(data)} bytes")


def check_jpeg(path: Path) -> None:
    """Checks that the coded data of a JPEG suffice for the image, wherever the end marker is.

    The end marker of a sequential JPEG is replaced by a few bytes without meaning: a decoder that still needs
    data runs out of them. A progressive JPEG is decoded with and without such bytes before the end marker:
    they only change an incomplete image. It must also contain every coefficient to its last bit.

    Args:
        path: the file.

    Raises:
        AdframeError: if it is cut or damaged.
    """
    data = path.read_bytes()
    if (found := _parse_jpeg(data)) is None:
        raise _damaged_error(path, f"it is truncated after {len(data)} bytes")
    codes = data[: found.end]
    try:
        if found.frame in _SEQUENTIAL:
            with Image.open(io.BytesIO(codes + _INVALID_CODES), formats=("JPEG",)) as image:
                # An eighth of the size; all codes are read nevertheless.
                image.draft("L", (1, 1))
                image.load()
        elif not (found.complete and np.array_equal(_decoded(codes), _decoded(codes + _RANDOM_CODES))):
            raise OSError("its scans are truncated")
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged_error(path, str(error)) from error


def _parse_jpeg(data: bytes) -> _Structure | None:
    """Returns the structure of a JPEG; None where its end marker is missing."""
    place, frame, components, fine = 2, 0, b"", set[tuple[int, int]]()
    while found := _MARKER.search(data, place):
        marker, place = data[found.start() + 1], found.end()
        size = int.from_bytes(data[place : place + 2], "big")
        body, place = data[place + 2 : place + size], place + size  # coded data follow SOS
        if marker == _EOI:
            wanted = {(name, k) for name in components for k in range(64)}
            return _Structure(frame, found.start(), wanted <= fine)
        if marker in _FRAMES:
            frame, components = marker, body[6::3]
        if marker == _SOS and len(body) > 3 and body[-1] & 15 == 0:  # down to the lowest bit
            fine |= {(name, k) for name in body[1:-3:2] for k in range(body[-3], body[-2] + 1)}
    return None


def _decoded(codes: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(codes + b"\xff\xd9"), formats=("JPEG",)) as image:
        return np.asarray(image)


def _damaged_error(path: Path, why: str) -> AdframeError:
    return AdframeError(f"image {path} cannot be decoded ({why}); replace the file or leave it out")
