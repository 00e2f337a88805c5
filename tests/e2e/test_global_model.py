"""One model for all classes: the gap between the runs, and what hides a defect is looked up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adframe.analysis.settings import Setting, by_category
from adframe.analysis.studies.confused_images import ConfusedImage, confused_images, look_closer
from adframe.config.recipe import open_run
from adframe.errors import AdframeError
from adframe.io.images import read_image
from adframe.models.backbones import TimmBackbone
from adframe.ops.patches import as_rows, patch_grid
from adframe.results.frame import load_results
from adframe.results.predictions import read_predictions
from adframe.runs.test import load_system
from tests.e2e.scripts import call, metrics_of
from tests.e2e.test_shift_studies import swept, table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]
NAMES = ("weave", "tray")


@pytest.fixture(scope="module")
def both(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody may change it."""
    given = (f"category=[{','.join(NAMES)}]", "model=patchcore", "coreset=0.3")
    return swept("global_model", tmp_path_factory.mktemp("global") / "sweep", *base, *given)


@pytest.fixture(scope="module")
def found(both: Path) -> list[ConfusedImage]:
    runs = [both / "0", both / "1"]
    paths = [row["path"] for row in read_predictions(runs[0] / "predictions.parquet") if row["label"] == 1]
    images = {name: [(p, 1.0, 0.5) for p in paths if f"/{name}/" in p][:2] for name in NAMES}
    found = look_closer(*runs, images, open_run=open_run)
    assert found
    return found


def test_the_gap_is_what_the_model_for_all_has_more(both: Path) -> None:
    single, pooled = (metrics_of(both / run)["test"]["tray"]["image/auroc"] for run in ("0", "1"))
    rows = {
        row["subject"]: row for row in table(both, "effects") if row["question"].startswith("image AUROC")
    }
    (found,) = (float(row["difference"]) for subject, row in rows.items() if subject.endswith(", tray"))
    assert found == pytest.approx(pooled - single)


def test_an_image_is_hidden_where_it_loses_rank_among_its_classs_normals(both: Path) -> None:
    conditions = [Setting(run, {}, by_category(load_results([both / run]).own.tests)) for run in ("0", "1")]
    for name in NAMES:
        ranks = []
        for condition in conditions:
            rows = condition.rows(name)
            normal = [row["score"] for row in rows if row["label"] == 0]
            ranks.append(
                {r["path"]: np.mean([s < r["score"] for s in normal]) for r in rows if r["label"] == 1}
            )
        lost = {path: ranks[0][path] - ranks[1][path] for path in ranks[0]}
        expected = sorted((loss for loss in lost.values() if loss > 0), reverse=True)[:2]
        assert [one - two for _, one, two in confused_images(*conditions, name, most=2)] == pytest.approx(
            expected
        )


def test_the_nearest_patch_is_the_nearest_of_all_training_patches(
    found: list[ConfusedImage], both: Path
) -> None:
    for each in found:
        assert set(each.nearest) == set(NAMES)
        for name, near in each.nearest.items():
            assert near.record.category == name
            assert near.record.split == "train"
    slow = _slow(found[0], both)
    assert {name: near.distance for name, near in found[0].nearest.items()} == pytest.approx(slow, rel=1e-3)


def test_the_patch_that_is_looked_up_lies_on_the_defect(found: list[ConfusedImage]) -> None:
    for each in found:
        top, left, height, width = each.place
        assert each.regions
        assert any(
            region.top < top + height
            and top < region.top + region.mask.shape[0]
            and region.left < left + width
            and left < region.left + region.mask.shape[1]
            for region in each.regions
        )


def test_images_that_are_gone_are_an_error_that_says_so(both: Path) -> None:
    with pytest.raises(AdframeError, match=r"gone\.png is not there any more"):
        look_closer(both / "0", both / "1", {"tray": [("gone.png", 1.0, 0.0)]}, open_run=open_run)


def test_a_sweep_of_one_scope_has_its_table_and_says_what_is_missing(base: list[str], tmp_path: Path) -> None:
    given = ("scope=global", "model=patchcore", "category=[weave,tray]", f"hydra.sweep.dir={tmp_path / 's'}")
    outcome = call("sweep", "experiment=global_model", *base, *given)
    assert outcome.code == 2
    assert "sweep scope=per_category,global" in outcome.err


def _slow(each: ConfusedImage, sweep: Path) -> dict[str, float]:
    """Every training patch of every class against the one cell that the box is around."""
    recipe = open_run(sweep / "0")
    source = recipe.source()
    backbone = load_system(recipe, source, sweep / "0/checkpoints/tray.ckpt").detector.backbone
    assert isinstance(getattr(backbone, "backbone", backbone), TimmBackbone)
    image = torch.from_numpy(read_image(each.record.path).copy()).permute(2, 0, 1)[None] / 255
    grid = patch_grid(backbone(image), neighbourhood=3)
    side = 64 / grid.shape[-1]
    cell = [round(place / side) + 1 for place in each.place[:2]]
    query = grid[:, :, cell[0], cell[1]]
    distances = {}
    for name in NAMES:
        data = recipe.data(source, [name])
        data.setup()
        rows = [as_rows(patch_grid(backbone(b["image"]), neighbourhood=3)) for b in data.plain_dataloader()]
        distances[name] = float((torch.cat(rows) - query).norm(dim=1).min())
    return distances
