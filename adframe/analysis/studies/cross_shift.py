"""The cross-shift study: fitted under one shift, tested under each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.analysis.studies.method_groups import Done, grouped
from adframe.analysis.studies.shift_results import further_domains
from adframe.analysis.studies.test_result import Condition, read_condition
from adframe.analysis.studies.transfer_grid import Grid, Place, Square
from adframe.analysis.studies.transfer_page import write_grids
from adframe.errors import AdframeError
from adframe.results.names import DOMAINS, MEAN, is_own
from adframe.results.sweep_folder import Sweep


class CrossShift:
    """Makes the page of runs that were fitted under different shifts and tested under all of them.

    Args:
        question: what the study asks, one or two sentences.
    """

    def __init__(self, *, question: str) -> None:
        self.question = question

    def write(self, sweep: Sweep) -> Path | None:
        """Writes `study.html`, its figures and tables into the sweep's folder; returns the page.

        Raises:
            AdframeError: fewer than two shifts were fitted under, or a run cannot be read.
        """
        grids = _grids(sweep)
        return write_grids(
            sweep,
            grids,
            means=[grid for grid in grids if grid.pool == MEAN] or grids,
            kind="shift",
            question=self.question,
            notes=["A model's threshold is fitted to validation images under the shift it was fitted under."],
        )


def _grids(sweep: Sweep) -> list[Grid]:
    grids = [
        grid
        for name, runs in grouped(sweep, aside=("shift", DOMAINS)).items()
        for grid in _of_method(name, runs)
    ]
    if not grids:
        raise AdframeError(
            f"{sweep.folder} has no two runs fitted under different shifts and tested under the same "
            "domains= (shift=none,severe shift.splits=[train,val,test] +shift@domains.none=none ...)"
        )
    return grids


def _of_method(name: str, runs: Sequence[Done]) -> list[Grid]:
    tests: dict[Place, Condition] = {}
    for run in runs:
        own = _own(run.config)
        if own is None:
            continue
        tests[own, own] = read_condition(run.path, name=own)
        for domain, folder in further_domains(run).items():
            tests[own, domain] = read_condition(folder, name=domain)
    fitted = tuple(dict.fromkeys(row for row, _ in tests))
    tested = tuple(dict.fromkeys([*fitted, *(column for _, column in tests)]))
    if len(fitted) < 2:
        return []
    classes = next(iter(tests.values())).categories
    pools: dict[str, tuple[str, ...]] = {each: (each,) for each in classes}
    if len(classes) > 1:
        pools[MEAN] = classes
    return [
        Grid(
            name,
            pool,
            fitted,
            tested,
            {place: Square(test, names) for place, test in tests.items()},
        )
        for pool, names in pools.items()
    ]


def _own(config: Mapping[str, Any]) -> str | None:
    """The domain under which a run was fitted, calibrated and tested; None where these differ."""
    splits = set(config["shift"]["splits"])
    if config["shift"]["transforms"] and splits != {"train", "val", "test"}:
        return None
    named = [name for name in config.get(DOMAINS) or {} if is_own(config, name)]
    return named[0] if named else str(config["shift"]["name"])
