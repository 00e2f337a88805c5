"""The baseline without a network."""

from __future__ import annotations

import pytest
import torch

from adframe.contracts import TrainingFree
from adframe.errors import AdframeError
from adframe.models.pixel_mean import PixelMean
from tests.fakes.masked import images


def fitted() -> PixelMean:
    model = PixelMean(None, sigma=0.0, top_share=0.0)
    model.collect(images(4))
    model.collect(images(4, seed=1))
    model.finalise()
    return model


def test_the_distance_is_in_units_of_the_spread() -> None:
    model, seen = fitted(), torch.cat([images(4), images(4, seed=1)])
    other = images(1, seed=2)
    expected = ((other - seen.mean(0)) / (seen.std(0, correction=0) + 0.02)).abs().mean(1)
    torch.testing.assert_close(model(other).heatmap[:, 0], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model(other).score[0], expected.max(), rtol=1e-4, atol=1e-4)


def test_it_comes_back_from_a_file() -> None:
    again = PixelMean(None, sigma=0.0, top_share=0.0)
    again.load_state_dict(fitted().state_dict())
    assert torch.equal(again(images(2)).heatmap, fitted()(images(2)).heatmap)


def test_it_needs_no_gradient_and_one_size() -> None:
    model = fitted()
    assert isinstance(model, TrainingFree)
    with pytest.raises(AdframeError, match="one image_size"):
        model.collect(images(1, size=(32, 32)))
