import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from adframe.data.dataset import as_unit
from adframe.data.masks import read_mask
from adframe.errors import AdframeError
from adframe.io.images import read_header, read_image, read_size

Y, X = np.mgrid[:20, :30]
SMOOTH = np.stack([Y * 3000, X * 2000, (X + Y) * 1300], axis=2).astype(np.uint16)  # (20, 30, 3)
BYTES = (SMOOTH >> 8).astype(np.uint8)


def png16(path: Path, pixels: np.ndarray, *, colour: int) -> Path:
    """A PNG of 16 bits a sample written by hand: colour 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA."""
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def saved(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def with_alpha(pixels: np.ndarray, opaque: int) -> np.ndarray:
    return np.dstack([pixels, np.full(pixels.shape[:2], opaque, pixels.dtype)])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_colour_and_grey_come_as_they_are(tmp_path: Path, suffix: str) -> None:
    np.testing.assert_array_equal(read_image(saved(tmp_path / f"c.{suffix}", BYTES)), BYTES)
    grey = read_image(saved(tmp_path / f"g.{suffix}", BYTES[:, :, 0]))
    np.testing.assert_array_equal(grey, np.repeat(BYTES[:, :, :1], 3, axis=2))


def test_opencv_agrees_on_which_channel_is_red(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "c.png"), BYTES[:, :, ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "c.png"), BYTES)


@pytest.mark.parametrize(("colour", "bands"), [(0, [0]), (2, [0, 1, 2]), (4, [0]), (6, [0, 1, 2])])
def test_16_bits_are_the_8_bit_picture_within_rounding(tmp_path: Path, colour: int, bands: list[int]) -> None:
    pixels = SMOOTH[:, :, bands] if colour < 4 else with_alpha(SMOOTH[:, :, bands], 65535)
    found = as_unit(read_image(png16(tmp_path / "x.png", pixels, colour=colour))).numpy().astype(np.float64)
    found = found / 255 if found.max() > 1 else found
    expected = np.broadcast_to(SMOOTH[:, :, bands], SMOOTH.shape).transpose(2, 0, 1) / 65535
    assert np.abs(found - expected).max() < 1 / 255


def test_16_bit_grey_keeps_all_16_bits(tmp_path: Path) -> None:
    for name in ("x.png", "x.tif"):
        cv2.imwrite(str(tmp_path / name), SMOOTH[:, :, 2])
        found = read_image(tmp_path / name)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, np.repeat(SMOOTH[:, :, 2:], 3, axis=2))


def test_32_bit_and_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    wide = saved(tmp_path / "wide.tif", SMOOTH[:, :, 0].astype(np.int32) * 100)
    floating = saved(tmp_path / "float.tif", SMOOTH[:, :, 0].astype(np.float32))
    for path in (wide, floating):
        with pytest.raises(AdframeError, match=rf"{path.name}.*save it as 8 or 16 bit"):
            read_image(path)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.fromarray(BYTES).quantize(16)
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), np.asarray(image.convert("RGB")))


def test_what_is_transparent_is_black_whatever_its_colour(tmp_path: Path) -> None:
    alpha = np.where(X < 10, 0, 255).astype(np.uint8)
    saved(tmp_path / "rgba.png", np.dstack([BYTES, alpha]))
    saved(tmp_path / "la.png", np.dstack([BYTES[:, :, 0], alpha]))
    palette = Image.fromarray(np.where(X < 10, 1, 2).astype(np.uint8), mode="P")
    palette.putpalette([0, 0, 0, 250, 0, 0, 0, 0, 250])
    palette.save(tmp_path / "p.png", transparency=1)
    for name, seen in (("rgba.png", BYTES[:, 10:]), ("la.png", BYTES[:, 10:, :1])):
        found = read_image(tmp_path / name)
        assert not found[:, :10].any()
        np.testing.assert_array_equal(found[:, 10:], np.broadcast_to(seen, (20, 20, 3)))
    found = read_image(tmp_path / "p.png")
    assert not found[:, :10].any()
    assert (found[:, 10:] == [0, 0, 250]).all()


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "one.png", X > 9)
    assert path.stat().st_size
    np.testing.assert_array_equal(read_image(path), np.repeat(np.where(X > 9, 255, 0)[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(read_mask(path), np.where(X > 9, 255, 0))


def test_a_cmyk_jpeg_has_the_colours_of_the_rgb_one(tmp_path: Path) -> None:
    rgb = read_image(saved(tmp_path / "rgb.jpg", BYTES, quality=95))
    cmyk = read_image(saved(tmp_path / "cmyk.jpg", BYTES, mode="CMYK", quality=95))
    assert np.abs(rgb.astype(int) - cmyk).mean() < 4


def test_a_mask_keeps_its_values_and_16_bits_count_as_defect(tmp_path: Path) -> None:
    values = np.where(X > 9, 253, 0).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", values)), values)
    cv2.imwrite(str(tmp_path / "m16.png"), np.where(X > 9, 1, 0).astype(np.uint16))
    np.testing.assert_array_equal(read_mask(tmp_path / "m16.png") > 0, X > 9)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("read", [read_image, read_mask, read_size])
def test_a_broken_file_is_one_line_that_names_it(tmp_path: Path, suffix: str, read) -> None:
    whole = saved(tmp_path / f"whole.{suffix}", BYTES).read_bytes()
    half = {"bmp": whole[:40]}.get(suffix, whole[: len(whole) // 2])  # a BMP's last lines may be missing
    broken = {"half": half, "empty": b"", "text": b"hello", "head": whole[:6]}
    for name, data in broken.items():
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(data)
        with pytest.raises(AdframeError, match=path.name) as error:
            read(path)
        assert len(str(error.value).splitlines()) == 1
    with pytest.raises(AdframeError, match=f"gone.{suffix} does not exist"):
        read(tmp_path / f"gone.{suffix}")


def test_a_picture_above_the_limit_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "large.tif", BYTES)
    assert read_header(path, max_megapixels=0.0006).size == (20, 30)
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(AdframeError, match=r"large\.tif has .*, above dataset\.max_megapixels=0\.0005;"):
        read_header(path, max_megapixels=0.0005)


def test_the_size_is_height_first_and_comes_from_the_header_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "x.png", BYTES)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    assert read_size(path) == (20, 30)
