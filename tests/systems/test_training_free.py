from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from adframe.contracts import IMAGE, RECORD, Prediction
from adframe.data.base import Source
from adframe.systems.training_free import TrainingFreeSystem
from tests.fakes.runs import fit, measure, paths_to_test, system_of, toy_data
from tests.fakes.sources import TRAIN

PATCHES = 8 * 8  # an image of 64 px at stride 8


class Watch(L.Callback):
    """Notes which images each stage sees."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Path]] = {"train": [], "val": [], "test": []}

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen["train"] += [record.path for record in batch[RECORD]]

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: int
    ) -> None:
        self.seen["val"] += [record.path for record in batch[RECORD]]

    def on_test_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: int) -> None:
        self.seen["test"] += [record.path for record in batch[RECORD]]


@pytest.fixture(scope="module")
def fitted(toy_ad: Source) -> TrainingFreeSystem:
    return fit(system_of(coreset=1.0), toy_ad)


def test_every_image_is_seen_by_one_stage_and_validation_is_never_test(toy_ad: Source) -> None:
    watch, system = Watch(), system_of()
    measure(fit(system, toy_ad, watch), toy_ad, watch)
    train, val, test = (watch.seen[stage] for stage in ("train", "val", "test"))
    assert len(train) + len(val) == TRAIN
    assert set(test) == paths_to_test(toy_ad)
    assert len({*train, *val, *test}) == len(train) + len(val) + len(test)


def test_the_results_are_complete_and_finite(fitted: TrainingFreeSystem, toy_ad: Source) -> None:
    results = measure(fitted, toy_ad)
    assert {"image/auroc", "image/ap", "image/f1", "image/fpr", "pixel/auroc", "pixel/aupro_0.3"} <= set(
        results
    )
    assert all(0 <= results[name] <= 1 for name in ("image/auroc", "pixel/auroc", "pixel/aupro_0.3"))


def test_testing_again_or_in_other_batches_gives_the_same_numbers(
    fitted: TrainingFreeSystem, toy_ad: Source
) -> None:
    first = measure(fitted, toy_ad)
    assert measure(fitted, toy_ad) == first
    assert measure(fitted, toy_ad, batch_size=1) == pytest.approx(first, abs=1e-5)


def test_after_a_refit_the_bank_knows_every_training_image(
    fitted: TrainingFreeSystem, toy_ad: Source
) -> None:
    without = fit(system_of(coreset=1.0, refit=False), toy_ad)
    held_out = fitted.calibrator.fitted.n
    assert held_out == 2
    assert without.detector.facts()["rows"] == (TRAIN - held_out) * PATCHES
    assert fitted.detector.facts()["rows"] == TRAIN * PATCHES


def test_the_threshold_comes_from_the_bank_that_did_not_know_the_validation_images(
    fitted: TrainingFreeSystem, toy_ad: Source
) -> None:
    without = fit(system_of(coreset=1.0, refit=False), toy_ad)
    assert fitted.calibrator.fitted == without.calibrator.fitted
    data = toy_data(toy_ad)
    data.setup()
    images = torch.cat([batch[IMAGE] for batch in data.val_dataloader()])
    assert without.detector(images).score.max() == pytest.approx(fitted.calibrator.fitted.threshold, rel=1e-5)
    assert fitted.detector(images).score.max() < 1e-2 * fitted.calibrator.fitted.threshold


def test_the_bank_is_ready_when_validation_starts(toy_ad: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    system, rows = system_of(coreset=1.0), []
    finalise = system.detector.finalise
    monkeypatch.setattr(
        system.detector, "finalise", lambda: (finalise(), rows.append(system.detector.facts()["rows"]))
    )
    fit(system, toy_ad)
    assert rows == [4 * PATCHES, 6 * PATCHES]


def test_a_dataset_with_validation_of_its_own_is_not_refitted_on_it(toy_loco: Source) -> None:
    system = fit(system_of(coreset=1.0, refit=False), toy_loco)
    assert system.detector.facts()["rows"] == TRAIN * PATCHES
    assert system.calibrator.fitted.n == 2


def test_the_features_on_disk_are_given_back(fitted: TrainingFreeSystem) -> None:
    with pytest.raises(RuntimeError, match="finalise before collect"):
        fitted.detector.finalise()


def test_logical_and_structural_have_lines_of_their_own(toy_loco: Source) -> None:
    results = measure(fit(system_of(refit=False), toy_loco), toy_loco)
    assert {"logical/image/auroc", "structural/image/auroc"} <= set(results)


class Blind(torch.nn.Module):
    """Finds every image equally normal, or says nothing that is a number."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score

    def forward(self, image: torch.Tensor) -> Prediction:
        return Prediction(torch.full((len(image),), self.score), torch.zeros(len(image), 1, 8, 8))

    def collect(self, image: torch.Tensor) -> None: ...

    def finalise(self) -> None: ...

    def release(self) -> None: ...

    def facts(self) -> dict[str, float]:
        return {}


def test_any_detector_that_keeps_the_protocol_runs(toy_ad: Source) -> None:
    system = system_of()
    system.detector = Blind(score=-3.0)
    assert measure(fit(system, toy_ad), toy_ad)["image/auroc"] == 0.5
    assert system.calibrator.fitted.threshold == -3.0
