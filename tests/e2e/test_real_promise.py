"""The promised rate on real images: fitted, calibrated and counted on disjoint training normals.

The images of each set are put into a random order and divided into those to which the model is fitted, those
of validation, and fresh ones. Given the model, validation and fresh images are exchangeable by construction,
whatever they show: what is tested is the promise of the code, not the likeness of two folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from adframe.calibration.rules import FixedFpr, Sample
from adframe.results.predictions import read_predictions
from adframe.results.validation_scores import read_scores
from adframe.stats.proportions import excess_alarms_p
from tests import real
from tests.e2e.scripts import call

WEIGHTS = real.WEIGHTS / "resnet18_trunk" / "model.safetensors"
SETS = {
    "screw": "mvtec_ad/screw",
    "juice_bottle": "mvtec_loco/juice_bottle",
    "commutator": "kolektorsdd/commutator",
}
FPR, BLOCK = 0.2, 5  # four images of validation and a fresh one
pytestmark = [
    pytest.mark.slow,
    real.needs(WEIGHTS),
    *(real.needs(real.DATA / place) for place in SETS.values()),
]


def link_divided(source: Path, to: Path, *, seed: int) -> None:
    """Links the training normals as a set of their own, a third of them as its normal test images."""
    files = sorted((source / "train" / "good").iterdir())
    order = np.random.default_rng(seed).permutation(len(files))
    fresh = len(files) // 3
    for number, place in enumerate(order):
        folder = to / ("test/good" if number < fresh else "train/good")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}{files[place].suffix}").symlink_to(files[place])


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """By set: scores of validation images, scores of fresh normal images, and the threshold of the run."""
    place, found = tmp_path_factory.mktemp("promise"), {}
    for seed, (name, source) in enumerate(SETS.items()):
        link_divided(real.DATA / source, place / "data" / name, seed=seed)
        run = place / name
        outcome = call(
            "train", "dataset=mvtec_ad", f"dataset.root={place / 'data'}", f"category={name}",
            "model=patchcore", "coreset=0.02", "image_size=96", "refit=false", "holdout=0.5",
            "backbone=resnet18", f"backbone.checkpoint={WEIGHTS}", "logger=none", f"paths.run={run}",
            "calibration=fixed_fpr", f"calibration.image.fpr={FPR}",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        assert "do not look like" not in outcome.err
        rows = read_predictions(run / "predictions.parquet")
        known = read_scores(run, category=name)
        assert known is not None
        ordered = np.concatenate(known.parts[name])
        found[name] = ordered, np.array([row["score"] for row in rows]), float(rows[0]["threshold"])
    return found


@pytest.mark.exhaustive
def test_false_alarms_on_fresh_images_are_as_promised(scores) -> None:
    """Blocks of four validation images and one fresh image are independent: their alarms are binomial."""
    rng, trials, alarms = np.random.default_rng(0), 0, 0
    for known, new, _ in scores.values():
        order = rng.permutation(np.concatenate([known, new]))
        for block in order[: len(order) // BLOCK * BLOCK].reshape(-1, BLOCK):
            alarms += block[-1] > FixedFpr(fpr=FPR).choose(Sample.of(block[:-1], np.zeros(0)))
            trials += 1
    print(f"{alarms} of {trials} fresh images above their threshold, promised {FPR:.0%}")
    refused = stats.binom.isf(0.01, trials, FPR)
    assert stats.binom.sf(refused, trials, 2 * FPR) > 0.8  # twice the rate would be found
    assert stats.binomtest(alarms, trials, FPR, alternative="greater").pvalue > 0.01
    assert stats.binomtest(alarms, trials, FPR, alternative="less").pvalue > 0.01


def test_the_thresholds_of_the_runs_hold_on_fresh_images(scores) -> None:
    """One threshold for many fresh images: their number of alarms has a beta-binomial distribution."""
    for name, (known, new, threshold) in scores.items():
        above, alarms = int((known > threshold).sum()), int((new > threshold).sum())
        print(f"{name}: {above} of {len(known)} above in validation, {alarms} of {len(new)} fresh")
        assert excess_alarms_p((above, len(known)), (alarms, len(new))) > 0.003
