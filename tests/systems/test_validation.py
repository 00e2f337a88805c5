"""What calibration is told of validation images: every pixel, in the original frame."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adframe.calibration.calibrator import Calibrator
from adframe.calibration.rules import BestF1, MeanStd, Quantile, Rule
from adframe.contracts import GEOMETRY, INDEX, RECORD, REGIONS, Geometry, Record, Region
from adframe.systems.validation import Validation

RNG = np.random.default_rng(0)
MAPS = list(RNG.gamma(4, 0.5, size=(6, 80, 60)).astype(np.float32))
PLACES = [Geometry((80, 60), (0, 0, 80, 60))] * 6


def fitted(pixel: Rule, *, labels: tuple[int, ...] = (0,) * 6, zones: int = 1) -> Calibrator:
    records = [Record(Path(f"{i}.png"), "c", "val", label=label) for i, label in enumerate(labels)]
    square = [Region(0, 0, np.ones((20, 20), bool), 400.0)]
    regions = [square if label else [] for label in labels]
    index = torch.arange(len(records))
    batch = {INDEX: index, RECORD: records, GEOMETRY: PLACES, REGIONS: regions}
    validation, calibrator = Validation(zones=zones), Calibrator(image=Quantile(), pixel=pixel, zones=zones)
    validation.add(batch, scores=[float(m.max()) for m in MAPS], maps=MAPS)
    validation.fit(calibrator)
    return calibrator


def test_pixel_rules_see_all_normal_pixels() -> None:
    pixels = np.stack(MAPS).astype(np.float64)
    fit = fitted(MeanStd(deviations=3)).fitted
    assert fit.pixel_threshold == pytest.approx(pixels.mean() + 3 * pixels.std(), rel=5e-5)
    assert (fit.pixels, fit.n) == (pixels.size, 6)
    assert (fit.map_mean, fit.map_std) == pytest.approx((pixels.mean(), pixels.std()), rel=5e-5)


@pytest.mark.parametrize("q", [0.5, 0.99, 0.9995])
def test_no_more_pixels_exceed_a_quantile_than_it_says(q: float) -> None:
    pixels, threshold = np.stack(MAPS), fitted(Quantile(q=q)).fitted.pixel_threshold
    assert 1 - q - 2e-4 < (pixels > threshold).mean() <= 1 - q


def test_defects_are_no_normal_pixels_and_serve_the_rule_that_wants_them() -> None:
    fit = fitted(BestF1(), labels=(0, 0, 0, 0, 1, 1)).fitted
    assert (fit.pixels, fit.anomalous) == (4 * 4800 + 2 * 4400, 2)


def test_every_zone_has_its_own_pixels() -> None:
    table = np.array(fitted(Quantile(q=0.99), zones=2).fitted.zone_pixel_thresholds)
    pixels = np.stack(MAPS)
    for row in range(2):
        for column in range(2):
            part = pixels[:, 40 * row : 40 * (row + 1), 30 * column : 30 * (column + 1)]
            assert table[row, column] == pytest.approx(np.quantile(part, 0.99, method="higher"), rel=5e-5)


def test_where_both_classes_are_there_they_are_ranked() -> None:
    batch = {INDEX: torch.arange(6), GEOMETRY: PLACES, REGIONS: [[]] * 6}
    both, one = Validation(zones=1), Validation(zones=1)
    scores = [0.1, 0.2, 0.9, 0.3, 0.25, 9.0]
    for validation, labels in ((both, (0, 0, 0, 1, 1, None)), (one, (0, 0, 0, 0, 0, None))):
        records = [Record(Path(f"{i}.png"), "c", "val", label=label) for i, label in enumerate(labels)]
        validation.add(batch | {RECORD: records}, scores=scores, maps=MAPS)
    assert both.facts()["image/auroc"] == pytest.approx(4 / 6)
    assert one.facts() == {}


def test_scores_are_kept_by_category_and_part_in_the_order_of_their_paths() -> None:
    names = (("b", "x/2.png", "x", 0), ("a", "1.png", "", 0), ("b", "x/1.png", "x", 0), ("b", "3.png", "", 1))
    records = [Record(Path(path), c, "val", label=label, group=group) for c, path, group, label in names]
    validation = Validation(zones=1)
    batch = {INDEX: torch.arange(4), RECORD: records, GEOMETRY: PLACES[:4], REGIONS: [[], [], [], None]}
    validation.add(batch, scores=[1.0, 2.0, 3.0, 4.0], maps=MAPS[:4])
    assert validation.parts() == {"a": [[2.0]], "b": [[3.0, 1.0]]}
