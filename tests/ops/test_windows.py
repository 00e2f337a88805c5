import pytest
import torch

from adframe.errors import AdframeError
from adframe.ops.windows import harmonic_mean, harmonic_mean_of_windows, window_places


@pytest.mark.parametrize("side", [1, 2, 3])
def test_windows_are_all_squares_of_the_grid(side: int) -> None:
    numbers = torch.arange(20).view(4, 5)
    expected = [
        numbers[top : top + side, left : left + side].flatten().tolist()
        for top in range(4 - side + 1)
        for left in range(5 - side + 1)
    ]
    assert window_places((4, 5), side=side).tolist() == expected


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_patch_has_the_harmonic_mean_of_its_windows(side: int) -> None:
    places = window_places((4, 5), side=side)
    scores = torch.rand(3, len(places), generator=torch.Generator().manual_seed(0)) + 0.01
    found = harmonic_mean_of_windows(scores, places, patches=20)
    for image in range(3):
        for patch in range(20):
            covering = [float(scores[image, w]) for w, own in enumerate(places.tolist()) if patch in own]
            expected = len(covering) / sum(1 / score for score in covering)
            assert float(found[image, patch]) == pytest.approx(expected, rel=1e-5)


def test_one_zero_makes_a_harmonic_mean_nearly_zero() -> None:
    assert float(harmonic_mean(torch.tensor([0.0, 1.0]))) == pytest.approx(2e-6, rel=1e-4)
    assert float(harmonic_mean(torch.tensor([0.25, 0.5, 1.0]))) == pytest.approx(3 / 7)


def test_a_grid_that_is_smaller_than_a_window_is_refused() -> None:
    with pytest.raises(AdframeError, match=r"grids of 2x5 patches, fewer than model.windows=3"):
        window_places((2, 5), side=3)
