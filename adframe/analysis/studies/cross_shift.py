"""The cross-shift study: fitted under one shift, tested under each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.analysis.settings import Setting, by_category, methods_of, places_of
from adframe.analysis.studies.shift_results import ASIDE
from adframe.analysis.studies.transfer_grid import Grid, Place, Square
from adframe.analysis.studies.transfer_page import write_grids
from adframe.errors import AdframeError
from adframe.results.frame import OWN, TestResult, load_results
from adframe.results.names import DOMAINS, MEAN, is_own
from adframe.results.sweep_folder import SweepFolder


class CrossShift:
    """Makes the page of runs that were fitted under different shifts and tested under all of them.

    Args:
        question: what the study asks, one or two sentences.
    """

    def __init__(self, *, question: str) -> None:
        self.question = question

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: models were fitted under fewer than two shifts, or a run cannot be read.
        """
        methods = methods_of(load_results(sweep.finished), sweep.varied, aside=ASIDE)
        grids = [grid for method, tests in methods.items() for grid in _grids(method, tests)]
        if not grids:
            raise AdframeError(
                f"{sweep.path} has no two runs fitted under different shifts and tested under the same "
                "domains= (shift=none,severe shift.splits=[train,val,test] +shift@domains.none=none ...)"
            )
        return write_grids(
            sweep,
            grids,
            means=[grid for grid in grids if grid.category == MEAN] or grids,
            kind="shift",
            question=self.question,
            notes=["A model's threshold is fitted to validation images under the shift it was fitted under."],
        )


def _grids(method: str, tests: Sequence[TestResult]) -> list[Grid]:
    cells: dict[Place, list[TestResult]] = {}
    for test in tests:
        fitted = _fitted_under(test.config)
        if fitted is not None and test.threshold == OWN:
            cells.setdefault((fitted, test.domain or fitted), []).append(test)
    fitted_under = tuple(dict.fromkeys(row for row, _ in cells))
    if len(fitted_under) < 2:
        return []
    found = {
        place: Setting(f"{method}, {' on '.join(place)}", {}, by_category(own))
        for place, own in cells.items()
    }
    places = places_of(next(iter(found.values())).categories)
    return [
        Grid(
            method,
            where,
            fitted_under,
            tuple(dict.fromkeys([*fitted_under, *(column for _, column in cells)])),
            {place: Square(setting, categories) for place, setting in found.items()},
        )
        for where, categories in places
    ]


def _fitted_under(config: Mapping[str, Any]) -> str | None:
    """The domain under which a run was fitted, calibrated and tested; None where these differ."""
    splits = set(config["shift"]["splits"])
    if config["shift"]["transforms"] and splits != {"train", "val", "test"}:
        return None
    named = [name for name in config.get(DOMAINS) or {} if is_own(config, name)]
    return named[0] if named else str(config["shift"]["name"])
