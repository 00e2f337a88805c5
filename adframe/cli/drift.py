"""`adframe drift`: compares logged scores with the validation scores of a run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import rich.box
from rich.console import Console
from rich.table import Table

from adframe.config.load_detector import chosen_unit
from adframe.export.hub import local_copy
from adframe.export.manifest import bundle_reference, is_bundle
from adframe.inference.drift_page import drift_page, drift_table
from adframe.inference.drift_report import measure_drift
from adframe.inference.results import TRAINED
from adframe.inference.run_reference import run_reference
from adframe.inference.score_log import read_score_log
from adframe.io.files import write_json, write_whole
from adframe.reporting.format import counted
from adframe.reporting.page_writer import render_page
from adframe.results.run_folder import RunFolder
from adframe.stats.betting import BOTH, UP
from adframe.stats.drift_monitor import DriftSettings

FOUND_DRIFT = 1  # exit code
REPORT, PAGE = "drift.json", "index.html"


def run_drift(
    run: Path,
    logs: Sequence[Path],
    *,
    alpha: float = 0.01,
    share: float = 0.0,
    direction: str | None = None,
    reference: Sequence[Path] = (),
    model: str | None = None,
    category: str | None = None,
    calibration: str = TRAINED,
    out: Path | None = None,
    seed: int = 0,
    fail_on_drift: bool = False,
) -> int:
    """Measures drift, prints a table, and writes `drift.json` and a page where asked.

    Args:
        run: the folder of the run, or a bundle.
        logs: logs and results of predictions, and folders with them.
        alpha: highest chance of a false alarm over the whole future.
        share: expected share of anomalies.
        direction: `up`, `down` or `both`; None takes `both`, or `up` where the validation images joined the
            model.
        reference: logs of normal images that take the place of the validation scores.
        model: of the log, where it has several.
        category: the model of the run, where it has several.
        calibration: the thresholds with which the images were inspected.
        out: folder of `drift.json` and `index.html`; None writes none.
        seed: of the draws that break ties.
        fail_on_drift: whether drift gives exit code 1.

    Returns:
        The exit code.

    Raises:
        AdframeError: a file cannot be read or written, or an argument is not possible.
    """
    settings = DriftSettings(alpha=alpha, share=share, direction=direction or BOTH, seed=seed)
    run = local_copy(run)
    if is_bundle(run):
        known = bundle_reference(run, category=category, calibration=calibration)
    else:
        folder = RunFolder(run)
        folder.reopen()
        known = run_reference(run, unit=chosen_unit(folder, category), calibration=calibration)
    if reference:
        given = read_score_log(reference)
        source = f"{counted(len(given.scores), 'image')} of {', '.join(map(str, reference))}"
        known = replace(known, scores=given.scores, source=source, is_refitted=False, several_per_part=False)
    if direction is None and known.is_refitted:
        settings = replace(settings, direction=UP)
    report = measure_drift(known, read_score_log(logs, model=model), settings)
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 110)
    console.print(f"{report.headline}.")
    table = Table(box=rich.box.SIMPLE_HEAD)
    shown = drift_table(report)
    for name in shown.header:
        table.add_column(name)
    for row in shown.shown:
        table.add_row(*row)
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}")
    if out is not None:
        command = shlex.join(["adframe", *sys.argv[1:]]) if sys.argv[1:2] == ["drift"] else ""
        write_json(out / REPORT, report.record())
        write_whole(out / PAGE, render_page(drift_page(report, run=run.resolve().name, command=command)))
        console.print(f"page: {out / PAGE}", soft_wrap=True)
    return FOUND_DRIFT if fail_on_drift and report.alarm_at is not None else 0
