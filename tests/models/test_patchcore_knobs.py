"""The variants of the memory-bank family: each does what its name says."""

import pytest
import torch
from torch import Tensor

from adframe.errors import AdframeError
from adframe.models.augment_normals import Variants
from adframe.models.extended_patchcore import ExtendedPatchCore, create_patchcore
from adframe.models.fusion import Adaptive, Single
from adframe.models.memory import Centres, Everything, Random, Subspace
from adframe.models.patchcore import PatchCore
from adframe.ops.patches import as_rows, patch_grid
from tests.fakes.backbones import tiny_backbone

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


@pytest.mark.parametrize("wrong", [{"brightness": [0.0]}, {"rotations": [45]}, {"rotations": [360]}])
def test_impossible_variants_are_refused(wrong: dict) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}="):
        Variants(**wrong)


@pytest.mark.parametrize("scales", [[], [0.0], [1.0, 1.0]])
def test_impossible_scales_are_refused(scales: list[float]) -> None:
    with pytest.raises(AdframeError, match=r"model\.scales="):
        create_patchcore(tiny_backbone(), coreset=0.1, scales=scales)


def test_the_books_say_what_streamed() -> None:
    facts = fitted(bank_bytes=200 * 240 * 4).facts()
    assert (facts["seen"], facts["thinnings"] > 0, facts["rows"]) == (6 * 64, True, round(0.3 * 6 * 64))
