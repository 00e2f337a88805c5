"""Findings of the feature study: only what paired draws support, after correction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adframe.analysis.studies.features import FeatureStudy, layer_findings, mean_of_seeds
from adframe.results.patch_samples import LayerSample, PatchSample, write_patch_sample
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import SweepFolder, SweepRun
from tests.fakes.patches import layer, sample
from tests.fakes.run_folder import write_run


def told(name: str, values: np.ndarray) -> LayerSample:
    value = (float(values.mean()), float(values.min()), float(values.max()))
    return replace(
        layer(name), image_auroc=value, patch_auroc=(np.nan,) * 3,
        drawn=np.stack([values, np.full_like(values, np.nan)]),
    )  # fmt: skip


def many(*layers: LayerSample, category: str = "tray") -> PatchSample:
    """A sample of so many test images that only its draws limit what is known."""
    return replace(sample(category, *layers), anomalous=2000, tested=4000)


def test_a_layer_leads_where_every_paired_difference_is_sure() -> None:
    images = np.random.default_rng(0).normal(0.8, 0.05, 1000)
    better, worse = told("layer1", images + 0.02), told("layer2", images)
    (text,) = layer_findings({"v": {"tray": [many(better, worse)]}})
    assert text.startswith("tray: layer1 alone has the highest image AUROC")
    assert (
        "layer2, is lower by 2.0 points (1.9 to 2.1)." in text
    )  # although the two intervals overlap nearly wholly
    rival = told("layer3", images + 0.02 + np.random.default_rng(1).normal(-0.001, 0.01, 1000))
    assert layer_findings({"v": {"tray": [many(better, worse, rival)]}}) == []


def test_many_comparisons_need_more_than_one() -> None:
    rng = np.random.default_rng(0)
    gain = rng.normal(0.02, 0.0095, 1000)  # p of about 0.035 by itself
    pair = (told("layer1", 0.8 + gain), told("layer2", np.full(1000, 0.8)))
    assert len(layer_findings({"v": {"a": [many(*pair, category="a")]}})) == 1
    assert layer_findings({"v": {name: [many(*pair, category=name)] for name in "abcd"}}) == []


def test_seeds_are_replicates_and_a_layer_leads_in_their_mean() -> None:
    """The first seed alone would name layer2; in the mean over the seeds layer1 is better."""
    images = np.random.default_rng(0).normal(0.8, 0.05, 1000)
    seeds = [many(told("layer1", images + gain), told("layer2", images)) for gain in (-0.02, 0.05, 0.06)]
    (text,) = layer_findings({"v": {"tray": seeds}})
    assert "layer1 alone has the highest image AUROC" in text
    assert "lower by 3.0 points" in text
    mean = mean_of_seeds(seeds)
    assert mean.layers[0].image_auroc[0] == pytest.approx(float(images.mean()) + 0.03)
    assert mean.layers[0].drawn.shape == (2, 1000)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_page_of_runs_that_kept_patches_and_none_of_others(tmp_path: Path) -> None:
    runs = []
    for number, backbone in enumerate(("tiny", "small")):
        run = write_run(tmp_path / str(number))
        runs.append(SweepRun(str(number), {"backbone": backbone}, RunFolder.read(run)))
    broken = SweepRun("2", {"backbone": "large"}, error="no weights")
    sweep = SweepFolder(tmp_path, (*runs, broken), "python sweep.py experiment=features")
    assert FeatureStudy().write(sweep) is None
    write_patch_sample(tmp_path / "0", sample("bolt", layer("x", images=4, each=2), images=4))
    page = FeatureStudy().write(sweep)
    assert page is not None
    text = page.read_text()
    assert "no layer leads significantly" in text
    assert "2, 1 failed" in text
    assert (tmp_path / "tables" / "layers.csv").is_file()
