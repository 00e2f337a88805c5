import numpy as np
import pytest

from adframe.metrics.curve_points import bin_edges, pr_points, roc_points
from adframe.reporting.figure_render import svg
from adframe.reporting.figure_scores import scores
from adframe.reporting.summary import by_condition, by_defect, confusion, latency_summary
from adframe.stats.proportions import share_interval
from tests.fakes.run_folder import row


def drawn(rows, *, threshold=None):
    return svg(scores("f", caption="c", rows=rows, threshold=threshold))


SCORES, LABELS = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]


def test_the_areas_are_those_of_the_textbook():
    assert roc_points(SCORES, LABELS).area == pytest.approx(0.75)
    assert pr_points(SCORES, LABELS).area == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_curves_see_ranks_only():
    scaled = [1000 * score - 7 for score in SCORES]
    assert np.array_equal(roc_points(SCORES, LABELS).y, roc_points(scaled, LABELS).y)


def test_unlabelled_and_unscored_images_change_nothing():
    more = roc_points([*SCORES, 9.0, float("nan")], [*LABELS, None, 1])
    assert more.area == roc_points(SCORES, LABELS).area


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [1, 1, 1, 1], [None] * 4])
def test_one_class_has_no_curve_and_the_page_says_so(labels):
    assert roc_points(SCORES, labels) is None
    assert pr_points(SCORES, labels) is None
    rows = [row(score=score, label=label) for score, label in zip(SCORES, labels, strict=True)]
    drawing = drawn(rows)
    assert drawing.count("No curve: it needs both normal") == 2
    assert "Share of the images of a kind" in drawing


@pytest.mark.parametrize("score", [0.0, 3.0, 1e12, -1e-12])
def test_constant_scores_are_drawn(score):
    rows = [row(score=score, label=label) for label in (0, 1, None)]
    drawing = drawn(rows, threshold=score)
    assert "nan" not in drawing
    assert "inf" not in drawing


def test_no_finite_score_is_said():
    assert "No image has a finite score." in drawn([row(score=float("nan"))], threshold=1.0)
    assert np.isfinite(bin_edges([float("inf"), float("nan")])).all()


def test_logical_and_structural_get_curves_of_their_own():
    kinds = [("good", 0, 1.0), ("logical", 1, 0.5), ("structural", 1, 2.0)]
    drawing = drawn([row(subset=subset, label=label, score=score) for subset, label, score in kinds])
    for text in ("all AUROC 50.0", "logical AUROC 0.0", "structural AUROC 100.0"):
        assert f">{text}</text>" in drawing


def test_decisions_without_a_label_or_a_threshold_are_not_counted():
    rows = [
        row(label=1, decision=True),
        row(label=0, decision=True),
        row(label=None),
        row(label=1, decision=None),
    ]
    counts = confusion(rows)
    assert (counts.found, counts.missed, counts.false_alarms, counts.passed) == (1, 0, 1, 0)
    assert (counts.precision, confusion([]).precision) == (0.5, None)


def test_groups_hold_each_defect_against_all_normals_and_each_light_by_itself():
    rows = [
        row(score=1.0, condition="dim"),
        row(score=3.0),
        row(label=1, defect="hole", score=2.0, decision=None),
    ]
    (hole,) = by_defect(rows)
    assert (hole.images, hole.found, hole.recall, hole.auroc) == (1, None, None, 0.5)
    assert [group.auroc for group in by_condition(rows)] == [0.0, None]


def test_the_interval_of_no_false_alarm_in_30_reaches_14_per_cent():
    low, high = share_interval(0, 30)
    assert (low, round(high, 3)) == (0.0, 0.139)
    assert latency_summary([row(milliseconds=float("nan"))]) == (None, None)
