"""Masks as people have them: the same defect, whatever program wrote the file."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from adframe.contracts import REGIONS, Record, Saturation
from adframe.data.dataset import ImageDataset, View
from adframe.data.masks import read_levels, read_mask, read_truth
from adframe.data.mvtec_loco import read_saturations
from adframe.errors import AdframeError
from tests.io.test_images import png16

Y, X = np.mgrid[:80, :60]
DISC = np.hypot(Y - 30, X - 25) < 11.5  # (80, 60)
WHITE = (DISC * 255).astype(np.uint8)


def stacked(*channels: np.ndarray) -> np.ndarray:
    return np.dstack(channels)


def painted(colour: tuple[int, ...], ground: tuple[int, ...]) -> np.ndarray:
    return np.where(DISC[:, :, None], np.array(colour, np.uint8), np.array(ground, np.uint8))


def palette(defect: int, colours: list[int], ground: int = 0) -> Image.Image:
    image = Image.fromarray(np.where(DISC, defect, ground).astype(np.uint8), mode="P")
    image.putpalette(colours)
    return image


def through_jpeg(quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(WHITE).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


SHARP: dict[str, tuple[str, Callable[[], Image.Image]]] = {
    "0 and 255": ("png", lambda: Image.fromarray(WHITE)),
    "0 and 1": ("png", lambda: Image.fromarray(DISC.astype(np.uint8))),
    "one bit": ("png", lambda: Image.fromarray(DISC)),
    "one bit TIFF": ("tif", lambda: Image.fromarray(DISC)),
    "16 bits": ("png", lambda: Image.fromarray((DISC * 65535).astype(np.uint16))),
    "16 bits, 0 and 1": ("tif", lambda: Image.fromarray(DISC.astype(np.uint16))),
    "float 0.9": ("tif", lambda: Image.fromarray((DISC * 0.9).astype(np.float32))),
    "float 1": ("tif", lambda: Image.fromarray(DISC.astype(np.float32))),
    "RGB (1,0,0)": ("png", lambda: Image.fromarray(painted((1, 0, 0), (0, 0, 0)))),
    "RGB (0,0,4)": ("bmp", lambda: Image.fromarray(painted((0, 0, 4), (0, 0, 0)))),
    "palette, all black": ("png", lambda: palette(1, [0, 0, 0, 0, 0, 0])),
    "palette, colours": ("png", lambda: palette(2, [0, 0, 0, 0, 0, 0, 128, 0, 0])),
    "palette, white first": ("png", lambda: palette(0, [255, 255, 255, 0, 0, 0], ground=1)),
    "palette, white ground": ("png", lambda: palette(1, [255, 255, 255, 0, 0, 0])),
    "GIF": ("gif", lambda: Image.fromarray(WHITE)),
    "white with alpha": ("png", lambda: Image.fromarray(stacked(*[np.full_like(WHITE, 255)] * 3, WHITE))),
    "black on transparent": ("png", lambda: Image.fromarray(stacked(*[np.zeros_like(WHITE)] * 3, WHITE))),
    "white on opaque black": (
        "png",
        lambda: Image.fromarray(stacked(*[WHITE] * 3, np.full_like(WHITE, 255))),
    ),
    "grey with alpha": ("png", lambda: Image.fromarray(stacked(np.full_like(WHITE, 255), WHITE))),
    "black grey with alpha": ("png", lambda: Image.fromarray(stacked(np.zeros_like(WHITE), WHITE))),
    "webp": ("webp", lambda: Image.fromarray(stacked(*[WHITE] * 3))),
    "pgm": ("pgm", lambda: Image.fromarray(WHITE)),
}


def written(tmp_path: Path, kind: str) -> Path:
    suffix, made = SHARP[kind]
    path = tmp_path / f"mask.{suffix}"
    made().save(path, **({"lossless": True} if suffix == "webp" else {}))
    return path


@pytest.mark.parametrize("kind", SHARP)
def test_the_same_defect_from_every_kind_of_sharp_mask(kind: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_mask(written(tmp_path, kind)) > 0, DISC)


def test_16_bit_colour_keeps_what_8_bits_would_lose(tmp_path: Path) -> None:
    colour = stacked(DISC, np.zeros_like(DISC), np.zeros_like(DISC)).astype(np.uint16)
    np.testing.assert_array_equal(read_mask(png16(tmp_path / "m.png", colour, colour=2)) > 0, DISC)


@pytest.mark.parametrize("quality", [50, 75, 90, 95])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_jpeg_is_cut_at_half_and_moves_no_edge(quality: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mask.{suffix}"
    if suffix == "jpg":
        Image.fromarray(WHITE).save(path, quality=quality)
    else:  # saved as PNG once the harm was done
        Image.fromarray(through_jpeg(quality)).save(path)
    found = read_mask(path) > 0
    edge = cv2.dilate(DISC.astype(np.uint8), np.ones((3, 3))) != cv2.erode(
        DISC.astype(np.uint8), np.ones((3, 3))
    )
    assert not (found != DISC)[~edge].any()
    assert np.count_nonzero(found != DISC) <= 0.02 * np.count_nonzero(DISC)
    assert cv2.connectedComponents(found.astype(np.uint8))[0] == 2


@pytest.mark.parametrize("how", ["half", "half by area", "double", "blurred", "float", "16 bits", "RGBA"])
def test_soft_edges_are_cut_at_half(how: str, tmp_path: Path) -> None:
    height, width = DISC.shape
    size = {"half": (width // 2, height // 2), "half by area": (width // 2, height // 2)}.get(how, (120, 160))
    by = cv2.INTER_AREA if how == "half by area" else cv2.INTER_LINEAR
    soft = (
        cv2.GaussianBlur(WHITE, (0, 0), 2) if how == "blurred" else cv2.resize(WHITE, size, interpolation=by)
    )
    whole = soft * 1.0
    path = tmp_path / "mask.png"
    if how == "float":
        path = path.with_suffix(".tif")
        Image.fromarray((soft / 255).astype(np.float32)).save(path)
    elif how == "16 bits":
        Image.fromarray(soft.astype(np.uint16) * 200).save(path)
    elif how == "RGBA":
        Image.fromarray(stacked(*[np.full_like(soft, 255)] * 3, soft)).save(path)
    else:
        Image.fromarray(soft).save(path)
    np.testing.assert_array_equal(read_mask(path) > 0, whole * 2 >= whole.max())


@pytest.mark.parametrize(
    "ids", [(1, 2, 3, 4, 5), (250, 251, 252, 253, 254, 255), (1, 255), (60, 120, 180, 240), (1, 300, 65535)]
)
def test_labels_are_kept_as_they_are(ids: tuple[int, ...], tmp_path: Path) -> None:
    labels = np.zeros((90, 70), np.uint16)
    for place, value in enumerate(ids):
        labels[5 + 14 * place : 15 + 14 * place, 10:40] = value
    labels[7:9, 50:60] = ids[0]  # a thin one, and one inside another
    labels[20:24, 15:25] = ids[0]
    if max(ids) < 256:
        labels = labels.astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "m.png")
    found = read_mask(tmp_path / "m.png")
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(found, labels)


def test_all_levels_are_read_where_none_may_be_cut(tmp_path: Path) -> None:
    soft = cv2.GaussianBlur(WHITE, (0, 0), 2)
    Image.fromarray(soft).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_levels(tmp_path / "m.png"), soft)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Image.fromarray(np.where(DISC, np.nan, 0).astype(np.float32)), "NaN or infinity"),
        (lambda: Image.fromarray(np.where(DISC, np.inf, 0).astype(np.float32)), "NaN or infinity"),
        (lambda: Image.fromarray(np.where(DISC, -1, 0).astype(np.float32)), "below 0"),
        (lambda: Image.fromarray(np.where(DISC, -1, 0).astype(np.int32)), "negative or 32-bit"),
        (lambda: Image.fromarray(np.where(DISC, 70000, 0).astype(np.int32)), "negative or 32-bit"),
        (lambda: Image.fromarray(WHITE).convert("CMYK"), "holds CMYK pixels; save the mask as"),
        (lambda: Image.new("LAB", (60, 80)), "holds LAB pixels"),
    ],
)
def test_what_holds_no_labels_is_refused_by_name(
    made: Callable[[], Image.Image], words: str, tmp_path: Path
) -> None:
    made().save(tmp_path / "odd.tif")
    with pytest.raises(AdframeError, match=rf"odd\.tif.*{words}") as error:
        read_mask(tmp_path / "odd.tif")
    assert "\n" not in str(error.value)


def loco_record(tmp_path: Path, *values: int) -> Record:
    Image.new("RGB", (60, 80)).save(tmp_path / "image.png")
    rules = tuple(Saturation(pixel_value=value, threshold=20, relative=False) for value in values)
    return Record(path=tmp_path / "image.png", category="c", split="test", label=1, saturations=rules)


@pytest.mark.parametrize("value", [250, 254, 255, 300, 40000])
def test_a_loco_channel_keeps_its_value(value: int, tmp_path: Path) -> None:
    Image.fromarray((DISC * value).astype(np.uint16 if value > 255 else np.uint8)).save(tmp_path / "m.png")
    record = replace(loco_record(tmp_path, 249, value), masks=(tmp_path / "m.png",))
    (region,) = ImageDataset([record], view=View(size=None), truth=True)[0][REGIONS]
    assert (region.saturation, region.mask.sum()) == (20, DISC.sum())


def test_a_loco_channel_through_jpeg_is_refused_where_it_could_be_another(tmp_path: Path) -> None:
    Image.fromarray((DISC * 250).astype(np.uint8)).save(tmp_path / "m.jpg", quality=75)
    record = replace(loco_record(tmp_path, 250, 251), masks=(tmp_path / "m.jpg",))
    with pytest.raises(AdframeError, match=r"m\.jpg has in-between levels.*without lossy compression"):
        read_truth(record)


GOOD_ENTRY = {"pixel_value": 255, "saturation_threshold": 9, "relative_saturation": False}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"saturation_threshold": float("nan")}, "saturation_threshold nan, not a number of pixels above 0"),
        ({"saturation_threshold": float("inf")}, "saturation_threshold inf"),
        ({"saturation_threshold": -3}, "saturation_threshold -3"),
        ({"saturation_threshold": 0}, "saturation_threshold 0"),
        ({"saturation_threshold": True}, "saturation_threshold True"),
        ({"saturation_threshold": 10**400}, "saturation_threshold 1000"),
        ({"saturation_threshold": 1.5, "relative_saturation": True}, r"1\.5, not a share in \(0, 1\]"),
        ({"relative_saturation": "false"}, "relative_saturation 'false', not true or false"),
        ({"relative_saturation": 0}, "relative_saturation 0"),
        ({"pixel_value": 0}, "pixel_value 0, not a whole number from 1 to 65535"),
        ({"pixel_value": 2.5}, r"pixel_value 2\.5"),
        ({"pixel_value": "255"}, "pixel_value '255'"),
        ({"pixel_value": float("nan")}, "pixel_value nan"),
        ({"pixel_value": 254}, "pixel_value 254 has two entries"),
    ],
)
def test_an_impossible_saturation_is_one_line(change: dict[str, object], words: str, tmp_path: Path) -> None:
    entries = [GOOD_ENTRY | {"pixel_value": 254}, GOOD_ENTRY | change]
    (tmp_path / "defects_config.json").write_text(json.dumps(entries))
    with pytest.raises(AdframeError, match=rf"cannot read .*defects_config\.json: .*{words}") as error:
        read_saturations(tmp_path / "defects_config.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, "{}", "7", "[[]]"])
def test_another_structure_than_a_list_of_entries_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "defects_config.json").write_text(text)
    with pytest.raises(AdframeError, match=r"cannot read .*defects_config\.json") as error:
        read_saturations(tmp_path / "defects_config.json")
    assert "\n" not in str(error.value)
