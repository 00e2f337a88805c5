"""The page of a grid of tests: what every study of models tested elsewhere has in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.studies.effects import Effect, corrected, effect_table, undecided
from adframe.analysis.studies.sweep_runs import failures, time_spent
from adframe.analysis.studies.transfer_grid import (
    Grid,
    grid_bars,
    grid_heats,
    grid_roc,
    grid_scatter,
    grid_table,
)
from adframe.reporting.document import Figure, Section, Study
from adframe.reporting.study_page import write_study
from adframe.results.sweep_folder import Sweep

METRIC = "image/auroc"
_QUESTION = "image AUROC against the model fitted there"
_CAPTION = (
    "What a model has more than the one fitted on what is tested: differences on the same images, in "
    "points; p also by Holm's correction for all lines."
)
_PANELS = 4  # grids with ROC curves at most


def grid_effects(grids: Sequence[Grid]) -> list[Effect]:
    """Every model against the one fitted where it is tested, corrected for their number."""
    return corrected(each for grid in grids for each in grid.effects(METRIC, question=_QUESTION))


def write_grids(
    sweep: Sweep,
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
        means: those that are held against each other.
        kind: what models are fitted on: `category`, `shift`.
        question: what the study asks.
        findings: more of them, after those about the grids.
        sections: more of them, before all numbers.
        notes: what is said of thresholds.

    Returns:
        The page.
    """
    effects = grid_effects(means)
    stated = [each for each in effects if each.stated]
    rows, columns = f"{kind} fitted on", f"{kind} tested"
    study = Study(
        title=f"Fitted on another {kind}: {len(stated)} of {len(effects)} differ from the model at home",
        question=question,
        findings=[*_said(stated), *undecided(effects), *findings],
        facts=[
            ("Methods", ", ".join(dict.fromkeys(grid.method for grid in grids))),
            (f"{kind}, fitted", ", ".join(grids[0].fitted)),
            ("Time, all runs", time_spent(sweep)),
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
            Section("Against the model fitted there", (effect_table(effects, caption=_CAPTION),)),
            Section("Images and pixels", (grid_scatter(means), *_curves(grids))),
            Section("All numbers", (grid_table(grids, rows=rows, columns=columns),)),
        ],
        command=sweep.command,
        notes=[
            *notes,
            "Test images report; a setting chosen by this page is chosen on test data.",
            *failures(sweep),
        ],
    )
    return write_study(sweep.folder, study)


def _said(stated: Sequence[Effect]) -> list[str]:
    """Losses and gains by method, the largest first; a page of single sentences would not be read."""
    found = []
    for sign, word in ((-1, "worse"), (1, "better")):
        own = [each for each in stated if sign * each.difference.value > 0]
        own.sort(key=lambda each: -abs(each.difference.value))
        for each in own[:3]:
            text = each.sentence(*2 * ("{}",))
            found.append(f"{each.subject}: {text} {word} than the model fitted there.")
        if len(own) > 3:
            least = abs(own[-1].difference.value)
            found.append(f"{len(own) - 3} more are {word}, by {100 * least:.1f} points or more.")
    return found


def _curves(grids: Sequence[Grid]) -> list[Figure]:
    single = [grid for grid in grids if all(len(each.classes) == 1 for each in grid.squares.values())]
    return [grid_roc(grid, name=f"roc_{place}") for place, grid in enumerate(single[:_PANELS])]
