import re
from pathlib import Path

import numpy as np
import pytest

from adframe.reporting.figure_reliability import reliability_panels
from adframe.reporting.figure_render import svg
from adframe.reporting.probability_summary import EVERYTHING, calibrations
from adframe.results.run_folder import RunFolder
from adframe.stats.calibration_error import reliability_bins
from tests.fakes.run_folder import row


def run_of(rows):
    run = RunFolder(Path())
    run.rows = list(rows)
    return run


def test_unlabelled_images_and_those_without_a_probability_are_left_out():
    rows = [
        row(probability=0.2),
        row(probability=0.8, label=1),
        row(label=1),
        row(probability=1.0, label=None),
    ]
    (only,) = calibrations(run_of(rows))
    assert (only.name, only.images) == ("bolt", 2)
    assert (only.error, only.brier) == (pytest.approx(0.2), pytest.approx(0.04))
    assert calibrations(run_of([row(), row(label=None, probability=0.5)])) == []


def test_several_categories_are_judged_together_too():
    rows = [row(category=name, probability=0.5, label=label) for name in "ab" for label in (0, 1, 1)]
    assert [(each.name, each.images) for each in calibrations(run_of(rows))] == [
        (EVERYTHING, 6),
        ("a", 3),
        ("b", 3),
    ]


def test_each_bin_has_its_count():
    bins = reliability_bins(np.array([0.0, 0.05, 0.7, 1.0]), np.array([0, 0, 1, 1], bool))
    texts = re.findall(r"<text[^>]*font-size: 6px[^>]*>(.*?)</text>", drawn({"x": {"": bins}}))
    assert texts == ["2", "1", "1"]


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_and_one_bin_are_drawn(label):
    drawing = drawn({"<b>": {"": reliability_bins(np.array([1.0]), np.array([label], bool))}})
    assert "nan" not in drawing
    assert "<b>" not in drawing


def drawn(panels):
    return svg(reliability_panels("f", caption="c", panels=panels))
