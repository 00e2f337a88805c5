"""Masked reconstruction as a whole run: learning, stopping, going on, measuring again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score

from adframe.errors import AdframeError
from adframe.results.predictions import read_predictions
from adframe.systems.gradient import GradientSystem
from tests.covering import further
from tests.e2e.scripts import COUNTS, call, composed, metrics_of, numbers_of, train_here
from tests.fakes.pages import words_of

pytestmark = pytest.mark.slow  # whole sweeps and trainings

SIT = (
    *COUNTS, "dataset.products=[tray]", "dataset.train=12", "holdout=0.34", "image_size=64",
    "num_workers=0", "batch_size=4",
    "model=sit", "backbone=timm",
    "backbone.model=test_vit", "backbone.layers=[blocks.1]", "backbone.source=random", "category=tray",
    "learning.epochs=3", "learning.optimizer.lr=1e-3", "model.scoring.blocks=[1,2]",
)  # fmt: skip


def places(toy: Path, run: Path) -> tuple[str, str]:
    return f"dataset.root={toy}", f"paths.run={run}"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of its own: it has more training images than the others'."""
    return tmp_path_factory.mktemp("sit_toy") / "set"


@pytest.fixture(scope="module")
def learned(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_here(*SIT, *places(toy, tmp_path_factory.mktemp("sit") / "run"), "logger=csv")


def losses(run: Path) -> dict[str, dict[str, str]]:
    """Column by epoch and stage, as the CSV logger wrote them."""
    header, *rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    found: dict[str, dict[str, str]] = {}
    names = [name.removeprefix("learning/tray/") for name in header]
    for row in (dict(zip(names, row, strict=True)) for row in rows):
        for name in ("train/total", "val/total"):
            if row.get(name) and row["epoch"]:
                found.setdefault(name, {})[row["epoch"]] = row[name]
    return found


def curve(run: Path) -> list[dict[str, str]]:
    """Rows of the run's own book of losses, without what differs from run to run."""
    rows = list(csv.DictReader((run / "learning" / "tray.csv").open()))
    return [{name: text for name, text in row.items() if name != "seconds"} for row in rows]


def test_every_epoch_is_written_down_and_shown(learned: Path) -> None:
    rows, found = curve(learned), losses(learned)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in found.items():
        assert [float(row[name]) for row in rows] == pytest.approx([float(v) for v in values.values()])
    rates = [float(row["learning_rate"]) for row in rows]
    assert 1e-3 >= rates[0] > rates[1] > rates[2] > 0
    page = words_of(learned / "report.html")
    assert "Loss by epoch" in page
    assert f"epoch {int(metrics_of(learned)['val']['tray']['learning/best_epoch'])}, which is kept" in page
    assert "held-out normal images after epoch 3" in page
    assert 'id="features"' not in page


def test_a_run_leaves_losses_pictures_and_one_checkpoint(learned: Path) -> None:
    found = losses(learned)
    assert set(found) == {"train/total", "val/total"}
    assert set(found["val/total"]) == {"0", "1", "2"}
    validation = metrics_of(learned)["val"]["tray"]
    assert 1 <= validation["learning/best_epoch"] <= 3
    assert validation["learning/val/total"] == pytest.approx(min(map(float, found["val/total"].values())))
    assert len(list((learned / "reconstructions").glob("tray_epoch_*.png"))) == 3
    assert [path.name for path in (learned / "checkpoints").iterdir()] == ["tray.ckpt"]


def test_a_run_and_its_evaluation_agree(learned: Path) -> None:
    outcome = call("evaluate", f"run={learned}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "numbers equal the run's to the last digit" in outcome.out


def test_stopped_in_the_midst_of_learning_it_goes_on_with_the_same_losses(
    learned: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = GradientSystem.training_step

    def stopping(system: Any, batch: Any, batch_idx: int) -> Any:
        if system.current_epoch == 2:
            raise AdframeError("the power is gone")
        return step(system, batch, batch_idx)

    monkeypatch.setattr(GradientSystem, "training_step", stopping)
    outcome = call("train", *SIT, *places(toy, tmp_path / "run"), "logger=csv")
    assert f"go on with: python train.py resume={tmp_path / 'run'}" in outcome.err
    monkeypatch.undo()
    before = losses(tmp_path / "run")
    assert set(before["train/total"]) == {"0", "1"}
    assert curve(tmp_path / "run") == curve(learned)[:2]
    (tmp_path / "run" / "metrics.csv").unlink()  # or Lightning starts another file beside it
    assert call("train", f"resume={tmp_path / 'run'}").err == ""
    after, whole = losses(tmp_path / "run"), losses(learned)
    assert {name: before[name] | after[name] for name in before} == whole
    assert curve(tmp_path / "run") == curve(learned)
    assert numbers_of(tmp_path / "run") == numbers_of(learned)


def test_without_epochs_nothing_is_learned(toy: Path, tmp_path: Path) -> None:
    none = [text for text in SIT if not text.startswith("learning.epochs")]
    run = train_here(*none, *places(toy, tmp_path / "run"), "logger=none", "learning.epochs=0")
    validation = metrics_of(run)["val"]["tray"]
    assert validation["model/steps"] == 0
    assert "learning/best_epoch" not in validation


def test_colour_tokens_and_half_precision_run(toy: Path, tmp_path: Path) -> None:
    run = train_here(
        *SIT, *places(toy, tmp_path / "run"), "logger=none", "model.target=colour_tokens",
        "model.colours=8", "trainer.precision=bf16-mixed", "trainer.gradient_checkpointing=true",
    )  # fmt: skip
    assert call("evaluate", f"run={run}").code == 0


def test_the_model_brings_its_backbone_and_learning_and_the_command_line_wins() -> None:
    own = composed("train", "model=sit")
    assert own.backbone.name == "sit_small"
    assert own.learning._target_.endswith("Learning")
    assert composed("train", "model=sit", "backbone=vit_base_16").backbone.name == "vit_base_16"
    assert "_target_" not in composed("train", "model=patchcore").learning


def test_too_few_held_out_images_are_told_before_it_learns(toy: Path, tmp_path: Path) -> None:
    outcome = call("train", *SIT, *places(toy, tmp_path / "run"), "logger=none", "holdout=0.1")
    assert "1 held-out normal images are too few" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("learning=none", "model=SiT learns by gradient; learning=none is not possible"),
        ("backbone.model=test_resnet", "is not a vision transformer"),
        ("mask_ratio=1", "mask_ratio must be a share between 0 and 1"),
        ("learning.epochs=many", "learning.epochs must be a whole number"),
        ("model.target=sounds", "model.target must be one of pixels, colour_tokens"),
    ],
)
def test_what_cannot_work_is_one_line(toy: Path, tmp_path: Path, override: str, text: str) -> None:
    base = [part for part in SIT if not part.startswith(("backbone.model", "learning"))]
    outcome = call("train", *base, "backbone.model=test_vit", override, *places(toy, tmp_path / "run"))
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert text in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("spoilt", further(["last.ckpt", "best.ckpt"], often=["best.ckpt"]))
def test_a_damaged_file_of_a_stopped_training_costs_time_and_no_number(
    spoilt: str, learned: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = GradientSystem.training_step

    def stopping(system: Any, batch: Any, batch_idx: int) -> Any:
        if system.current_epoch == 2:
            raise AdframeError("the power is gone")
        return step(system, batch, batch_idx)

    monkeypatch.setattr(GradientSystem, "training_step", stopping)
    call("train", *SIT, *places(toy, tmp_path / "run"), "logger=none")
    monkeypatch.undo()
    file = tmp_path / "run" / "checkpoints" / "tray.learning" / spoilt
    stored = torch.load(file, weights_only=True)
    next(t for t in stored["state_dict"].values() if isinstance(t, torch.Tensor)).view(-1)[0] += 1
    torch.save(stored, file)
    outcome = call("train", f"resume={tmp_path / 'run'}")
    assert outcome.code == 0
    assert f"{spoilt} is damaged: its checksum is wrong" in outcome.err
    assert numbers_of(tmp_path / "run") == numbers_of(learned)
    assert f"{spoilt} is damaged" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.exhaustive
def test_one_training_serves_every_scoring(learned: Path, toy: Path, tmp_path: Path) -> None:
    shared = ("store=disk", f"paths.store={tmp_path / 'store'}", "logger=none")
    first = train_here(*SIT, *places(toy, tmp_path / "a"), *shared)
    second = train_here(
        *SIT, *places(toy, tmp_path / "b"), *shared,
        "model.scoring.tokens=1", "model.scoring.token_blocks=[2]", "model.scoring.token_network=starting",
    )  # fmt: skip
    third = train_here(*SIT, *places(toy, tmp_path / "c"), *shared)
    (kept,) = (tmp_path / "store" / "learned").iterdir()
    other = train_here(*SIT, *places(toy, tmp_path / "d"), *shared, "mask_ratio=0.4")
    (another,) = set((tmp_path / "store" / "learned").iterdir()) - {kept}
    another.replace(kept)  # another training in the place of the first
    again = call("train", *SIT, *places(toy, tmp_path / "e"), *shared)
    assert "counts as missing, is learned again" in again.err
    assert metrics_of(tmp_path / "e")["test"] == metrics_of(learned)["test"]
    taken = ["learning/shared" in metrics_of(run)["val"]["tray"] for run in (first, second, third, other)]
    assert taken == [False, True, True, False]
    assert metrics_of(first)["test"] == metrics_of(learned)["test"] == metrics_of(third)["test"]
    assert metrics_of(second)["test"] != metrics_of(first)["test"]


def test_a_fused_score_is_the_mean_of_both_runs(learned: Path, toy: Path, tmp_path: Path) -> None:
    plain = [text for text in SIT if not text.startswith(("model", "learning"))]
    other = train_here(*plain, *places(toy, tmp_path / "run"), "model=pixel_mean", "logger=none")
    outcome = call("evaluate", f"compare=[{learned},{other}]", "fuse=true")
    assert (outcome.code, outcome.err) == (0, "")
    (folder,) = (learned / "comparisons").iterdir()
    rows = list(csv.DictReader((folder / "comparison.csv").open()))
    assert [row["run"] for row in rows] == ["A", "B", "A+B"]
    one, two = (
        {row["path"]: row for row in read_predictions(run / "predictions.parquet")}
        for run in (learned, other)
    )
    sums = [one[path]["normalised"] + two[path]["normalised"] for path in one]
    expected = roc_auc_score([row["label"] for row in one.values()], sums)
    assert float(rows[2]["image/auroc"]) == pytest.approx(expected)
    assert "fuse=true" in (folder / "comparison.html").read_text()


def test_synthetic_anomalies_measure_what_has_not_learned_from_them(
    learned: Path, toy: Path, tmp_path: Path
) -> None:
    run = train_here(*SIT, *places(toy, tmp_path / "run"), "logger=none", "synthesis=default")
    assert metrics_of(run)["test"] == metrics_of(learned)["test"]
    assert 0 <= metrics_of(run)["val"]["tray"]["synthetic/pixel/ap"] <= 1
    assert "synthetic/pixel/ap" not in metrics_of(learned)["val"]["tray"]


def test_a_memory_that_knows_the_validation_images_by_then_is_not_measured_on_them(
    toy: Path, tmp_path: Path
) -> None:
    plain = [text for text in SIT if not text.startswith(("model", "learning"))]
    for refit in (False, True):
        run = train_here(
            *plain, *places(toy, tmp_path / str(refit)), "logger=none", "synthesis=default", f"refit={refit}"
        )
        assert ("synthetic/pixel/ap" in metrics_of(run)["val"]["tray"]) is not refit
