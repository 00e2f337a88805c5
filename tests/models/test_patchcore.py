import math

import pytest
import torch
from torch import Tensor

from adframe.contracts import TrainingFree
from adframe.errors import AdframeError
from adframe.models.extended_patchcore import ExtendedPatchCore, create_patchcore
from adframe.models.fusion import Concat, Single
from adframe.models.memory import Everything
from adframe.models.patch_memory import PatchMemory
from adframe.models.patchcore import PatchCore
from adframe.ops.patches import as_rows
from adframe.ops.smoothing import heatmap
from tests.fakes.backbones import PixelBackbone, tiny_backbone

NORMAL = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
QUERY = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def fitted(images: Tensor = NORMAL, **changes: object) -> PatchCore | ExtendedPatchCore:
    model = create_patchcore(tiny_backbone(), **{"coreset": 0.3, **changes})
    for part in torch.split(images, 2):
        model.collect(part)
    model.finalise()
    return model


def pixels(**changes: object) -> PatchCore | ExtendedPatchCore:
    """Knows grey pictures; a patch score is the distance from grey."""
    settings = {"coreset": 1.0, "neighbourhood": 1, "neighbours": 1, "sigma": 0.0}
    model = create_patchcore(PixelBackbone(), **{**settings, **changes})
    model.collect(torch.full((1, 3, 64, 64), 0.5))
    model.finalise()
    return model


def square(side: int, brightness: float) -> Tensor:
    image = torch.full((1, 3, 64, 64), 0.5)
    image[:, :, 8 : 8 + side, 16 : 16 + side] = brightness
    return image


def memory_of(model: PatchCore | ExtendedPatchCore) -> PatchMemory:
    return model.memory if isinstance(model, PatchCore) else model.memories[0]


def rows_of(model: PatchCore | ExtendedPatchCore, images: Tensor) -> Tensor:
    memory = memory_of(model)
    return memory.embed(as_rows(memory.grid(model.backbone(images))))


def bank_of(model: PatchCore | ExtendedPatchCore) -> Tensor:
    return memory_of(model).memory.bank


def test_keeps_the_protocol_and_the_shapes() -> None:
    model = fitted()
    assert isinstance(model, TrainingFree)
    prediction = model(QUERY)
    assert prediction.score.shape == (5,)
    assert prediction.heatmap.shape == (5, 1, 64, 64)
    assert prediction.score.dtype == prediction.heatmap.dtype == torch.float32


@pytest.mark.parametrize("neighbours", [1, 9])
def test_what_is_in_the_bank_is_not_anomalous_at_all(neighbours: int) -> None:
    prediction = fitted(coreset=1.0, neighbours=neighbours)(NORMAL[:2])
    assert not prediction.score.any()
    assert not prediction.heatmap.any()
    assert fitted(coreset=1.0, neighbours=neighbours)(QUERY).score.min() > 0


def test_a_stronger_and_a_larger_defect_score_higher() -> None:
    by_contrast = [float(pixels()(square(8, b)).score) for b in (0.5, 0.6, 0.8, 1.0)]
    assert by_contrast == sorted(set(by_contrast))
    torch.testing.assert_close(torch.tensor(by_contrast[1:]) / math.sqrt(3), torch.tensor([0.1, 0.3, 0.5]))
    by_size = [float(pixels(top_share=0.5)(square(side, 0.8)).score) for side in (0, 8, 16, 32)]
    assert by_size == sorted(set(by_size))


def test_the_heatmap_burns_where_the_defect_is() -> None:
    heat = pixels(sigma=2.0)(square(16, 0.9)).heatmap[0, 0]
    y, x = divmod(int(heat.argmax()), 64)
    assert 8 <= y < 24
    assert 16 <= x < 32
    assert heat[40:, 40:].max() < heat.max() / 100


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_batch_does_not_change_a_score(size: int) -> None:
    model = fitted()
    whole, parts = model(QUERY), [model(part) for part in torch.split(QUERY, size)]
    torch.testing.assert_close(torch.cat([p.score for p in parts]), whole.score, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.cat([p.heatmap for p in parts]), whole.heatmap, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"limit_mb": 0}, {"sigma": -1.0}, {"projection": 0}])
def test_an_impossible_setting_is_refused(wrong: dict[str, float]) -> None:
    (name, value), *_ = wrong.items()
    with pytest.raises(AdframeError, match=rf"model\.{name}={value}"):
        fitted(**wrong)


def test_collecting_in_other_batches_makes_the_same_bank() -> None:
    model = PatchCore(tiny_backbone(), coreset=1.0)
    model.collect(NORMAL[:2])
    for image in NORMAL[2:]:
        model.collect(image[None])
    model.finalise()
    torch.testing.assert_close(bank_of(model), bank_of(fitted(coreset=1.0)), rtol=1e-5, atol=1e-6)


def test_state_moves_to_a_fresh_module_with_equal_scores() -> None:
    model, fresh = fitted(), PatchCore(tiny_backbone(seed=5), coreset=0.1)
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(QUERY).score, model(QUERY).score)
    assert torch.equal(fresh(QUERY).heatmap, model(QUERY).heatmap)
    nested = torch.nn.ModuleDict({"detector": PatchCore(tiny_backbone(), coreset=0.1)})
    nested.load_state_dict({f"detector.{name}": value for name, value in model.state_dict().items()})
    assert torch.equal(nested["detector"](QUERY).score, model(QUERY).score)


@pytest.mark.parametrize("neighbours", [2, 9, 10_000])
def test_reweighting_is_equation_7(neighbours: int) -> None:
    model = fitted(neighbours=neighbours, coreset=0.1)
    bank, found = bank_of(model).double(), model(QUERY).score
    for image, score in zip(QUERY, found, strict=True):
        rows = rows_of(model, image[None]).double()
        nearest = torch.cdist(rows, bank).min(dim=1)
        worst = int(nearest.values.argmax())
        test, star = rows[worst], bank[nearest.indices[worst]]
        support = (
            (bank - star).norm(dim=1).argsort()[:neighbours]
        )  # N_b(m*): of the whole bank, itself included
        shares = [math.exp(float((test - bank[i]).norm())) for i in support]
        weight = 1 - math.exp(float((test - star).norm())) / sum(shares)
        assert math.isclose(float(score), weight * float((test - star).norm()), rel_tol=1e-4)


@pytest.mark.parametrize(("share", "count"), [(0.0, 1), (0.25, 16), (1.0, 64)])
def test_the_image_score_is_the_mean_of_the_largest_patch_scores(share: float, count: int) -> None:
    model = fitted(top_share=share, neighbours=1)
    for image, score in zip(QUERY, model(QUERY).score, strict=True):
        patches = torch.cdist(rows_of(model, image[None]), bank_of(model)).amin(1)
        torch.testing.assert_close(score, patches.topk(count).values.mean(), rtol=1e-4, atol=0)


def test_the_heatmap_is_the_patch_scores_smoothed() -> None:
    model = fitted(sigma=3.0)
    patches = torch.cdist(rows_of(model, QUERY), bank_of(model)).amin(1).view(5, 1, 8, 8)
    expected = heatmap(patches, size=(64, 64), sigma=3.0)
    torch.testing.assert_close(model(QUERY).heatmap, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("coreset", [0.001, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("projection", [None, 16])
def test_the_bank_holds_the_share_asked_for(coreset: float, projection: int | None) -> None:
    model = fitted(coreset=coreset, projection=projection)
    total = 6 * 8 * 8
    assert model.facts()["rows"] == len(bank_of(model)) == max(1, round(coreset * total))
    assert bank_of(model).shape[1] == 48 + 192
    everything = rows_of(model, NORMAL)
    assert torch.cdist(bank_of(model), everything).amin(1).max() < 1e-2


def test_a_larger_bank_never_raises_a_patch_score() -> None:
    small, large = fitted(coreset=0.05, neighbours=1)(QUERY), fitted(coreset=0.4, neighbours=1)(QUERY)
    assert (large.score <= small.score).all()


def test_finalising_again_takes_in_what_came_later() -> None:
    model = fitted(NORMAL[:4], coreset=1.0)
    before = model(NORMAL[4:]).score
    model.collect(NORMAL[4:])
    model.finalise()
    assert len(bank_of(model)) == 6 * 64
    assert before.min() > 0
    assert not model(NORMAL[4:]).score.any()
    model.release()
    assert not model(NORMAL[4:]).score.any()


def test_the_seed_decides_the_bank() -> None:
    assert torch.equal(bank_of(fitted(seed=3, projection=8)), bank_of(fitted(seed=3, projection=8)))
    assert not torch.equal(bank_of(fitted(seed=3)), bank_of(fitted(seed=0)))


def test_a_non_square_image_keeps_height_first() -> None:
    assert fitted()(torch.rand(1, 3, 64, 96)).heatmap.shape == (1, 1, 64, 96)


def test_the_spool_folder_is_left_empty(tmp_path) -> None:
    model = fitted(spool=tmp_path)
    model.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("coreset", value) for value in (0, 1.01, -1, float("nan"), "0.1")),
        ("neighbourhood", 2),
        ("neighbourhood", 0),
        ("neighbours", 0),
        ("top_share", 1.1),
        ("top_share", -0.1),
    ],
)
def test_impossible_settings_are_one_line(key: str, value: object) -> None:
    with pytest.raises(AdframeError, match=f"{key}={value} must") as error:
        create_patchcore(PixelBackbone(), **{"coreset": 0.1, key: value})
    assert "\n" not in str(error.value)


def test_an_order_that_cannot_work_is_refused() -> None:
    model = PatchCore(PixelBackbone(), coreset=0.1)
    with pytest.raises(RuntimeError, match="finalise before collect"):
        model.finalise()
    with pytest.raises(RuntimeError, match="memory bank is empty"):
        model(QUERY)


def test_the_state_of_releases_that_held_a_list_of_memories_is_read() -> None:
    model, fresh = fitted(), PatchCore(tiny_backbone(), coreset=0.3)
    older = {name.replace("memory.", "memories.0.", 1): value for name, value in model.state_dict().items()}
    assert any(name.startswith("memories.0.memory.bank") for name in older)
    fresh.load_state_dict(older, strict=True)
    assert torch.equal(fresh(QUERY).score, model(QUERY).score)


@pytest.mark.parametrize(
    ("setting", "extended"),
    [
        ({}, False),
        ({"neighbours": 9, "border": "ignore", "projection": 16, "memory": Everything}, False),
        ({"fusion": Concat(), "words": 4, "dimensions": 8}, False),
        ({"fusion": Single()}, True),
        ({"scales": [0.5, 1.0]}, True),
        ({"metric": "cosine"}, True),
        ({"top_share": 0.1}, True),
        ({"composition": "only"}, True),
        ({"bank_bytes": 10**9}, True),
    ],
)
def test_only_what_goes_beyond_the_paper_extends_it(setting: dict, extended: bool) -> None:
    model = create_patchcore(tiny_backbone(), coreset=0.3, **setting)
    assert isinstance(model, ExtendedPatchCore) == extended


def test_an_extension_that_changes_nothing_scores_as_the_paper_does() -> None:
    core = PatchCore(tiny_backbone(), coreset=0.3, neighbours=9)
    plain, extended = fitted(neighbours=9), ExtendedPatchCore(core)
    for part in torch.split(NORMAL, 2):
        extended.collect(part)
    extended.finalise()
    assert torch.equal(extended(QUERY).score, plain(QUERY).score)
    assert torch.equal(extended(QUERY).heatmap, plain(QUERY).heatmap)
    assert extended.facts() == plain.facts()
