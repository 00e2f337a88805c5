import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from adframe.ops.smoothing import axis_matrix, heatmap

SHAPES = [((7, 9), (56, 72)), ((4, 4), (33, 65)), ((16, 8), (16, 8)), ((1, 3), (20, 30))]


@pytest.mark.parametrize(("grid", "size"), SHAPES)
@pytest.mark.parametrize("sigma", [0.0, 1.3, 4.0])
def test_equals_upsampling_and_then_smoothing(
    grid: tuple[int, int], size: tuple[int, int], sigma: float
) -> None:
    patches = torch.randn(3, 1, *grid, generator=torch.Generator().manual_seed(0))
    large = F.interpolate(patches.double(), size=size, mode="bilinear", align_corners=False).numpy()
    expected = gaussian_filter(large, (0, 0, sigma, sigma), mode="reflect", truncate=4.0) if sigma else large
    found = heatmap(patches, size=size, sigma=sigma)
    assert found.shape == (3, 1, *size)
    torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=0, atol=2e-6)


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
