"""Gradients of two images compared."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import correlate1d

from adframe.ops.gradient_similarity import GMS_CONSTANT, gradient_dissimilarity


def pair(size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 2, 1, size, size, generator=generator)
    return a, b


def test_an_image_is_like_itself_and_symmetric_to_others() -> None:
    a, b = pair()
    assert gradient_dissimilarity(a, a).abs().max() < 1e-6
    torch.testing.assert_close(gradient_dissimilarity(a, b), gradient_dissimilarity(b, a))


def test_a_constant_shift_of_brightness_has_no_gradient() -> None:
    a, _ = pair()
    assert gradient_dissimilarity(a, a + 0.3).max() < 1e-5


def test_one_scale_is_the_formula_of_the_paper() -> None:
    def length(image: torch.Tensor) -> np.ndarray:
        grey = image[0, 0].double().numpy()
        smooth = [correlate1d(grey, [1 / 3] * 3, axis=axis, mode="nearest") for axis in (0, 1)]
        across = correlate1d(smooth[0], [1, 0, -1], axis=1, mode="nearest")
        down = correlate1d(smooth[1], [1, 0, -1], axis=0, mode="nearest")
        return np.hypot(across, down)

    a, b = pair()
    u, v = length(a), length(b)
    expected = 1 - (2 * u * v + GMS_CONSTANT) / (u**2 + v**2 + GMS_CONSTANT)
    np.testing.assert_allclose(gradient_dissimilarity(a, b, scales=1)[0, 0], expected, atol=1e-4)


def test_more_scales_than_an_image_has_are_left_out() -> None:
    a, b = pair(8)
    torch.testing.assert_close(gradient_dissimilarity(a, b, scales=9), gradient_dissimilarity(a, b, scales=2))


def test_it_can_be_learned_from_even_where_nothing_changes() -> None:
    flat = torch.full((1, 1, 16, 16), 0.5, requires_grad=True)
    gradient_dissimilarity(flat, pair(16)[0][:1]).mean().backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def test_at_odd_sizes_a_spot_is_found_where_it_is() -> None:
    for height, width in ((63, 70), (45, 49), (64, 64)):
        place = torch.zeros(1, 1, height, width)
        place[..., -21:-14, -25:-18] = 1.0
        found = gradient_dissimilarity(torch.zeros_like(place), place)[0, 0]
        rows, columns = (found.sum(axis) / found.sum() for axis in (1, 0))
        assert abs(float((rows * torch.arange(height)).sum()) - (height - 18)) < 0.5
        assert abs(float((columns * torch.arange(width)).sum()) - (width - 22)) < 0.5
