"""An adapted network against the one before training: what is measured, and when it warns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import Adapted, Prediction
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.splits import Holdout
from adframe.data.toy_source import Toy
from adframe.models.dino_lora import DinoLora
from adframe.models.lora import Lora
from adframe.models.token_scores import TokenScoring
from adframe.models.vit import Vit
from adframe.runs.frozen_twin import DRAWS, TwinComparison, _shares_below, compare_with_twin
from adframe.transforms.synthesis.patches import Scar
from adframe.transforms.synthesis.synthesis import Synthesis


class Pooled(nn.Module):
    """Cells of mean colour; the adapted side has another function of them."""

    def __init__(self, adapt: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.adapt = adapt

    def forward(self, image: Tensor) -> Prediction:
        raise NotImplementedError

    def token_maps(self, image: Tensor, *, adapted: bool) -> Tensor:
        cells = F.avg_pool2d(image, 8)
        return self.adapt(cells) if adapted else cells


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> AnomalyData:
    source = Toy(
        root=tmp_path_factory.mktemp("toy"), products=["bracket"], size=64, train=24, test_good=1, test_bad=1
    )
    scar = Scar(length=(0.2, 0.4), width=(0.05, 0.1), degrees=(-90, 90), jitter=0.3)
    found = AnomalyData(
        source, categories=["bracket"], view=View(size=(64, 64)), batch_size=5, num_workers=0,
        protocol=Holdout(0.5), seed=0,
        synthesis=Synthesis({"scar": scar}, name="scar", seed=0, normal_share=0.5),
    )  # fmt: skip
    found.prepare_data()
    found.setup()
    return found


def compared(adapt: Callable[[Tensor], Tensor], data: AnomalyData) -> TwinComparison:
    detector: Any = Pooled(adapt)
    return compare_with_twin(detector, data, device=torch.device("cpu"), seed=0)


def test_an_unchanged_network_equals_its_twin(data: AnomalyData) -> None:
    found = compared(lambda cells: cells, data)
    assert found.neighbours == 1.0
    np.testing.assert_array_equal(found.image[:, 0], found.image[:, 1])
    np.testing.assert_array_equal(found.patch[:, 0], found.patch[:, 1])
    assert found.warning() is None
    assert 0.5 < found.facts()["adaptation/patch_auroc_frozen"] <= 1


def test_a_network_that_forgot_everything_is_worse_and_the_twin_is_offered(data: AnomalyData) -> None:
    found = compared(lambda cells: 0.01 * cells + torch.rand(cells.shape), data)
    assert found.neighbours < 0.5
    assert set(found.losses()) >= {"patch"}
    line = found.warning()
    assert line is not None
    assert "the adapted network may be worse than the frozen one: of the 10 training patches nearest" in line
    assert "instead of" in line
    assert line.endswith("or the frozen twin, learning.epochs=0")
    facts = found.facts()
    assert facts["adaptation/patch_auroc_adapted"] < facts["adaptation/patch_auroc_frozen"]


def test_patches_of_all_held_out_images_are_looked_at(
    data: AnomalyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the first ones may all be of one category."""
    monkeypatch.setattr("adframe.runs.frozen_twin.PROBES", 100)
    seen, banks, held_out = 0, 12, 12 * (1 + DRAWS)

    def spoilt_at_the_end(cells: Tensor) -> Tensor:
        nonlocal seen
        seen += len(cells)
        return cells if seen <= banks + held_out * 10 // 12 else torch.rand(cells.shape)

    assert compared(spoilt_at_the_end, data).neighbours < 0.95
    assert seen == banks + held_out


def test_a_network_that_only_turns_its_features_keeps_everything(data: AnomalyData) -> None:
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    found = compared(lambda cells: torch.einsum("ij,bjhw->bihw", turn, cells), data)
    assert found.neighbours > 0.99
    np.testing.assert_allclose(found.patch[:, 0], found.patch[:, 1], atol=0.02)
    assert found.warning() is None


def test_shares_are_those_of_a_plain_reading(data: AnomalyData) -> None:
    """The mean image share is the AUROC of the images by their highest distance."""
    from sklearn.metrics import roc_auc_score

    detector = Pooled(lambda cells: cells)

    def rows_of(image: Tensor) -> Tensor:
        return detector.token_maps(image, adapted=False).flatten(2).transpose(1, 2)

    rows = torch.cat([rows_of(batch["image"]).flatten(0, 1) for batch in data.plain_dataloader()])
    scores, labels = [], []
    for batch in data.synthetic_dataloader("val", draws=DRAWS):
        tokens = rows_of(batch["image"])
        scores += torch.cdist(tokens, rows.expand(len(tokens), -1, -1)).amin(2).amax(1).tolist()
        labels += batch["label"].tolist()
    found = compared(lambda cells: cells, data)
    assert found.image[:, 0].mean() == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)


def test_images_of_several_sizes_are_compared() -> None:
    """Shares are counted over all patches, whatever the number of patches of an image."""
    draw = np.random.default_rng(0)
    maps = [torch.from_numpy(draw.random((2, *size))) for size in ((4, 4), (4, 6), (4, 4), (4, 6))]
    anomalous = [torch.from_numpy(draw.random(each.shape[1:]) > 0.5) for each in maps]
    images = [
        (f"{n % 2}", n // 2, distances, cell)
        for n, (distances, cell) in enumerate(zip(maps, anomalous, strict=True))
    ]
    found = _shares_below(images)
    for side in range(2):
        normal = [each[side].numpy().ravel() for each in maps[:2]]
        for place, (distances, cell) in enumerate(zip(maps[2:], anomalous[2:], strict=True)):
            by_image = np.mean([distances[side].max().item() > each.max() for each in normal])
            by_patch = np.mean([value > np.concatenate(normal) for value in distances[side][cell].numpy()])
            assert found[0][place, side] == pytest.approx(by_image)
            assert found[1][place, side] == pytest.approx(by_patch)


def test_a_network_that_finds_more_but_has_other_neighbours_is_not_trusted() -> None:
    better = np.array([[0.9, 0.95]] * 20)
    line = TwinComparison(better, better, 0.11).warning()
    assert line is not None
    assert "only 11 % are still its nearest ones" in line
    assert "instead of" not in line
    assert TwinComparison(better, better, 0.6).warning() is None


def test_few_anomalies_are_no_proof() -> None:
    pairs = np.array([[0.9, 0.8], [0.9, 0.7], [0.9, 0.6]])
    assert TwinComparison(pairs, pairs, 0.9).warning() is None
    many = np.repeat(pairs, 5, axis=0)
    assert TwinComparison(many, many, 0.9).losses() == {
        "image": (pytest.approx(0.9), pytest.approx(0.7)),
        "patch": (pytest.approx(0.9), pytest.approx(0.7)),
    }


def test_lora_offers_both_sides() -> None:
    torch.manual_seed(0)
    vit = Vit("test_vit", source="random")
    model = DinoLora(vit, lora=Lora(rank=2), scoring=TokenScoring(score="memory")).eval()
    assert isinstance(model, Adapted)
    image = torch.rand(2, 3, 64, 64)
    before = model.token_maps(image, adapted=False)
    torch.testing.assert_close(model.token_maps(image, adapted=True), before)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora" in name:
                parameter.normal_()
    assert not torch.allclose(model.token_maps(image, adapted=True), before)
    torch.testing.assert_close(model.token_maps(image, adapted=False), before)
    assert before.shape[-2:] == (64 // vit.patch, 64 // vit.patch)
