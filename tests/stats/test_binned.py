"""Anomalous images in bins: found, ranked, compared."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from adframe.stats.binned import Binned, bin_differences, by_bin, terciles
from adframe.stats.intervals import Measured, Units, compare_with_zero, interval_of


def binned(*, order: np.ndarray | None = None, groups: list[str] | None = None) -> list[Binned]:
    rng = np.random.default_rng(3)
    labels = np.arange(60) >= 24
    bins = np.where(labels, np.arange(60) % 4 - 1, 0)  # -1: not annotated
    scores = rng.normal(size=60) + labels * (bins + 1)
    place = np.arange(60) if order is None else order
    return by_bin(
        scores[place],
        labels=labels[place],
        decisions=(scores > 1.0)[place],
        bins=bins[place],
        groups=[""] * 60 if groups is None else groups,
        paths=[f"{number:03d}" for number in place],
        resamples=200,
        seed=(0,),
    )


def test_each_bin_is_held_against_all_normal_images_and_what_is_not_annotated_is_left_out() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(60) >= 24
    bins = np.where(labels, np.arange(60) % 4 - 1, 0)
    scores = rng.normal(size=60) + labels * (bins + 1)
    found = binned()
    assert [each.images for each in found] == [9, 9, 9]
    for number, each in enumerate(found):
        own = labels & (bins == number)
        assert each.auroc.value == pytest.approx(roc_auc_score(labels[~labels | own], scores[~labels | own]))
        assert each.found == int((scores[own] > 1.0).sum())
        assert each.recall.value == each.found / 9
        assert each.recall.drawn.mean() == pytest.approx(each.recall.value, abs=0.05)
        for measured in (each.recall, each.auroc):
            low, high = interval_of(measured)
            assert low <= measured.value <= high


def test_the_order_of_the_images_changes_nothing() -> None:
    for one, other in zip(binned(), binned(order=np.random.default_rng(1).permutation(60)), strict=True):
        for a, b in ((one.auroc, other.auroc), (one.recall, other.recall)):
            assert (one.found, a.value, interval_of(a)) == (other.found, b.value, interval_of(b))


def test_thirds_are_equal_and_equal_values_share_a_bin() -> None:
    limits = terciles(np.arange(30.0))
    assert np.bincount(np.searchsorted(limits, np.arange(30.0), side="left")).tolist() == [10, 10, 10]
    assert terciles(np.array([0.0] * 8 + [1.0, 2.0])) == [0.0]
    assert terciles(np.array([0.0] * 5 + [1.0] * 5)) == [0.0]
    assert terciles(np.ones(9)) == terciles(np.zeros(0)) == []


def test_a_difference_is_the_last_minus_the_first_and_few_images_are_not_compared() -> None:
    found = binned()
    differences = bin_differences(found[0], found[-1])
    assert differences is not None
    recall, auroc = map(compare_with_zero, differences)
    assert recall.value == pytest.approx(found[-1].recall.value - found[0].recall.value)
    assert auroc.value == pytest.approx(found[-1].auroc.value - found[0].auroc.value)
    assert recall.low < recall.value < recall.high
    assert bin_differences(Binned(4, 4, found[0].recall, found[0].auroc), found[-1]) is None


def test_nothing_found_of_five_against_all_of_five_is_no_certainty() -> None:
    """The bootstrap alone would give the least p it can; Fisher's exact p is 2 / 252."""
    none, every = (
        Binned(
            5,
            int(5 * value),
            Measured("image/recall", value, np.full(2000, value), Units(30, 5)),
            Measured("image/auroc", 0.5, np.full(2000, 0.5), Units(30, 5)),
        )
        for value in (0.0, 1.0)
    )
    differences = bin_differences(none, every)
    assert differences is not None
    assert 0.004 < compare_with_zero(differences[0]).p < 0.05
