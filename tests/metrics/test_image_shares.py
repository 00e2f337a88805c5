"""A share of images has one interval, whichever page shows it: that of the metric of the same share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adframe.metrics.image_shares import image_share_interval
from adframe.metrics.measured import intervals_of, measured_metrics
from adframe.metrics.resampled import drawn_decisions, resample_weights
from adframe.stats.proportions import share_interval


def rows_of(*, images_per_part: int, category: str = "plate") -> list[dict[str, Any]]:
    """24 normal and 36 anomalous images; those of a part have similar scores."""
    draws = np.random.default_rng(5)
    rows = []
    for place in range(60):
        label = int(place >= 24)
        if place % images_per_part == 0:
            part = draws.normal()
        score = 1.2 * label + part + 0.2 * draws.normal()
        group = f"part {place // images_per_part}" if images_per_part > 1 else ""
        rows.append(
            {
                "category": category, "path": f"{category}/{place:03}.png", "label": label, "score": score,
                "decision": bool(score > 1.0), "group": group, "subset": "anomaly" if label else "good",
                "condition": "", "reported": bool(score > 1.0),
            }
        )  # fmt: skip
    return rows


@pytest.mark.parametrize("images_per_part", [1, 4])
def test_it_is_the_interval_of_recall_and_of_the_false_positive_rate(images_per_part: int) -> None:
    rows = rows_of(images_per_part=images_per_part)
    labels, called = np.array([row["label"] for row in rows]), np.array([row["decision"] for row in rows])
    values = {
        "image/recall": float(called[labels == 1].mean()),
        "image/fpr": float(called[labels == 0].mean()),
    }
    weights = resample_weights(rows).astype(float)
    drawn = {
        name: weights[:, labels == label] @ called[labels == label] / weights[:, labels == label].sum(1)
        for name, label in (("image/recall", 1), ("image/fpr", 0))
    }
    expected = intervals_of(measured_metrics(values, drawn, images=rows))
    for name, label in (("image/recall", 1), ("image/fpr", 0)):
        found = image_share_interval(rows, counted=called, among=labels == label)
        assert list(found) == pytest.approx(expected[name])
        plain = share_interval(int(called[labels == label].sum()), int((labels == label).sum()))
        assert (found == plain) == (images_per_part == 1)


def test_these_draws_are_those_of_a_run() -> None:
    rows = rows_of(images_per_part=4)
    drawn = drawn_decisions(rows, threshold=1.0)
    labels, called = np.array([row["label"] for row in rows]), np.array([row["decision"] for row in rows])
    weights = resample_weights(rows).astype(float)
    recall = weights[:, labels == 1] @ called[labels == 1] / weights[:, labels == 1].sum(1)
    assert np.allclose(drawn["image/recall"], recall)


def test_several_categories_are_counted_together() -> None:
    rows = rows_of(images_per_part=4) + rows_of(images_per_part=4, category="bolt")
    called = [row["decision"] for row in rows]
    both = image_share_interval(rows, counted=called, among=[row["label"] == 1 for row in rows])
    one = image_share_interval(rows[:60], counted=called[:60], among=[row["label"] == 1 for row in rows[:60]])
    assert both[1] - both[0] < one[1] - one[0]


def test_nothing_chosen_has_no_interval() -> None:
    rows = rows_of(images_per_part=4)
    assert np.isnan(image_share_interval(rows, counted=[True] * 60, among=[False] * 60)).all()
