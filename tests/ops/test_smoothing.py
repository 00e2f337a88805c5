import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from adframe.ops.smoothing import axis_matrix, heatmap

SHAPES = [((7, 9), (56, 72)), ((4, 4), (33, 65)), ((16, 8), (16, 8)), ((1, 3), (20, 30))]


def plain(patches: torch.Tensor, *, size: tuple[int, int], sigma: float) -> torch.Tensor:
    """Upsampled, then smoothed and reflected at the border, by other people's code."""
    large = F.interpolate(patches.double(), size=size, mode="bilinear", align_corners=False).numpy()
    return torch.from_numpy(
        gaussian_filter(large, (0, 0, sigma, sigma), mode="reflect", truncate=4.0) if sigma else large
    )


@pytest.mark.parametrize(("grid", "size"), SHAPES)
def test_without_smoothing_it_is_upsampling(grid: tuple[int, int], size: tuple[int, int]) -> None:
    patches = torch.randn(3, 1, *grid, generator=torch.Generator().manual_seed(0))
    found = heatmap(patches, size=size, sigma=0.0)
    assert found.shape == (3, 1, *size)
    torch.testing.assert_close(found.double(), plain(patches, size=size, sigma=0.0), rtol=0, atol=2e-6)


@pytest.mark.parametrize("sigma", [1.3, 4.0])
@pytest.mark.parametrize(("grid", "size"), [((12, 16), (96, 128)), ((64, 80), (64, 80)), ((9, 9), (97, 113))])
def test_inside_it_equals_upsampling_and_then_smoothing(
    grid: tuple[int, int], size: tuple[int, int], sigma: float
) -> None:
    patches = torch.randn(3, 1, *grid, generator=torch.Generator().manual_seed(0))
    reach = math.ceil(4 * sigma + 1.5 * max(size[0] / grid[0], size[1] / grid[1]))
    inner = (..., slice(reach, -reach), slice(reach, -reach))
    found, expected = heatmap(patches, size=size, sigma=sigma), plain(patches, size=size, sigma=sigma)
    torch.testing.assert_close(found.double()[inner], expected[inner], rtol=0, atol=2e-6)


def test_noise_is_as_strong_at_the_border_as_inside() -> None:
    """A reflected Gaussian doubles its variance at a side, and quadruples it in a corner."""
    for coarse, fine in ((32, 256), (64, 64), (9, 100)):
        noise = axis_matrix(coarse, fine, 4.0).double().square().sum(1)
        period, middle = math.ceil(fine / coarse), fine // 2
        inside = noise[middle - period : middle + period]
        assert noise.max() < 1.02 * inside.max()
        assert noise.min() > 0.98 * inside.min()


def test_one_conspicuous_patch_stands_out_equally_wherever_it_lies() -> None:
    peaks = [
        float(heatmap(grid, size=(128, 128), sigma=4.0).max())
        for place in ((0, 0), (0, 7), (8, 8), (15, 3))
        if (grid := F.pad(torch.ones(1, 1, 1, 1), (place[1], 15 - place[1], place[0], 15 - place[0])))
        is not None
    ]
    assert max(peaks) < 1.1 * min(peaks)


@pytest.mark.parametrize("sigma", [0.0, 4.0, 40.0])
def test_weights_are_an_average(sigma: float) -> None:
    matrix = axis_matrix(8, 64, sigma)
    assert matrix.min() >= 0
    torch.testing.assert_close(matrix.sum(1), torch.ones(64))


def test_a_constant_stays_constant_and_nothing_leaves_the_range() -> None:
    flat = heatmap(torch.full((1, 1, 5, 6), 2.5), size=(40, 48), sigma=4.0)
    torch.testing.assert_close(flat, torch.full((1, 1, 40, 48), 2.5))
    patches = torch.rand(1, 1, 5, 6)
    smooth = heatmap(patches, size=(40, 48), sigma=4.0)
    assert patches.min() - 1e-6 <= smooth.min() <= smooth.max() <= patches.max() + 1e-6


def test_height_and_width_are_not_mixed_up() -> None:
    patches = torch.rand(1, 1, 4, 6)
    turned = heatmap(patches.mT, size=(48, 24), sigma=2.0)
    torch.testing.assert_close(turned.mT, heatmap(patches, size=(24, 48), sigma=2.0))
