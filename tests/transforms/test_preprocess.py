import pickle

import cv2
import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.transforms.preprocess import (
    PREPROCESSES,
    GreyWorld,
    Homomorphic,
    MaxRgb,
    Preprocess,
    Untouched,
    slow_part,
)

EVEN = Homomorphic(cutoff=2.0, low_gain=0.4, high_gain=1.0)
ALL: list[Preprocess] = [Untouched(), GreyWorld(), MaxRgb(), EVEN]


def picture(dtype: type = np.uint8) -> np.ndarray:
    """Details on grey ground under a warm light."""
    details = np.random.default_rng(2).uniform(0.2, 0.6, (64, 96, 1)) * [1.2, 1.0, 0.7]
    return (details * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("preprocess", ALL)
def test_shape_and_dtype_are_kept_and_the_input_too(preprocess: Preprocess, dtype: type) -> None:
    image = picture(dtype)
    before = image.copy()
    new = preprocess(image)
    assert (new.shape, new.dtype) == (image.shape, image.dtype)
    assert np.array_equal(image, before)
    assert np.array_equal(pickle.loads(pickle.dumps(preprocess))(image), new)


def test_grey_world_makes_channel_means_equal() -> None:
    image = picture()
    means = GreyWorld()(image).mean(axis=(0, 1))
    assert np.ptp(image.mean(axis=(0, 1))) > 40
    assert np.ptp(means) < 0.2
    assert means.mean() == pytest.approx(image.mean(), abs=0.2)


def test_max_rgb_makes_channel_maxima_equal_and_clips_nothing() -> None:
    image = picture(np.uint16)
    peaks = MaxRgb()(image).max(axis=(0, 1))
    assert np.ptp(image.max(axis=(0, 1)).astype(int)) > 10_000
    assert set(peaks) == {image.max()}


@pytest.mark.parametrize("preprocess", ALL)
def test_black_and_grey_stay_what_they_are(preprocess: Preprocess) -> None:
    black, grey = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 90, np.uint8)
    assert np.array_equal(preprocess(black), black)
    assert np.array_equal(preprocess(grey), grey)


def test_homomorphic_takes_out_a_gradient_and_keeps_details() -> None:
    rows, columns = np.mgrid[0:200, 0:300]
    checks = 0.5 + 0.2 * ((rows // 5 + columns // 5) % 2)
    lit = np.repeat((checks * np.linspace(0.3, 1, 300) * 255)[..., None], 3, axis=2).astype(np.uint8)

    def light(image: np.ndarray) -> np.ndarray:
        return cv2.blur(image[..., 0].astype(np.float32), (10, 10))[20:-20, 20:-20].mean(axis=0)

    before, after = light(lit), light(EVEN(lit))
    assert after[-1] / after[0] < 0.6 * before[-1] / before[0]
    assert EVEN(lit)[..., 0][100, 100:110].std() > 0.7 * lit[..., 0][100, 100:110].std()


def test_homomorphic_with_gains_of_one_changes_nothing() -> None:
    image = picture(np.uint16)
    assert np.array_equal(Homomorphic(cutoff=2.0, low_gain=1.0, high_gain=1.0)(image), image)


def test_the_coarse_blur_is_the_fine_one() -> None:
    field = cv2.GaussianBlur(np.random.default_rng(0).random((400, 500)).astype(np.float32), (0, 0), 5)
    fine = cv2.GaussianBlur(field, (0, 0), 40, borderType=cv2.BORDER_REFLECT)
    assert np.abs(slow_part(field, sigma=40) - fine).max() < 0.05 * np.ptp(fine)


@pytest.mark.parametrize(
    ("changed", "text"),
    [({"cutoff": 0}, "preprocess.cutoff=0 must"), ({"low_gain": -1}, "preprocess.low_gain=-1 must")],
)
def test_an_impossible_value_is_one_line(changed: dict[str, float], text: str) -> None:
    with pytest.raises(AdframeError, match=f"^{text}.*$"):
        Homomorphic(**{"cutoff": 2.0, "low_gain": 0.4, "high_gain": 1.0, **changed})


@pytest.mark.parametrize("name", PREPROCESSES)
def test_every_name_runs(name: str) -> None:
    assert np.array_equal(PREPROCESSES[name](picture()), picture()) == (name == "none")
