import pytest
import torch
from torch import Tensor

from adframe.contracts import HeldOut
from adframe.errors import AdframeError
from adframe.models.composition import Composition
from adframe.models.extended_patchcore import ExtendedPatchCore, create_patchcore
from adframe.models.patchcore import PatchCore
from tests.fakes.backbones import PixelBackbone

COLOURS = torch.tensor([[0.1, 0.1, 0.1], [0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]])


def picture(*bars: int, seed: int = 0, at: int = 0) -> Tensor:
    """(1, 3, 64, 64): dark, with red, green and blue bars of so many rows of patches, somewhere."""
    rng = torch.Generator().manual_seed(seed)
    image, row = torch.zeros(1, 3, 64, 64), at
    image += COLOURS[0].view(1, 3, 1, 1)
    for colour, rows in zip(COLOURS[1:], bars, strict=True):
        image[:, :, 8 * row : 8 * (row + rows)] = colour.view(1, 3, 1, 1)
        row += rows + 1
    return (image + 0.02 * torch.randn(1, 3, 64, 64, generator=rng)).clamp(0, 1)


NORMAL = [picture(1, 1, 1, seed=seed, at=seed % 3) for seed in range(12)]
EXTRA = picture(2, 1, 1, seed=50)  # nothing in it is unknown, and there is too much of it
SWAPPED = picture(2, 0, 1, seed=51)


def fitted(**changes: object) -> PatchCore | ExtendedPatchCore:
    settings = {"coreset": 1.0, "neighbourhood": 1, "composition": True, "words": 4}
    model = create_patchcore(PixelBackbone(), **{**settings, **changes})
    for image in NORMAL[:8]:
        model.collect(image)
    model.finalise()
    if isinstance(model, ExtendedPatchCore):
        for image in NORMAL[8:]:
            model.collect_held_out(image)
        model.finalise_held_out()
    return model


def scores(model: PatchCore | ExtendedPatchCore, *images: Tensor) -> list[float]:
    return [float(model(image).score) for image in images]


@pytest.mark.parametrize("instances", [False, True])
def test_known_things_in_wrong_amounts_are_found_by_composition_only(instances: bool) -> None:
    normal = [picture(1, 1, 1, seed=seed, at=seed % 3) for seed in range(20, 30)]
    blind = scores(fitted(composition=False), *normal, EXTRA)
    assert blind[-1] < 1.5 * max(blind[:-1])
    for use in (True, "only"):
        found = scores(fitted(composition=use, instances=instances), *normal, EXTRA, SWAPPED)
        assert min(found[-2:]) > 3 * max(found[:-2])


def test_ordinary_images_keep_the_memorys_order_and_z_score() -> None:
    with_head, without = fitted(), fitted(composition=False)
    bank = torch.tensor(scores(without, *NORMAL[8:]))
    expected = (bank - bank.mean()) / bank.std(correction=0)
    torch.testing.assert_close(torch.tensor(scores(with_head, *NORMAL[8:])), expected, rtol=1e-3, atol=1e-3)


def test_pieces_tell_one_bar_from_two() -> None:
    grid = torch.zeros(1, 2, 8, 8)
    grid[:, 0, 1:3] = 1.0
    apart = torch.zeros(1, 2, 8, 8)
    apart[:, 0, 1] = apart[:, 0, 5] = 1.0
    for instances in (False, True):
        head = Composition(words=2, instances=instances, positions=False, limit_mb=8, seed=0, spool=None)
        head.collect(grid.repeat(6, 1, 1, 1))
        head.finalise()
        parts = [head._composition(head._rows(g)[0], (8, 8)) for g in (grid, apart)]
        assert (parts[0] != parts[1]).any() == instances


def test_parts_in_exchanged_places_are_found_by_their_positions_only() -> None:
    """The same amounts in another order; a shift of the whole is normal, so that places alone do not tell."""
    normal = [picture(1, 1, 1, seed=seed, at=seed % 3) for seed in range(20, 30)]
    exchanged = picture(1, 1, 1, seed=52, at=1).flip(2)
    blind, seeing = (
        scores(fitted(composition="only", positions=positions), *normal, exchanged)
        for positions in (False, True)
    )
    assert blind[-1] < 1.5 * max(blind[:-1])
    assert seeing[-1] > 2 * max(seeing[:-1])


def test_an_absent_word_has_its_usual_position() -> None:
    head = Composition(words=2, instances=False, positions=True, limit_mb=8, seed=0, spool=None)
    grids = torch.zeros(6, 2, 8, 8)
    grids[:, 0, 2:4] = 1.0
    head.collect(grids)
    head.finalise()
    usual = head.places.view(2, 2)  # row and column of each word
    one = head._composition(torch.zeros(64, 2), (8, 8))
    full = int(one[:2].argmax())
    places = one[-4:].reshape(2, 2)
    assert places[:, 1 - full].tolist() == usual[:, 1 - full].tolist()
    assert places[:, full].tolist() == [3.5 / 8, 3.5 / 8]


def test_a_file_of_an_earlier_version_without_positions_is_read() -> None:
    state = {name: tensor for name, tensor in fitted().state_dict().items() if not name.endswith("places")}
    fresh = create_patchcore(PixelBackbone(), coreset=1.0, neighbourhood=1, composition=True, words=4)
    fresh.load_state_dict(state, strict=True)
    assert scores(fresh, EXTRA) == scores(fitted(), EXTRA)


def test_heatmaps_stay_the_memorys() -> None:
    assert torch.equal(fitted()(EXTRA).heatmap, fitted(composition=False)(EXTRA).heatmap)


def test_it_survives_a_file_and_more_normals() -> None:
    model = fitted()
    fresh = create_patchcore(PixelBackbone(), coreset=1.0, neighbourhood=1, composition=True, words=4)
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert scores(fresh, EXTRA, *NORMAL) == scores(model, EXTRA, *NORMAL)
    for image in NORMAL[8:]:
        model.collect(image)
    model.finalise()
    assert scores(model, EXTRA)[0] > 3 * max(scores(model, *NORMAL))


def test_only_a_model_with_a_composition_needs_held_out_images() -> None:
    assert not isinstance(fitted(composition=False), HeldOut)
    for use in (True, "only"):
        model = fitted(composition=use)
        assert isinstance(model, HeldOut)
        assert model.needs_held_out
    assert not ExtendedPatchCore(PatchCore(PixelBackbone(), coreset=1.0)).needs_held_out


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"composition": "maybe"}, "composition=maybe"), ({"words": 1}, "words=1"), ({"words": 999}, "999")],
)
def test_impossible_settings_are_refused(changes: dict, word: str) -> None:
    with pytest.raises(AdframeError, match=word):
        fitted(**changes)
