"""Anomalous images in bins: found, ranked, compared."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from adframe.stats.binned import Binned, bin_differences, by_bin, terciles


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
        level=0.95,
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
        assert each.auroc[0] == pytest.approx(roc_auc_score(labels[~labels | own], scores[~labels | own]))
        assert each.found == int((scores[own] > 1.0).sum())
        assert each.recall[1] <= each.recall[0] == each.found / 9 <= each.recall[2]
        assert each.auroc[1] <= each.auroc[0] <= each.auroc[2]
        assert each.drawn["recall"].mean() == pytest.approx(each.recall[0], abs=0.05)


def test_the_order_of_the_images_changes_nothing() -> None:
    for one, other in zip(binned(), binned(order=np.random.default_rng(1).permutation(60)), strict=True):
        assert (one.found, one.auroc, one.recall) == (other.found, other.auroc, other.recall)


def test_thirds_are_equal_and_equal_values_share_a_bin() -> None:
    limits = terciles(np.arange(30.0))
    assert np.bincount(np.searchsorted(limits, np.arange(30.0), side="left")).tolist() == [10, 10, 10]
    assert terciles(np.array([0.0] * 8 + [1.0, 2.0])) == [0.0]
    assert terciles(np.array([0.0] * 5 + [1.0] * 5)) == [0.0]
    assert terciles(np.ones(9)) == terciles(np.zeros(0)) == []


def test_a_difference_is_the_last_minus_the_first_and_few_images_are_not_compared() -> None:
    found = binned()
    recall, auroc = bin_differences(found[0], found[-1], level=0.95)
    assert recall.value == pytest.approx(found[-1].recall[0] - found[0].recall[0])
    assert auroc.value == pytest.approx(found[-1].auroc[0] - found[0].auroc[0])
    assert recall.low < recall.value < recall.high
    few = Binned(4, 4, found[0].recall, found[0].auroc, found[0].drawn)
    assert all(math.isnan(each.p) for each in bin_differences(few, found[-1], level=0.95))


def test_nothing_found_of_five_against_all_of_five_is_no_certainty() -> None:
    """The bootstrap alone would give the least p it can; Fisher's test knows better."""
    drawn = {"recall": np.zeros(2000), "auroc": np.full(2000, 0.5)}
    none = Binned(5, 0, (0.0, 0.0, 0.4), (0.5, 0.4, 0.6), drawn)
    every = Binned(5, 5, (1.0, 0.6, 1.0), (1.0, 1.0, 1.0), {key: value + 1 for key, value in drawn.items()})
    assert bin_differences(none, every, level=0.95)[0].p == pytest.approx(2 / 252)  # 10 over 5
