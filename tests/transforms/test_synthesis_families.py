from collections.abc import Callable

import cv2
import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.transforms.synthesis.family import VISIBLE_CHANGE, Family, mark_changes, scene_of
from adframe.transforms.synthesis.pasting import Placement, cut_out, poisson_clone
from adframe.transforms.synthesis.patches import CutPaste, Nsa, Scar
from adframe.transforms.synthesis.perlin import Perlin, perlin_noise
from adframe.transforms.synthesis.shapes import SHAPES, fill_outline, outline
from adframe.transforms.synthesis.sources import recolour, shuffle_tiles
from adframe.transforms.synthesis.stages import Contextual, Structural, Texture
from tests.transforms.synthesis_scenes import FAMILIES, donor, synthesis, texture


def made(name: str, seed: int, *, grey: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Before, after, mask; until there is one."""
    family, image = synthesis(name).families[name], texture(grey=grey)
    scene = scene_of(image, donor=lambda g: texture(int(g.integers(1, 9)), grey=grey), foreground=True)
    generator = np.random.default_rng(seed)
    while True:
        after, mask = family(scene, generator=generator)
        if mask.any():
            return image, after, mask


@pytest.mark.parametrize("name", FAMILIES)
def test_the_mask_is_where_the_image_changed(name: str) -> None:
    for seed in range(12):
        before, after, mask = made(name, seed)
        change = np.abs(after - before).max(axis=2)
        assert change[~mask].max() <= VISIBLE_CHANGE  # nothing visible outside
        near = cv2.dilate((change > VISIBLE_CHANGE).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert not (mask & ~near).any()  # and the mask is nowhere far from what is visible
        assert (change[mask] > VISIBLE_CHANGE).mean() > 0.5
        assert (mask.dtype, after.dtype, after.shape) == (bool, np.float32, before.shape)
        assert 0 <= after.min() <= after.max() <= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_the_image_that_was_given_stays_as_it_was(name: str) -> None:
    before, after, _ = made(name, 0)
    assert np.array_equal(before, texture())
    assert not np.shares_memory(before, after)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_grey_image_stays_grey(name: str) -> None:
    for seed in range(8):
        _, after, _ = made(name, seed, grey=True)
        assert np.abs(after - after[..., :1]).max() < 1e-5


def test_specks_are_put_back_and_small_gaps_closed() -> None:
    before = np.zeros((128, 128, 3), np.float32)
    after = before.copy()
    after[20:40, 20:40] = 0.5
    after[30, 30] = 0  # a gap
    after[100, 100] = 0.5  # a speck
    after[60:80, 60:80] = VISIBLE_CHANGE / 2
    image, mask = mark_changes(before, after)
    assert mask.sum() == 400
    assert mask[20:40, 20:40].all()
    assert image[100, 100].max() == 0
    assert image[70, 70].max() > 0  # what nobody sees may stay


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_the_area_and_the_aspect_that_were_asked_for(shape: str) -> None:
    generator = np.random.default_rng(0)
    corners = outline(shape, area=3600, aspect=2, degrees=30, generator=generator)
    alpha = fill_outline(corners, centre=(200, 190), size=(400, 420))
    around = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).sum()
    assert 3600 <= alpha.sum() <= 3600 + around  # the soft edge reaches over by less than a pixel
    level = outline("rectangle", area=800, aspect=2, degrees=0, generator=generator)
    assert np.ptp(level, axis=0) == pytest.approx([40, 20])
    turned = outline("rectangle", area=800, aspect=2, degrees=90, generator=generator)
    assert np.ptp(turned, axis=0) == pytest.approx([20, 40])


def test_a_piece_lands_where_it_should() -> None:
    image, alpha = (
        texture(),
        fill_outline(np.array([[-9, -9], [9, -9], [9, 9], [-9, 9.0]]), centre=(30, 40), size=(96, 96)),
    )
    moved = cut_out(image, Placement(source=(50, 60), target=(30, 40)), alpha=alpha)
    assert np.abs(moved[25:36, 35:46] - image[45:56, 55:66]).max() < 1e-5
    half = cut_out(image, Placement(source=(50, 60), target=(30, 40), degrees=180), alpha=alpha)
    assert np.abs(half[25:36, 35:46] - image[45:56, 55:66][::-1, ::-1]).max() < 1e-3
    twice = cut_out(image, Placement(source=(50, 60), target=(30, 40), scale=2), alpha=alpha)
    assert np.abs(twice[22:39:2, 32:49:2] - image[46:55, 56:65]).max() < 1e-3
    # A piece that is turned the way its outline is: its own corner stays its corner.
    turned = cut_out(image, Placement(source=(50, 60), target=(30, 40), degrees=90), alpha=alpha)
    corner = outline("rectangle", area=4, aspect=1, degrees=90, generator=np.random.default_rng())[0] * 4
    here = np.round(corner).astype(int)
    assert turned[30 + here[1], 40 + here[0]] == pytest.approx(image[46, 56], abs=1e-3)


def test_a_seamless_piece_shows_its_content_and_no_seam() -> None:
    flat, content = np.full((96, 96, 3), 0.3, np.float32), np.full((96, 96, 3), 0.8, np.float32)
    content[40:56, 40:56] = 0.6
    alpha = fill_outline(
        outline("ellipse", area=2400, aspect=1, degrees=0, generator=np.random.default_rng()),
        centre=(48, 48),
        size=(96, 96),
    )
    for _ in range(2):  # OpenCV overwrites the shape it is given
        result = poisson_clone(flat, content, alpha=alpha, mixed=False)
        assert result[48, 48] == pytest.approx([0.1] * 3, abs=0.02)  # 0.3, and 0.2 below its surroundings
        assert result[48, 26:34] == pytest.approx(0.3, abs=0.03)
        assert np.array_equal(result[alpha == 0], flat[alpha == 0])


def test_perlin_noise_has_its_range_and_its_cells() -> None:
    noise = perlin_noise((8, 2), size=(128, 96), generator=np.random.default_rng(0))
    assert noise.shape == (128, 96)
    assert -1.01 <= noise.min() < -0.4 < 0.4 < noise.max() <= 1.01
    down, across = ((np.diff(np.sign(noise), axis=axis) != 0).sum(axis=axis).mean() for axis in (0, 1))
    assert down > 2 * across  # four times as many cells down as across


def test_tiles_are_the_images_own_pixels_elsewhere() -> None:
    image = texture()
    other = shuffle_tiles(image, generator=np.random.default_rng(0))
    assert np.array_equal(np.sort(other.reshape(-1, 3), axis=0), np.sort(image.reshape(-1, 3), axis=0))
    assert np.abs(other - image).mean() > 0.05
    assert shuffle_tiles(texture(side=61), generator=np.random.default_rng(0)).shape == (61, 61, 3)


def test_recolouring_by_nothing_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    assert recolour(texture(), strength=0, grey=False, generator=generator) == pytest.approx(
        texture(), abs=1e-5
    )


IMPOSSIBLE: dict[str, Callable[[], Family]] = {
    "texture.area=2": lambda: Texture(area=2, patches=1, grain=0.1, opacity=1),
    "texture.patches=1.5": lambda: Texture(area=0.1, patches=1.5, grain=0.1, opacity=1),  # type: ignore[arg-type]
    "structural.contrast=[1,0.1]": lambda: Structural(
        area=0.1, patches=1, shapes=["line"], contrast=[1, 0.1], opacity=1
    ),
    "contextual.weight=-1": lambda: Contextual(area=0.1, patches=1, shapes=["line"], weight=-1),
    "perlin.beta=1": lambda: Perlin(scales=1, threshold=0.5, beta=1, sources=["self"]),
    "perlin.scales=[0,9]": lambda: Perlin(scales=[0, 9], threshold=0.5, beta=0, sources=["self"]),
    "cutpaste.aspect=0": lambda: CutPaste(area=0.1, aspect=0, degrees=0, jitter=0),
    "scar.width=nan": lambda: Scar(length=0.1, width=float("nan"), degrees=0, jitter=0),
    "nsa.mixed=2": lambda: Nsa(area=0.1, aspect=1, scale=1, patches=1, shapes=["line"], mixed=2),
}


@pytest.mark.parametrize("said", IMPOSSIBLE)
def test_an_impossible_value_is_one_line(said: str) -> None:
    with pytest.raises(AdframeError) as caught:
        IMPOSSIBLE[said]()
    key = said.partition("=")[0]
    start = f"synthesis.families.{said} is not possible; synthesis.families.{key} must be "
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


def test_unknown_and_missing_names_are_one_line() -> None:
    with pytest.raises(AdframeError, match=r"unknown shape 'elipse' in .*; did you mean 'ellipse'"):
        Contextual(area=0.1, patches=1, shapes=["elipse"])
    with pytest.raises(AdframeError, match=r"synthesis.families.nsa.shapes=\[\] is not possible"):
        Nsa(area=0.1, aspect=1, scale=1, patches=1, shapes=[], mixed=0)
    with pytest.raises(AdframeError, match=r"unknown source 'donr'.*did you mean 'donor'"):
        Perlin(scales=1, threshold=0.5, beta=0, sources=["donr"])
    with pytest.raises(AdframeError, match=r"perlin.sources=\[\] is not possible"):
        Perlin(scales=1, threshold=0.5, beta=0, sources=[])


def test_a_donor_is_asked_only_where_it_is_needed() -> None:
    def refuses(generator: np.random.Generator) -> np.ndarray:
        raise AssertionError

    scene = scene_of(texture(), donor=refuses, foreground=True)
    for name in ("texture", "structural", "cutpaste", "scar"):
        synthesis(name).families[name](scene, generator=np.random.default_rng(0))
    assert donor(np.random.default_rng(0)).shape == scene.image.shape
