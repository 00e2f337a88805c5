from typing import Any

import pytest
import torch
from torch.nn import functional as F

from adframe.ops.patches import BORDERS, as_rows, patch_grid

torch.manual_seed(0)
FINE, COARSE = torch.randn(2, 3, 8, 10), torch.randn(2, 5, 4, 5)


def test_one_map_and_no_neighbourhood_change_nothing() -> None:
    assert torch.equal(patch_grid([FINE], neighbourhood=1), FINE)


@pytest.mark.parametrize("maps", [[FINE, COARSE], [COARSE, FINE]])
def test_channels_stack_in_the_order_given_on_the_finest_grid(maps: list[torch.Tensor]) -> None:
    grid = patch_grid(maps, neighbourhood=1)
    parts = grid.split([m.shape[1] for m in maps], dim=1)
    for part, given in zip(parts, maps, strict=True):
        torch.testing.assert_close(part, F.interpolate(given, size=(8, 10), mode="bilinear"))


def window_mean(padded: torch.Tensor, y: int, x: int, *, side: int) -> torch.Tensor:
    return padded[:, :, y : y + side, x : x + side].mean(dim=(2, 3))


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize(
    ("border", "mode"), [("zeros", "constant"), ("reflect", "reflect"), ("replicate", "replicate")]
)
def test_a_neighbourhood_is_the_mean_over_a_window_of_the_padded_map(
    side: int, border: Any, mode: str
) -> None:
    grid = patch_grid([FINE], neighbourhood=side, border=border)
    padded = F.pad(FINE, (side // 2,) * 4, mode=mode)
    for y, x in ((0, 0), (3, 4), (7, 9), (0, 5)):
        torch.testing.assert_close(grid[:, :, y, x], window_mean(padded, y, x, side=side))


def test_zeros_are_counted_by_default_as_published() -> None:
    assert torch.equal(
        patch_grid([FINE], neighbourhood=3), patch_grid([FINE], neighbourhood=3, border="zeros")
    )


@pytest.mark.parametrize("side", [3, 5])
def test_ignored_padding_leaves_the_mean_of_what_lies_inside(side: int) -> None:
    grid, reach = patch_grid([FINE], neighbourhood=side, border="ignore"), side // 2
    for y, x in ((0, 0), (3, 4), (7, 9), (0, 5)):
        window = FINE[:, :, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        torch.testing.assert_close(grid[:, :, y, x], window.mean(dim=(2, 3)))


@pytest.mark.parametrize("side", [3, 5])
def test_inside_takes_the_nearest_window_that_is_whole(side: int) -> None:
    grid, reach = patch_grid([FINE], neighbourhood=side, border="inside"), side // 2
    for y, x in ((0, 0), (3, 4), (7, 9), (0, 5)):
        top, left = min(max(y - reach, 0), 8 - side), min(max(x - reach, 0), 10 - side)
        torch.testing.assert_close(grid[:, :, y, x], window_mean(FINE, top, left, side=side))


@pytest.mark.parametrize("border", ["reflect", "replicate", "ignore", "inside"])
def test_a_constant_stays_constant_unless_zeros_are_counted(border: Any) -> None:
    maps = [torch.full((1, 2, 6, 6), 3.0), torch.full((1, 1, 3, 3), 5.0)]
    grid = patch_grid(maps, neighbourhood=3, border=border)
    torch.testing.assert_close(grid, torch.tensor([3.0, 3.0, 5.0]).view(1, 3, 1, 1).expand(1, 3, 6, 6))


@pytest.mark.parametrize("border", BORDERS)
def test_maps_smaller_than_the_window_are_averaged_too(border: Any) -> None:
    assert patch_grid([torch.rand(1, 2, 1, 2)], neighbourhood=5, border=border).shape == (1, 2, 1, 2)


def test_images_do_not_mix() -> None:
    both = patch_grid([FINE, COARSE], neighbourhood=3)
    alone = patch_grid([FINE[1:], COARSE[1:]], neighbourhood=3)
    torch.testing.assert_close(both[1:], alone)


def test_rows_go_image_by_image_and_line_by_line() -> None:
    rows = as_rows(FINE)
    for b, y, x in ((0, 0, 0), (0, 2, 7), (1, 7, 9)):
        assert torch.equal(rows[b * 80 + y * 10 + x], FINE[b, :, y, x])
