import re
from pathlib import Path

import numpy as np
import pytest

from adframe.reporting.reliability_diagram import EVERYTHING, held, reliability_plot
from adframe.results.run_folder import RunFolder
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
    (only,) = held(run_of(rows))
    assert (only.name, only.images) == ("bolt", 2)
    assert (only.error, only.brier) == (pytest.approx(0.2), pytest.approx(0.04))
    assert held(run_of([row(), row(label=None, probability=0.5)])) == []


def test_several_categories_are_judged_together_too():
    rows = [row(category=name, probability=0.5, label=label) for name in "ab" for label in (0, 1, 1)]
    assert [(each.name, each.images) for each in held(run_of(rows))] == [(EVERYTHING, 6), ("a", 3), ("b", 3)]


def test_each_bins_count_stands_under_its_bin():
    drawing = reliability_plot(
        np.array([0.0, 0.05, 0.7, 1.0]), np.array([0, 0, 1, 1], bool), title="x"
    ).drawing
    dots = [float(x) for x in re.findall(r'class="dot seen" cx="([\d.]+)"', drawing)]
    counts = re.findall(
        r'<text class="tick" x="([\d.]+)" y="[\d.]+" text-anchor="middle">(\d)</text>', drawing
    )
    bins = [(float(x), n) for x, n in counts[-3:]]
    assert [n for _, n in bins] == ["2", "1", "1"]
    assert all(abs(x - dot) <= 0.051 * 284 for (x, _), dot in zip(bins, dots, strict=True))


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_and_one_bin_are_drawn(label):
    drawing = reliability_plot(np.array([1.0]), np.array([label], bool), title="<b>").drawing
    assert "nan" not in drawing
    assert "<b>" not in drawing
