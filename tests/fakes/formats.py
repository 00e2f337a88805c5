"""One picture and one defect, written as people's programs write them: modes, formats, orientations.

Each kind is a function from what a viewer shows to a file. `READ` kinds must give the plain PNG's numbers,
`REFUSED` ones an error that names the file.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

Writer = Callable[[Path, np.ndarray, Image.Exif], None]
TURNS = {  # from the picture that is shown to the pixels that are stored
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


def turned(shown: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels to store so that a viewer with this orientation shows `shown`."""
    return np.ascontiguousarray(TURNS[orientation](shown))


def exif_of(orientation: int) -> Image.Exif:
    """EXIF that says it; empty for 1."""
    exif = Image.Exif()
    if orientation != 1:
        exif[274] = orientation
    return exif


def _saved(mode: str | None = None, kind: str | None = None, **options: object) -> Writer:
    def write(path: Path, pixels: np.ndarray, exif: Image.Exif) -> None:
        image = Image.fromarray(pixels)
        more = {"exif": exif} if len(exif) else {}
        (image.convert(mode) if mode else image).save(path, kind, **options, **more)

    return write


def _bits(bits: int, **options: object) -> Writer:
    def write(path: Path, pixels: np.ndarray, exif: Image.Exif) -> None:
        deep = np.round(pixels / 255 * (2**bits - 1)).astype(np.uint16)
        _saved(**options)(path, deep, exif)

    return write


def _deep_colour(path: Path, pixels: np.ndarray, exif: Image.Exif) -> None:
    cv2.imwrite(str(path), pixels[:, :, ::-1].astype(np.uint16) * 257)


def _palette(path: Path, pixels: np.ndarray, exif: Image.Exif) -> None:
    image = Image.fromarray(pixels, mode="P")
    image.putpalette([value for grey in range(256) for value in (grey, grey, grey)])
    image.save(path, **({"exif": exif} if len(exif) else {}))


def _tiff(change: Callable[[np.ndarray], np.ndarray], **options: object) -> Writer:
    return lambda path, pixels, exif: tifffile.imwrite(path, change(pixels), **options)


def _raw(change: Callable[[bytes], bytes], kind: str) -> Writer:
    def write(path: Path, pixels: np.ndarray, exif: Image.Exif) -> None:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        path.write_bytes(change(buffer.getvalue()))

    return write


def _cut_jpeg(data: bytes) -> bytes:
    start = data.index(b"\xff\xda") + 14
    return data[: start + (len(data) - start) // 2] + b"\xff\xd9"


def _cut_png(data: bytes) -> bytes:
    return data[: len(data) // 2] + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
# name: suffix, whether it is colour, whether EXIF can be in it, how far it may be off (mean, of 1), writer
IMAGES: dict[str, tuple[str, bool, bool, float, Writer]] = {
    "PNG RGB": ("png", True, True, 0, _saved()),
    "PNG grey": ("png", False, True, 0, _saved()),
    "PNG RGBA": ("png", True, True, 0, _saved("RGBA")),
    "PNG grey alpha": ("png", False, True, 0, _saved("LA")),
    "PNG palette": ("png", False, True, 0, _palette),
    "PNG 16 bit": ("png", False, True, 1e-6, _bits(16)),
    "PNG 12 of 16 bit": ("png", False, True, 2e-4, _bits(12)),
    "PNG 10 of 16 bit": ("png", False, True, 6e-4, _bits(10)),
    "PNG 8 of 16 bit": ("png", False, True, 0, _bits(8)),
    "PNG colour 16 bit": ("png", True, False, 1e-6, _deep_colour),
    "TIFF RGB": ("tif", True, True, 0, _saved()),
    "TIFF grey": ("TIF", False, True, 0, _saved()),
    "TIFF LZW": ("tiff", True, True, 0, _saved(compression="tiff_lzw")),
    "TIFF 16 bit": ("tif", False, True, 1e-6, _bits(16)),
    "TIFF 12 of 16 bit": ("tif", False, True, 2e-4, _bits(12, compression="tiff_lzw")),
    "TIFF colour 16 bit": ("tif", True, False, 1e-6, _deep_colour),
    "TIFF int16": ("tif", False, False, 2e-4, _tiff(lambda p: np.round(p / 255 * 4095).astype(np.int16))),
    "BMP": ("bmp", True, False, 0, _saved()),
    "WebP": ("webp", True, True, 0, _saved(lossless=True)),
    "JPEG 2000": ("jp2", True, False, 0, _saved(irreversible=False)),
    "PPM": ("ppm", True, False, 0, _saved()),
    "TGA": ("tga", True, False, 0, _saved()),
    "GIF": ("gif", False, False, 0, _saved()),
    "JPEG": ("jpg", True, True, 0.02, _saved(quality=95)),
    "JPEG progressive": ("JPEG", True, True, 0.02, _saved(kind="JPEG", quality=95, progressive=True)),
    "JPEG grey": ("jpeg", False, True, 0.02, _saved(quality=95)),
    "JPEG CMYK": ("jpg", True, True, 0.03, _saved("CMYK", quality=95)),
    "AVIF": ("avif", True, True, 0.03, _saved(quality=90)),
}
NO_IMAGES: dict[str, tuple[str, Writer]] = {
    "float TIFF": ("tif", _tiff(lambda p: (p / 255).astype(np.float32))),
    "int8 TIFF": ("tif", _tiff(lambda p: (p // 2).astype(np.int8), photometric="minisblack")),
    "negative TIFF": ("tif", _tiff(lambda p: p.astype(np.int16) - 300)),
    "pages": ("tif", _tiff(lambda p: np.stack([p, p, p]), photometric="minisblack")),
    "LAB": ("tif", _tiff(lambda p: np.dstack([p, p, p]), photometric="cielab")),
    "cut JPEG": ("jpg", _raw(_cut_jpeg, "JPEG")),
    "cut PNG": ("png", _raw(_cut_png, "PNG")),
    "EPS": ("png", lambda path, pixels, exif: path.write_bytes(EPS) and None),
    "empty": ("bmp", lambda path, pixels, exif: path.write_bytes(b"") and None),
}


def _values(value: float, dtype: type) -> Writer:
    return lambda path, mask, exif: _saved()(path, (mask * value).astype(dtype), exif)


def _painted(colour: tuple[int, ...], ground: tuple[int, ...]) -> Writer:
    def write(path: Path, mask: np.ndarray, exif: Image.Exif) -> None:
        _saved()(
            path, np.where(mask[:, :, None], np.array(colour, np.uint8), np.array(ground, np.uint8)), exif
        )

    return write


def _coloured(*colours: int) -> Writer:
    def write(path: Path, mask: np.ndarray, exif: Image.Exif) -> None:
        image = Image.fromarray(mask.astype(np.uint8), mode="P")
        image.putpalette(list(colours))
        image.save(path, **({"exif": exif} if len(exif) else {}))

    return write


def _blurred(path: Path, mask: np.ndarray, exif: Image.Exif) -> None:
    _saved()(path, cv2.GaussianBlur(mask.astype(np.uint8) * 255, (3, 3), 0), exif)


def _through_jpeg(path: Path, mask: np.ndarray, exif: Image.Exif) -> None:
    _, data = cv2.imencode(".jpg", mask.astype(np.uint8) * 255, [cv2.IMWRITE_JPEG_QUALITY, 85])
    _saved()(path, cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), exif)


# name: suffix, whether its edge may be off by a pixel, writer
MASKS: dict[str, tuple[str, bool, Writer]] = {
    "0 and 255": ("png", False, _values(255, np.uint8)),
    "0 and 1": ("png", False, _values(1, np.uint8)),
    "0 and 3": ("PNG", False, _values(3, np.uint8)),
    "one bit": ("png", False, _values(1, bool)),
    "16 bit": ("png", False, _values(40000, np.uint16)),
    "16 bit, 0 and 1": ("tif", False, _values(1, np.uint16)),
    "float 0.9": ("tif", False, _values(0.9, np.float32)),
    "red (1,0,0)": ("png", False, _painted((1, 0, 0), (0, 0, 0))),
    "blue (0,0,4)": ("png", False, _painted((0, 0, 4), (0, 0, 0))),
    "palette": ("png", False, _coloured(0, 0, 0, 128, 0, 0)),
    "palette, black": ("png", False, _coloured(0, 0, 0, 0, 0, 0)),
    "white on transparent": ("png", False, _painted((255, 255, 255, 255), (255, 255, 255, 0))),
    "black on transparent": ("png", False, _painted((0, 0, 0, 255), (0, 0, 0, 0))),
    "opaque": ("png", False, _painted((255, 255, 255, 255), (0, 0, 0, 255))),
    "TIFF LZW": (
        "tif",
        False,
        lambda p, m, e: _saved(compression="tiff_lzw")(p, m.astype(np.uint8) * 255, e),
    ),
    "BMP": ("bmp", False, lambda p, m, e: _saved()(p, m.astype(np.uint8) * 255, Image.Exif())),
    "WebP": ("webp", False, lambda p, m, e: _saved("RGB", lossless=True)(p, m.astype(np.uint8) * 255, e)),
    "JPEG 75": ("jpg", True, lambda p, m, e: _saved(quality=75)(p, m.astype(np.uint8) * 255, e)),
    "JPEG 95": ("jpg", True, lambda p, m, e: _saved(quality=95)(p, m.astype(np.uint8) * 255, e)),
    "JPEG as PNG": ("png", True, _through_jpeg),
    "soft": ("png", True, _blurred),
}
NO_MASKS: dict[str, tuple[str, Writer]] = {
    "NaN": ("tif", lambda p, m, e: Image.fromarray(np.where(m, np.nan, 0).astype(np.float32)).save(p)),
    "negative": ("tif", lambda p, m, e: Image.fromarray(np.where(m, -1, 0).astype(np.float32)).save(p)),
    "CMYK": ("tif", lambda p, m, e: Image.fromarray(m.astype(np.uint8) * 255).convert("CMYK").save(p)),
    "cut PNG": ("png", lambda p, m, e: _raw(_cut_png, "PNG")(p, m.astype(np.uint8) * 255, e)),
    "other size": ("png", lambda p, m, e: Image.fromarray(m[:-1].astype(np.uint8) * 255).save(p)),
    "pages": ("tif", lambda p, m, e: tifffile.imwrite(p, np.stack([m, m]).astype(np.uint8))),
}
