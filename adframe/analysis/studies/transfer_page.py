"""The page of a grid of tests: what every study of models tested elsewhere has in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.questions import Answer, answer, answers_table, unanswered
from adframe.analysis.studies.transfer_grid import (
    Grid,
    grid_bars,
    grid_heats,
    grid_roc,
    grid_scatter,
    grid_table,
)
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes, time_of
from adframe.reporting.document import Figure, Page, Section
from adframe.reporting.format import amount, hundredths
from adframe.reporting.page_writer import write_document
from adframe.results.sweep_folder import SweepFolder

METRIC = "image/auroc"
_QUESTION = "image AUROC compared with the model that was fitted there"
_CAPTION = (
    "How much more each model has than the one that was fitted on what is tested: differences on the same "
    "images, in points; p values also by Holm's correction for all lines."
)
_PANELS = 4  # grids with ROC curves at most


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
    """Writes the study's page, its figures and tables.

    Args:
        sweep: the runs.
        grids: all of them.
        means: those that are compared.
        kind: what models are fitted on: `category`, `shift`.
        question: what the study asks.
        findings: more of them, after those about the grids.
        sections: more of them, before all numbers.
        notes: on thresholds, or on what is missing.

    Returns:
        The page.
    """
    answers = answer(question for grid in means for question in grid.questions(METRIC, text=_QUESTION))
    significant = [each for each in answers if each.significant]
    rows, columns = f"{kind} fitted on", f"{kind} tested"
    study = Page(
        title=(
            f"Fitted on another {kind}: {len(significant)} of {len(answers)} differ significantly from the "
            "model "
            f"fitted on the same {kind}"
        ),
        question=question,
        findings=[*_findings(significant), *unanswered(answers), *findings],
        facts=[
            ("methods", ", ".join(dict.fromkeys(grid.method for grid in grids))),
            (f"{kind}, fitted", ", ".join(grids[0].fitted)),
            ("time, all runs", time_of(sweep)),
        ],
        sections=[
            Section(
                "Fitted on one, tested on another",
                (
                    *grid_heats(means, METRIC, name="auroc", rows=rows, columns=columns),
                    *grid_heats(means, "image/fpr", name="fpr", rows=rows, columns=columns),
                    *(grid_bars(grid, METRIC, name=f"bars_{place}") for place, grid in enumerate(means)),
                ),
            ),
            *sections,
            Section("Compared with the model fitted there", (answers_table(answers, caption=_CAPTION),)),
            Section("Images and pixels", (grid_scatter(means), *_curves(grids))),
            Section("All numbers", (grid_table(grids, rows=rows, columns=columns),)),
        ],
        command=sweep.command,
        links=LEADERBOARD,
        notes=[*notes, TEST_IMAGES, *failure_notes(sweep)],
    )
    return write_document(sweep.path, study)


def _findings(significant: Sequence[Answer]) -> list[str]:
    """Losses, then gains, the largest first; of more than three only their number is given."""
    found = []
    for sign, word in ((-1, "worse"), (1, "better")):
        own = [each for each in significant if sign * each.value > 0]
        own.sort(key=lambda each: -abs(each.value))
        for each in own[:3]:
            size = amount(each.comparison.difference)
            found.append(f"{each.subject}: {size} {word} than the model fitted there.")
        if len(own) > 3:
            least = hundredths(abs(own[-1].value))
            found.append(f"{len(own) - 3} more are {word}, by {least} points or more.")
    return found


def _curves(grids: Sequence[Grid]) -> list[Figure]:
    single = [grid for grid in grids if all(len(each.categories) == 1 for each in grid.squares.values())]
    return [grid_roc(grid, name=f"roc_{place}") for place, grid in enumerate(single[:_PANELS])]
