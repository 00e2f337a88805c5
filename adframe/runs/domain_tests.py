"""Tests of a fitted model beyond its own images: under other domains, and on other categories.

Each test leaves a folder with the files of an evaluation: `<run>/domains/<name>/` or
`<run>/transfer/<category>/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adframe.callbacks.progress import StageProgress
from adframe.data.datamodule import AnomalyData
from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.io.processes import current_processes
from adframe.metrics.image import decision_metrics
from adframe.metrics.measured import intervals_of, measured_metrics
from adframe.metrics.resampled import drawn_decisions
from adframe.reporting.run_page import write_page
from adframe.reporting.threshold_summary import UNLIKE_VALIDATION
from adframe.results.names import DOMAINS, RECALIBRATED, TRANSFER, is_own
from adframe.results.run_files import read_run_file
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import write_scores
from adframe.runs.recipe import Recipe
from adframe.runs.test import evaluate_category
from adframe.runs.validation_check import warn_of_unlike_validation
from adframe.systems.detection import DetectionSystem

_OWN_FACTS = ("warnings", "wall_seconds", UNLIKE_VALIDATION)  # of a run, not of its further tests


@dataclass(frozen=True, slots=True)
class FurtherTest:
    """The test of one model on images to which it was not fitted.

    Attributes:
        path: the folder of the results.
        unit: the model: a category, or `global`.
        categories: the categories whose test images are scored.
        domain: the name of a domain; None for images as the run has them.

    Example:
        >>> test = FurtherTest(Path("run/domains/dark"), unit="bottle", categories=("bottle",), domain="dark")
        >>> test.done
        False
    """

    path: Path
    unit: str
    categories: tuple[str, ...]
    domain: str | None

    @property
    def done(self) -> bool:
        """Whether the results of all categories are written."""
        file = self.path / "metrics.json"
        metrics = read_run_file(file) if file.is_file() else {}
        # Under a domain, the decisions with recalibrated thresholds are entered last.
        entered = metrics if self.domain is None else metrics.get(RECALIBRATED, {})
        return set(self.categories) <= set(entered.get("test", {}))

    def run(
        self,
        recipe: Recipe,
        folder: RunFolder,
        system: DetectionSystem,
        data_of: Mapping[str, AnomalyData],
    ) -> None:
        """Tests the categories whose results are missing, and writes them.

        Args:
            recipe: the recipe of the run.
            folder: the folder of the run.
            system: the fitted model.
            data_of: category -> its images as the run has them.
        """
        own = recipe.for_transfer() if self.domain is None else recipe.with_domain(self.domain)
        results = self._open_folder(own, folder)
        results.metrics["val"][self.unit] = folder.metrics["val"][self.unit]
        if self.domain is not None:
            shifted = own.data(data_of[self.categories[0]].source, self.categories)
            shifted.setup()
            data_of = dict.fromkeys(self.categories, shifted)
        for category in self.categories:
            if category not in results.done:
                evaluate_category(own, results, system, data_of[category], category=category, tracker=None)
        if self.domain is not None:
            _enter_recalibrated(own, results, system, shifted, unit=self.unit)

    def _open_folder(self, own: Recipe, run: RunFolder) -> RunFolder:
        results = RunFolder(self.path)
        if (self.path / "config.yaml").is_file():
            results.reopen()
            return results
        facts = {k: v for k, v in run.environment.items() if k not in _OWN_FACTS}
        if self.domain is not None:
            facts["shift"] = own.shift_name
        results.open(config=own.config, environment=facts)
        return results


def further_tests(recipe: Recipe, run: Path, *, unit: str, categories: Sequence[str]) -> list[FurtherTest]:
    """Lists the further tests of one model.

    Args:
        recipe: the recipe of the run.
        run: the folder of the run.
        unit: the model: a category, or `global`.
        categories: all categories of the run.

    Returns:
        One test per domain, without the domain in which the run itself is tested; with `transfer=true` also
        one on all other categories.
    """
    fitted = tuple(categories) if recipe.pooled else (unit,)
    tests = [
        FurtherTest(run / DOMAINS / name, unit, fitted, name)
        for name in recipe.domains
        if not is_own(recipe.config, name)
    ]
    others = tuple(name for name in categories if name not in fitted)
    if recipe.transfer and others:
        tests.append(FurtherTest(run / TRANSFER / unit, unit, others, None))
    return tests


def check_further(recipe: Recipe, units: Mapping[str, AnomalyData]) -> None:
    """Checks before the first fit that all further tests are possible.

    Args:
        recipe: the recipe of the run; the shift of every domain is built once.
        units: model -> its images.

    Raises:
        AdframeError: a shift cannot be built, thresholds could not be fitted again without the images that
            the model has seen, or there are no other categories.
    """
    for name in recipe.domains:
        recipe.with_domain(name).check_shift()
    # A refit puts the held-out images into the model, which then scores them too low for a threshold.
    training_free = recipe.learning() is None
    refits = training_free and recipe.refit and any(data.held_out for data in units.values())
    if recipe.domains and refits:
        raise AdframeError(
            "domains= fits thresholds again on shifted validation images, which refit=true would put into "
            "the model: set refit=false"
        )
    if recipe.transfer and (recipe.pooled or len(units) < 2):
        raise AdframeError("transfer=true needs two categories or more, with scope=per_category")


def write_further_pages(tests: Sequence[FurtherTest]) -> None:
    """Writes the report of each folder of results.

    Under a domain the run's own validation images gave the thresholds. That they differ from the shifted test
    images is no surprise, so only the report of the domain says it.

    Args:
        tests: all of them done; several models may share a folder.
    """
    for path, domain in {test.path: test.domain for test in tests}.items():
        if domain is not None:
            results = RunFolder(path)
            results.reopen()
            run = path.parents[1]
            warn_of_unlike_validation(results, validation=run, printed=False)
        write_page(path)


def _enter_recalibrated(
    recipe: Recipe, results: RunFolder, system: DetectionSystem, data: AnomalyData, *, unit: str
) -> None:
    """Fits the thresholds of an unchanged model to the domain's validation images, and decides again.

    The scores do not change, so only decisions about images do; maps are not thresholded again.
    """
    calibrated = DetectionSystem(detector=system.detector, calibrator=recipe.calibrator(), pixel=system.pixel)
    trainer = recipe.trainer([StageProgress(title=f"{unit}, thresholds")], None)
    trainer.validate(calibrated, dataloaders=data.val_dataloader(), verbose=False)
    if not current_processes().first:
        return
    write_scores(
        results.path,
        unit=unit,
        scores=calibrated.validation_scores(),
        parts=calibrated.validation_parts(),
    )
    threshold = calibrated.calibrator.fitted.threshold
    entries: dict[str, Any] = results.metrics.setdefault(
        RECALIBRATED, {"test": {}, "intervals": {}, "val": {}}
    )
    entries["val"][unit] = calibrated.calibrator.facts()
    for category in data.categories:
        rows = [row for row in results.rows if row["category"] == category and row["label"] is not None]
        decisions = np.array([row["score"] > threshold for row in rows])
        labels = np.array([bool(row["label"]) for row in rows])
        metrics = decision_metrics(decisions, labels=labels)
        measured = measured_metrics(metrics, drawn_decisions(rows, threshold=threshold), images=rows)
        entries["test"][category] = {"threshold": threshold, **metrics}
        entries["intervals"][category] = intervals_of(measured)
    write_json(results.path / "metrics.json", results.metrics)
