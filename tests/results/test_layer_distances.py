"""Distances between classes: what differs is far, two halves of one are not."""

from __future__ import annotations

import pytest

from adframe.results.layer_distances import layer_distances
from adframe.results.patch_samples import TRAIN
from adframe.stats.two_sample import cosine_of_means, median_distance, mmd_rbf, sliced_wasserstein
from tests.fakes.patches import layer, sample


def test_pairs_come_in_order_with_each_class_against_itself() -> None:
    samples = {name: sample(name) for name in ("a", "b", "c")}
    found = layer_distances(samples, permutations=20)
    assert [(each.layer, each.first, each.second) for each in found] == [
        (layer, *pair) for layer in ("layer1", "layer2") for pair in ("aa", "ab", "ac", "bb", "bc", "cc")
    ]


def test_the_numbers_are_those_of_the_training_patches() -> None:
    samples = {"a": sample("a", layer("x")), "b": sample("b", layer("x", moved=1.0, seed=1))}
    _, pair, _ = layer_distances(samples, permutations=20, seed=3)
    a, b = (each.layers[0].of(TRAIN) for each in samples.values())
    assert pair.mmd.bandwidth == pytest.approx(median_distance(a, b))
    assert pair.mmd.squared == pytest.approx(mmd_rbf(a, b), abs=1e-6)
    assert pair.wasserstein == pytest.approx(sliced_wasserstein(a, b, seed=3))
    assert pair.cosine == pytest.approx(cosine_of_means(a, b))


def test_classes_that_differ_are_beyond_the_noise_and_alike_ones_within() -> None:
    samples = {
        "a": sample("a", layer("x")),
        "alike": sample("alike", layer("x", seed=1)),
        "moved": sample("moved", layer("x", moved=1.0, seed=2)),
    }
    found = {(each.first, each.second): each for each in layer_distances(samples)}
    assert found["a", "moved"].mmd.squared > found["a", "moved"].mmd.floor
    assert found["a", "moved"].mmd.p_value < 0.02
    assert found["a", "alike"].mmd.p_value > 0.05
    assert len({each.mmd.bandwidth for each in found.values()}) == 1
    for name in samples:
        assert abs(found[name, name].mmd.squared) < 0.05 < found["a", "moved"].mmd.squared
        assert found[name, name].wasserstein < found["a", "moved"].wasserstein


def test_only_layers_that_all_have() -> None:
    samples = {"a": sample("a", layer("x"), layer("y")), "b": sample("b", layer("y"), layer("z"))}
    assert {each.layer for each in layer_distances(samples, permutations=5)} == {"y"}
    assert layer_distances({"a": sample("a", layer("x", images=2), images=2)}) == []
