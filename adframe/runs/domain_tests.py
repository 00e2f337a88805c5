"""Tests of a fitted model beyond its own images: under other domains, and on other categories.

Each leaves a folder of books like an evaluation's: `<run>/domains/<name>/`, `<run>/transfer/<category>/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adframe.callbacks.progress import ProgressLine
from adframe.data.datamodule import AnomalyData
from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.metrics.image import decision_metrics
from adframe.metrics.resampled import drawn_decisions
from adframe.reporting.run_page import write_page
from adframe.results.names import DOMAINS, RECALIBRATED, TRANSFER, is_own
from adframe.results.run_files import read_book
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import write_scores
from adframe.runs.recipe import Recipe
from adframe.runs.test import measure
from adframe.stats.bootstrap import percentile_intervals
from adframe.systems.detection import DetectionSystem


@dataclass(frozen=True, slots=True)
class FurtherTest:
    """One model, tested where it was not fitted.

    Attributes:
        path: of the books.
        unit: the model: a category, or `global`.
        categories: whose test images it sees.
        domain: the name of a domain; None: images as the run has them.
    """

    path: Path
    unit: str
    categories: tuple[str, ...]
    domain: str | None

    @property
    def done(self) -> bool:
        """Whether all of it is in the books."""
        return set(self.categories) <= set(self._done())

    def run(
        self, recipe: Recipe, folder: RunFolder, system: DetectionSystem, pools: Mapping[str, AnomalyData]
    ) -> None:
        """Tests what is missing.

        Args:
            recipe: of the run.
            folder: the run's.
            system: the fitted model.
            pools: images of each category, as the run has them.
        """
        own = recipe.elsewhere() if self.domain is None else recipe.under(self.domain)
        book = self._opened(own, folder)
        book.metrics["val"][self.unit] = folder.metrics["val"][self.unit]
        if self.domain is not None:
            images = own.data(pools[self.categories[0]].source, self.categories)
            images.setup()
            pools = dict.fromkeys(self.categories, images)
        for category in self.categories:
            if category not in book.done:
                measure(own, book, system, pools[category], category=category, tracker=None)
        if self.domain is not None:
            _enter_recalibrated(own, book, system, images, unit=self.unit)

    def _done(self) -> list[str]:
        file = self.path / "metrics.json"
        metrics = read_book(file) if file.is_file() else {}
        return list((metrics if self.domain is None else metrics.get(RECALIBRATED, {})).get("test", {}))

    def _opened(self, own: Recipe, folder: RunFolder) -> RunFolder:
        book = RunFolder(self.path)
        if (self.path / "config.yaml").is_file():
            book.reopen()
        else:
            noted = {k: v for k, v in folder.environment.items() if k not in ("warnings", "wall_seconds")}
            if self.domain is not None:
                noted["shift"] = own.shift_name
            book.open(config=own.config, environment=noted)
        return book


def further_tests(recipe: Recipe, run: Path, *, unit: str, categories: Sequence[str]) -> list[FurtherTest]:
    """The tests of one model, which has been fitted to some of the run's categories.

    The domain in which the run itself is tested is left out.

    Args:
        recipe: of the run.
        run: its folder.
        unit: the model.
        categories: all of the run's.
    """
    mine = tuple(categories) if recipe.pooled else (unit,)
    tests = [
        FurtherTest(run / DOMAINS / name, unit, mine, name)
        for name in recipe.domains
        if not is_own(recipe.config, name)
    ]
    others = tuple(name for name in categories if name not in mine)
    if recipe.transfer and others:
        tests.append(FurtherTest(run / TRANSFER / unit, unit, others, None))
    return tests


def check_further(recipe: Recipe, units: Mapping[str, AnomalyData]) -> None:
    """Refuses domains whose thresholds could not be fitted, and builds each once."""
    for name in recipe.domains:
        recipe.under(name).check_shift()
    free = recipe.learning() is None
    if recipe.domains and free and recipe.refit and any(data.held_out for data in units.values()):
        raise AdframeError(
            "domains= fits thresholds again on shifted validation images, which refit=true would put into "
            "the model: set refit=false"
        )
    if recipe.transfer and (recipe.pooled or len(units) < 2):
        raise AdframeError("transfer=true needs two categories or more, with scope=per_category")


def write_further_pages(tests: Sequence[FurtherTest]) -> None:
    """The report of each folder, when all of its books are written."""
    for path in dict.fromkeys(test.path for test in tests):
        write_page(path)


def _enter_recalibrated(
    recipe: Recipe, book: RunFolder, system: DetectionSystem, data: AnomalyData, *, unit: str
) -> None:
    """Fits the thresholds of an unchanged model to the domain's validation images, and decides again.

    Scores stay what they are, so only decisions about images change; maps are not thresholded again.
    """
    calibrated = DetectionSystem(detector=system.detector, calibrator=recipe.calibrator(), pixel=system.pixel)
    trainer = recipe.trainer([ProgressLine(title=f"{unit}, thresholds")], None)
    trainer.validate(calibrated, dataloaders=data.val_dataloader(), verbose=False)
    write_scores(book.path, unit=unit, scores=calibrated.validation_scores())
    threshold = calibrated.calibrator.fitted.threshold
    entries: dict[str, Any] = book.metrics.setdefault(RECALIBRATED, {"test": {}, "intervals": {}, "val": {}})
    entries["val"][unit] = calibrated.calibrator.facts()
    for category in data.categories:
        rows = [row for row in book.rows if row["category"] == category and row["label"] is not None]
        decided = np.array([row["score"] > threshold for row in rows])
        labels = np.array([bool(row["label"]) for row in rows])
        drawn = drawn_decisions(rows, threshold=threshold, seed=recipe.seed)
        entries["test"][category] = {"threshold": threshold, **decision_metrics(decided, labels=labels)}
        entries["intervals"][category] = percentile_intervals(drawn)
    write_json(book.path / "metrics.json", book.metrics)
