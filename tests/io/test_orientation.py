"""EXIF: an image is the picture that viewers show, and its mask lies on that picture."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from adframe.contracts import GEOMETRY, IMAGE, REGIONS, Record
from adframe.data.dataset import ImageDataset, View, as_unit
from adframe.data.masks import read_mask, read_truth
from adframe.io.images import read_header, read_image, read_size
from adframe.ops.regions import union
from tests.fakes.sets import set_up, write_set
from tests.io.test_images import png16

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
STORES = {  # how a picture's pixels are stored so that a viewer with this orientation shows it
    1: lambda shown: shown,
    2: lambda shown: shown[:, ::-1],
    3: lambda shown: shown[::-1, ::-1],
    4: lambda shown: shown[::-1],
    5: lambda shown: shown.swapaxes(0, 1),
    6: lambda shown: shown.swapaxes(0, 1)[::-1],
    7: lambda shown: shown.swapaxes(0, 1)[::-1, ::-1],
    8: lambda shown: shown.swapaxes(0, 1)[:, ::-1],
}


def stored(path: Path, shown: np.ndarray, orientation: int) -> Path:
    """A file whose EXIF says how to turn its pixels."""
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(np.ascontiguousarray(STORES[orientation](shown)))
    options = {"lossless": True} if path.suffix == ".webp" else {}
    image.save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_every_orientation_shows_the_same_picture(orientation: int, suffix: str, tmp_path: Path) -> None:
    path = stored(tmp_path / f"x.{suffix}", PIXELS, orientation)
    np.testing.assert_array_equal(read_image(path), PIXELS)
    assert read_size(path) == (30, 20)
    assert read_header(path).stored == ((20, 30) if orientation > 4 else (30, 20))
    with Image.open(path) as image:  # as Pillow understands it
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(image)), PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_grey_of_8_bits_is_turned_whatever_the_compression(orientation: int, tmp_path: Path) -> None:
    grey = PIXELS[:, :, 0]
    for compression in ("raw", "tiff_lzw"):
        exif = Image.Exif()
        exif[274] = orientation
        image = Image.fromarray(np.ascontiguousarray(STORES[orientation](grey)))
        image.save(tmp_path / "g.tif", exif=exif, compression=compression)
        np.testing.assert_array_equal(read_image(tmp_path / "g.tif")[:, :, 1], grey)
        assert read_size(tmp_path / "g.tif") == (30, 20)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_16_bit_grey_and_colour_are_turned_too(orientation: int, tmp_path: Path) -> None:
    grey = PIXELS[:, :, 0].astype(np.uint16) * 257
    for suffix in ("png", "tif"):
        found = read_image(stored(tmp_path / f"g.{suffix}", grey, orientation))
        np.testing.assert_array_equal(found, np.repeat(grey[:, :, None], 3, axis=2))
    kept = np.ascontiguousarray(STORES[orientation](PIXELS)).astype(np.uint16) * 257
    plain = png16(tmp_path / "c.png", kept, colour=2).read_bytes()
    exif = stored(tmp_path / "g.png", PIXELS, orientation).read_bytes()
    chunk = exif[exif.index(b"eXIf") - 4 :]
    chunk = chunk[: int.from_bytes(chunk[:4], "big") + 12]
    (tmp_path / "c.png").write_bytes(plain[:33] + chunk + plain[33:])
    np.testing.assert_array_equal(read_image(tmp_path / "c.png"), PIXELS.astype(np.uint16) * 257)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_of_16_bit_colour_is_turned(orientation: int, tmp_path: Path) -> None:
    shown = PIXELS.astype(np.uint16) * 250 + 7
    kept = np.ascontiguousarray(STORES[orientation](shown))
    tag = (274, 3, 1, orientation, True)
    tifffile.imwrite(tmp_path / "c.tif", kept, photometric="rgb", extratags=[tag])
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif"), shown)
    assert read_size(tmp_path / "c.tif") == (30, 20)


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    data = stored(tmp_path / "x.png", PIXELS, 6).read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + int.from_bytes(data[start : start + 4], "big") + 12
    (tmp_path / "x.png").write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), PIXELS)
    assert read_size(tmp_path / "x.png") == (30, 20)


def test_a_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), PIXELS)


def test_a_masks_own_orientation_is_honoured(tmp_path: Path) -> None:
    drawn = np.zeros((30, 20), np.uint8)
    drawn[2:9, 3:6] = 255
    for orientation in range(1, 9):
        found = read_mask(stored(tmp_path / f"{orientation}.png", drawn, orientation))
        np.testing.assert_array_equal(found, drawn)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_that_follows_the_stored_pixels_is_turned(orientation: int, tmp_path: Path) -> None:
    shown = np.zeros((30, 20), np.uint8)
    shown[2:9, 3:6] = 255
    Image.fromarray(np.ascontiguousarray(STORES[orientation](shown))).save(tmp_path / "stored.png")
    Image.fromarray(shown).save(tmp_path / "shown.png")
    image = stored(tmp_path / "x.png", PIXELS, orientation)
    record = Record(path=image, category="c", split="test", label=1)
    for name in ("stored.png", "shown.png"):
        (found,) = read_truth(record_with(record, tmp_path / name))
        np.testing.assert_array_equal(found, shown)


def record_with(record: Record, mask: Path) -> Record:
    return Record(path=record.path, category="c", split="test", label=1, masks=(mask,))


def test_a_turned_image_and_its_region_are_those_of_the_plain_one(tmp_path: Path) -> None:
    shown = np.zeros((30, 20), np.uint8)
    shown[2:9, 3:6] = 255
    Image.fromarray(shown).save(tmp_path / "mask.png")
    for orientation in range(1, 9):
        path = stored(tmp_path / "x.png", PIXELS, orientation)
        record = Record(path=path, category="c", split="test", label=1, masks=(tmp_path / "mask.png",))
        item = ImageDataset([record], view=View(size=None), truth=True)[0]
        np.testing.assert_array_equal((item[IMAGE] * 255).round(), as_unit(PIXELS))
        assert item[GEOMETRY].original == (30, 20)
        np.testing.assert_array_equal(union(item[REGIONS], (30, 20)), shown > 0)


def test_turned_masks_are_said_once_with_their_names(tmp_path: Path) -> None:
    base = write_set(tmp_path, size=(64, 48))
    for path in (base / "test/cut").iterdir():
        stored(path, np.asarray(Image.open(path)), 6)
    assert set_up(tmp_path).warnings == []
    for path in sorted((base / "ground_truth/cut").iterdir())[:2]:
        Image.fromarray(np.ascontiguousarray(STORES[6](np.asarray(Image.open(path))))).save(path)
    (line,) = set_up(tmp_path).warnings
    assert "are turned with their images, as EXIF says: 2 (ground_truth/cut/c0_mask.png, " in line
