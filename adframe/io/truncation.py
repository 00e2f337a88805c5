"""Whether a PNG or a JPEG is whole, without decoding it to pixels.

A lenient reader fills what is missing with grey and says nothing, so an end mark in its place proves little.
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

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # of JPEG, none of which lies within coded data
_EOI, _SOS = 0xD9, 0xDA
_SEQUENTIAL = (0xC0, 0xC1)  # frames of one scan a component, with Huffman codes
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
# Coded data that means nothing: all ones is no Huffman code. A decoder reads up to 8 bytes ahead.
_NOTHING = b"\xff\x00" * 8
_NOISE = bytes(np.random.default_rng(0).integers(0, 255, 4096, dtype=np.uint8))  # without 0xFF


class _Structure(NamedTuple):
    frame: int  # the marker of the kind of coding
    end: int  # where the end mark stands; other data may follow
    complete: bool  # whether the scans of a progressive image bring all there is


def check_png(path: Path) -> bool:
    """Walks through all chunks and their checksums; returns whether one behind the pixels is about turning.

    Raises:
        AdframeError: a chunk is cut, damaged or missing.
    """
    data, place, late, pixels = path.read_bytes(), 8, False, False
    while place + 12 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + 12 + size
        if end > len(data):
            break
        if zlib.crc32(memoryview(data)[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged(path, f"chunk {kind.decode('latin-1')!r} at byte {place} has another checksum")
        if kind == b"IEND":
            if not pixels:
                raise _damaged(path, "it has no pixels")
            return late
        late |= pixels and kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
        pixels |= kind == b"IDAT"
        place = end
    raise _damaged(path, f"it is truncated after {len(data)} bytes")


def check_jpeg(path: Path) -> None:
    """Checks that the coded data are as many as the picture needs, wherever the end mark stands.

    The end mark of a sequential JPEG is replaced by a few bytes that mean nothing: a decoder that
    still needs data runs out of them. A progressive one is decoded with and without such bytes before the
    end mark: they change only what is not complete. It also has to bring every coefficient to its last bit.

    Raises:
        AdframeError: it is cut or damaged.
    """
    data = path.read_bytes()
    if (found := _structure(data)) is None:
        raise _damaged(path, f"it is truncated after {len(data)} bytes")
    codes = data[: found.end]
    try:
        if found.frame in _SEQUENTIAL:
            with Image.open(io.BytesIO(codes + _NOTHING), formats=("JPEG",)) as image:
                image.draft("L", (1, 1))  # an eighth of the size: the codes are read all the same
                image.load()
        elif not (found.complete and np.array_equal(_pixels(codes), _pixels(codes + _NOISE))):
            raise OSError("its scans are truncated")
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _structure(data: bytes) -> _Structure | None:
    """What a JPEG consists of; None where its end mark is missing."""
    place, frame, components, fine = 2, 0, b"", set[tuple[int, int]]()
    while found := _MARKER.search(data, place):
        marker, place = data[found.start() + 1], found.end()
        size = int.from_bytes(data[place : place + 2], "big")
        body, place = data[place + 2 : place + size], place + size  # behind SOS come codes
        if marker == _EOI:
            wanted = {(name, k) for name in components for k in range(64)}
            return _Structure(frame, found.start(), wanted <= fine)
        if marker in _FRAMES:
            frame, components = marker, body[6::3]
        if marker == _SOS and len(body) > 3 and body[-1] & 15 == 0:  # down to the lowest bit
            fine |= {(name, k) for name in body[1:-3:2] for k in range(body[-3], body[-2] + 1)}
    return None


def _pixels(codes: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(codes + b"\xff\xd9"), formats=("JPEG",)) as image:
        return np.asarray(image)


def _damaged(path: Path, why: str) -> AdframeError:
    return AdframeError(f"image {path} cannot be decoded ({why}); replace it or remove it from the dataset")
