"""The state behind pixel metrics: order, merging, memory and the error it admits to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adframe.errors import AdframeError
from adframe.metrics.float_bins import codes_of, float32_below, scores_of
from adframe.metrics.histogram import PixelHistograms
from adframe.metrics.packing import add_packed, pack_histograms
from tests.metrics import reference
from tests.metrics.maps import DRAWS, fed, images_of, loco
from tests.metrics.reference import Image

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
QUICK = settings(max_examples=30, deadline=None)


@given(st.lists(FLOATS, min_size=1, max_size=50))
def test_codes_keep_the_order_and_come_back(values):
    scores = np.array(values, np.float32)
    codes = codes_of(scores)
    assert np.array_equal(np.sign(np.subtract.outer(*2 * [scores.astype(float)])),
                          np.sign(np.subtract.outer(*2 * [codes.astype(np.int64)])))  # fmt: skip
    assert np.array_equal(scores_of(codes), scores)


@given(FLOATS, st.floats(allow_nan=False))
def test_a_threshold_means_the_same_in_float32(score, threshold):
    assert (np.float32(score) > float32_below(threshold)) == (score > threshold)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("max_bins", [512, 1024, 131072])
def test_order_of_images_changes_no_digit(draw, max_bins):
    images = images_of(draw, count=6)
    first, last = fed(images, max_bins=max_bins), fed(images[::-1], max_bins=max_bins)
    assert first.compute() == last.compute()
    assert np.array_equal(pack_histograms(first._histograms), pack_histograms(last._histograms))


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("max_bins", [512, 2048, 131072])
def test_merged_parts_equal_the_whole(draw, max_bins):
    images = images_of(draw, count=7)
    whole, merged = fed(images, max_bins=max_bins), PixelHistograms(max_bins=max_bins)
    parts = [
        pack_histograms(fed(part, max_bins=max_bins)._histograms)
        for part in (images[:1], images[1:4], [], images[4:])
    ]
    add_packed(merged, np.concatenate(parts))
    assert np.array_equal(pack_histograms(merged), pack_histograms(whole._histograms))


def test_a_map_cut_in_tiles_counts_like_the_map(monkeypatch):
    images = images_of("random")
    expected = pack_histograms(fed(images)._histograms)
    monkeypatch.setattr("adframe.metrics.image_bins._CHUNK", 7)
    assert np.array_equal(pack_histograms(fed(images)._histograms), expected)


@QUICK
@given(st.sampled_from(sorted(set(DRAWS) - {"biggest", "signed_zeros"})), st.integers(0, 99))
def test_doubling_scores_changes_no_digit(draw, seed):
    images = images_of(draw, seed=seed)
    doubled = [image._replace(heatmap=image.heatmap * 2) for image in images]
    assert fed(doubled, max_bins=4096).compute() == fed(images, max_bins=4096).compute()


@QUICK
@given(st.sampled_from(sorted(DRAWS)), st.integers(0, 99), st.sampled_from([2, 4, 16]))
def test_the_bound_holds_however_few_the_bins(draw, seed, blocks):
    images = images_of(draw, seed=seed)
    metrics = fed(images, max_bins=256 * blocks)
    ours, exact = metrics.compute(), reference.all_metrics(images)
    for name, slack in metrics.bound().items():
        assert abs(ours[name] - exact[name]) <= slack + 1e-10


@QUICK
@given(st.integers(0, 99))
def test_the_bound_holds_for_saturated_regions(seed):
    rng = np.random.default_rng(seed)
    images = [image._replace(heatmap=rng.gamma(2, 1, (10, 10)).astype(np.float32)) for image in loco(seed)]
    metrics = fed(images, saturated=True, max_bins=512)
    ours, bound = metrics.compute(), metrics.bound()
    part = [image for image in images if image.subset in ("good", "logical")]
    for name, exact in reference.all_metrics(part, overlap="auspro").items():
        slack = bound.get(f"logical/{name}", 1.0)
        assert abs(ours[f"logical/{name}"] - exact) <= slack + 1e-10


def test_the_bound_says_more_when_bins_are_fewer():
    images = images_of("random", count=8)
    coarse, fine = (fed(images, max_bins=bins).bound()["pixel/aupro_0.05"] for bins in (512, 131072))
    assert coarse > 10 * fine > 0


def test_memory_stays_below_64_mb_with_20_defect_types():
    rng, histograms = np.random.default_rng(0), PixelHistograms()
    for i in range(20):
        heatmap = rng.normal(size=(300, 300)).astype(np.float32)
        histograms.add(heatmap, regions=[], group=(f"defect_{i}", "anomaly", ""), path="x.png")
    assert sum(group.counts.nbytes for group in histograms.groups.values()) < 64e6
    assert 256 < histograms.layout.rows <= 513


def test_an_outlier_far_away_costs_the_others_no_precision():
    heatmap = np.linspace(1, 1.001, 4000, dtype=np.float32).reshape(50, 80)
    for outlier in (0.0, -3e38, 3e38):
        heatmap[0, 0] = outlier
        assert fed([Image(heatmap, [])])._histograms.layout.shift == 0


def test_counts_are_whole_and_complete():
    metrics = fed(images_of("random", count=6), max_bins=1024)
    tally = metrics._histograms.tally(metrics._histograms.groups)
    assert tally.normal.sum() + tally.anomalous.sum() == 6 * 100
    assert (tally.normal >= 0).all()
    assert (np.diff(tally.lowest.astype(float)) < 0).all()
    assert tally.found.sum() == tally.regions * 2**40


def test_too_few_bins_are_refused():
    with pytest.raises(AdframeError, match="at least 512"):
        PixelHistograms(max_bins=256)


def test_a_bin_says_between_which_scores_it_lies() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(size=4000), [-3e38, 3.4e38, 0.0]]).astype(np.float32).reshape(1, -1)
    histograms = PixelHistograms(max_bins=512)
    histograms.add(scores, regions=[], group=("good", "good", ""), path="x.png")
    tally = histograms.tally(histograms.groups)
    assert np.isfinite(tally.highest).all()
    assert (tally.lowest <= tally.highest).all()
    assert (tally.lowest[:-1] > tally.highest[1:]).all()
    inside = (scores[0, :, None] >= tally.lowest) & (scores[0, :, None] <= tally.highest)
    assert inside.sum(0).tolist() == tally.normal.tolist()
