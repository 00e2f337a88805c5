"""Pictures show the image as it lies on disk, whatever the network saw of it."""

import numpy as np
import pytest

from adframe.callbacks.gallery import _to_original_frame
from adframe.contracts import Geometry
from adframe.data.dataset import View, as_unit, resize_to_view


@pytest.mark.parametrize("size", [(40, 120), (120, 40), (64, 64)])
@pytest.mark.parametrize("keep", [True, False])
def test_what_was_repeated_around_the_image_is_cut_off(size: tuple[int, int], keep: bool) -> None:
    rows, columns = np.indices(size)
    smooth = np.stack([rows * 200 / size[0], columns * 200 / size[1], 0 * rows + 90], axis=-1)
    pixels = smooth.astype(np.uint8)
    image, view = resize_to_view(as_unit(pixels), View(size=(64, 64), keep_aspect=keep))
    shown = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    back = _to_original_frame(shown, Geometry(original=size, view=view))
    assert back.shape == pixels.shape
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - pixels).max() <= 8  # a few pixels' worth of the slope
