"""Methods that train next to a frozen network as whole runs: learning, stopping, going on, predicting."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

import adframe
from adframe.errors import AdframeError
from adframe.results.predictions import read_predictions
from adframe.systems.gradient import GradientSystem
from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import BACKBONE, COUNTS, call, composed, metrics_of, numbers_of, train_here
from tests.fakes.convolutional import tiny_teacher

SHARED = (
    *COUNTS, "dataset.products=[tray]", "dataset.train=12", "holdout=0.34", "image_size=64",
    "num_workers=0", "batch_size=4", "backbone=timm",
    "backbone.model=test_vit", "backbone.layers=[blocks.1]", "backbone.source=random", "category=tray",
)  # fmt: skip
DINOMALY = (*SHARED, "model=dinomaly", "learning.steps=7", "learning.warmup_steps=1")
INP_FORMER = (*SHARED, "model=inp_former", "learning.epochs=3", "learning.warmup_steps=1")
CNN = (*[text for text in SHARED if not text.startswith("backbone.")], *BACKBONE[1:2], *BACKBONE[3:])
REVERSE_DISTILLATION = (*CNN, "model=reverse_distillation", "learning.epochs=3")
EFFICIENT_AD = (
    *[text for text in SHARED if not text.startswith(("backbone", "image_size"))], "model=efficient_ad",
    "image_size=256", "model.autoencoder_width=4", "learning.epochs=3", "learning.steps=null",
    "learning.optimizer.lr=1e-2",
)  # fmt: skip
SUPERSIMPLENET = (
    *CNN, "model=supersimplenet", "backbone.layers=[layer2,layer3]", "model.hidden=16", "model.noise=0.5",
    "learning.epochs=3", "learning.optimizer.lr=5e-3",
)  # fmt: skip
METHODS = {
    "dinomaly": DINOMALY,
    "inp_former": INP_FORMER,
    "reverse_distillation": REVERSE_DISTILLATION,
    "efficient_ad": EFFICIENT_AD,
    "supersimplenet": SUPERSIMPLENET,
}
FROZEN = ("detector.vit.", "detector.backbone.", "detector.teacher.")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of its own: it has more training images than the others'."""
    return tmp_path_factory.mktemp("reconstruction_toy") / "set"


@pytest.fixture(scope="module", params=METHODS.values(), ids=METHODS)
def method(request: pytest.FixtureRequest, toy: Path) -> tuple[str, ...]:
    given = [f"dataset.root={toy}", "logger=none"]
    if request.param is EFFICIENT_AD:
        teacher = tiny_teacher(toy.with_name("teacher.safetensors"))
        # The set's own pictures stand for varied ones.
        given += [f"model.teacher={teacher}", f"model.penalty_images={toy / 'tray' / 'train'}"]
    return (*request.param, *given)


@pytest.fixture(scope="module")
def learned(method: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_here(*method, f"paths.run={tmp_path_factory.mktemp('reconstruction') / 'run'}")


def stop_in_epoch(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a training stop in an epoch, counted from 0."""
    step = GradientSystem.training_step

    def stopping(system: Any, batch: Any, batch_idx: int) -> Any:
        if system.current_epoch == number:
            raise AdframeError("the power is gone")
        return step(system, batch, batch_idx)

    monkeypatch.setattr(GradientSystem, "training_step", stopping)


def curve(run: Path) -> list[dict[str, str]]:
    """Rows of the run's losses, without what differs from run to run."""
    rows = list(csv.DictReader((run / "learning" / "tray.csv").open()))
    return [{name: text for name, text in row.items() if name != "seconds"} for row in rows]


def test_a_run_its_evaluation_and_its_predictions_agree(learned: Path) -> None:
    outcome = call("evaluate", f"run={learned}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "numbers equal the run's to the last digit" in outcome.out
    if "train/coherence" not in curve(learned)[0]:
        assert_predicts_its_own_test(learned, category="tray")
        return
    # Products of as few rows as prototypes may be rounded in another way for a single image.
    rows = read_predictions(learned / "predictions.parquet")
    results = adframe.load(learned).predict([row["path"] for row in rows], batch_size=3)
    assert [result.score for result in results] == pytest.approx([row["score"] for row in rows], rel=1e-5)


def test_losses_of_whole_passes_fall_and_only_what_was_learned_is_stored(
    method: tuple[str, ...], learned: Path
) -> None:
    rows, validation = curve(learned), metrics_of(learned)["val"]["tray"]
    # Two steps a pass: seven steps are rounded to four passes.
    passes = 4 if "learning.steps=7" in method else 3
    assert [row["epoch"] for row in rows] == [str(n + 1) for n in range(passes)]
    assert float(rows[-1]["val/total"]) < float(rows[0]["val/total"])
    assert validation["model/steps"] == 2 * validation["learning/best_epoch"]
    size = (learned / "checkpoints" / "tray.ckpt").stat().st_size
    assert size < 4 * validation["model/parameters"] + 100_000
    stored = torch.load(learned / "checkpoints" / "tray.ckpt", weights_only=True)["state"]
    assert not any(name.startswith(FROZEN) for name in stored)


def test_stopped_in_the_midst_of_learning_it_goes_on_with_the_same_losses(
    method: tuple[str, ...], learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_in_epoch(2, monkeypatch)
    assert "go on with" in call("train", *method, f"paths.run={tmp_path / 'run'}").err
    monkeypatch.undo()
    assert curve(tmp_path / "run") == curve(learned)[:2]
    torch.manual_seed(1)  # noise of a step does not depend on what was drawn before
    assert call("train", f"resume={tmp_path / 'run'}").err == ""
    assert curve(tmp_path / "run") == curve(learned)
    assert numbers_of(tmp_path / "run") == numbers_of(learned)


def test_with_fewer_checks_it_goes_on_from_the_last_one(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = (*INP_FORMER, "learning.epochs=4", "learning.checks=2", f"dataset.root={toy}", "logger=none")
    whole = train_here(*method, f"paths.run={tmp_path / 'whole'}")
    assert [bool(row["val/total"]) for row in curve(whole)] == [False, True] * 2
    assert metrics_of(whole)["val"]["tray"]["learning/best_epoch"] in (2, 4)
    stop_in_epoch(3, monkeypatch)
    call("train", *method, f"paths.run={tmp_path / 'run'}")
    monkeypatch.undo()
    assert call("train", f"resume={tmp_path / 'run'}").err == ""
    assert curve(tmp_path / "run") == curve(whole)
    assert numbers_of(tmp_path / "run") == numbers_of(whole)


@pytest.mark.slow
def test_one_model_of_all_categories_in_half_precision(toy: Path, tmp_path: Path) -> None:
    plain = [text for text in DINOMALY if not text.startswith(("category", "dataset.products"))]
    run = train_here(
        *plain, f"dataset.root={toy.with_name('two')}", "dataset.products=[tray,weave]", "category=all",
        "scope=global", "trainer.precision=bf16-mixed", "logger=none", f"paths.run={tmp_path / 'run'}",
    )  # fmt: skip
    assert set(metrics_of(run)["test"]) == {"tray", "weave", "mean"}


@pytest.mark.slow
def test_one_training_serves_every_scoring(toy: Path, tmp_path: Path) -> None:
    shared = (f"dataset.root={toy}", "store=disk", f"paths.store={tmp_path / 'store'}", "logger=none")
    taken = []
    for name, more in (("a", ()), ("b", ("model.scoring.sigma=1",)), ("c", ("model.dropout=0",))):
        run = train_here(*DINOMALY, *shared, *more, f"paths.run={tmp_path / name}")
        taken.append("learning/shared" in metrics_of(run)["val"]["tray"])
    assert taken == [False, True, False]


def test_a_method_brings_its_backbone_and_learning() -> None:
    for method, steps, epochs in (("dinomaly", 10000, None), ("inp_former", None, 200)):
        own = composed("train", f"model={method}")
        assert own.backbone.name == "dinov2_base_reg"
        assert (own.learning.steps, own.learning.epochs) == (steps, epochs)
    own = composed("train", "model=supersimplenet", "backbone=wide_resnet50_2")
    assert (own.backbone.layers, own.learning.epochs) == (["layer2", "layer3"], 300)
    own = composed("train", "model=reverse_distillation", "backbone=wide_resnet50_2")
    assert (own.backbone.layers, own.learning.epochs) == ("pyramid", 200)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("learning.epochs=3", "learning.epochs=3 and learning.steps=7: one of them must be a number"),
        ("backbone.model=test_resnet", "is not a vision transformer"),
        ("model.groups=9", "model.groups=9 must be each, or from 1 to 4"),
        ("model.attention=hard", "model.attention must be one of linear, softmax"),
        ("learning=none", "model=Dinomaly learns by gradient; learning=none is not possible"),
    ],
)
def test_what_cannot_work_is_one_line(toy: Path, tmp_path: Path, override: str, text: str) -> None:
    base = [part for part in DINOMALY if not part.startswith(("backbone.model", "learning"))]
    steps = () if override == "learning=none" else ("learning.steps=7",)
    place = (f"dataset.root={toy}", f"paths.run={tmp_path / 'run'}")
    outcome = call("train", *base, "backbone.model=test_vit", *steps, override, *place)
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert text in outcome.err
    assert not (tmp_path / "run").exists()


def test_labelled_defects_change_what_is_learned_and_not_what_is_tested(tmp_path: Path) -> None:
    given = (*SUPERSIMPLENET, f"dataset.root={tmp_path / 'set'}", "dataset.test_bad=24", "logger=none")
    runs = [train_here(*given, f"labelled={n}", f"paths.run={tmp_path / str(n)}") for n in (0, 1)]
    assert curve(runs[0])[0]["train/total"] != curve(runs[1])[0]["train/total"]
    without, few = ({row["path"] for row in read_predictions(run / "predictions.parquet")} for run in runs)
    assert without == few
    assert "labelled defects: 1 of each type" in (runs[1] / "report.html").read_text()
    assert "numbers equal the run's to the last digit" in call("evaluate", f"run={runs[1]}").out


@pytest.mark.parametrize(
    "method", [REVERSE_DISTILLATION, (*CNN, "model=patchcore", "backbone.layers=[layer2]")]
)
def test_other_methods_refuse_labelled_defects(method: tuple[str, ...], toy: Path, tmp_path: Path) -> None:
    outcome = call(
        "train",
        *method,
        f"dataset.root={toy}",
        "logger=none",
        "labelled=0.5",
        f"paths.run={tmp_path / 'run'}",
    )
    assert "cannot be trained on labelled defects; choose model=supersimplenet" in outcome.err
    assert not (tmp_path / "run").exists()
