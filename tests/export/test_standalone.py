"""The program of a bundle prepares images, and restores heatmaps, as adframe does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adframe.contracts import Geometry
from adframe.data.dataset import View, as_unit, resize, to_view
from adframe.data.roi import Roi
from adframe.export import standalone
from adframe.export.standalone import EXTERNAL_DATA, BundledModel, bilinear, read_pixels, resized, restored
from adframe.io.images import read_image
from adframe.ops.geometry import restore

DRAWS = np.random.default_rng(0)
PIXELS = DRAWS.integers(0, 256, (37, 53, 3), dtype=np.uint8)
DEEP = DRAWS.integers(0, 4096, (37, 53), dtype=np.uint16)


def saved(path: Path, kind: str) -> Path:
    """Writes an image of a kind."""
    picture = Image.fromarray(PIXELS)
    alpha = Image.fromarray(PIXELS[:, :, 0])
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    if kind == "turned.jpg":
        picture.save(path / kind, exif=exif)
    elif kind == "turned.tif":
        picture.save(path / kind, tiffinfo={274: 8})
    elif kind == "alpha.png":
        picture.putalpha(alpha)
        picture.save(path / kind)
    elif kind == "grey_alpha.png":
        Image.merge("LA", (alpha, alpha.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).save(path / kind)
    elif kind == "transparent_palette.png":
        picture.quantize(16).save(path / kind, transparency=3)
    elif kind.startswith("deep"):
        Image.fromarray(DEEP).save(path / kind)
    else:
        modes = {"grey.png": "L", "bits.png": "1", "cmyk.jpg": "CMYK", "palette.png": "P"}
        picture.convert(modes.get(kind, "RGB")).save(path / kind)
    return path / kind


@pytest.mark.parametrize(
    "kind",
    [
        "colour.png", "colour.bmp", "colour.webp", "grey.png", "bits.png", "palette.png",
        "transparent_palette.png", "alpha.png", "grey_alpha.png", "cmyk.jpg", "turned.jpg", "turned.tif",
        "deep.png", "deep.tif",
    ],
)  # fmt: skip
def test_files_are_read_as_adframe_reads_them(kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path, kind)
    for bits in (12, 16):
        expected, found = read_image(path, bits=bits), read_pixels(path, bits=bits)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    with Image.open(path) as opened:
        assert np.array_equal(read_pixels(opened, bits=16), read_image(path))


def test_files_that_would_be_read_otherwise_are_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[:, :, 0].astype(np.float32)).save(tmp_path / "float.tif")
    picture = Image.fromarray(PIXELS)
    picture.save(tmp_path / "pages.tif", save_all=True, append_images=[picture])
    picture.save(tmp_path / "program.eps")
    saved(tmp_path, "deep.png")
    for name, bits, reason in (
        ("float.tif", 16, "mode F"),
        ("pages.tif", 16, "several pages"),
        ("program.eps", 16, "cannot identify"),  # Pillow would start Ghostscript
        ("deep.png", 8, "beyond 8 bits"),
    ):
        with pytest.raises((ValueError, OSError), match=reason):
            read_pixels(tmp_path / name, bits=bits)


@pytest.mark.parametrize("size", [(16, 24), (64, 64), (37, 53), (20, 90)])
def test_images_are_resized_as_adframe_resizes_them(size: tuple[int, int]) -> None:
    expected = resize(as_unit(PIXELS), size).numpy()
    found = standalone.as_input(resized(PIXELS, size))
    assert found.dtype == np.float32
    assert found.shape == (1, 3, *size)
    assert np.abs(found[0] - expected).max() <= 1.01 / 255  # one grey level
    assert np.abs(found[0] - expected).mean() < 0.3 / 255
    deep = np.repeat(DEEP[:, :, None], 3, axis=2)
    expected = resize(as_unit(deep), size).numpy()
    assert np.abs(standalone.as_input(resized(deep, size))[0] - expected).max() < 1e-6


@pytest.mark.parametrize("size", [(64, 80), (9, 30), (12, 12)])
def test_heatmaps_are_interpolated_as_adframe_does(size: tuple[int, int]) -> None:
    heatmap = DRAWS.random((12, 12), dtype=np.float32)
    geometry = Geometry(original=size, view=(0, 0, *size))
    assert np.abs(bilinear(heatmap, size) - restore(heatmap, geometry)).max() < 1e-6


@pytest.mark.parametrize("box", [(0, 0, 40, 60), (-10, 0, 60, 60), (0, -15, 40, 90), (-3, -7, 50, 75)])
def test_heatmaps_are_put_back_as_adframe_does(box: tuple[int, int, int, int]) -> None:
    heatmap = DRAWS.random((12, 12), dtype=np.float32)
    expected = restore(heatmap, Geometry(original=(40, 60), view=box))
    found = restored(heatmap, size=(40, 60), box=box)
    assert found.shape == (40, 60)
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("keep_aspect", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (48, 32)])
@pytest.mark.parametrize("region", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_the_view_is_that_of_adframe(
    keep_aspect: bool, size: tuple[int, int], region: bool, deep: bool
) -> None:
    pixels = np.repeat(DEEP[:, :, None], 3, axis=2) if deep else PIXELS
    roi = Roi(boxes=[[4, 6, 30, 20]]) if region else None
    expected, geometry = to_view(pixels, View(size=size, keep_aspect=keep_aspect, roi=roi), category="screw")
    model = object.__new__(BundledModel)  # without a network
    model.size, model.facts = size, {"keep_aspect": keep_aspect}
    model.region = None if roi is None else roi.inside("screw", (37, 53))
    found, box = model.view(pixels)
    assert box == geometry.view
    assert np.abs(found[0] - expected.numpy()).max() <= 1.01 / 255


@pytest.mark.parametrize(
    ("kind", "points", "expected"), [("z_score", [1.0, 2.0], 1.5), ("none", [], None), ("ecdf", [1.0], None)]
)
def test_scores_are_normalised_where_the_scale_is_simple(
    kind: str, points: list[float], expected: float | None
) -> None:
    model = object.__new__(BundledModel)
    model.facts = {"calibration": {"scale": {"kind": kind, "points": points}}}
    assert model.normalised(4.0) == expected


@pytest.mark.parametrize("length", [b"\x08", b"\x88\x00", b"\x88\x80\x80\x00"])
def test_external_data_is_found_however_its_length_is_written(length: bytes) -> None:
    assert EXTERNAL_DATA.search(b"\x0a\x20\x12\x01x\x0a" + length + b"location")


@pytest.mark.parametrize("text", [b"\x0aallocation", b"\x09locations", b"relocation"])
def test_names_that_contain_the_word_are_not_external_data(text: bytes) -> None:
    assert EXTERNAL_DATA.search(text) is None


def test_reasons_leave_out_places_in_the_source() -> None:
    error = "Exception from src/a.cpp:1:\nCheck 'x' failed at b.cpp:2:\nIt is undefined\n\n"
    assert standalone.reason_of(RuntimeError(error)) == "It is undefined"
    assert standalone.reason_of(RuntimeError("plain")) == "plain"
    assert standalone.reason_of(MemoryError()) == "MemoryError"
