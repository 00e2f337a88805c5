import numpy as np
import pytest

from adframe.contracts import Geometry
from adframe.ops.geometry import restore

RANDOM = np.random.default_rng(0).random((16, 24), dtype=np.float32)


def ramp(height: int, width: int) -> np.ndarray:
    """Bilinear resizing keeps it, away from the border."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return y / height + 2 * x / width


def test_a_heatmap_of_the_whole_frame_at_its_size_comes_back_as_it_was() -> None:
    whole = Geometry(original=(16, 24), view=(0, 0, 16, 24))
    np.testing.assert_array_equal(restore(RANDOM, whole), RANDOM)


def test_resizing_down_and_restoring_returns_a_smooth_map() -> None:
    small = ramp(160, 240)[5::10, 5::10]
    large = restore(small, Geometry(original=(160, 240), view=(0, 0, 160, 240)))
    np.testing.assert_allclose(large[5:-5, 5:-5], ramp(160, 240)[5:-5, 5:-5], atol=0.01)


def test_a_crop_lands_where_it_was_taken_and_accuses_nobody_outside() -> None:
    frame = Geometry(original=(40, 50), view=(10, 20, 16, 24))
    restored = restore(RANDOM, frame)
    np.testing.assert_array_equal(restored[10:26, 20:44], RANDOM)
    outside = np.ones((40, 50), dtype=bool)
    outside[10:26, 20:44] = False
    assert (restored[outside] == RANDOM.min()).all()


def test_padding_is_cut_off() -> None:
    padded = Geometry(original=(10, 30), view=(-3, -2, 16, 24))  # over the top, left and bottom edge
    restored = restore(RANDOM, padded)
    assert restored.shape == (10, 30)
    np.testing.assert_array_equal(restored[:, :22], RANDOM[3:13, 2:])
    assert (restored[:, 22:] == RANDOM.min()).all()


@pytest.mark.parametrize("view", [(0, 0, 120, 90), (20, 10, 60, 40), (-20, -30, 160, 150)])
def test_the_hottest_patch_points_at_its_place(view: tuple[int, int, int, int]) -> None:
    heat = np.zeros((8, 8), dtype=np.float32)
    heat[4, 3] = 1
    y, x = np.unravel_index(restore(heat, Geometry(original=(120, 90), view=view)).argmax(), (120, 90))
    top, left, height, width = view
    assert abs(y + 0.5 - (top + 4.5 * height / 8)) <= 1
    assert abs(x + 0.5 - (left + 3.5 * width / 8)) <= 1
