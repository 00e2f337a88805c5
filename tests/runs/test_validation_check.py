"""A run whose validation images do not look like its test images says so, and promises no rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from adframe.io.files import write_json
from adframe.reporting.run_page import write_page
from adframe.reporting.threshold_summary import promise_sentences
from adframe.results.predictions import write_predictions
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import write_scores
from adframe.runs.validation_check import check_validation, warn_of_unlike_validation
from tests.fakes.pages import words_of
from tests.fakes.run_folder import row

FPR = 0.2


def leave_run(
    path: Path,
    known: dict[str, np.ndarray],
    new: dict[str, np.ndarray],
    *,
    groups: int = 1,
    pooled: bool = False,
    refitted: bool = False,
) -> RunFolder:
    """A run with a conformal threshold; `groups` images in a row show one part."""
    folder = RunFolder(path)
    folder.metrics = {"test": {name: {"image/auroc": 0.9} for name in new}, "val": {}}
    folder.environment = {"model": "patchcore", "dataset": "cloth"}
    units = {"global": list(known)} if pooled else {name: [name] for name in known}
    for unit, names in units.items():
        scores = np.concatenate([known[name] for name in names])
        threshold = float(np.quantile(scores, 1 - FPR, method="higher"))
        parts = {name: known[name].reshape(-1, groups).tolist() for name in names}
        normal = {"normal": scores, "anomalous": []}
        write_scores(path, unit=unit, scores=normal, parts=parts, refitted=refitted)
        folder.metrics["val"][unit] = {
            "calibration/threshold": threshold,
            "calibration/n": len(scores),
            "calibration/promised_fpr": FPR,
            "calibration/expected_fpr": FPR,
        }
        for name in names:
            folder.rows += rows_of(name, new[name], threshold=threshold, groups=groups)
    return folder


def rows_of(name: str, scores: np.ndarray, *, threshold: float, groups: int) -> list[dict[str, Any]]:
    found = []
    for place, score in enumerate(scores):
        own = {"category": name, "path": f"/{name}/{place:03}.png", "score": float(score)}
        own |= {"decision": bool(score > threshold), "threshold": threshold}
        found.append(row(**own, group=f"{place // groups}" if groups > 1 else ""))
    return found


def test_the_warning_has_promised_and_observed_rate_and_stands_in_report_and_terminal(tmp_path, capsys):
    rng = np.random.default_rng(0)
    folder = leave_run(tmp_path, {"cloth": rng.normal(size=32)}, {"cloth": rng.normal(size=41) + 1.5})
    warn_of_unlike_validation(folder)
    alarms = sum(each["decision"] for each in folder.rows)
    expected = (
        "cloth: the validation images do not look like the test images: 41 normal test images score higher "
        "on average than 32 images of validation (p < 0.001), so no false-positive rate can be promised for "
        "them; "
        f"promised for images like those of validation: 20%, observed: {100 * alarms / 41:.1f}% "
        f"({alarms} of 41 images)"
    )
    assert folder.environment["warnings"] == [expected]
    assert f"note: {expected}" in capsys.readouterr().err
    (sentence,) = promise_sentences(folder)
    assert "needs 4 normal validation images, and there are 32. This holds for images like those" in sentence
    folder.metrics["intervals"] = {"test": {}}
    folder.write_config({"seed": 0})
    for name, content in (("metrics", folder.metrics), ("environment", folder.environment)):
        write_json(tmp_path / f"{name}.json", content)
    write_predictions(tmp_path / "predictions.parquet", folder.rows)
    assert "the validation images do not look like the test images" in words_of(write_page(tmp_path))


def test_images_that_are_alike_few_images_and_older_runs_give_no_warning(tmp_path):
    rng = np.random.default_rng(1)
    alike = leave_run(tmp_path / "alike", {"a": rng.normal(size=32)}, {"a": rng.normal(size=41)})
    tiny = leave_run(tmp_path / "tiny", {"a": rng.normal(size=2)}, {"a": rng.normal(size=3) + 9})
    older = leave_run(tmp_path / "older", {"a": rng.normal(size=32)}, {"a": rng.normal(size=41) + 9})
    write_scores(older.path, unit="a", scores={"normal": [0.0, 1.0], "anomalous": []})
    for folder in (alike, tiny, older):
        warn_of_unlike_validation(folder)
        assert "warnings" not in folder.environment
    assert check_validation(older) == []


def test_a_run_without_labels_is_not_checked(tmp_path):
    folder = leave_run(tmp_path, {"a": np.arange(9.0)}, {"a": np.arange(9.0) + 99})
    folder.rows = [each | {"label": None} for each in folder.rows]
    assert check_validation(folder) == []


def test_a_refitted_model_is_not_accused_of_lower_scores(tmp_path):
    rng = np.random.default_rng(2)
    known, new = rng.normal(size=60), rng.normal(size=60) - 1
    folder = leave_run(tmp_path / "plain", {"a": known}, {"a": new})
    (check,) = check_validation(folder)
    assert check.p < 0.01
    assert "score lower on average" in check.sentence(0.001)
    grown = leave_run(tmp_path / "grown", *({"a": scores} for scores in (known, new)), refitted=True)
    assert check_validation(grown)[0].p > 0.01


def test_images_of_one_part_count_once(tmp_path):
    rng = np.random.default_rng(3)
    known, new = (np.repeat(rng.normal(size=6), 10) + 0.1 * rng.normal(size=60) for _ in range(2))
    (grouped,) = check_validation(leave_run(tmp_path / "a", {"a": known}, {"a": new + 0.8}, groups=10))
    (alone,) = check_validation(leave_run(tmp_path / "b", {"a": known}, {"a": new + 0.8}))
    assert (len(grouped.known), len(grouped.new), grouped.images) == (6, 6, 60)
    assert alone.p < 0.01 < grouped.p
    assert "60 normal test images of 6 parts score higher on average than 6 parts of" in grouped.sentence(0.5)


def test_a_model_for_all_compares_each_category_with_its_own_validation_images(tmp_path):
    """The scores of two categories differ, and so does their share in validation and in test."""
    rng = np.random.default_rng(4)
    known = {"a": rng.normal(size=60), "b": rng.normal(size=10) + 9}
    new = {"a": rng.normal(size=10), "b": rng.normal(size=60) + 9}
    checks = check_validation(leave_run(tmp_path, known, new, pooled=True))
    assert [check.category for check in checks] == ["a", "b"]
    assert all(check.p > 0.01 for check in checks)


@pytest.mark.parametrize("categories", [1, 5])
def test_one_run_in_a_hundred_is_warned_without_a_reason(tmp_path, categories):
    rng, warned, runs = np.random.default_rng(5), 0, 300
    names = [f"c{place}" for place in range(categories)]
    for number in range(runs):
        known, new = ({name: rng.gamma(2, size=n) for name in names} for n in (20, 30))
        folder = leave_run(tmp_path / f"{number}", known, new, refitted=bool(number % 2))
        warn_of_unlike_validation(folder)
        warned += "warnings" in folder.environment
    # A level of 1 in 20 instead of 1 in 100 would be refused in 98 of 100 tries.
    assert stats.binomtest(warned, runs, 0.01, alternative="greater").pvalue > 0.001


def test_another_domain_is_compared_with_the_validation_images_of_the_run_quietly(tmp_path, capsys):
    rng = np.random.default_rng(6)
    run = leave_run(tmp_path / "run", {"a": rng.normal(size=32)}, {"a": rng.normal(size=41)})
    shifted = leave_run(
        run.path / "domains/dark", {"a": rng.normal(size=32) + 3}, {"a": rng.normal(size=41) + 3}
    )
    warn_of_unlike_validation(shifted, validation=run.path, printed=False)
    assert "the validation images do not look like the test images" in shifted.environment["warnings"][0]
    assert capsys.readouterr().err == ""
    assert check_validation(shifted)[0].p > 0.01  # the recalibrated threshold has its own
