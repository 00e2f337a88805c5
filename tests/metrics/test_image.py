"""Image metrics against scikit-learn, and where they have no value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from adframe.errors import AdframeError
from adframe.metrics.image import image_metrics


def measured(scores, labels, *, subsets=None, threshold=None):
    names = subsets or ["anomaly" if label else "good" for label in labels]
    return image_metrics(scores=scores, labels=labels, subsets=names, threshold=threshold)


def draw(seed, n=60):
    rng = np.random.default_rng(seed)
    return rng.integers(-20, 20, n) * 1e5, rng.integers(0, 2, n).tolist()  # raw, tied, far outside [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_ranking_agrees_with_scikit_learn(seed):
    scores, labels = draw(seed)
    ours = measured(scores, labels)
    assert ours["image/auroc"] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert ours["image/ap"] == pytest.approx(sk.average_precision_score(labels, scores))
    assert ours["image/f1_max"] == pytest.approx(max(sk.f1_score(labels, scores >= t) for t in scores))
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    assert ours["image/fpr95"] == pytest.approx(min(fpr[tpr >= 0.95]))


@pytest.mark.parametrize("seed", range(5))
def test_decisions_agree_with_scikit_learn(seed):
    scores, labels = draw(seed)
    threshold = float(scores[0])  # itself a score: strictly above it counts
    ours, above = measured(scores, labels, threshold=threshold), scores > threshold
    for name in ("f1", "accuracy", "precision", "recall", "balanced_accuracy"):
        assert ours[f"image/{name}"] == pytest.approx(getattr(sk, f"{name}_score")(labels, above))
    assert ours["image/fpr"] == pytest.approx(np.mean(above[np.array(labels) == 0]))


@pytest.mark.parametrize(("label", "missing"), [(0, ["recall", "f1", "precision"]), (1, ["fpr"])])
def test_a_missing_class_is_nan_without_a_warning(label, missing, recwarn):
    ours = measured([0.1, 0.7], [label, label], threshold=0.5)
    for name in ("auroc", "ap", "f1_max", "fpr95", "balanced_accuracy", *missing):
        assert math.isnan(ours[f"image/{name}"]), name
    assert ours["image/accuracy"] == 0.5
    assert not recwarn.list


def test_nothing_reported_has_precision_zero():
    ours = measured([0.1, 0.2], [0, 1], threshold=5.0)
    assert (ours["image/precision"], ours["image/recall"], ours["image/f1"]) == (0, 0, 0)


def test_without_a_threshold_there_are_no_decisions():
    assert set(measured([0.1, 0.2], [0, 1])) == {"image/auroc", "image/ap", "image/f1_max", "image/fpr95"}


def test_loco_headline_is_the_mean_of_the_subsets_not_the_pool():
    scores, labels = [1, 2, 3, 4, 5, 6, 2.5], [0, 0, 0, 1, 1, 1, 1]
    subsets = ["good"] * 3 + ["logical"] * 3 + ["structural"]
    ours = measured(scores, labels, subsets=subsets)
    assert ours["logical/image/auroc"] == 1.0
    assert ours["structural/image/auroc"] == pytest.approx(2 / 3)
    assert ours["image/auroc_subset_mean"] == pytest.approx(5 / 6) != ours["image/auroc"]


def test_a_condition_is_judged_against_its_own_good_images():
    scores, labels = draw(3)
    lights, subsets = ["dark", "bright", ""] * 20, ["good" if not y else "logical" for y in labels]
    ours = image_metrics(scores=scores, labels=labels, subsets=subsets, threshold=0.0, conditions=lights)
    for light in ("dark", "bright"):
        part = [i for i, name in enumerate(lights) if name == light]
        for name, value in measured(scores[part], [labels[i] for i in part], threshold=0.0).items():
            assert ours[f"{light}/{name}"] == value
    assert ours["logical/image/auroc"] == ours["image/auroc"]
    assert len(ours) == 4 * 10


def test_class_f1_is_that_of_the_maps_decisions_in_every_line():
    scores, labels = draw(4)
    told = np.random.default_rng(0).random(60) < 0.5
    lights = ["a", "b"] * 30
    ours = image_metrics(
        scores=scores, labels=labels, subsets=["good" if not y else "anomaly" for y in labels],
        threshold=None, conditions=lights, reported=told.tolist(),
    )  # fmt: skip
    assert ours["image/class_f1"] == pytest.approx(sk.f1_score(labels, told))
    assert ours["b/image/class_f1"] == pytest.approx(sk.f1_score(labels[1::2], told[1::2]))
    assert "image/f1" not in ours


def test_numbers_of_images_must_agree():
    with pytest.raises(AdframeError, match="2 scores but 1 conditions"):
        image_metrics(
            scores=[1, 2], labels=[0, 1], subsets=["good", "x"], threshold=None, conditions=["dark"]
        )


def test_unlabelled_images_change_nothing():
    scores, labels = draw(7)
    more = measured(
        [*scores, 1e9], [*labels, None], subsets=["good" if not y else "anomaly" for y in labels] + ["x"]
    )
    assert more == measured(scores, labels)


def test_no_labelled_image_is_nan():
    assert math.isnan(measured([0.5], [None], threshold=0.1)["image/accuracy"])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_cannot_be_ranked_are_refused(bad):
    with pytest.raises(AdframeError, match=r"\[1\]"):
        measured([0.1, bad], [0, 1])


def test_squeezed_float64_scores_stay_apart():
    assert measured([1.0, 1.0 + 1e-15], [0, 1])["image/auroc"] == 1.0
