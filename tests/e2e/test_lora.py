"""LoRA on synthetic anomalies as a whole run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
from safetensors.torch import load_file

from adframe.results.predictions import read_predictions
from tests.e2e.scripts import COUNTS, call, composed, metrics_of, numbers_of, train_here

LORA = (
    *COUNTS, "dataset.products=[tray]", "dataset.train=12", "holdout=0.34", "image_size=64",
    "num_workers=0", "batch_size=4",
    "model=dinov2_lora", "backbone=timm", "backbone.model=test_vit", "backbone.layers=[blocks.1]",
    "backbone.source=random", "category=tray", "learning.epochs=2", "logger=none",
)  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lora_toy") / "set"


@pytest.fixture(scope="module")
def learned(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_here(*LORA, f"dataset.root={toy}", f"paths.run={tmp_path_factory.mktemp('lora') / 'run'}")


def test_a_run_and_its_evaluation_agree(learned: Path) -> None:
    outcome = call("evaluate", f"run={learned}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "numbers equal the run's to the last digit" in outcome.out


def test_what_adaptation_did_to_the_features_is_drawn(learned: Path) -> None:
    assert {path.name for path in (learned / "features").iterdir()} == {"tray.npz", "tray.png", "tray.svg"}
    with np.load(learned / "features" / "tray.npz") as stored:
        paths = [row["path"] for row in read_predictions(learned / "predictions.parquet")]
        assert stored["paths"].tolist() == paths
        assert stored["before"].shape == stored["after"].shape
        assert (stored["before"] != stored["after"]).any()
    page = (learned / "report.html").read_text()
    for text in ("Features before and after adaptation", "silhouette", "Loss by epoch"):
        assert text in page


def test_only_what_was_learned_is_stored(learned: Path) -> None:
    parameters = metrics_of(learned)["val"]["tray"]["model/parameters"]
    weights = 4 * parameters + 4 * 7 * 64 * 64  # and statistics: two Gaussians, a bank
    assert (learned / "checkpoints" / "tray.ckpt").stat().st_size < weights + 150_000


def test_anomalies_of_a_family_it_has_not_learned_from_are_measured(learned: Path) -> None:
    found = metrics_of(learned)["val"]["tray"]
    for name in ("image/auroc", "pixel/ap", "pixel/aupro_0.3"):
        assert 0 <= found[f"synthetic/{name}"] <= 1


def test_the_adapted_network_is_left_behind_as_a_plain_one(toy: Path, tmp_path: Path) -> None:
    place = (f"dataset.root={toy}", f"paths.run={tmp_path / 'run'}")
    run = train_here(*LORA, *place, "model.exports=true", "model.scoring.score=decoder")
    plain = timm.create_model("test_vit", num_classes=0)
    plain.load_state_dict(load_file(run / "checkpoints" / "tray.merged.safetensors"), strict=True)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_training_on_other_anomalies_is_another_training(toy: Path, tmp_path: Path) -> None:
    shared = (f"dataset.root={toy}", "store=disk", f"paths.store={tmp_path / 'store'}")
    taken = []
    for name, more in (("a", ()), ("b", ("synthesis=perlin",)), ("c", ("model.scoring.score=decoder",))):
        run = train_here(*LORA, "learning.epochs=1", *shared, *more, f"paths.run={tmp_path / name}")
        taken.append("learning/shared" in metrics_of(run)["val"]["tray"])
    assert taken == [False, False, True]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_workers_change_nothing(learned: Path, toy: Path, tmp_path: Path) -> None:
    run = train_here(*LORA, f"dataset.root={toy}", f"paths.run={tmp_path / 'run'}", "num_workers=1")
    assert numbers_of(run) == numbers_of(learned)


@pytest.mark.slow
def test_ad2_in_all_its_lights(tmp_path: Path) -> None:
    own = ("dataset=toy", "dataset.layout=mvtec_ad2", "dataset.validation=4")
    place = (f"dataset.root={tmp_path / 'set'}", f"paths.run={tmp_path / 'run'}")
    found = metrics_of(train_here(*LORA, *own, *place))["test"]["tray"]
    assert any(name.endswith("image/auroc") and name != "image/auroc" for name in found)


def test_the_studys_versions_are_what_they_say() -> None:
    plain, ranks, wide, guided = (composed("train", f"model=lora_v1{n}") for n in (1, 2, 3, 4))
    assert plain.synthesis.name == "stages"
    assert (plain.model.head, plain.model.loss, plain.model.lora.rank) == ("token", "confidence", 16)
    assert ranks.model.lora.rank["walnuts"] == 32
    assert list(wide.model.multi_scale) == [128, 256, 512]
    assert guided.model.guided
    assert composed("train", "model=lora_v13", "synthesis=perlin").synthesis.name == "perlin"


def test_learning_without_anomalies_is_one_line(toy: Path, tmp_path: Path) -> None:
    outcome = call("train", *LORA, f"dataset.root={toy}", f"paths.run={tmp_path / 'run'}", "synthesis=none")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert "learns from synthetic anomalies; synthesis=none is not possible" in outcome.err


def test_the_versions_can_be_swept_for_as_long_as_one_likes() -> None:
    assert composed("sweep", "experiment=lora_versions", "learning.epochs=2").learning.epochs == 2
