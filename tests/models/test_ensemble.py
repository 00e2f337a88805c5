"""Several networks as one backbone: their maps side by side, and one whitened bank of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adframe.errors import AdframeError
from adframe.io.feature_cache import Store
from adframe.models.backbones import TimmBackbone
from adframe.models.cached_backbone import with_store
from adframe.models.ensemble import Ensemble
from adframe.models.extended_patchcore import create_patchcore
from adframe.models.memory import Everything
from adframe.models.musc import MuSc
from adframe.models.patchcore import PatchCore
from adframe.models.rad import RAD
from adframe.models.reverse_distillation import ReverseDistillation
from adframe.ops.patches import as_rows, patch_grid
from adframe.ops.projections import VARIANCE_FLOOR
from tests.fakes.convolutional import tiny_cnn
from tests.fakes.masked import images


def ensemble() -> Ensemble:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        vit = TimmBackbone("test_vit", layers=["blocks.1"], source="random")
    return Ensemble({"cnn": tiny_cnn(["layer3"]), "vit": vit})


def patchcore(backbone: Ensemble, *, store: Store | None = None) -> PatchCore:
    model = create_patchcore(
        backbone, coreset=1.0, memory=Everything, reduce="whiten", dimensions=128, store=store  # type: ignore[arg-type]
    )  # fmt: skip
    model.collect(images(12))
    model.finalise()
    model.release()
    return model  # type: ignore[return-value]


def test_maps_are_those_of_the_networks_by_themselves() -> None:
    both, image = ensemble(), images(3)
    cnn, vit = both.members["cnn"], both.members["vit"]
    for found, expected in zip(both(image), [*cnn(image), *vit(image)], strict=True):
        assert torch.equal(found, expected)
    assert both.layers == ["cnn.layer3", "vit.blocks.1"]
    assert both.name == "test_resnet+test_vit"
    assert (both.patch, both.stride) == (16, 16)
    assert not both.train().members["cnn"].training


def test_a_bank_measures_the_sum_of_the_networks_squared_mahalanobis_distances() -> None:
    backbone, query = ensemble(), images(2, seed=5)
    model = patchcore(backbone)
    squared = np.zeros(())
    grids = [patch_grid(backbone(each), neighbourhood=3) for each in (images(12), query)]
    widths = [each.shape[1] for each in backbone(query)]
    normal, tested = (np.split(as_rows(grid).double().numpy(), widths[:1], axis=1) for grid in grids)
    for own, other in zip(normal, tested, strict=True):
        variances, axes = np.linalg.eigh(np.cov(own.T, bias=True))
        inverse = axes @ np.diag(1 / np.maximum(variances, variances[-1] * VARIANCE_FLOOR)) @ axes.T
        apart = other[:, None] - own[None]
        squared = squared + np.einsum("qnd,de,qne->qn", apart, inverse, apart)
    expected = np.sqrt(squared.min(axis=1)).reshape(2, -1).max(axis=1)
    np.testing.assert_allclose(model(query).score, expected, rtol=1e-2)


def test_a_score_does_not_depend_on_the_batch_and_survives_a_reload() -> None:
    model, query = patchcore(ensemble()), images(3, seed=5)
    together = model(query)
    alone = [model(one[None]) for one in query]
    torch.testing.assert_close(together.score, torch.cat([one.score for one in alone]), rtol=1e-5, atol=1e-5)
    again = create_patchcore(
        ensemble(), coreset=1.0, memory=Everything, reduce="whiten", dimensions=128  # type: ignore[arg-type]
    )  # fmt: skip
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(query).score, together.score)


def test_a_network_shares_its_stored_features_with_runs_in_which_it_is_alone(tmp_path: Path) -> None:
    store, query = Store(tmp_path), images(2, seed=5)
    with_store(tiny_cnn(["layer3"]), store)(query)
    before = {path.relative_to(tmp_path).parts[1] for path in tmp_path.rglob("*.*") if path.is_file()}
    stored = with_store(ensemble(), store)  # type: ignore[arg-type]
    for _ in range(2):  # computed, then read
        for found, expected in zip(stored(query), ensemble()(query), strict=True):
            assert torch.equal(found, expected)
    after = {path.relative_to(tmp_path).parts[1] for path in tmp_path.rglob("*.*") if path.is_file()}
    assert before < after
    assert (len(before), len(after)) == (1, 2)
    assert stored.digest == ensemble().digest
    assert torch.equal(patchcore(ensemble(), store=store)(query).score, patchcore(ensemble())(query).score)


def test_other_weights_are_another_network() -> None:
    cnn = tiny_cnn(["layer3"])
    assert Ensemble({"a": cnn, "b": tiny_cnn(["layer2"])}).layers == ["a.layer3", "b.layer2"]
    assert Ensemble({"a": cnn, "b": cnn}).digest != ensemble().digest


def test_what_needs_one_network_is_one_line() -> None:
    with pytest.raises(AdframeError, match=r"backbone.members=\['cnn'\] must be two networks or more"):
        Ensemble({"cnn": tiny_cnn(["layer3"])})
    with pytest.raises(AdframeError, match=r"test_resnet\+test_vit has several networks"):
        ReverseDistillation(ensemble())  # type: ignore[arg-type]
    for method in (RAD, MuSc):
        model = method(ensemble())  # type: ignore[arg-type]
        collect = model.collect_test if isinstance(model, MuSc) else model.collect
        with pytest.raises(AdframeError, match=r"test_resnet\+test_vit has no class token"):
            collect(images(1))
