"""What the domain-shift study says: a sentence on false alarms never leaves out the missed defects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adframe.analysis.compare import Comparison
from adframe.analysis.questions import Answer
from adframe.analysis.settings import Setting, by_category
from adframe.analysis.studies.domain_shift_plots import condition_bars
from adframe.analysis.studies.shift_decisions import decisions_of, decisions_table
from adframe.analysis.studies.shift_findings import (
    shift_findings,
    shift_title,
    threshold_notes,
    validation_images,
)
from adframe.analysis.studies.shift_results import (
    CLEAN,
    FROZEN,
    THRESHOLD,
    ShiftCase,
    conditions_text,
)
from adframe.reporting.figure_render import svg
from adframe.results.frame import OWN, RECALIBRATED, TestResult
from adframe.results.run_folder import RunFolder
from adframe.stats.estimates import Difference
from tests.fakes.run_folder import row

SUBJECT = "patchcore, dark"


def answer(question: str, value: float, *, significant: bool = True) -> Answer:
    width = abs(value) / 2 if significant else abs(value) + 0.1
    difference = Difference(value, value - width, value + width, p=0.001 if significant else 0.4)
    adjusted = 0.002 if significant else 0.8
    return Answer(SUBJECT, question, Comparison("a", "b", "mean", "m", difference, adjusted=adjusted))


def recalibrated(fpr: float, f1: float, *, significant: bool = True, recall: float = 0.0) -> list[Answer]:
    return [
        answer("image AUROC lost to the shift", -0.034),
        answer("false-positive rate after recalibration", fpr),
        answer("F1 after recalibration", f1, significant=significant),
        answer("recall after recalibration", recall, significant=False),
    ]


def test_a_loss_of_f1_stands_in_the_sentence_on_the_false_alarms() -> None:
    found = shift_findings(recalibrated(-0.3, -0.484), images={SUBJECT: 4})
    assert found[:2] == [
        "patchcore, dark: the shift lowers image AUROC by 3.4 points (1.7 to 5.1).",
        "patchcore, dark: recalibrating the threshold on 4 normal validation images lowers the "
        "false-positive rate by 30.0 points (15.0 to 45.0) and lowers F1 by 48.4 points (24.2 to 72.6).",
    ]


def test_a_large_loss_that_is_not_significant_is_named_as_such_once() -> None:
    _, first, rest = shift_findings(recalibrated(-0.3, -0.2, significant=False))
    assert "lowers F1 by 20.0 points (-10.0 to 50.0; not significant)." in first
    assert "recall after recalibration" in rest
    assert "F1" not in rest


def test_a_small_loss_that_is_not_significant_is_listed_with_the_others() -> None:
    _, first, rest = shift_findings(recalibrated(-0.3, -0.02, significant=False))
    assert "F1" not in first
    assert "F1 after recalibration (patchcore, dark): -2.0" in rest


def test_the_title_follows_the_decisions_and_warns_of_a_harmful_recalibration() -> None:
    lost = answer("balanced accuracy at the frozen threshold", -0.12)
    alone = (
        "The shift costs 12.0 points of balanced accuracy with the frozen threshold and 3.4 points of image "
    )
    alone += "AUROC"
    assert shift_title([lost, *recalibrated(-0.3, 0.1)]) == alone
    harmful = [lost, *recalibrated(-0.3, -0.484)]
    assert shift_title(harmful) == f"{alone}; recalibrating costs 48.4 points of F1"
    assert shift_title([lost, *recalibrated(-0.3, -0.484, significant=False)]) == alone
    other = replace(answer("F1 after recalibration", -0.5), subject="padim, dark")
    assert shift_title([*harmful, other]).endswith(
        "and up to 3.4 points of image AUROC (patchcore, dark); recalibrating costs up to 50.0 points of F1 "
        "(padim, dark)"
    )
    assert shift_title([answer("image AUROC lost to the shift", -0.01, significant=False)]) == (
        "The shift causes no significant loss of balanced accuracy or of image AUROC"
    )


def case_of(*, images: int, rule: dict[str, object]) -> ShiftCase:
    """A model that called every shifted image anomalous, until its threshold was fitted again."""
    folder = RunFolder(Path("run"))
    folder.metrics = {
        "test": {"bolt": {"image/fpr": 1.0}},
        "val": {"bolt": {"calibration/threshold": 1.0, "calibration/n": images}},
        "recalibrated": {"test": {"bolt": {"threshold": 5.0, "image/fpr": 0.1}}},
    }
    folder.config = {"calibration": {"image": rule}}
    scores = np.arange(40) / 4
    folder.rows = [
        row(path=f"{n:02}.png", label=n % 2, score=float(s), decision=True, threshold=-1.0)
        for n, s in enumerate(scores)
    ]
    folder._draws = {"bolt": {}}

    def setting(name: str, threshold: str) -> Setting:
        test = TestResult("0", folder, "bolt", "bolt", "dark", threshold, {}, folder.config, seed=0)
        return Setting(name, {}, by_category([test]))

    return ShiftCase(
        "patchcore", "dark", setting("clean", OWN), setting("frozen", OWN), setting("again", RECALIBRATED)
    )


def test_decisions_are_counted_at_the_threshold_of_each_condition() -> None:
    case = case_of(images=4, rule={})
    assert decisions_of(case.frozen, ["bolt"]).decisions == (
        "found 20 of 20 defects, false alarms on 20 of 20 normal images"
    )
    assert case.threshold is not None
    assert decisions_of(case.threshold, ["bolt"]).decisions == (
        "found 10 of 20 defects, false alarms on 9 of 20 normal images"
    )
    table = decisions_table([case]).table
    assert table.header[3:] == (
        "defects found",
        "false alarms",
        "recall",
        "FPR",
        "image F1",
        "balanced accuracy",
    )
    assert [line[3:5] for line in table.rows] == [("20 of 20", "20 of 20")] * 2 + [("10 of 20", "9 of 20")]


@pytest.mark.parametrize(
    ("images", "rule", "text"),
    [
        (
            4,
            {"fpr": 0.01},
            "too few validation images for the threshold, also after recalibration. A false-positive",
        ),
        (120, {"fpr": 0.01}, ""),
        (
            4,
            {"deviations": 3.0},
            "has 4 normal images: its threshold cannot guarantee a false-positive rate below 20",
        ),
    ],
)
def test_the_page_warns_where_the_threshold_has_too_few_images(images: int, rule, text: str) -> None:
    case = case_of(images=images, rule=rule)
    notes = threshold_notes([case])
    assert len(notes) == bool(text)
    assert all(text in note for note in notes)
    assert validation_images([case]) == {SUBJECT: images}


def test_a_new_threshold_has_no_bar_of_its_own_where_it_changes_nothing() -> None:
    case = case_of(images=4, rule={})
    case.clean.tests["bolt"][0].folder.metrics["test"]["bolt"]["image/auroc"] = 0.9
    drawn = {key: svg(condition_bars([case], key, name="f")) for key in ("image/auroc", "image/fpr")}
    conditions = ("clean", "frozen", "again")
    named = {key: [each for each in conditions if f">{each}<" in text] for key, text in drawn.items()}
    assert named == {"image/auroc": ["clean", "frozen"], "image/fpr": ["clean", "frozen", "again"]}


def test_the_page_explains_the_conditions_that_were_tested() -> None:
    case = ShiftCase("PaDiM", "dark", Setting(CLEAN, {}, {}), Setting(FROZEN, {}, {}))
    text = conditions_text([case, replace(case, threshold=Setting(THRESHOLD, {}, {}))])
    assert "clean (without the shift), nothing adapted (with the shift; " in text
    assert "threshold recalibrated (with the shift; " in text
    assert "model refitted" not in text
