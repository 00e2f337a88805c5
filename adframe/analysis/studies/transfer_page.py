"""Writes the page of grids of tests, which all studies of models that are tested elsewhere share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.questions import Answer, answers_table, correct_answers, insignificant_answers
from adframe.analysis.studies.transfer_grid import (
    Grid,
    grid_bars,
    grid_matrices,
    grid_rocs,
    grid_scatter,
    grid_table,
)
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes
from adframe.reporting.document import Page, Section
from adframe.reporting.format import amount, hundredths
from adframe.reporting.page_writer import write_document
from adframe.reporting.run_facts import duration
from adframe.results.sweep_folder import SweepFolder

METRIC = "image/auroc"
_TRANSFER_QUESTION = "image AUROC compared with the model that was fitted there"
_TRANSFER_CAPTION = (
    "The metric of each model minus that of the model that was fitted on the test set: differences on the "
    "same images, in percentage points, with simultaneous intervals; p values also after Holm's correction "
    "for all rows."
)
_MAX_ROC_GRIDS = 4
_LISTED_LOSSES = 3  # sentences on losses, and as many on gains


def write_grids(
    sweep: SweepFolder,
    grids: Sequence[Grid],
    *,
    means: Sequence[Grid],
    kind: str,
    question: str,
    findings: Sequence[str] = (),
    sections: Sequence[Section] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Writes the page of a study of grids, with its figures and tables.

    Args:
        sweep: the finished sweep, into whose folder the page is written.
        grids: all grids.
        means: the grids whose models are compared.
        kind: what a model is fitted on: `category` or `shift`.
        question: the question that the study asks.
        findings: further findings, after those about the grids.
        sections: further sections, before the table of all numbers.
        notes: further notes, before those of every study.

    Returns:
        The path of the page.

    Raises:
        AdframeError: a file cannot be written.
    """
    answers = correct_answers(
        [answer for grid in means for answer in grid.answers(METRIC, question=_TRANSFER_QUESTION)]
    )
    significant = [each for each in answers if each.significant]
    rows, columns = f"{kind} fitted on", f"{kind} tested"
    # ROC curves of several categories would need one panel each, so such grids have none.
    single = [grid for grid in grids if all(len(each.categories) == 1 for each in grid.cells.values())]
    rocs = [grid_rocs(grid, name=f"roc_{place}") for place, grid in enumerate(single[:_MAX_ROC_GRIDS])]
    study = Page(
        title=(
            f"Fitted on another {kind}: {len(significant)} of {len(answers)} tests differ significantly from "
            f"those of the model fitted on the same {kind}"
        ),
        question=question,
        findings=[*_transfer_findings(significant), *insignificant_answers(answers), *findings],
        facts=[
            ("methods", ", ".join(dict.fromkeys(grid.method for grid in grids))),
            (f"{kind}, fitted", ", ".join(grids[0].fitted)),
            ("time, all runs", duration(sweep.seconds)),
        ],
        sections=[
            Section(
                "Fitted on one, tested on another",
                (
                    *grid_matrices(means, METRIC, name="auroc", rows=rows, columns=columns),
                    *grid_matrices(means, "image/fpr", name="fpr", rows=rows, columns=columns),
                    *(grid_bars(grid, METRIC, name=f"bars_{place}") for place, grid in enumerate(means)),
                ),
            ),
            *sections,
            Section(
                "Compared with the model fitted there", (answers_table(answers, caption=_TRANSFER_CAPTION),)
            ),
            Section("Images and pixels", (grid_scatter(means), *rocs)),
            Section("All numbers", (grid_table(grids, rows=rows, columns=columns),)),
        ],
        command=sweep.command,
        links=LEADERBOARD,
        notes=[*notes, TEST_IMAGES, *failure_notes(sweep)],
    )
    return write_document(sweep.path, study)


def _transfer_findings(significant: Sequence[Answer]) -> list[str]:
    """Writes the three largest losses, then the three largest gains; further ones are only counted."""
    found = []
    for sign, word in ((-1, "worse"), (1, "better")):
        own = [each for each in significant if sign * each.value > 0]
        own.sort(key=lambda each: -abs(each.value))
        for each in own[:_LISTED_LOSSES]:
            size = amount(each.comparison.difference)
            found.append(f"{each.subject}: {size} {word} than the model fitted there.")
        if len(own) > _LISTED_LOSSES:
            least = hundredths(abs(own[-1].value))
            found.append(f"{len(own) - _LISTED_LOSSES} more are {word}, by {least} points or more.")
    return found
