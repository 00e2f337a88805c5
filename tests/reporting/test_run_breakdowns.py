import re
from pathlib import Path

import pytest

from adframe.reporting.run_breakdowns import (
    ALL_LIGHTS,
    category_lights,
    defect_table,
    light_table,
    zone_table,
)
from adframe.reporting.run_page import cell_intervals, write_page
from adframe.reporting.tables import metrics_table
from adframe.reporting.threshold_summary import calibration_name, category_thresholds, promise_sentences
from adframe.results.run_folder import RunFolder
from tests.fakes.run_folder import row, write_rich_run, write_run

LINKS = {"zones", "probabilities", "lights", "defects"}


def run_of(*, test=None, rows=(), defects=None, intervals=None, val=None, config=None):
    run = RunFolder(Path())
    run.metrics = {"test": test or {}, "val": val or {}, "defects": {"test": defects or {}}}
    run.metrics["intervals"] = {"test": intervals or {}}
    run.rows, run.config = list(rows), config or {}
    return run


def links(text):
    return set(re.findall(r'href="#([a-z]+)"', text)) & LINKS


def test_a_section_and_its_link_are_there_exactly_where_there_is_something_to_show(tmp_path):
    rich = write_page(write_rich_run(tmp_path / "rich", lights=("regular", "dim"))).read_text()
    plain = write_page(write_run(tmp_path / "plain")).read_text()
    assert links(rich) == LINKS == set(re.findall(r'<section id="([a-z]+)"', rich)) & LINKS
    assert links(plain) == set() == set(re.findall(r'<section id="([a-z]+)"', plain)) & LINKS
    assert "By defect type" in plain  # by category, from the ledger


def test_the_hardest_type_of_defect_comes_first_and_ties_are_broken_by_recall():
    types = {
        "dent": {"images": 4.0, "image/auroc": 1.0, "image/recall": 0.9},
        "hole": {"images": 3.0, "image/auroc": 1.0, "image/recall": 0.2},
        "odd": {"images": 1.0, "image/auroc": None},
        "scratch": {"images": 2.0, "image/auroc": 0.8},
    }
    table = defect_table(run_of(test={"bolt": {}}, defects={"bolt": types}))
    assert [line[0] for line in table.rows] == ["scratch", "hole", "dent", "odd"]
    assert table.header == ("defect", "images", "image AUROC", "recall")
    assert defect_table(run_of(test={"bolt": {}}, defects={"bolt": {"bad": types["dent"]}})) is None


def test_equal_names_of_two_categories_are_told_apart():
    types = {"bad": {"image/auroc": 0.5}, "worse": {"image/auroc": 0.4}}
    table = defect_table(run_of(test={"a": {}, "b": {}}, defects={"a": types, "b": types}))
    assert [line[0] for line in table.rows] == ["a: worse", "b: worse", "a: bad", "b: bad"]


def test_a_subset_is_no_light_and_the_regular_light_comes_first():
    numbers = {"dim/image/auroc": 0.5, "regular/image/auroc": 0.9, "logical/image/auroc": 0.1}
    rows = [row(condition=name) for name in ("dim", "regular", "regular")]
    run = run_of(test={"bolt": numbers | {"image/auroc": 0.7}}, rows=rows)
    assert light_table(run).rows == (("regular", 2, 0.9), ("dim", 1, 0.5), (ALL_LIGHTS, 3, 0.7))
    assert [line[0] for line in category_lights(run, "bolt").rows] == ["regular", "dim"]


def test_lower_false_alarms_win_and_what_looks_equal_does_not():
    one = {"image/f1": 0.80004, "image/fpr": 0.1, "pixel/iou": 0.2}
    zones = {"zones/image/f1": 0.8, "zones/image/fpr": 0.05, "zones/pixel/iou": None}
    found = zone_table(run_of(test={"bolt": one | zones, "mean": one | zones}))
    assert found is not None
    table, better = found
    assert table.header[1:] == (
        "image F1, one threshold", "image F1, zones", "image FPR, one threshold", "image FPR, zones"
    )  # fmt: skip
    assert [row[0] for row in table.rows] == ["bolt"]
    assert better == {(0, 4): "better"}


def test_intervals_stand_in_the_means_row_too():
    test = {name: {"image/auroc": 0.9} for name in ("bolt", "tray", "mean")}
    run = run_of(test=test, intervals={"mean": {"image/auroc": (0.853, 0.951)}})
    assert cell_intervals(metrics_table(test), run) == {(2, 1): "(85.3 to 95.1)"}


@pytest.mark.parametrize(
    ("image", "text", "asked"),
    [
        ({"_target_": "x.Quantile", "q": 0.995}, "quantile 0.995 on images", 0.005),
        (
            {"_target_": "x.FixedFpr", "fpr": 0.01},
            "false-positive rate 0.01 (split conformal) on images",
            0.01,
        ),
        ({"_target_": "x.BestF1"}, "best F1 on images", None),
        ({"_target_": "their.Own", "k": 3}, "Own (k 3) on images", None),
    ],
)
def test_the_rules_are_named_with_their_settings(image, text, asked):
    node = {"image": image, "pixel": {"_target_": "x.MeanStd", "deviations": 3.0}, "probability": "platt"}
    run = run_of(config={"calibration": node})
    assert calibration_name(run) == f"{text}, mean + 3 std on pixels; probabilities by Platt scaling"
    assert promised_by(node) == (None if asked is None else pytest.approx(asked))


def promised_by(calibration):
    """The rate that a run of an earlier version promises; its metrics have the number of images only."""
    facts = {"calibration/threshold": 1.0, "calibration/n": 32}
    run = run_of(test={"bolt": {}}, val={"bolt": facts}, config={"calibration": calibration})
    return category_thresholds(run)[0].promised


def test_a_rate_is_said_with_the_images_that_it_needs_and_those_that_there_are():
    image = {"_target_": "adframe.calibration.rules.FixedFpr", "fpr": 0.01}
    few, many = ({"calibration/threshold": 1.0, "calibration/n": n} for n in (32, 120))
    config = {"calibration": {"image": image}}
    short = "A false-positive rate of 1% needs 99 normal validation images, but there are only 32: the "
    short += "threshold is the highest score, which up to 3.03% of other normal images exceed on average."
    enough = "A false-positive rate of 1% needs 99 normal validation images, and there are 120."
    both = {"bolt": {}, "tray": {}}
    assert promise_sentences(run_of(test=both, val={"bolt": few, "tray": few}, config=config)) == [short]
    found = promise_sentences(run_of(test=both, val={"bolt": few, "tray": many}, config=config))
    assert found == [f"bolt: {short}", f"tray: {enough}"]
    facts = few | {"calibration/promised_fpr": 0.2, "calibration/expected_fpr": 0.18}
    (found,) = promise_sentences(run_of(test={"bolt": {}}, val={"global": facts}, config={}))
    assert found == "A false-positive rate of 20% needs 4 normal validation images, and there are 32."
    mean = {"calibration": {"image": {"_target_": "x.MeanStd", "deviations": 3.0}}}
    assert promise_sentences(run_of(test={"bolt": {}}, val={"bolt": few}, config=mean)) == []


def test_a_run_of_one_rule_is_named_as_before():
    run = run_of(config={"calibration": {"_target_": "x.Quantile", "q": 0.9}})
    assert calibration_name(run) == "quantile 0.9"
    assert calibration_name(run_of(config={"calibration": "f1"})) == "f1"
    assert promised_by(run.config["calibration"]) == pytest.approx(0.1)
