"""The variants of the memory-bank family: each does what its name says."""

import pytest
import torch
from torch import Tensor

from adframe.errors import AdframeError
from adframe.models.augment_normals import Variants, rotated
from adframe.models.extended_patchcore import ExtendedPatchCore, create_patchcore
from adframe.models.fusion import Adaptive, Concat, Mean, Single, Weighted
from adframe.models.memory import Centres, Everything, Gaussian, Random, Subspace
from adframe.models.patchcore import PatchCore
from adframe.ops.patches import as_rows, patch_grid
from adframe.ops.projections import VARIANCE_FLOOR, whitening_axes
from adframe.ops.smoothing import heatmap
from tests.fakes.backbones import tiny_backbone
from tests.fakes.transformers import tiny_vit

NORMAL = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
QUERY = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def fitted(images: Tensor = NORMAL, *, batch: int = 2, **changes: object) -> PatchCore | ExtendedPatchCore:
    model = create_patchcore(tiny_backbone(), **{"coreset": 0.3, **changes})
    for part in torch.split(images, batch):
        model.collect(part)
    model.finalise()
    return model


KNOBS = {
    "random": {"memory": Random},
    "kmeans": {"memory": Centres, "coreset": 0.05},
    "subspace": {"memory": Subspace},
    "all": {"memory": Everything},
    "per_layer": {"per_layer": True},
    "scales": {"scales": [0.5, 1.0]},
    "brightness": {"brightness": [0.8, 1.2]},
    "rotations": {"rotations": [90, 180]},
    "cosine": {"metric": "cosine"},
    "pca": {"reduce": "pca", "dimensions": 16},
    "whiten": {"reduce": "whiten", "dimensions": 16},
    "gaussian": {"memory": Gaussian},
    "turned": {"rotations": [30]},
    "reduce_random": {"reduce": "random", "dimensions": 16},
    "adaptive": {"fusion": Adaptive()},
    "single": {"fusion": Single()},
    "limited": {"bank_bytes": 200 * 240 * 4},
    "anomaly_dino": {"metric": "cosine", "top_share": 0.01, "neighbours": 1, "memory": Everything},
}


@pytest.mark.parametrize("knob", KNOBS.values(), ids=KNOBS)
def test_every_variant_tells_defects_from_normals_and_reloads(knob: dict) -> None:
    model = fitted(**knob)
    bad = NORMAL[:3].clone()
    bad[:, :, 20:50, 20:50] = 1.0
    assert model(bad).score.min() > model(NORMAL[:3]).score.max()
    assert model(bad).heatmap.shape == (3, 1, 64, 64)
    fresh = create_patchcore(tiny_backbone(), **{"coreset": 0.3, **knob})
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(QUERY).heatmap, model(QUERY).heatmap)


@pytest.mark.parametrize("name", [name for name in KNOBS if name != "limited"])
def test_scores_do_not_depend_on_batches_or_chunks(name: str) -> None:
    knob = KNOBS[name]
    one, other = fitted(**knob), fitted(batch=3, limit_mb=1, **knob)
    expected = one(QUERY).score
    torch.testing.assert_close(other(QUERY).score, expected, rtol=1e-4, atol=1e-5)
    single = torch.cat([one(image[None]).score for image in QUERY])
    torch.testing.assert_close(single, expected, rtol=1e-4, atol=1e-5)


def test_a_bank_a_layer_averages_their_patch_distances() -> None:
    model, patches = fitted(per_layer=True, coreset=1.0, neighbours=1), []
    for layer in range(2):
        maps = [patch_grid([model.backbone(images)[layer]], neighbourhood=3) for images in (NORMAL, QUERY)]
        nearest = torch.cdist(as_rows(maps[1]), as_rows(maps[0])).amin(1).view(5, 1, *maps[1].shape[-2:])
        patches.append(torch.nn.functional.interpolate(nearest, size=(8, 8), mode="bilinear"))
    expected = torch.stack(patches).mean(0).flatten(1).amax(1)
    torch.testing.assert_close(model(QUERY).score, expected, rtol=1e-3, atol=1e-3)


def test_a_scale_has_a_bank_of_its_own() -> None:
    model = fitted(scales=[0.5, 1.0], coreset=1.0)
    assert isinstance(model, ExtendedPatchCore)
    assert [len(m.memory.bank) for m in model.memories] == [6 * 16, 6 * 64]


def test_single_layers_are_narrower() -> None:
    assert [fitted(fusion=Single(layer=name)).facts()["width"] for name in ("layer2", "layer3")] == [48, 192]


@pytest.mark.parametrize(
    "knob", [{"brightness": [0.8]}, {"rotations": [90]}], ids=["brightness", "rotations"]
)
def test_a_darker_or_turned_normal_is_known_where_it_was_asked_for(knob: dict) -> None:
    changed = NORMAL * 0.8 if "brightness" in knob else torch.rot90(NORMAL, 1, dims=(2, 3))
    assert fitted(coreset=1.0)(changed).score.min() > 1e-2
    assert fitted(coreset=1.0, **knob)(changed).score.max() < 1e-4


@pytest.mark.parametrize(
    "wrong", [{"brightness": [0.0]}, {"rotations": [float("nan")]}, {"rotations": [360]}]
)
def test_impossible_variants_are_refused(wrong: dict) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}="):
        Variants(**wrong)


def test_any_angle_turns_as_quarter_turns_do() -> None:
    for turns in (1, 2, 3):
        exact = torch.rot90(NORMAL, turns, dims=(2, 3))
        torch.testing.assert_close(rotated(NORMAL, 90 * turns), exact, rtol=0, atol=1e-3)


def test_a_turned_square_of_a_wide_image_stays_a_square() -> None:
    image = torch.zeros(1, 3, 64, 96)
    image[..., 24:40, 40:56] = 1.0
    turned = rotated(image, 45)
    assert float(turned.sum()) == pytest.approx(float(image.sum()), rel=0.02)
    rows, columns = (turned[0, 0] > 0.5).nonzero().T
    assert int(rows.max() - rows.min()) == pytest.approx(16 * 2**0.5, abs=2)
    assert int(columns.max() - columns.min()) == pytest.approx(16 * 2**0.5, abs=2)


def test_whitened_layers_have_unit_variance_and_no_correlation() -> None:
    model = fitted(reduce="whiten", dimensions=16, coreset=1.0, memory=Everything)
    bank = model.memories[0].memory.bank.double()
    assert bank.shape == (6 * 64, 32)
    for layer in (bank[:, :16], bank[:, 16:]):
        torch.testing.assert_close(
            torch.cov(layer.T, correction=0), torch.eye(16).double(), rtol=0, atol=1e-3
        )


def test_distances_in_whitened_features_are_mahalanobis_distances() -> None:
    single = Single(layer="layer2")
    model = fitted(reduce="whiten", dimensions=48, coreset=1.0, fusion=single, memory=Everything)
    normal, query = (
        as_rows(patch_grid([model.backbone(images)[0]], neighbourhood=3)).double()
        for images in (NORMAL, QUERY)
    )
    covariance = torch.cov(normal.T, correction=0)
    variances, axes = torch.linalg.eigh(covariance)
    inverse = axes @ torch.diag(1 / variances.clamp(min=float(variances[-1]) * VARIANCE_FLOOR)) @ axes.T
    apart = query[:, None] - normal  # (Q, N, 48)
    expected = torch.einsum("qnd,de,qne->qn", apart, inverse, apart).amin(1).sqrt().view(5, -1).amax(1)
    torch.testing.assert_close(model(QUERY).score.double(), expected, rtol=1e-2, atol=0)


@pytest.mark.parametrize("fusion", [Adaptive(), Weighted(layers=[1, 2])])
def test_weights_that_whitening_would_cancel_are_refused(fusion: Concat) -> None:
    with pytest.raises(AdframeError, match=r"weights of layers have no effect; choose fusion=concat"):
        fitted(reduce="whiten", fusion=fusion)
    assert fitted(reduce="whiten", fusion=Weighted(layers=[0, 2])).memories[0].layers == [1]


def test_a_direction_without_variance_is_not_blown_up() -> None:
    axes = whitening_axes(torch.diag(torch.tensor([4.0, 1.0, 0.0, 1e-20]).double()), count=4)
    assert float(axes.norm(dim=0).max()) <= 1.001 / (4 * VARIANCE_FLOOR) ** 0.5


def subspace_scores(maps: list[Tensor], tested: list[Tensor]) -> tuple[Tensor, Tensor]:
    """SubspaceAD: mean of the blocks, PCA of 99 % of the variance, the largest 10 % of squared residuals."""
    normal, query = (
        torch.stack([grid.flatten(2) for grid in layers]).mean(0).transpose(1, 2).double()
        for layers in (maps, tested)
    )
    rows = normal.flatten(0, 1)
    _, singular, axes = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    share = singular.square().cumsum(0) / singular.square().sum()
    kept = axes[: 1 + int((share < 0.99).sum())]
    centred = query - rows.mean(0)
    residual = (centred - centred @ kept.T @ kept).square().sum(2)  # (B, P)
    largest = residual.sort(dim=1, descending=True).values[:, : round(0.1 * residual.shape[1])]
    return largest.mean(1), residual


def test_the_subspace_of_averaged_blocks_is_that_of_the_definition() -> None:
    network = tiny_vit(layers="middle")
    model = create_patchcore(
        network, coreset=1.0, fusion=Mean(), memory=lambda: Subspace(variance=0.99, squared=True),
        neighbourhood=1, top_share=0.1, sigma=0.0, rotations=[180],
    )  # fmt: skip
    for part in torch.split(NORMAL, 4):
        model.collect(part)
    model.finalise()
    both = torch.cat([NORMAL, NORMAL.flip(2, 3)])
    expected, residual = subspace_scores(network(both), network(QUERY))
    found = model(QUERY)
    torch.testing.assert_close(found.score.double(), expected, rtol=1e-3, atol=1e-6)
    smooth = heatmap(residual.view(5, 1, 4, 4).float(), size=(64, 64), sigma=0.0)
    torch.testing.assert_close(found.heatmap, smooth, rtol=1e-3, atol=1e-5)


def test_layers_of_different_shapes_have_no_mean() -> None:
    with pytest.raises(AdframeError, match="fusion=mean needs layers of one shape, and these have 48x8x8"):
        fitted(fusion=Mean())


@pytest.mark.parametrize("scales", [[], [0.0], [1.0, 1.0]])
def test_impossible_scales_are_refused(scales: list[float]) -> None:
    with pytest.raises(AdframeError, match=r"model\.scales="):
        create_patchcore(tiny_backbone(), coreset=0.1, scales=scales)


def test_the_books_say_what_streamed() -> None:
    facts = fitted(bank_bytes=200 * 240 * 4).facts()
    assert (facts["seen"], facts["thinnings"] > 0, facts["rows"]) == (6 * 64, True, round(0.3 * 6 * 64))
