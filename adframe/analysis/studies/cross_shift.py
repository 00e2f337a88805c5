"""Writes the page of models that were fitted under one shift and tested under each other one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.analysis.settings import Setting, by_category, categories_and_mean, methods_of
from adframe.analysis.studies.shift_results import SHIFT_GROUPS
from adframe.analysis.studies.transfer_grid import Grid, Place
from adframe.analysis.studies.transfer_page import write_grids
from adframe.errors import AdframeError
from adframe.results.frame import OWN, TestResult, load_results
from adframe.results.names import DOMAINS, MEAN, is_own
from adframe.results.sweep_folder import SweepFolder


class CrossShift:
    """The study of runs that were fitted under different shifts and tested under all of them.

    Args:
        question: the question that the study asks, one or two sentences.

    Example:
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = CrossShift(question="Does a model generalise to another shift?")
        >>> study.write(read_sweep(Path("multirun/cross_shift")))  # doctest: +SKIP
        PosixPath('multirun/cross_shift/study.html')
    """

    def __init__(self, *, question: str) -> None:
        self.question = question

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder.

        Args:
            sweep: a finished sweep.

        Returns:
            The path of the page.

        Raises:
            AdframeError: models were fitted under fewer than two shifts, or a run cannot be read.
        """
        methods = methods_of(load_results(sweep.finished), sweep.varied, ignored=SHIFT_GROUPS)
        grids = [grid for method, tests in methods.items() for grid in _shift_grids(method, tests)]
        if not grids:
            raise AdframeError(
                f"{sweep.path} has no two runs that were fitted under different shifts and tested under the "
                "same domains= (shift=none,severe shift.splits=[train,val,test] +shift@domains.none=none ...)"
            )
        return write_grids(
            sweep,
            grids,
            means=[grid for grid in grids if grid.category == MEAN] or grids,
            kind="shift",
            question=self.question,
            notes=[
                "A model's threshold is fitted to validation images under the shift of its training images."
            ],
        )


def _shift_grids(method: str, tests: Sequence[TestResult]) -> list[Grid]:
    """Builds one grid per category and one for their mean; none with fewer than two shifts."""
    by_place: dict[Place, list[TestResult]] = {}
    for test in tests:
        fitted = _shift_of_fit(test.config)
        if fitted is not None and test.threshold == OWN:
            by_place.setdefault((fitted, test.domain or fitted), []).append(test)
    fitted_under = tuple(dict.fromkeys(row for row, _ in by_place))
    if len(fitted_under) < 2:
        return []
    found = {place: by_category(own) for place, own in by_place.items()}
    tested_under = tuple(dict.fromkeys([*fitted_under, *(column for _, column in found)]))
    grids = []
    for where, categories in categories_and_mean(list(next(iter(found.values())))):
        # A category without tests stays in the cell, so that the cell's mean is unknown.
        cells = {
            place: Setting(
                f"{method}, {' on '.join(place)}", {}, {name: own.get(name, ()) for name in categories}
            )
            for place, own in found.items()
        }
        grids.append(Grid(method, where, fitted_under, tested_under, cells))
    return grids


def _shift_of_fit(config: Mapping[str, Any]) -> str | None:
    """Returns the domain under which a run was fitted, calibrated and tested; None where these differ."""
    splits = set(config["shift"]["splits"])
    if config["shift"]["transforms"] and splits != {"train", "val", "test"}:
        return None
    named = [name for name in config.get(DOMAINS) or {} if is_own(config, name)]
    return named[0] if named else str(config["shift"]["name"])
