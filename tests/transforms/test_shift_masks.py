import cv2
import numpy as np
import pytest

from adframe.transforms.shift.geometric import Crop, Rotation, Translation, warp
from adframe.transforms.shift.shift import Shift
from adframe.transforms.shift.transform import Transform

MOVES: dict[str, Transform] = {
    "rotation": Rotation(degrees=[-20, 20]),
    "crop": Crop(area=[0.8, 1]),
    "translation": Translation(share=[-0.05, 0.05]),
}


def blob(value: int = 255) -> tuple[np.ndarray, np.ndarray]:
    """A bright ellipse on dark ground, and its mask."""
    mask = np.zeros((180, 240), np.uint8)
    cv2.ellipse(mask, (150, 70), (30, 18), 25, 0, 360, value, -1)
    return np.where(mask[..., None] > 0, 220, 30).astype(np.uint8).repeat(3, axis=2), mask


@pytest.mark.parametrize("names", [[name] for name in MOVES] + [list(MOVES)])
def test_masks_sit_on_the_moved_defect(names: list[str]) -> None:
    shift = Shift({name: MOVES[name] for name in names}, name="", seed=1)
    image, mask = blob()
    for index in range(12):
        new, (moved,), _ = shift(image, [mask], index=index)
        seen, marked = new[..., 0] > 125, moved > 0
        assert (seen & marked).sum() / (seen | marked).sum() > 0.97
        if names != ["crop"]:
            assert not np.array_equal(moved, mask)


def test_masks_keep_their_pixel_values() -> None:
    shift = Shift(MOVES, name="", seed=1)
    masks = [blob(value)[1] for value in (1, 128, 254, 255)]
    both = np.maximum(masks[0], np.roll(masks[3], (40, -90), axis=(0, 1)))
    for index in range(6):
        _, moved, _ = shift(blob()[0], [*masks, both], index=index)
        assert [set(np.unique(mask)) for mask in moved[:4]] == [{0, 1}, {0, 128}, {0, 254}, {0, 255}]
        assert set(np.unique(moved[4])) == {0, 1, 255}


def test_photometric_transforms_leave_masks_alone() -> None:
    masks = [blob()[1]]
    assert Shift({"rotation": Rotation(degrees=0)}, name="", seed=1)(blob()[0], masks, index=0)[1] is masks


def test_outside_the_image_is_its_reflection_and_no_mask() -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    new, (mask,), _ = Shift({"rotation": Rotation(degrees=20)}, name="", seed=1)(
        image, [np.full((40, 60), 255, np.uint8)], index=0
    )
    assert (new == 200).all()
    assert mask[0, 0] == 0
    assert mask[20, 30] == 255


def test_known_moves_go_where_they_should() -> None:
    image, size = blob()[0].astype(np.float32), (180, 240)
    down = Translation(share=0.1).matrix({"down": 0.1, "right": -0.05}, size=size)
    moved, _ = warp(image, [], matrix=down)
    assert np.array_equal(moved[18:, :-12], image[:-18, 12:])
    half = Rotation(degrees=180).matrix({"degrees": 180.0}, size=size)
    assert np.abs(warp(image, [], matrix=half)[0] - image[::-1, ::-1]).max() < 1e-2
    quarter = Rotation(degrees=90).matrix({"degrees": 90.0}, size=(180, 180))
    square = image[:, :180]
    assert np.abs(warp(square, [], matrix=quarter)[0] - np.rot90(square)).max() < 1e-2  # anticlockwise


def test_a_crop_shows_its_window() -> None:
    rows, columns = np.mgrid[0:80, 0:80].astype(np.float32)
    ramp = np.stack([rows, columns, rows], axis=2)
    matrix = Crop(area=0.25).matrix({"area": 0.25, "top": 1.0, "left": 0.5}, size=(80, 80))
    moved, _ = warp(ramp, [], matrix=matrix)
    assert moved[0, 0, 0] == pytest.approx(39.75, abs=0.05)  # the window is rows 40 to 79, columns 20 to 59
    assert moved[-2, -1, :2] == pytest.approx([78.75, 59.25], abs=0.05)


def test_moves_compose_to_one_warp_in_their_order() -> None:
    image, mask = blob()
    at_once, (mask_at_once,), _ = Shift(MOVES, name="", seed=1)(image, [mask], index=4)
    steps = Shift(MOVES, name="", seed=1).draw(4)
    for name in ("rotation", "crop", "translation"):
        matrix = MOVES[name].matrix(steps[name], size=mask.shape)  # type: ignore[union-attr]
        image, (mask,) = warp(image, [mask], matrix=matrix)
    inside = np.abs(image[30:-30, 30:-30].astype(int) - at_once[30:-30, 30:-30])
    assert inside.mean() < 1
    assert (mask != mask_at_once).mean() < 0.01
