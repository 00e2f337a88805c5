import cv2
import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.transforms.shift.corruptions import (
    BrightnessCorruption,
    ContrastCorruption,
    Corruption,
    DefocusCorruption,
    NoiseCorruption,
    disk,
)
from adframe.transforms.shift.shift import Shift

KINDS = [BrightnessCorruption, ContrastCorruption, DefocusCorruption, NoiseCorruption]


def corrupted(kind: type[Corruption], severity: int, image: np.ndarray) -> np.ndarray:
    return Shift({kind.name: kind(severity=severity)}, name="", seed=0)(image, [], index=0)[0]


def picture(dtype: type = np.uint8) -> np.ndarray:
    noise = np.random.default_rng(3).random((64, 80, 3), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 0.8 * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_severity_changes_more(kind: type[Corruption], dtype: type) -> None:
    image = picture(dtype)
    changes = [np.abs(corrupted(kind, s, image).astype(float) - image).mean() for s in range(1, 6)]
    assert changes == sorted(changes)
    assert changes[0] > 0
    assert len(set(changes)) == 5


def test_brightness_is_added_to_the_value_of_hsv() -> None:
    image = picture(np.uint16)
    hsv, brighter = (
        cv2.cvtColor(np.float32(pixels) / 65535, cv2.COLOR_RGB2HSV)
        for pixels in (image, corrupted(BrightnessCorruption, 3, image))
    )
    assert brighter[..., 2] == pytest.approx(np.minimum(hsv[..., 2] + 0.3, 1), abs=1e-4)
    coloured = hsv[..., 1] > 0.1
    assert brighter[coloured][:, :2] == pytest.approx(hsv[coloured][:, :2], rel=1e-2, abs=1e-2)
    black = np.zeros((4, 4, 3), np.uint8)
    assert (corrupted(BrightnessCorruption, 3, black) == round(0.3 * 255)).all()


def test_contrast_keeps_the_share_of_the_table() -> None:
    image = picture(np.uint16)
    new = corrupted(ContrastCorruption, 3, image)
    assert new.std(axis=(0, 1)) == pytest.approx(0.2 * image.std(axis=(0, 1)), rel=1e-3)
    assert new.mean(axis=(0, 1)) == pytest.approx(image.mean(axis=(0, 1)), rel=1e-3)


def test_noise_has_the_sigma_of_the_table_in_each_channel() -> None:
    new = corrupted(NoiseCorruption, 1, np.full((100, 100, 3), 32768, np.uint16)) / 65535
    assert new.std(axis=(0, 1)) == pytest.approx([0.08] * 3, rel=0.05)
    assert abs(np.corrcoef(new.reshape(-1, 3).T)[0, 1]) < 0.05


@pytest.mark.parametrize(("radius", "smoothing"), [(3, 0.1), (6, 0.5), (10, 0.5)])
def test_the_disk_is_round_and_sums_to_one(radius: int, smoothing: float) -> None:
    kernel = disk(radius, smoothing)
    assert kernel.sum() == pytest.approx(1, abs=1e-4)
    assert np.allclose(kernel, kernel.T)
    assert (kernel > kernel.max() / 2).sum() == pytest.approx(np.pi * radius**2, rel=0.08)


@pytest.mark.parametrize("severity", [0, 6, 2.5, True])
def test_another_severity_is_one_line(severity: int) -> None:
    with pytest.raises(AdframeError, match=r"^shift.transforms.corruption_noise.severity=.*1, 2, 3, 4 or 5$"):
        NoiseCorruption(severity=severity)
