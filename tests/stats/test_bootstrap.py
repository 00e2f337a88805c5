"""Bootstrap intervals against a slow bootstrap that copies images, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.metrics.image import image_metrics
from adframe.metrics.resampled import image_resampled
from adframe.stats.bootstrap import multiplicities, percentile_interval, strata_of
from adframe.stats.weighted_metrics import weighted_metrics


def image_intervals(**given):
    return {key: percentile_interval(values, level=0.95) for key, values in image_resampled(**given).items()}


def draw(seed, *, n=80, parts=None):
    """Tied scores outside [0, 1], LOCO's subsets, and pictures that share a part."""
    rng = np.random.default_rng(seed)
    subsets = rng.choice(["good", "logical", "structural"], n).tolist()
    labels = [int(name != "good") for name in subsets]
    scores = np.round(rng.normal(size=n) * 4 + np.array(labels) * 3) * 1e5
    groups = [
        f"{name}{rng.integers(parts)}" if parts else "" for name in subsets
    ]  # a part is of one kind, as it is on disk
    return {"scores": scores, "labels": labels, "subsets": subsets, "groups": groups}


def weights_of(data, *, resamples, seed=0):
    labels = np.array(data["labels"], bool)
    strata = strata_of(labels, subsets=np.array(data["subsets"]))
    values = (data["scores"],)
    return multiplicities(strata, groups=data["groups"], values=values, resamples=resamples, seed=(seed,))


def more(data, *, seed=0):
    """Conditions, decisions by map, and paths for images of `draw`."""
    rng, n = np.random.default_rng(seed), len(data["scores"])
    told, lights = (rng.random(n) < 0.5).tolist(), rng.choice(["dark", "bright"], n).tolist()
    return data | {"reported": told, "conditions": lights, "paths": [f"{i:03}.png" for i in range(n)]}


def test_conditions_and_class_f1_are_those_of_image_metrics_on_copied_images():
    data = more(draw(9))
    truth, subsets, lights = (np.array(data[key]) for key in ("labels", "subsets", "conditions"))
    strata = strata_of(truth, subsets=subsets, conditions=lights)
    values = (np.array(data["paths"]),)
    weights = multiplicities(strata, groups=data["groups"], values=values, resamples=30, seed=(7,))
    drawn = image_resampled(**data, threshold=1e5, resamples=30, seed=7)
    chosen = ("scores", "labels", "subsets", "conditions", "reported")
    for place, row in enumerate(weights):
        copied = {key: [data[key][i] for i in np.repeat(np.arange(80), row)] for key in chosen}
        slow = image_metrics(**copied, threshold=1e5)
        assert list(slow) == list(drawn)
        assert {key: values[place] for key, values in drawn.items()} == pytest.approx(slow)


def test_with_paths_another_run_on_the_same_images_draws_the_same():
    data, order = more(draw(10)), np.random.default_rng(0).permutation(80)
    mixed = {key: [values[i] for i in order] for key, values in data.items()}
    mixed["scores"] = np.random.default_rng(1).normal(size=80)
    first, other = (image_resampled(**each, threshold=None, seed=3) for each in (data, mixed))
    assert np.array_equal(first["dark/image/class_f1"], other["dark/image/class_f1"])
    bare = image_resampled(**mixed | {"paths": None}, threshold=None, seed=3)
    assert not np.array_equal(first["dark/image/class_f1"], bare["dark/image/class_f1"])


@pytest.mark.parametrize("parts", [None, 6])
def test_every_interval_is_that_of_image_metrics_on_copied_images(parts):
    data = draw(1, parts=parts)
    copies = [np.repeat(np.arange(80), row) for row in weights_of(data, resamples=40, seed=7)]
    slow = [
        image_metrics(
            scores=data["scores"][places],
            labels=[data["labels"][i] for i in places],
            subsets=[data["subsets"][i] for i in places],
            threshold=1e5,
        )
        for places in copies
    ]
    ours = image_intervals(**data, threshold=1e5, resamples=40, seed=7)
    assert list(ours) == list(slow[0])
    for key, ends in ours.items():
        assert ends == pytest.approx(np.quantile([row[key] for row in slow], [0.025, 0.975])), key


def test_the_order_of_images_changes_nothing_and_the_seed_does():
    data, order = draw(2, parts=5), np.random.default_rng(0).permutation(80)
    mixed = {key: [values[i] for i in order] for key, values in data.items()}
    first = image_intervals(**data, threshold=0.0, seed=3)
    assert image_intervals(**mixed, threshold=0.0, seed=3) == first
    assert image_intervals(**data, threshold=0.0, seed=4) != first


def test_pictures_of_a_part_stay_together_and_every_class_keeps_its_parts():
    data = draw(3, parts=4)
    weights = weights_of(data, resamples=50)
    for name in set(data["groups"]):
        same = weights[:, [place for place, group in enumerate(data["groups"]) if group == name]]
        assert (same == same[:, :1]).all()
    first = [data["groups"].index(name) for name in sorted(set(data["groups"]))]
    kinds_of = np.array([data["subsets"][place] for place in first])
    for kind in set(data["subsets"]):
        assert (weights[:, first][:, kinds_of == kind].sum(1) == np.sum(kinds_of == kind)).all()


def test_a_part_with_normal_and_anomalous_pictures_is_drawn_among_its_like():
    strata, groups = np.array(["0 good", "1 anomaly"] * 3 + ["0 good"]), ["a", "a", "b", "b", "c", "c", ""]
    weights = multiplicities(strata, groups=groups, values=(np.arange(7),), resamples=20, seed=(0,))
    assert (weights[:, :6:2] == weights[:, 1:6:2]).all()
    assert (weights[:, 6] == 1).all()  # the only one of its kind
    assert (weights.sum(1) == 7).all()


def test_copies_of_a_picture_do_not_make_the_interval_shorter_when_they_share_its_part():
    data = draw(4)
    single = data | {"groups": [f"part{i}" for i in range(80)]}
    copied = {key: [value for value in values for _ in range(9)] for key, values in single.items()}
    width = lambda got: got["image/auroc"][1] - got["image/auroc"][0]  # noqa: E731
    once, nine = (image_intervals(**each, threshold=None, seed=0) for each in (single, copied))
    assert nine["image/auroc"] == pytest.approx(once["image/auroc"])
    alone = image_intervals(**copied | {"groups": [""] * 720}, threshold=None, seed=0)
    assert width(alone) < width(nine) / 2


def test_the_interval_is_as_wide_as_theory_says():
    # Hanley & McNeil 1982: variance of an AUROC of binormal scores, 300 images of each class.
    rng, n = np.random.default_rng(0), 300
    scores = np.concatenate([rng.normal(0, 1, n), rng.normal(1, 1, n)])
    got = image_intervals(
        scores=scores,
        labels=[0] * n + [1] * n,
        subsets=["good"] * n + ["anomaly"] * n,
        groups=[""] * 2 * n,
        threshold=None,
        seed=0,
    )["image/auroc"]
    area = 0.76
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = math.sqrt((area * (1 - area) + (n - 1) * (q1 + q2 - 2 * area**2)) / n**2)
    assert got[1] - got[0] == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert got[0] < area < got[1]


@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_is_nan_where_the_metric_is_and_warns_of_nothing(label, recwarn):
    data = {"scores": [0.1, 0.7], "labels": [label] * 2, "subsets": ["good"] * 2, "groups": [""] * 2}
    ours = image_intervals(**data, threshold=0.5, resamples=10, seed=0)
    data.pop("groups")
    exact = image_metrics(**data, threshold=0.5)
    assert list(ours) == list(exact)
    assert [math.isnan(low) for low, _ in ours.values()] == [math.isnan(value) for value in exact.values()]
    assert not recwarn.list


def test_unlabelled_images_change_nothing_and_none_at_all_is_nan():
    data = draw(5)
    more = {
        "scores": [*data["scores"], 1e9],
        "labels": [*data["labels"], None],
        "subsets": [*data["subsets"], "unlabelled"],
        "groups": [*data["groups"], ""],
    }
    first = image_intervals(**data, threshold=None, seed=0)
    assert image_intervals(**more, threshold=None, seed=0) == first
    none = image_intervals(scores=[0.5], labels=[None], subsets=["x"], groups=[""], threshold=0.1, seed=0)
    assert all(math.isnan(end) for ends in none.values() for end in ends)


def test_what_cannot_be_ranked_or_matched_is_refused():
    kept = {"labels": [0, 1], "subsets": ["good", "anomaly"], "threshold": None, "seed": 0}
    with pytest.raises(AdframeError, match=r"\[1\]"):
        image_intervals(scores=[0.1, math.nan], groups=["", ""], **kept)
    with pytest.raises(AdframeError, match="1 groups"):
        image_intervals(scores=[0.1, 0.2], groups=[""], **kept)


def test_many_resamples_are_worked_on_in_pieces_with_the_same_result(monkeypatch):
    data = draw(6)
    weights, labels = weights_of(data, resamples=30), np.array(data["labels"], bool)
    whole = weighted_metrics(data["scores"], labels=labels, weights=weights, threshold=0.0)
    monkeypatch.setattr("adframe.stats.weighted_metrics._CHUNK_COUNTS", 7 * 80)
    pieces = weighted_metrics(data["scores"], labels=labels, weights=weights, threshold=0.0)
    assert all(np.array_equal(whole[key], pieces[key]) for key in whole)


def test_an_interval_holds_its_level():
    assert percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5, 95))
