"""What cannot be read right is refused by name before any work, whatever its end looks like."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from adframe.errors import AdframeError
from adframe.io.images import read_header, read_image
from tests.fakes.sets import set_up, write_set

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (75, 93, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE[:6, :6]).resize((160, 120), Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def cut_jpeg(data: bytes, share: float) -> bytes:
    """Its coded data cut, with an end mark behind."""
    start = data.index(b"\xff\xda") + 20
    return data[: start + int((len(data) - start) * share)] + b"\xff\xd9"


JPEGS = [
    encoded(pixels, mode=mode, quality=quality, progressive=progressive, **more)
    for pixels in (NOISE, SMOOTH)
    for mode in ("RGB", "L", "CMYK")
    for quality in (40, 90)
    for progressive in (False, True)
    for more in ({}, {"subsampling": 0}, {"optimize": True})
]


def test_whole_jpegs_of_every_kind_pass(tmp_path: Path) -> None:
    restarts = encoded(SMOOTH, quality=80, restart_marker_blocks=5)
    trailed = encoded(SMOOTH, quality=80) + b"\0" * 40 + b"maker's notes"  # as telephones write
    for place, data in enumerate([*JPEGS, restarts, trailed]):
        path = tmp_path / f"{place}.jpg"
        path.write_bytes(data)
        assert read_header(path).size in ((75, 93), (120, 160))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.9])
def test_a_cut_jpeg_that_ends_in_an_end_mark_is_refused(share: float, tmp_path: Path) -> None:
    for place, data in enumerate(JPEGS):
        path = tmp_path / f"{place}.jpg"
        path.write_bytes(cut_jpeg(data, share))
        with pytest.raises(AdframeError, match=rf"{place}\.jpg cannot be decoded [^\n]*$"):
            read_header(path)


def test_a_jpeg_of_several_pictures_is_its_first(tmp_path: Path) -> None:
    first, second = Image.fromarray(SMOOTH), Image.fromarray(NOISE)
    first.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[second], quality=95)
    assert read_header(tmp_path / "x.jpg").size == (120, 160)
    assert np.abs(read_image(tmp_path / "x.jpg").astype(int) - SMOOTH).mean() < 4
    data = (tmp_path / "x.jpg").read_bytes()
    half = data.index(b"\xff\xd9") // 2 + 400
    (tmp_path / "y.jpg").write_bytes(data[:half] + data[data.index(b"\xff\xd9") :])
    with pytest.raises(AdframeError, match=r"y\.jpg cannot be decoded"):
        read_header(tmp_path / "y.jpg")


@pytest.mark.parametrize("where", ["cut with an end", "flipped bit", "no pixels", "trailing bytes"])
def test_a_png_is_walked_through(where: str, tmp_path: Path) -> None:
    data, path = encoded(NOISE, "PNG"), tmp_path / "x.png"
    middle = len(data) // 2
    changed = {
        "cut with an end": data[:middle] + data[-12:],
        "flipped bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "no pixels": data[:33] + data[-12:],
        "trailing bytes": data + b"more",
    }[where]
    path.write_bytes(changed)
    if where == "trailing bytes":
        assert read_header(path).size == (75, 93)
        return
    with pytest.raises(AdframeError, match=r"x\.png cannot be decoded"):
        read_header(path)


def eps() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"


def white_is_zero() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((64, 64), 9000, np.uint16), photometric="miniswhite")
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


ODD = {
    "int8": (
        "tif",
        lambda: tiff(np.full((64, 64), -3, np.int8), photometric="minisblack"),
        "signed 8-bit pixels",
    ),
    "float": (
        "tif",
        lambda: tiff(np.full((64, 64), 0.5, np.float32)),
        "floating-point pixels; save it as 8 or",
    ),
    "double": ("tif", lambda: tiff(np.full((64, 64), 0.5)), "floating-point|cannot be decoded"),
    "negative": ("tif", lambda: tiff(np.full((64, 64), -3, np.int16)), "negative or 32-bit"),
    "32 bits": ("tif", lambda: tiff(np.full((64, 64), 70000, np.int32)), "negative or 32-bit"),
    "white is zero": ("tif", white_is_zero, "16-bit white-is-zero"),
    "pages": ("tif", lambda: tiff(np.zeros((3, 64, 64), np.uint8), photometric="minisblack"), "3 pages"),
    "animated GIF": ("gif", lambda: animated("GIF"), "2 pages or frames"),
    "animated PNG": ("png", lambda: animated("PNG"), "2 pages or frames"),
    "animated webp": ("webp", lambda: animated("WEBP"), "2 pages or frames"),
    "LAB": ("tif", lambda: tiff(np.zeros((64, 64, 3), np.uint8), photometric="cielab"), "LAB pixels"),
    "EPS": ("png", eps, "it is not an image, or its format is not supported"),
    "text": ("jpg", lambda: b"<html>not found</html>", "it is not an image, or its format"),
    "complex": ("tif", lambda: tiff(np.zeros((64, 64), np.complex64)), "cannot be decoded"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_picture_in_test_only_stops_before_any_work(kind: str, tmp_path: Path) -> None:
    suffix, made, words = ODD[kind]
    base = write_set(tmp_path)
    path = (base / "test/good/g0.png").rename(base / f"test/good/odd.{suffix}")
    path.write_bytes(made())
    with pytest.raises(AdframeError, match=rf"good/odd\.{suffix}.*({words})") as error:
        set_up(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32])
def test_signed_and_wide_integers_that_fit_16_bits_are_read(dtype: type, tmp_path: Path) -> None:
    values = NOISE[:, :, 0].astype(dtype) * 128
    (tmp_path / "x.tif").write_bytes(tiff(values))
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif")[:, :, 2], values)


@pytest.mark.parametrize(
    "kind", ["BMP", "PPM", "TGA", "TIFF", "GIF", "JPEG2000", "WEBP", "AVIF", "PNG", "JPEG"]
)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_every_format_is_read_to_its_end_before_any_work(kind: str, share: float, tmp_path: Path) -> None:
    data = encoded(SMOOTH, kind)
    path = tmp_path / ("x.tga" if kind == "TGA" else "x.png")  # the name says nothing of the others
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(AdframeError, match=rf"{path.name} cannot be decoded"):
        read_header(path)
    path.write_bytes(data)
    assert read_header(path).size == (120, 160)


FORMATS = {
    "webp": {"lossless": True}, "jp2": {"irreversible": False}, "ppm": {}, "pnm": {}, "tga": {}, "bmp": {},
    "dib": {},
    "tiff": {"compression": "tiff_lzw"}, "png": {}, "PNG": {}, "WebP": {"lossless": True},
}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_lossless_formats_that_people_use_give_the_same_pixels(suffix: str, tmp_path: Path) -> None:
    kinds = {"jp2": "JPEG2000", "pnm": "PPM", "tga": "TGA", "dib": "DIB", "WebP": "WEBP"}
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(NOISE).save(path, kinds.get(suffix), **FORMATS[suffix])
    np.testing.assert_array_equal(read_image(path), NOISE)
    assert read_header(path).size == (75, 93)


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "avif", "webp"])
def test_lossy_formats_that_people_use_are_near(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(SMOOTH).save(tmp_path / f"x.{suffix}", quality=90)
    assert np.abs(read_image(tmp_path / f"x.{suffix}").astype(int) - SMOOTH).mean() < 5
    assert read_header(tmp_path / f"x.{suffix}").size == (120, 160)


def huge_png(path: Path, height: int, width: int) -> Path:
    """One bit a pixel, all white; written in pieces, so that no test holds it as a whole."""
    line = b"\0" + b"\xff" * ((width + 7) // 8)
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def test_200_megapixels_are_no_bomb(tmp_path: Path) -> None:
    path = huge_png(tmp_path / "x.png", 10_000, 20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(path, max_megapixels=200).size == (10_000, 20_000)
        pixels = read_image(path)
    assert pixels.shape == (10_000, 20_000, 3)
    assert pixels[::997, ::997].min() == 255


def test_the_limit_of_a_dataset_names_its_key_and_the_file(tmp_path: Path) -> None:
    base = write_set(tmp_path)
    huge_png(base / "test/good/large.png", 20_000, 20_000)
    with pytest.raises(
        AdframeError, match=r"large\.png has 400\.0 megapixels, above dataset\.max_megapixels=300; raise it"
    ):
        set_up(tmp_path)
