"""Anomaly maps in files: what was written comes back, ranks survive, and what cannot be read is one line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from adframe.contracts import Record
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import count_distinct, map_paths, read_map, write_map

RANDOM = np.random.default_rng(0)


def test_float32_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    scores = RANDOM.normal(scale=1e6, size=(7, 5)).astype(np.float32)
    stored = write_map(tmp_path / "a/b.tiff", scores, dtype="float32")
    assert (read_map(tmp_path / "a/b.tiff") == scores).all()
    assert (stored.dtype, stored.before, stored.merged) == ("float32", 35, 0)


def test_float16_turns_no_order_round_and_counts_what_became_equal(tmp_path: Path) -> None:
    scores = RANDOM.uniform(-3, 3, size=(64, 64)).astype(np.float32)
    stored = write_map(tmp_path / "m.tiff", scores, dtype="float16")
    assert tifffile.imread(tmp_path / "m.tiff").dtype == np.float16
    back = read_map(tmp_path / "m.tiff").ravel()[np.argsort(scores, axis=None)]
    assert (np.diff(back) >= 0).all()
    assert stored.merged == count_distinct(scores) - len(set(back.tolist())) > 0


def test_different_values_are_counted_alike_in_every_type() -> None:
    scores = np.array([[0.0, -0.0, 1.5], [1.5, -2.0, 7.0]])
    assert [count_distinct(scores.astype(dtype)) for dtype in ("float16", "float32", "float64")] == [4, 4, 4]


def test_what_overflows_float16_is_kept_in_float32(tmp_path: Path) -> None:
    scores = np.array([[1, 7e4], [8e4, 2]], dtype=np.float32)
    assert write_map(tmp_path / "m.tiff", scores, dtype="float16").dtype == "float32"
    assert (read_map(tmp_path / "m.tiff") == scores).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float64"])
def test_any_real_numbers_and_a_plane_with_a_channel_axis_are_read(dtype: str, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "m.tif", np.arange(12).reshape(1, 3, 4).astype(dtype), photometric="minisblack"
    )
    assert (read_map(tmp_path / "m.tif") == np.arange(12).reshape(3, 4)).all()


def test_what_is_no_map_is_one_line_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "text.tiff").write_text("no picture")
    tifffile.imwrite(tmp_path / "colour.tiff", np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    for name in ("text", "colour", "absent"):
        with pytest.raises(AdframeError, match=f"{name}.tiff") as caught:
            read_map(tmp_path / f"{name}.tiff")
        assert "\n" not in str(caught.value)


def test_the_layout_is_the_official_one_and_no_two_images_share_a_map() -> None:
    record = Record(path=Path("x/000.png"), category="bottle", split="test", defect="cut")
    good = replace(record, path=Path("y/000.png"), defect="good")
    assert list(map_paths([record, good]).values()) == [
        Path("bottle/test/cut/000.tiff"),
        Path("bottle/test/good/000.tiff"),
    ]
    with pytest.raises(AdframeError, match=r"x/000\.png and x/000\.jpg would be one file"):
        map_paths([record, replace(record, path=Path("x/000.jpg"))])


def test_scores_that_float32_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    plane = np.arange(12.0).reshape(3, 4)
    for name, scores in (("far", 1e9 + plane), ("whole", (2**40 + plane).astype(np.int64))):
        tifffile.imwrite(tmp_path / f"{name}.tiff", scores, photometric="minisblack")
        with pytest.raises(
            AdframeError, match=rf"{name}\.tiff has \w+ scores that float32 cannot distinguish"
        ):
            read_map(tmp_path / f"{name}.tiff")
    for name, scores in (
        ("near", 1e-9 * plane + 1 / 3),
        ("flat", np.full((3, 4), 0.1)),
        ("small", 1e-20 * plane),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tiff", scores, photometric="minisblack")
    np.testing.assert_allclose(read_map(tmp_path / "small.tiff"), 1e-20 * plane, rtol=1e-6)
    assert np.unique(read_map(tmp_path / "flat.tiff")).size == 1
    with pytest.raises(AdframeError, match=r"near\.tiff"):
        read_map(tmp_path / "near.tiff")
